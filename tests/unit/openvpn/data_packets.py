"""Data packets built and taken apart by hand from the primitives, as the protocol's description has them; not our code.

keys: 256 bytes, half 0 is what clients seal with. Every function works on one half.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.padding import PKCS7

SIZES = {"256": 32, "192": 24, "128": 16, "POLY1305": 32}


def key_size(cipher: str) -> int:
    return SIZES[cipher.split("-")[1]]


def aead(cipher: str, key: bytes) -> AESGCM | ChaCha20Poly1305:
    return ChaCha20Poly1305(key) if cipher.startswith("CHACHA") else AESGCM(key)


def head(version: int, key_id: int, peer_id: int = 0) -> bytes:
    return bytes([6 << 3 | key_id]) if version == 1 else bytes([9 << 3 | key_id]) + peer_id.to_bytes(3, "big")


def aead_packet(
    half: bytes, cipher: str, packet_id: int, payload: bytes, version: int = 2, key_id: int = 0, peer_id: int = 0
) -> bytes:
    start, number = head(version, key_id, peer_id), packet_id.to_bytes(4, "big")
    associated = start + number if version == 2 else number
    sealed = aead(cipher, half[: key_size(cipher)]).encrypt(number + half[64:72], payload, associated)
    return start + number + sealed[-16:] + sealed[:-16]


def open_aead(half: bytes, cipher: str, packet: bytes) -> bytes:
    """The payload; InvalidTag unless all is right."""
    start = 4 if packet[0] >> 3 == 9 else 1
    number, body = packet[start : start + 4], packet[start + 4 :]
    associated = packet[:8] if start == 4 else number
    return aead(cipher, half[: key_size(cipher)]).decrypt(number + half[64:72], body[16:] + body[:16], associated)


def cbc_body(half: bytes, cipher: str, digest: str, iv: bytes, padded: bytes) -> bytes:
    """HMAC, IV, ciphertext of whole blocks."""
    context = Cipher(algorithms.AES(half[: key_size(cipher)]), modes.CBC(iv)).encryptor()
    covered = iv + context.update(padded) + context.finalize()
    size = hashlib.new(digest.lower()).digest_size
    return hmac.new(half[64 : 64 + size], covered, digest.lower()).digest() + covered


def cbc_packet(
    half: bytes,
    cipher: str,
    digest: str,
    packet_id: int,
    payload: bytes,
    iv: bytes,
    version: int = 2,
    key_id: int = 0,
    peer_id: int = 0,
) -> bytes:
    padder = PKCS7(128).padder()
    padded = padder.update(packet_id.to_bytes(4, "big") + payload) + padder.finalize()
    return head(version, key_id, peer_id) + cbc_body(half, cipher, digest, iv, padded)


def open_cbc(half: bytes, cipher: str, digest: str, packet: bytes) -> tuple[bytes, int, bytes]:
    """Header, packet id, payload; AssertionError unless all is right."""
    size = hashlib.new(digest.lower()).digest_size
    start = 4 if packet[0] >> 3 == 9 else 1
    tag, iv, body = packet[start : start + size], packet[start + size : start + size + 16], packet[start + size + 16 :]
    assert tag == hmac.new(half[64 : 64 + size], iv + body, digest.lower()).digest()
    context = Cipher(algorithms.AES(half[: key_size(cipher)]), modes.CBC(iv)).decryptor()
    unpadder = PKCS7(128).unpadder()
    plain = unpadder.update(context.update(body) + context.finalize()) + unpadder.finalize()
    return packet[:start], int.from_bytes(plain[:4], "big"), plain[4:]


def expand(secret: bytes, label: str, size: int) -> bytes:
    """HKDF-Expand of RFC 5869 2.3 with the label structure, one block."""
    name = f"ovpn {label}".encode()
    info = size.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    return hmac.new(secret, info + b"\1", hashlib.sha256).digest()[:size]


def epoch_secret(half: bytes, epoch: int) -> bytes:
    secret = half[:32]
    for _ in range(epoch - 1):
        secret = expand(secret, "datakey upd", 32)
    return secret


def epoch_nonce(secret: bytes, number: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(number + bytes(4), expand(secret, "data_iv", 12), strict=True))


def epoch_packet(
    half: bytes,
    cipher: str,
    epoch: int,
    counter: int,
    payload: bytes,
    secret: bytes = b"",
    key_id: int = 0,
    peer_id: int = 0,
) -> bytes:
    """secret: of the epoch, where deriving it step by step would take too long."""
    secret = secret or epoch_secret(half, epoch)
    number = epoch.to_bytes(2, "big") + counter.to_bytes(6, "big")
    start = head(2, key_id, peer_id) + number
    key = expand(secret, "data_key", key_size(cipher))
    return start + aead(cipher, key).encrypt(epoch_nonce(secret, number), payload, start)


def open_epoch(half: bytes, cipher: str, packet: bytes, secret: bytes = b"") -> tuple[int, int, bytes]:
    """Epoch, counter, payload; InvalidTag unless all is right."""
    epoch, counter = int.from_bytes(packet[4:6], "big"), int.from_bytes(packet[6:12], "big")
    secret = secret or epoch_secret(half, epoch)
    key = expand(secret, "data_key", key_size(cipher))
    plain = aead(cipher, key).decrypt(epoch_nonce(secret, packet[4:12]), packet[12:], packet[:12])
    return epoch, counter, plain
