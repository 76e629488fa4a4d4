"""The TLS 1.0 PRF as key method 2 uses it (RFC 2246 section 5, OpenVPN crypto_openssl.c ssl_tls1_PRF)."""

from __future__ import annotations

import hmac


def tls1_prf(secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """P_MD5 of the first half of the secret XOR P_SHA-1 of the second (halves overlap by one byte when odd)."""
    half = (len(secret) + 1) // 2
    md5 = _p_hash(secret[:half], label + seed, length, "md5")
    sha1 = _p_hash(secret[len(secret) - half :], label + seed, length, "sha1")
    return (int.from_bytes(md5, "big") ^ int.from_bytes(sha1, "big")).to_bytes(length, "big")


def _p_hash(secret: bytes, seed: bytes, length: int, digest: str) -> bytes:
    block, out = seed, b""
    while len(out) < length:
        block = hmac.digest(secret, block, digest)
        out += hmac.digest(secret, block + seed, digest)
    return out[:length]
