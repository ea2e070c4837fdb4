"""The client shore: the only modules that touch a client's network."""
