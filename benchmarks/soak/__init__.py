"""A soak: servers under mixed load for an hour, and whether their memory stays flat."""
