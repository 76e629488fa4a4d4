"""tls-crypt-v2: every client brings its own control channel key, wrapped with a key of the server (tls-crypt-v2.txt).

WKc, the wrapped client key at the end of a packet: tag(32), AES-256-CTR(client key(256), metadata), length(2) of the
whole; the tag is HMAC-SHA256 of length, client key and metadata. Metadata: type(1), content; type 0 is the
administrator's own text, type 1 the time at which the key was made(8).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from hognose.units import UnixSeconds
from hognose.vocabulary import STATIC_KEY_LEN

WRAPPED_MAX = 1024  # OpenVPN TLS_CRYPT_V2_MAX_WKC_LEN
_TAG_LEN = 32
_LENGTH_LEN = 2
WRAPPED_MIN = _TAG_LEN + STATIC_KEY_LEN + _LENGTH_LEN
_CONTROL_MIN = 50  # op, session id, ids, tag and one byte of a tls-crypt packet, before the WKc
METADATA_USER = 0
METADATA_TIME = 1
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class ClientKey:
    """An unwrapped client key: 256 bytes used as a tls-crypt key, and its metadata, type byte included."""

    key: bytes
    metadata: bytes

    @property
    def made_at(self) -> UnixSeconds | None:
        """The time in the metadata; None when it carries none."""
        if len(self.metadata) == 9 and self.metadata[0] == METADATA_TIME:
            return int.from_bytes(self.metadata[1:], "big")
        return None

    def describe(self) -> str:
        """The metadata for one field of a log line; the log escapes unprintable characters."""
        made_at = self.made_at
        if made_at is not None:
            return f"time:{made_at}"
        if self.metadata[:1] == bytes((METADATA_USER,)):
            return "user:" + self.metadata[1:].decode("utf-8", "replace")
        return "none" if not self.metadata else f"type {self.metadata[0]}"

    def too_old(self, max_age_days: int, unix: UnixSeconds) -> bool:
        """True when older than max_age_days (tls-crypt-v2-max-age), or of unknown age; 0 days is no limit."""
        if not max_age_days:
            return False
        made_at = self.made_at
        return made_at is None or unix - made_at > max_age_days * _DAY


def split_wrapped_key(record: bytes) -> tuple[bytes, bytes] | None:
    """(control packet, WKc) of a record that ends in a WKc; None when its length is impossible.

    The length counts from the end and must leave a whole control packet before it (CVE-2026-35058).
    """
    length = int.from_bytes(record[-_LENGTH_LEN:], "big")
    if not WRAPPED_MIN <= length <= min(WRAPPED_MAX, len(record) - _CONTROL_MIN):
        return None
    return record[:-length], record[-length:]


def unwrap_client_key(server_key: bytes, wrapped: bytes) -> ClientKey | None:
    """The client key in a WKc of split_wrapped_key; None when it was not wrapped with this server key."""
    encrypt_key, hmac_key = server_key[0:32], server_key[64:96]
    tag, sealed, length = wrapped[:_TAG_LEN], wrapped[_TAG_LEN:-_LENGTH_LEN], wrapped[-_LENGTH_LEN:]
    decryptor = Cipher(AES(encrypt_key), CTR(tag[:16])).decryptor()
    plain = decryptor.update(sealed) + decryptor.finalize()
    if not hmac.compare_digest(tag, hmac.digest(hmac_key, length + plain, "sha256")):
        return None
    return ClientKey(plain[:STATIC_KEY_LEN], plain[STATIC_KEY_LEN:])
