"""Checks of what is embedded: certificates, private key, OpenVPN static keys. Nothing of them enters a message."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from hognose.base.pem import UNREADABLE, TooManyListsError, load_certificates, load_revocation_lists
from hognose.limits import CRL_ENTRIES
from hognose.units import UnixSeconds
from hognose.vocabulary import FINGERPRINT_LEN, STATIC_KEY_LEN, TLS_CRYPT_V2_KEY_LEN

CRL_WARNING = timedelta(days=14)
_STATIC_KEY = re.compile(r"-----BEGIN OpenVPN Static key V1-----\s*([0-9a-fA-F\s]*)-----END OpenVPN Static key V1-----")

_V2_KEY = re.compile(
    r"-----BEGIN OpenVPN tls-crypt-v2 server key-----\s*([A-Za-z0-9+/=\s]*)"
    r"-----END OpenVPN tls-crypt-v2 server key-----"
)
_DAMAGED = "holds a certificate that cannot be read; embed the file as its CA has made it"


class BadPemError(ValueError):
    """An embedded text that cannot be used; directive names which."""

    def __init__(self, directive: str, message: str) -> None:
        self.directive = directive
        self.message = message
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class ServerKey:
    """Properties of a server's certificate that TLS libraries check; words as in tls_capabilities.py.

    family: RSA, EC, Ed25519, Ed448, or "" for what TLS servers do not use. kind: with the curve or size. bits: of RSA.
    """

    family: str
    kind: str
    bits: int


def server_key(cert: str) -> ServerKey:
    """Key of the first certificate in a PEM text that check_identity has found good."""
    public = _load_certificates("cert", cert)[0].public_key()
    if isinstance(public, rsa.RSAPublicKey):
        return ServerKey("RSA", f"RSA {public.key_size}", public.key_size)
    if isinstance(public, ec.EllipticCurvePublicKey):
        return ServerKey("EC", f"EC {public.curve.name}", 0)
    for family, kind in (("Ed25519", ed25519.Ed25519PublicKey), ("Ed448", ed448.Ed448PublicKey)):
        if isinstance(public, kind):
            return ServerKey(family, family, 0)
    return ServerKey("", "", 0)


def parse_static_key(text: str) -> bytes:
    """256 bytes of an OpenVPN static key file; ValueError with what to do."""
    match = _STATIC_KEY.search(text)
    digits = "".join(match[1].split()) if match else ""
    if len(digits) != 2 * STATIC_KEY_LEN:
        raise ValueError("no OpenVPN static key; make one with `openvpn --genkey secret ta.key`")
    return bytes.fromhex(digits)


def parse_tls_crypt_v2_key(text: str) -> bytes:
    """128 bytes of a tls-crypt-v2 server key file (OpenVPN doc/tls-crypt-v2.txt); ValueError with what to do."""
    match = _V2_KEY.search(text)
    try:
        key = b64decode("".join(match[1].split()), validate=True) if match else b""
    except ValueError:
        key = b""
    if len(key) != TLS_CRYPT_V2_KEY_LEN:
        what = "a client's key" if "OpenVPN tls-crypt-v2 client key" in text else "no tls-crypt-v2 server key"
        raise ValueError(f"{what}; make one with `openvpn --genkey tls-crypt-v2-server v2-server.key`")
    return key


def parse_fingerprint(text: str) -> bytes:
    """32 bytes of `AB:CD:…`, a SHA-256; ValueError with what to do."""
    parts = text.strip().split(":")
    if len(parts) != FINGERPRINT_LEN or not all(re.fullmatch("[0-9A-Fa-f]{2}", part) for part in parts):
        how = "`openssl x509 -noout -sha256 -fingerprint -in client.crt` prints one"
        raise ValueError(f"no SHA-256 fingerprint, 32 pairs of hex digits with `:` between; {how}")
    return bytes.fromhex("".join(parts))


def check_crl(crl: str, ca: str, unix: UnixSeconds | None) -> list[str]:
    """Warnings of a list of revoked certificates; BadPemError when there is none in the text.

    ca: PEM of the authorities, "" for none. unix: the wall clock, None to leave the dates out.
    """
    try:
        lists = load_revocation_lists(crl)
        issuers = [entry.issuer for entry in lists]
    except TooManyListsError as error:
        raise BadPemError("crl-verify", str(error)) from None
    except UNREADABLE:
        lists = []
    if not lists:
        raise BadPemError("crl-verify", "no PEM list of revoked certificates (X509 CRL); make one with your CA's tool")
    entries = sum(map(len, lists))
    if entries > CRL_ENTRIES:
        how = "leave those out that have expired by themselves, or give the clients a new CA"
        raise BadPemError("crl-verify", f"{entries} revoked certificates, more than {CRL_ENTRIES}; {how}")
    authorities = {each.subject for each in _load_certificates("ca", ca)} if ca else set()
    warnings = []
    if not ca:
        warnings.append("without `ca` no list is asked: remove fingerprints of `peer-fingerprint` instead")
    elif not all(issuer in authorities for issuer in issuers):
        warnings.append("holds a list that no certificate in `ca` has issued")
    updates = [entry.next_update_utc for entry in lists if entry.next_update_utc is not None]
    if unix is not None and updates:
        clock, soonest = datetime.fromtimestamp(unix, UTC), min(updates)
        if soonest < clock:
            warnings.append(f"expired on {soonest:%Y-%m-%d}: every client is refused; embed a new one")
        elif soonest - clock < CRL_WARNING:
            warnings.append(f"expires on {soonest:%Y-%m-%d}, then every client is refused; embed a new one")
    return warnings


def check_certificates(directive: str, text: str) -> None:
    """BadPemError unless the text holds certificates."""
    _load_certificates(directive, text)


def check_identity(ca: str, cert: str, key: str, unix: UnixSeconds | None) -> list[tuple[str, str]]:
    """(directive, text) warnings; BadPemError when one cannot be read or the key is not the certificate's.

    ca: "" when clients are known by their fingerprints. unix: the wall clock for the checks of dates, None to leave
    them out.
    """
    authorities = _load_certificates("ca", ca) if ca else []
    chain = _load_certificates("cert", cert)
    own = chain[0]
    try:
        private = load_pem_private_key(key.encode(), None)
    except TypeError:
        raise BadPemError("key", "the key is encrypted; embed it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadPemError("key", "no PEM private key") from None
    try:
        public = _public_bytes(own.public_key())
    except UNREADABLE:
        raise BadPemError("cert", _DAMAGED) from None
    if _public_bytes(private.public_key()) != public:
        raise BadPemError("key", "the key does not belong to the certificate in `cert`")
    warnings = _date_warnings(own, authorities, unix) if unix is not None else []
    if ca and not any(authority.subject == chain[-1].issuer for authority in authorities):
        warnings.append(("cert", "not issued by a certificate in `ca`; clients with the same ca will not trust it"))
    if not all(_may_sign(authority) for authority in authorities):
        warnings.append(("ca", "holds a certificate that may not sign others"))
    if not _may_serve(own):
        warnings.append(("cert", "not made for servers; clients with `remote-cert-tls server` will refuse it"))
    return warnings


def _date_warnings(
    own: x509.Certificate, authorities: list[x509.Certificate], unix: UnixSeconds
) -> list[tuple[str, str]]:
    """Warnings of dates by the clock; they do not stop the server, whose clock may be the one that is wrong."""
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
    except (x509.ExtensionNotFound, *UNREADABLE):
        return True  # version 1 certificates have no such extension; unreadable ones are left to the TLS library


def _may_serve(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


def _load_certificates(directive: str, text: str) -> list[x509.Certificate]:
    try:
        certificates = load_certificates(text)
    except ValueError:
        raise BadPemError(directive, "no PEM certificate") from None
    try:
        for each in certificates:  # the fields of the checks; cryptography reads them when they are asked for
            _ = each.subject, each.issuer, each.not_valid_before_utc, each.not_valid_after_utc
    except UNREADABLE:
        raise BadPemError(directive, _DAMAGED) from None
    return certificates


def _public_bytes(key: object) -> bytes:
    # Any kind of key: they have no class in common.
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]  # above
