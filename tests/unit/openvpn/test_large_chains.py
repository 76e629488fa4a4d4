"""Certificates of 80 KB, in many control messages, of a client and of the server itself."""

from __future__ import annotations

from dataclasses import replace

from cryptography import x509
from tests.unit.openvpn.link import Link, authority, kit, profile
from tests.world.pki import SERVER

from hognose.openvpn.tls.context import TlsContext
from hognose.settings import TlsSettings

EXTENSION = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.32473.1"), bytes(80_000))


def test_a_client_with_a_certificate_of_80_kilobytes() -> None:
    alice = authority().issue("alice", extensions=[EXTENSION])
    link = Link(profile(), kit(cert=alice.cert, key=alice.key))
    link.connect()
    assert link.client.established


def test_a_server_with_a_certificate_of_80_kilobytes() -> None:
    server = authority().issue("server", SERVER, extensions=[EXTENSION])
    ours = replace(profile(), tls=TlsContext(TlsSettings(ca=authority().pem, cert=server.cert, key=server.key)))
    link = Link(ours, kit())
    link.connect()
    assert link.client.established
