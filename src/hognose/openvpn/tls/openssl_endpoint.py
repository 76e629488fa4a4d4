"""One TLS server connection over memory BIOs (pyOpenSSL), with a small protocol that tests can fake."""

from __future__ import annotations

from typing import Protocol

from OpenSSL import SSL, crypto

from hognose.base.pem import UNREADABLE, quiet
from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn.tls import openssl_binding
from hognose.openvpn.tls.certificates import MALFORMED, fingerprint, to_der
from hognose.openvpn.tls.client_hello import ALERT, HelloScreen
from hognose.openvpn.tls.verify_errors import error_reasons, explain, explain_tls
from hognose.units import UnixSeconds

_READ_SIZE = 16_384  # bytes of the longest TLS record's text (RFC 8446 5.1); SSL_read gives no more at once


class TlsEndpoint(Protocol):
    """One TLS server connection, bytes in and out."""

    def receive(self, data: bytes) -> None:
        """Take TLS bytes of the peer; PeerError when the connection is lost for good."""

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
        """True when the handshake is complete and the client's certificate is good."""

    @property
    def version(self) -> str:
        """TLSv1.2 or TLSv1.3."""

    @property
    def common_name(self) -> str:
        """The client's name by its certificate (x509-username-field); NO_NAME without one and before the handshake."""

    @property
    def certificate_sha256(self) -> bytes:
        """SHA-256 of the client's certificate, b"" without one: the same client again has the same one."""

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """DER, the client's own certificate first, without the root; for TlsContext.recheck."""


class CertificateJudge(Protocol):
    """The rules by which a connection judges its client's certificate; TlsContext has them."""

    pinned_only: bool  # certificates are compared with fingerprints, regardless of their chain

    def judge(self, chain: tuple[bytes, ...], unix: UnixSeconds) -> str:
        """The client's name by its chain (DER, own certificate first); PeerError(CERTIFICATE_REJECTED)."""


class OpenSslEndpoint:
    """TlsEndpoint over OpenSSL; about 42 KB of memory from its first moment."""

    def __init__(self, context: SSL.Context, judge: CertificateJudge, unix: UnixSeconds) -> None:
        self._judge = judge
        self._unix = unix
        self._connection = SSL.Connection(context, None)
        self._connection.set_accept_state()
        openssl_binding.set_verify_time(self._connection, unix)
        self._screen: HelloScreen | None = HelloScreen()  # until TLS is done
        self._refused = False  # and the alert that says so has not been taken
        self._done = False
        self._failed = False
        self._common_name = ""
        self._sha256 = b""
        self._chain: tuple[bytes, ...] = ()

    @property
    def handshake_done(self) -> bool:
        """True when the handshake is complete and the client's certificate is good."""
        return self._done

    @property
    def version(self) -> str:
        """TLSv1.2 or TLSv1.3."""
        return self._connection.get_protocol_version_name()

    @property
    def common_name(self) -> str:
        """The client's name by its certificate; NO_NAME without one and before the handshake."""
        return self._common_name

    @property
    def certificate_sha256(self) -> bytes:
        """SHA-256 of the client's certificate, b"" without one."""
        return self._sha256

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """DER, the client's own certificate first, without the root."""
        return self._chain

    def receive(self, data: bytes) -> None:
        """Take TLS bytes of the peer; PeerError(TLS_ERROR or CERTIFICATE_REJECTED) when it is over."""
        if self._failed:
            raise PeerError(DropReason.TLS_ERROR, "the connection has failed before")
        if self._screen is not None:
            self._look(self._screen, data)
        self._connection.bio_write(data)
        if self._done:
            return
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return
        except SSL.Error as error:
            self._failed = True
            raise self._failure(error) from None
        try:
            self._identify()
        except PeerError:
            self._failed = True
            raise
        self._done = True
        self._screen = None

    def take_output(self) -> bytes:
        """TLS bytes for the peer."""
        if self._refused:
            self._refused = False
            return ALERT
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
            raise PeerError(DropReason.TLS_ERROR, explain_tls(error_reasons(error)[0])) from None

    def write(self, data: bytes) -> None:
        """One TLS record (OpenVPN reads a control string in one piece)."""
        try:
            self._connection.send(data)
        except SSL.Error as error:
            raise PeerError(DropReason.TLS_ERROR, error_reasons(error)[0]) from None

    def export(self, label: str, length: int) -> bytes:
        """Keying material (RFC 5705), no context value."""
        return self._connection.export_keying_material(label.encode(), length, None)

    def _look(self, screen: HelloScreen, data: bytes) -> None:
        try:
            screen.take(data)
        except PeerError:
            self._failed = self._refused = True
            self._screen = None
            raise
        if screen.over:
            self._screen = None

    def _identify(self) -> None:
        """Judge the certificate of a handshake that OpenSSL has finished."""
        try:
            with quiet():
                certificate = self._connection.get_peer_certificate(as_cryptography=True)
                verified = self._connection.get_verified_chain(as_cryptography=True) or []
        except (*UNREADABLE, crypto.Error):
            raise PeerError(DropReason.CERTIFICATE_REJECTED, MALFORMED) from None
        if certificate is not None:
            # A pinned certificate's chain means nothing; of others the root is known to the context that checks again.
            others = [] if self._judge.pinned_only else verified[1:-1]
            self._chain = tuple(to_der(one) for one in (certificate, *others))
            self._sha256 = fingerprint(certificate)
        self._common_name = self._judge.judge(self._chain, self._unix)

    def _failure(self, error: SSL.Error) -> PeerError:
        reasons = error_reasons(error)
        if "certificate verify failed" in reasons:
            code = openssl_binding.verify_result(self._connection)
            return PeerError(DropReason.CERTIFICATE_REJECTED, explain(code))
        if "peer did not return a certificate" in reasons:
            return PeerError(DropReason.CERTIFICATE_REJECTED, "the client sent no certificate")
        return PeerError(DropReason.TLS_ERROR, explain_tls(reasons[0]))
