"""Rooms: who is in them, and how a broadcast reaches them."""
