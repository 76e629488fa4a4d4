"""Control packets under a wrap, built by hand from the primitives as OpenVPN's tls_crypt.h and ssl_pkt.h have them.

half: 128 bytes of a static key, cipher key in bytes 0-31, HMAC key from byte 64 on. Clients seal tls-crypt with half 1.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def packet_id(number: int, unix: int) -> bytes:
    return number.to_bytes(4, "big") + unix.to_bytes(4, "big")


def tls_auth(half: bytes, digest: str, head: bytes, number: int, unix: int, body: bytes) -> bytes:
    """head: op/key and session id."""
    size = hashlib.new(digest).digest_size
    covered = packet_id(number, unix) + head + body
    return head + hmac.new(half[64 : 64 + size], covered, digest).digest() + packet_id(number, unix) + body


def tls_crypt(half: bytes, head: bytes, number: int, unix: int, body: bytes) -> bytes:
    clear = head + packet_id(number, unix)
    tag = hmac.new(half[64:96], clear + body, hashlib.sha256).digest()
    stream = Cipher(algorithms.AES(half[:32]), modes.CTR(tag[:16])).encryptor()
    return clear + tag + stream.update(body)


def open_tls_crypt(half: bytes, record: bytes) -> tuple[bytes, bytes, bytes]:
    """Head, packet id and time, body; AssertionError unless all is right."""
    tag = record[17:49]
    body = Cipher(algorithms.AES(half[:32]), modes.CTR(tag[:16])).decryptor().update(record[49:])
    assert hmac.new(half[64:96], record[:17] + body, hashlib.sha256).digest() == tag
    return record[:9], record[9:17], body
