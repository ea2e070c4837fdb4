"""telex on any ASGI host."""
