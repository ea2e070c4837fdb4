"""telex on uvicorn: its HTTP class, long-polling and handshakes without ASGI."""
