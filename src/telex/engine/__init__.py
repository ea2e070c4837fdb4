"""Engine.IO, revisions 4 and 3, without asyncio, clock or socket."""
