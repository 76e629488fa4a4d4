"""Routing: frames of the link and packets of clients to where they belong; what is decided is returned."""
