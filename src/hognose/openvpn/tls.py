"""TLS inside control messages: pyOpenSSL over memory BIOs, behind a small protocol that tests can fake.

No Python callback goes into OpenSSL (docs/decisions/0001-no-verify-callback.md): the chain is verified by OpenSSL
against the CA at the injected time, the reason of a failure is read afterwards, and key usage is checked here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL, crypto

from hognose.drops import DropReason
from hognose.errors import ConfigError, PeerError
from hognose.units import UnixSeconds

_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
# TLS 1.2: forward secrecy and AEAD only (facts/tcp-nat-security.md 4.4); TLS 1.3 suites are all of that kind.
DEFAULT_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:@SECLEVEL=2"
_OPTIONS = SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
_READ_SIZE = 65_536
COMMON_NAME_MAX = 64  # RFC 5280 ub-common-name


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """PEM texts and bounds; versions are "1.2" or "1.3", max_version "" for the newest."""

    ca: str
    cert: str
    key: str
    min_version: str = "1.2"
    max_version: str = ""
    ciphers: str = DEFAULT_CIPHERS


class TlsEndpoint(Protocol):
    """One TLS server connection, bytes in and out."""

    def receive(self, data: bytes) -> None:
        """TLS bytes of the peer; PeerError when the connection is lost for good."""

    def take_output(self) -> bytes:
        """TLS bytes for the peer; also after a failure, when they hold the alert."""

    def read(self) -> bytes:
        """Plaintext received so far; b"" when there is none."""

    def write(self, data: bytes) -> None:
        """Plaintext to send, only after the handshake; one TLS record each."""

    def export(self, label: str, length: int) -> bytes:
        """Keying material (RFC 5705), no context value."""

    @property
    def handshake_done(self) -> bool:
        """The handshake is complete and the client's certificate is good."""

    @property
    def version(self) -> str:
        """TLSv1.2 or TLSv1.3."""

    @property
    def common_name(self) -> str:
        """The client certificate's common name; only after the handshake."""

    @property
    def certificate_sha256(self) -> bytes:
        """SHA-256 of the client's certificate: the same client again has the same one."""

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """DER, the client's own certificate first; for TlsContext.recheck."""


class TlsContext:
    """What all sessions share: certificates, key, CA. Raises ConfigError when OpenSSL refuses one of them."""

    def __init__(self, settings: TlsSettings) -> None:
        try:
            context = SSL.Context(SSL.TLS_SERVER_METHOD)
            context.set_options(_OPTIONS)
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
            context.set_min_proto_version(_VERSIONS[settings.min_version])
            if settings.max_version:
                context.set_max_proto_version(_VERSIONS[settings.max_version])
            context.set_cipher_list(settings.ciphers.encode())
            certificates = x509.load_pem_x509_certificates(settings.cert.encode())
            context.use_certificate(certificates[0])
            for intermediate in certificates[1:]:
                context.add_extra_chain_cert(intermediate)
            context.use_privatekey(_private_key(settings.key))
            store = context.get_cert_store()
            assert store is not None
            for authority in x509.load_pem_x509_certificates(settings.ca.encode()):
                store.add_cert(crypto.X509.from_cryptography(authority))
                context.add_client_ca(authority)
            context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
        except SSL.Error as error:
            raise ConfigError(f"TLS set-up failed: {_first_reason(error)}") from None
        except (ValueError, TypeError, crypto.Error) as error:
            raise ConfigError(f"TLS set-up failed: {error}") from None
        self._context = context
        self._store = store

    crl_next_update: UnixSeconds | None = None

    def recheck(self, chain: tuple[bytes, ...], unix: UnixSeconds) -> str:
        """Why a client's chain is no longer good; "" when it is."""
        return ""

    def accept(self, unix: UnixSeconds) -> OpenSslEndpoint:
        """A fresh server connection that judges certificates as of `unix`."""
        self._store.set_time(datetime.fromtimestamp(unix, UTC))
        return OpenSslEndpoint(self._context)


class OpenSslEndpoint:
    """TlsEndpoint over OpenSSL; about 42 KB of memory from its first moment."""

    def __init__(self, context: SSL.Context) -> None:
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        self._done = False
        self._common_name = ""
        self._chain: tuple[bytes, ...] = ()

    @property
    def handshake_done(self) -> bool:
        """The handshake is complete and the client's certificate is good."""
        return self._done

    @property
    def version(self) -> str:
        """TLSv1.2 or TLSv1.3."""
        return self._connection.get_protocol_version_name()

    @property
    def common_name(self) -> str:
        """The client certificate's common name."""
        return self._common_name

    @property
    def certificate_sha256(self) -> bytes:
        """SHA-256 of the client's certificate."""
        return hashlib.sha256(self.peer_chain[0]).digest()

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """DER, the client's own certificate first."""
        return self._chain

    def receive(self, data: bytes) -> None:
        """TLS bytes of the peer; PeerError(TLS_ERROR or CERTIFICATE_REJECTED) when it is over."""
        self._connection.bio_write(data)
        if self._done:
            return
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            raise self._failure(error) from None
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            raise PeerError(DropReason.CERTIFICATE_REJECTED, "no client certificate")
        self._chain = (certificate.public_bytes(Encoding.DER),)
        self._common_name = check_client_certificate(certificate)
        self._done = True

    def take_output(self) -> bytes:
        """TLS bytes for the peer."""
        parts = []
        try:
            while True:
                parts.append(self._connection.bio_read(_READ_SIZE))
        except SSL.WantReadError:
            return b"".join(parts)

    def read(self) -> bytes:
        """Plaintext received so far; PeerError(TLS_ERROR) when the peer broke the connection."""
        parts = []
        try:
            while True:
                parts.append(self._connection.recv(_READ_SIZE))
        except (SSL.WantReadError, SSL.ZeroReturnError):
            return b"".join(parts)
        except SSL.Error as error:
            raise PeerError(DropReason.TLS_ERROR, _first_reason(error)) from None

    def write(self, data: bytes) -> None:
        """One TLS record (OpenVPN reads a control string in one piece)."""
        try:
            self._connection.send(data)
        except SSL.Error as error:
            raise PeerError(DropReason.TLS_ERROR, _first_reason(error)) from None

    def export(self, label: str, length: int) -> bytes:
        """Keying material (RFC 5705), no context value."""
        return self._connection.export_keying_material(label.encode(), length, None)

    def _failure(self, error: SSL.Error) -> PeerError:
        reason = _first_reason(error)
        if "certificate verify failed" not in reason:
            if "peer did not return a certificate" in reason:
                return PeerError(DropReason.CERTIFICATE_REJECTED, "the client sent no certificate")
            return PeerError(DropReason.TLS_ERROR, reason)
        # pyOpenSSL has no accessor for the verify result; both names are stable in the cffi library below it.
        library, ffi = SSL._lib, SSL._ffi  # type: ignore[attr-defined]
        code = library.SSL_get_verify_result(self._connection._ssl)  # type: ignore[union-attr]
        text = ffi.string(library.X509_verify_cert_error_string(code)).decode()  # type: ignore[union-attr]
        return PeerError(DropReason.CERTIFICATE_REJECTED, f"client certificate: {text}")


def _private_key(pem: str) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey:
    """A key of a kind that TLS servers use; ValueError for any other."""
    key = load_pem_private_key(pem.encode(), None)
    if not isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, ed25519.Ed25519PrivateKey)):
        raise ValueError("the private key must be RSA, EC or Ed25519")
    return key


def check_client_certificate(certificate: x509.Certificate) -> str:
    """The common name of a chain-verified certificate; PeerError(CERTIFICATE_REJECTED) where its usage forbids it.

    As OpenVPN's `remote-cert-tls client`, but absent extensions are allowed as RFC 5280 4.2.1.3 and 4.2.1.12 have it.
    """
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.CLIENT_AUTH not in usages and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usages:
            raise PeerError(DropReason.CERTIFICATE_REJECTED, "client certificate: extended key usage is not clientAuth")
    except x509.ExtensionNotFound:
        pass
    except ValueError:
        raise PeerError(DropReason.CERTIFICATE_REJECTED, "client certificate: unreadable extensions") from None
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        if not (usage.digital_signature or usage.key_agreement):
            raise PeerError(DropReason.CERTIFICATE_REJECTED, "client certificate: key usage forbids signatures")
    except x509.ExtensionNotFound:
        pass
    names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not names or not names[-1]:
        raise PeerError(DropReason.CERTIFICATE_REJECTED, "client certificate: no common name")
    name = names[-1]
    if len(name) > COMMON_NAME_MAX or not all(c.isprintable() for c in name):
        raise PeerError(DropReason.CERTIFICATE_REJECTED, "client certificate: unusable common name")
    return name


def _first_reason(error: SSL.Error) -> str:
    """The most telling text of OpenSSL's error queue."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reasons = [str(entry[-1]) for entry in queue if entry and entry[-1]]
    return reasons[0] if reasons else type(error).__name__
