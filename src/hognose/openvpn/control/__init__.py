"""The control channel: wraps, reliability, key exchange, option agreement, push (OpenVPN ssl.c, tls_crypt.c)."""
