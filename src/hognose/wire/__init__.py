"""Wire formats: bytes to numbers and back; no state."""
