"""The other end: a client for Socket.IO and Engine.IO servers."""
