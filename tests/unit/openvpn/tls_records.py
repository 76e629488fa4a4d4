"""TLS 1.3 records of a client made by hand from its logged secret (RFC 8446 5.2, 7.1-7.3): KeyUpdates in any number."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

HANDSHAKE, APPLICATION_DATA = 22, 23
KEY_UPDATE, UPDATE_REQUESTED = 24, 1


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    info = size.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0"
    return HKDFExpand(SHA384(), size, info).derive(secret)


class ClientRecords:
    """Of TLS_AES_256_GCM_SHA384; sequence: records that the client's own TLS has sealed with this secret."""

    def __init__(self, key_log: list[str], sequence: int) -> None:
        [line] = [line for line in key_log if line.startswith("CLIENT_TRAFFIC_SECRET_0 ")]
        self._secret = bytes.fromhex(line.split()[2])
        assert len(self._secret) == 48
        self._sequence = sequence

    def seal(self, kind: int, content: bytes) -> bytes:
        """One record."""
        key, iv = _expand(self._secret, b"key", 32), _expand(self._secret, b"iv", 12)
        nonce = (int.from_bytes(iv, "big") ^ self._sequence).to_bytes(12, "big")
        self._sequence += 1
        head = bytes([APPLICATION_DATA, 3, 3]) + (len(content) + 1 + 16).to_bytes(2, "big")
        return head + AESGCM(key).encrypt(nonce, content + bytes([kind]), head)

    def key_update(self) -> bytes:
        """A KeyUpdate that asks for one in return; the next record is under the next secret."""
        record = self.seal(HANDSHAKE, bytes([KEY_UPDATE, 0, 0, 1, UPDATE_REQUESTED]))
        self._secret, self._sequence = _expand(self._secret, b"traffic upd", 48), 0
        return record
