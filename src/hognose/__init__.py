"""Hognose: an OpenVPN-compatible VPN server that boots."""

__version__ = "0.1.0"
