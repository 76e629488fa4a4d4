"""Checks of what is embedded: certificates, private key, OpenVPN static keys. Nothing of them enters a message."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from hognose.units import UnixSeconds

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


def check_identity(ca: str, cert: str, key: str, unix: UnixSeconds | None) -> list[tuple[str, str]]:
    """(directive, text) warnings; BadPemError when one cannot be read or the key is not the certificate's.

    unix: the wall clock for the checks of dates, None to leave them out.
    """
    authorities = _load_certificates("ca", ca)
    chain = _load_certificates("cert", cert)
    own = chain[0]
    try:
        private = load_pem_private_key(key.encode(), None)
    except TypeError:
        raise BadPemError("key", "the key is encrypted; embed it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadPemError("key", "no PEM private key") from None
    if _public_bytes(private.public_key()) != _public_bytes(own.public_key()):
        raise BadPemError("key", "the key does not belong to the certificate in `cert`")
    warnings = _date_warnings(own, authorities, unix) if unix is not None else []
    if not any(authority.subject == chain[-1].issuer for authority in authorities):
        warnings.append(("cert", "not issued by a certificate in `ca`; clients with the same ca will not trust it"))
    if not all(_may_sign(authority) for authority in authorities):
        warnings.append(("ca", "holds a certificate that may not sign others"))
    if not _may_serve(own):
        warnings.append(("cert", "not made for servers; clients with `remote-cert-tls server` will refuse it"))
    return warnings


def _date_warnings(
    own: x509.Certificate, authorities: list[x509.Certificate], unix: UnixSeconds
) -> list[tuple[str, str]]:
    """What the clock says; wrong dates do not stop the server, its clock may be the one that is wrong."""
    clock = datetime.fromtimestamp(unix, UTC)
    warnings = []
    for directive, certificate in (("cert", own), *(("ca", authority) for authority in authorities)):
        if certificate.not_valid_after_utc < clock:
            warnings.append(
                (directive, f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}; clients will refuse it")
            )
        elif certificate.not_valid_before_utc > clock:
            warnings.append(
                (directive, f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d}; is the clock right?")
            )
    return warnings


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return True  # version 1 certificates have no such extension; odd ones are left to the TLS library


def _may_serve(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


def _load_certificates(directive: str, text: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise BadPemError(directive, "no PEM certificate") from None


def _public_bytes(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]
