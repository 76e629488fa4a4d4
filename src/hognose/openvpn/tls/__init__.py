"""TLS of the control channel: OpenSSL endpoint, algorithms, certificates, revocation lists."""
