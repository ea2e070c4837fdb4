"""What messages cost: telex, Node's socket.io and python-socketio in one interleaved run."""
