"""JavaScript clients of every generation against telex."""
