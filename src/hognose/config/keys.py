"""Checks of what is embedded: certificates, private key, OpenVPN static keys. Nothing of them enters a message."""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

STATIC_KEY_LEN = 256
_STATIC_KEY = re.compile(r"-----BEGIN OpenVPN Static key V1-----\s*([0-9a-fA-F\s]*)-----END OpenVPN Static key V1-----")


class BadPemError(ValueError):
    """An embedded text that cannot be used; directive names which."""

    def __init__(self, directive: str, message: str) -> None:
        self.directive = directive
        self.message = message
        super().__init__(message)


def parse_static_key(text: str) -> bytes:
    """256 bytes of an OpenVPN static key file; ValueError with what to do."""
    match = _STATIC_KEY.search(text)
    digits = "".join(match[1].split()) if match else ""
    if len(digits) != 2 * STATIC_KEY_LEN:
        raise ValueError("no OpenVPN static key; make one with `openvpn --genkey secret ta.key`")
    return bytes.fromhex(digits)


def check_identity(ca: str, cert: str, key: str) -> list[tuple[str, str]]:
    """(directive, text) warnings; BadPemError when one cannot be read or the key is not the certificate's."""
    _load_certificates("ca", ca)
    own = _load_certificates("cert", cert)[0]
    try:
        private = load_pem_private_key(key.encode(), None)
    except TypeError:
        raise BadPemError("key", "the key is encrypted; embed it without a passphrase") from None
    except ValueError:
        raise BadPemError("key", "no PEM private key") from None
    if _public_bytes(private.public_key()) != _public_bytes(own.public_key()):
        raise BadPemError("key", "the key does not belong to the certificate in `cert`")
    return []


def _load_certificates(directive: str, text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise BadPemError(directive, "no PEM certificate") from None


def _public_bytes(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]
