"""Words of the config language that more than one engine knows: ciphers, digests, framings, wraps, and their facts.

Each is defined here only; a config is parsed to these words, sessions and gateway read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Framing = Literal["none", "comp-lzo", "stub", "stub-v2"]  # of the packets of a data channel (openvpn/compression)
Compression = Literal["none", "comp-lzo", "stub", "stub-v2", "migrate"]  # of compress and comp-lzo in a config
Proto = Literal["udp", "tcp"]  # of a listening port
WrapKind = Literal["none", "tls-auth", "tls-crypt"]  # of the control channel under the server's static key
ClientCertificate = Literal["require", "optional", "none"]  # of verify-client-cert

FRAMINGS: tuple[Framing, ...] = ("none", "comp-lzo", "stub", "stub-v2")
NAME_KINDS = ("", "subject", "name", "name-prefix")  # of verify-x509-name; "" without it
TLS_VERSIONS = ("1.2", "1.3")
# Of tls-cert-profile; the place is OpenSSL's security level (openvpn ssl_openssl.c, tls_ctx_set_cert_profile).
CERT_PROFILES = ("insecure", "legacy", "preferred", "suiteb")
DEFAULT_CERT_PROFILE = "legacy"

TAG_LEN = 16  # bytes, of every AEAD cipher
BLOCK_LEN = 16  # bytes, of AES: a CBC cipher's block and IV
STATIC_KEY_LEN = 256  # bytes of an OpenVPN static key file: two halves of cipher key(64) and HMAC key(64)
TLS_CRYPT_V2_KEY_LEN = 128  # bytes of a tls-crypt-v2 server key: one such half
ALL_OTHERS = "DEFAULT"  # file of client-config-dir for all clients without their own (OpenVPN multi.c)
FINGERPRINT_LEN = 32  # bytes of a SHA-256


@dataclass(frozen=True, slots=True)
class DataCipher:
    """Facts about a data cipher; key_len in bytes. One without AEAD is CBC and needs a digest for its HMAC."""

    key_len: int
    aead: bool = True


# By OpenVPN's names, in the order in which messages list them.
DATA_CIPHERS = {
    "AES-256-GCM": DataCipher(32),
    "AES-128-GCM": DataCipher(16),
    "CHACHA20-POLY1305": DataCipher(32),
    "AES-192-GCM": DataCipher(24),
    "AES-256-CBC": DataCipher(32, aead=False),
    "AES-192-CBC": DataCipher(24, aead=False),
    "AES-128-CBC": DataCipher(16, aead=False),
}
DEFAULT_DATA_CIPHERS = ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")  # OpenVPN 2.6 options.c, DEFAULT
DEFAULT_DIGEST = "SHA1"
# By OpenVPN's names, bytes of the HMAC and of its key; hashlib's name is the same in lower case.
DIGESTS = {"SHA1": 20, "SHA224": 28, "SHA256": 32, "SHA384": 48, "SHA512": 64, "MD5": 16}


def digest_named(word: str) -> str | None:
    """Name in DIGESTS for a spelling of `auth` (`sha-256`, `RSA-SHA256`); None for a digest that is not supported."""
    name = word.upper().removeprefix("RSA-").replace("-", "")
    return name if name in DIGESTS else None


def data_cipher_named(word: str) -> str | None:
    """Name in DATA_CIPHERS for a spelling in any case; None for a cipher that is not supported."""
    name = word.upper()
    return name if name in DATA_CIPHERS else None
