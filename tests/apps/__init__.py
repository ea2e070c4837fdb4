"""Server applications that the tests start as processes."""
