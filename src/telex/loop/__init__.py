"""What knows asyncio and no protocol."""
