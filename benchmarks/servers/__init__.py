"""The servers of the comparison: each is a program that prints `PORT <n>` when it listens."""
