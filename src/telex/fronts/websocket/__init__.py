"""WebSocket connections of the server: picows, or the compiled part."""
