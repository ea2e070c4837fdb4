"""Socket.IO: namespaces, sockets, handlers, acknowledgements."""
