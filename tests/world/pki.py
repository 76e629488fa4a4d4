"""A throw-away PKI in memory: certificates of every kind that a test needs, and static keys."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True)
class Identity:
    """PEM texts of one certificate and its key."""

    cert: str
    key: str


class Authority:
    """A certificate authority."""

    def __init__(self, name: str = "Test CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._name, self._name, self._key, -1, 3650)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
        self._cert = builder.add_extension(_usage(sign_certificates=True), True).sign(self._key, SHA256())
        self.pem = self._cert.public_bytes(Encoding.PEM).decode()

    def issue(
        self, name: str, usage: x509.ObjectIdentifier = CLIENT, start_days: int = -1, days: int = 365
    ) -> Identity:
        """A certificate from start_days (relative to today) for so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, self._name, key, start_days, days)
        builder = builder.add_extension(x509.BasicConstraints(False, None), True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        cert = builder.add_extension(_usage(sign_certificates=False), True).sign(self._key, SHA256())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return Identity(cert.public_bytes(Encoding.PEM).decode(), private)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start_days: int, days: int
) -> x509.CertificateBuilder:
    start = datetime.now(UTC) + timedelta(days=start_days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=sign_certificates, crl_sign=sign_certificates,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def static_key() -> str:
    """An OpenVPN static key file."""
    digits = os.urandom(256).hex()
    lines = [digits[at : at + 32] for at in range(0, 512, 32)]
    return "\n".join(["-----BEGIN OpenVPN Static key V1-----", *lines, "-----END OpenVPN Static key V1-----", ""])
