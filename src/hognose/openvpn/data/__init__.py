"""The data channel: keys, record formats, replay protection, compression framing (OpenVPN crypto.c, comp.c)."""
