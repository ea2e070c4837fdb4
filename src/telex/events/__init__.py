"""What both ends do with an event: handlers, order, acknowledgements, flags."""
