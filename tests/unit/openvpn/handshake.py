"""A TLS client against a TlsContext, in memory; both verdicts come back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from tests.world.pki import SERVER, Authority, Identity
from tests.world.today import UNIX

from hognose.errors import PeerError
from hognose.openvpn.tls.context import TlsContext
from hognose.openvpn.tls.openssl_endpoint import OpenSslEndpoint
from hognose.settings import CertificateRules, TlsSettings

DAY = 86_400


@dataclass
class World:
    """One CA, one server identity."""

    authority: Authority = field(default_factory=Authority)

    def __post_init__(self) -> None:
        self.server = self.authority.issue("server", SERVER)

    def context(self, rules: CertificateRules | None = None, **settings: Any) -> TlsContext:
        """A context of this world; settings replace TlsSettings' fields, tls-cert-profile preferred."""
        own = {"ca": self.authority.pem, "cert": self.server.cert, "key": self.server.key}
        given = {**own, "cert_profile": "preferred", **settings}
        return TlsContext(TlsSettings(rules=rules or CertificateRules(), **given))


def client(identity: Identity | None, minimum: int = 0, maximum: int = 0, ciphers: str = "") -> SSL.Connection:
    """A client that trusts everybody."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_cipher_list(f"{ciphers or 'DEFAULT'}:@SECLEVEL=0".encode())
    if minimum:
        context.set_min_proto_version(minimum)
    if maximum:
        context.set_max_proto_version(maximum)
    if identity is not None:
        own, *others = x509.load_pem_x509_certificates(identity.cert.encode())
        context.use_certificate(own)
        for other in others:
            context.add_extra_chain_cert(other)
        key: Any = load_pem_private_key(identity.key.encode(), None)  # of a type that a certificate can have
        context.use_privatekey(key)
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    return connection


def handshake(context: TlsContext, ours: SSL.Connection, unix: int = UNIX) -> OpenSslEndpoint:
    """The endpoint when both are done; PeerError as the server raised it."""
    endpoint = context.accept(unix)
    for _ in range(8):
        try:
            ours.do_handshake()
        except SSL.WantReadError:
            pass
        sent = output(ours)
        if sent:
            endpoint.receive(sent)
        if endpoint.handshake_done:
            return endpoint
        answer = endpoint.take_output()
        if answer:
            ours.bio_write(answer)
    raise AssertionError("the handshake does not end")


def verdict(context: TlsContext, identity: Identity | None, unix: int = UNIX, **kind: Any) -> str:
    """ "" when the server lets a client in, else the detail of its refusal."""
    try:
        handshake(context, client(identity, **kind), unix)
    except PeerError as error:
        return error.detail
    return ""


def output(connection: SSL.Connection) -> bytes:
    """Data that a client wants to send."""
    data = b""
    try:
        while True:
            data += connection.bio_read(65_536)
    except SSL.WantReadError:
        return data
