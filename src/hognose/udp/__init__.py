"""UDP ports of our own: datagrams in, datagrams out."""
