"""What several tests need: starting peers, waiting, recording. One subject per module."""
