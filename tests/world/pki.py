"""A throw-away PKI in memory: certificates of every kind that a test needs, odd ones too, CRLs, and static keys."""

from __future__ import annotations

import base64
import hmac
import os
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from .today import TODAY

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = ExtendedKeyUsageOID.SERVER_AUTH
_CURVES: dict[str, ec.EllipticCurve] = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
# sha256WithRSAEncryption and its elder sisters: DER of the OID, all of one length (RFC 4055, RFC 8017).
_WITH_RSA = {"sha256": bytes.fromhex("06092a864886f70d01010b"), "sha1": bytes.fromhex("06092a864886f70d010105"),
             "md5": bytes.fromhex("06092a864886f70d010104")}  # fmt: skip
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class Identity:
    """PEM texts of one certificate and its key; certificates of its authorities may follow in cert."""

    cert: str
    key: str

    @property
    def certificate(self) -> x509.Certificate:
        """The first one."""
        return x509.load_pem_x509_certificate(self.cert.encode())

    @property
    def sha256(self) -> bytes:
        """Its fingerprint."""
        return self.certificate.fingerprint(SHA256())

    def with_chain(self, *pems: str) -> Identity:
        """Further certificates to send along."""
        return Identity("".join((self.cert, *pems)), self.key)


class Authority:
    """A certificate authority, a root or, with `parent`, a subordinate one; all it makes is dated relative to `today`.

    The default is the day of virtual time. A root for real clients, which read the clock: `current_authority`.
    """

    def __init__(
        self,
        name: str = "Test CA",
        *,
        parent: Authority | None = None,
        today: datetime = TODAY,
        key: str = "P-256",
        start_days: int = -1,
        days: int = 3650,
        path_length: int | None = None,
        is_ca: bool = True,
        digest: str = "sha256",
    ) -> None:
        self.key = private_key(key, name)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._digest = digest
        self.today: datetime = today if parent is None else parent.today
        signer, issuer = (self.key, self.name) if parent is None else (parent.key, parent.name)
        builder = _builder(self.name, issuer, self.key, self.today + timedelta(days=start_days), days)
        builder = builder.add_extension(x509.BasicConstraints(is_ca, path_length if is_ca else None), True)
        builder = builder.add_extension(_usage(sign_certificates=is_ca), True)
        self.certificate = builder.sign(signer, _hash(signer))
        self.pem = self.certificate.public_bytes(Encoding.PEM).decode()

    def issue(
        self,
        name: str | bytes,
        usage: x509.ObjectIdentifier | None = CLIENT,
        start_days: int = -1,
        days: int = 365,
        *,
        key: str = "P-256",
        subject: Sequence[tuple[x509.ObjectIdentifier, str]] | None = None,
        key_usage: x509.KeyUsage | bool | None = True,
        extensions: Sequence[x509.ExtensionType] = (),
        digest: str = "",
        own_signature: bool = False,
    ) -> Identity:
        """A certificate from start_days (relative to the authority's today) for `days` days.

        subject replaces the one common name; usage None and key_usage None leave the extensions out; own_signature
        makes it a self-signed one. digest sha1 or md5 needs an authority with an RSA key.
        """
        own = private_key(key)
        parts = [(NameOID.COMMON_NAME, str(name))] if subject is None else subject
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            full = x509.Name([x509.NameAttribute(oid, value, _validate=False) for oid, value in parts])
            start = self.today + timedelta(days=start_days)
            builder = _builder(full, full if own_signature else self.name, own, start, days)
            builder = builder.add_extension(x509.BasicConstraints(False, None), True)
            if usage is not None:
                builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
            if key_usage is True:
                key_usage = _usage(sign_certificates=False)
            if key_usage:
                builder = builder.add_extension(key_usage, True)
            for extension in extensions:
                builder = builder.add_extension(extension, False)
            signer = own if own_signature else self.key
            cert = builder.sign(signer, _hash(signer))
        pem = cert.public_bytes(Encoding.PEM).decode()
        if digest or self._digest != "sha256":
            pem = _signed_again(cert, signer, digest or self._digest)
        private = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return Identity(pem, private)

    def revocation_list(
        self,
        *revoked: Identity | Authority,
        start_days: int = -1,
        days: int = 30,
        extensions: Sequence[x509.ExtensionType] = (),
        damaged: bool = False,
        serials: Sequence[int] = (),
    ) -> str:
        """A CRL in PEM form; damaged breaks its signature. serials: of more that are revoked, each with a reason."""
        start = self.today + timedelta(days=start_days)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(start).next_update(start + timedelta(days=days))
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(start).build())
        reason = x509.CRLReason(x509.ReasonFlags.cessation_of_operation)
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(start)
            builder = builder.add_revoked_certificate(entry.add_extension(reason, False).build())
        for extension in extensions:
            builder = builder.add_extension(extension, True)
        der = builder.sign(self.key, _hash(self.key)).public_bytes(Encoding.DER)
        return _pem("X509 CRL", der[:-1] + bytes((der[-1] ^ 1,)) if damaged else der)


def current_authority(name: str = "Test CA", *, key: str = "P-256") -> Authority:
    """A root that is valid on the machine's own day: for tests with programs that read the clock."""
    return Authority(name, today=datetime.now(UTC), key=key)


def damaged(identity: Identity) -> Identity:
    """The same certificate with a signature that is wrong by one bit."""
    der = identity.certificate.public_bytes(Encoding.DER)
    return Identity(_pem("CERTIFICATE", der[:-1] + bytes((der[-1] ^ 1,))), identity.key)


def name_of(*parts: tuple[x509.ObjectIdentifier, str]) -> list[tuple[x509.ObjectIdentifier, str]]:
    """A subject for `issue`."""
    return list(parts)


def key_usage(*names: str) -> x509.KeyUsage:
    """Those bits and no others."""
    every = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})


def private_key(kind: str, salt: str = "") -> PrivateKey:
    """A key: P-256, P-384, P-521, Ed25519 fresh; RSA1024, RSA2048, RSA4096 made once per salt, they take long."""
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind])
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return _rsa_key(int(kind.removeprefix("RSA")), salt)


@lru_cache(maxsize=16)
def _rsa_key(bits: int, salt: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def _hash(key: PrivateKey) -> SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else SHA256()


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, start: datetime, days: int
) -> x509.CertificateBuilder:
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
    return key_usage("key_cert_sign", "crl_sign") if sign_certificates else key_usage("digital_signature")


def _signed_again(cert: x509.Certificate, key: PrivateKey, digest: str) -> str:
    """With a digest that no library signs certificates with any more."""
    assert isinstance(key, rsa.RSAPrivateKey)
    old, new = _WITH_RSA["sha256"], _WITH_RSA[digest]
    tbs = cert.tbs_certificate_bytes.replace(old, new)
    signature = key.sign(tbs, padding.PKCS1v15(), MD5() if digest == "md5" else SHA1())
    return _pem("CERTIFICATE", _der(0x30, tbs + _der(0x30, new + b"\5\0") + _der(3, b"\0" + signature)))


def _der(tag: int, body: bytes) -> bytes:
    size = len(body)
    if size < 128:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def _pem(label: str, der: bytes) -> str:
    text = base64.b64encode(der).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def static_key() -> str:
    """An OpenVPN static key file."""
    digits = os.urandom(256).hex()
    lines = [digits[at : at + 32] for at in range(0, 512, 32)]
    return "\n".join(["-----BEGIN OpenVPN Static key V1-----", *lines, "-----END OpenVPN Static key V1-----", ""])


def tls_crypt_v2_keys() -> tuple[str, str]:
    """A tls-crypt-v2 server key and a client key wrapped with it, both made by the installed openvpn."""
    with tempfile.TemporaryDirectory() as name:
        server, client = Path(name) / "server.key", Path(name) / "client.key"
        for words in (
            ["--genkey", "tls-crypt-v2-server", str(server)],
            ["--tls-crypt-v2", str(server), "--genkey", "tls-crypt-v2-client", str(client)],
        ):
            subprocess.run(["openvpn", *words], check=True, capture_output=True)
        return server.read_text(), client.read_text()


def tls_crypt_v2_client_key(server_key: str, made_at: int) -> str:
    """A client key under a server's, made at that time: openvpn itself only knows today (tls-crypt-v2.txt)."""
    secret = base64.b64decode("".join(server_key.splitlines()[1:-1]))
    client_key, metadata = os.urandom(256), b"\1" + made_at.to_bytes(8, "big")
    length = (32 + 256 + len(metadata) + 2).to_bytes(2, "big")
    tag = hmac.digest(secret[64:96], length + client_key + metadata, "sha256")
    stream = Cipher(algorithms.AES(secret[:32]), modes.CTR(tag[:16])).encryptor()
    wrapped = tag + stream.update(client_key + metadata) + length
    return _pem("OpenVPN tls-crypt-v2 client key", client_key + wrapped)
