"""WebSocket messages and close codes, and the library that frames them."""
