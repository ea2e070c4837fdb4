"""Socket.IO packets: pure functions and small decoders, no clock, no loop, no socket."""
