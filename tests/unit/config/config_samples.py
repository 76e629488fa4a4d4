"""Configs for the tests: the handbook's vectors, and small ones with certificates made on the spot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "config"
NOT_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2030, 1, 1, tzinfo=UTC)
NEXT_UPDATE = datetime(2028, 6, 1, tzinfo=UTC)
BETWEEN = int(datetime(2028, 1, 1, tzinfo=UTC).timestamp())
CertificateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
BASE = "proto tcp\ndev tun\ntopology subnet\nserver 10.8.0.0 255.255.255.0\nkeepalive 10 60\n"


def read_vector(path: str) -> str:
    """Reads as the CLI does, relative to the vectors."""
    return (VECTORS / path).read_text(encoding="utf-8")


def make_certificate(
    name: str,
    key: CertificateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool | None = False,
    usage: tuple[x509.ObjectIdentifier, ...] = (),
) -> str:
    """PEM of one certificate; ca None leaves the extension out."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER + timedelta(hours=1))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def key_pem(key: CertificateKey, password: bytes = b"") -> str:
    """PEM of a private key, encrypted when a password is given."""
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def crl_pem(issuer: str = "CA", *, updates: datetime = NEXT_UPDATE) -> str:
    """A list with one revoked certificate."""
    revoked = x509.RevokedCertificateBuilder().serial_number(7).revocation_date(datetime(2026, 1, 1, tzinfo=UTC))
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .last_update(datetime(2026, 1, 1, tzinfo=UTC))
        .next_update(updates)
        .add_revoked_certificate(revoked.build())
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
        .public_bytes(Encoding.PEM)
        .decode()
    )


@cache
def identity() -> dict[str, str]:
    """PEM texts by directive name; `other-key` belongs to nothing, `client-cert` is no server's."""
    ca_key, key, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    server = (ExtendedKeyUsageOID.SERVER_AUTH,)
    client = (ExtendedKeyUsageOID.CLIENT_AUTH,)
    return {
        "ca": make_certificate("CA", ca_key, "CA", ca_key, ca=True),
        "plain-ca": make_certificate("CA", ca_key, "CA", ca_key, ca=None),
        "cert": make_certificate("server", key, "CA", ca_key, usage=server),
        "client-cert": make_certificate("client", key, "CA", ca_key, usage=client),
        "plain-cert": make_certificate("server", key, "CA", ca_key),
        "key": key_pem(key),
        "other-key": key_pem(other),
        "locked-key": key_pem(key, b"secret"),
    }


def static_key() -> str:
    """An OpenVPN static key file of bytes 0 … 255."""
    digits = bytes(range(256)).hex()
    body = "\n".join(digits[start : start + 32] for start in range(0, 512, 32))
    return f"-----BEGIN OpenVPN Static key V1-----\n{body}\n-----END OpenVPN Static key V1-----\n"


def block(name: str, text: str) -> str:
    """An inline block."""
    return f"<{name}>\n{text.rstrip()}\n</{name}>\n"


def config_text(extra: str = "", base: str = BASE) -> str:
    """A whole config, its lines first, its blocks after them; extra stands between."""
    return base + extra + "".join(block(name, identity()[name]) for name in ("ca", "cert", "key"))
