"""Peers of the VPN port: from the first byte over the handshake and admission to the end."""
