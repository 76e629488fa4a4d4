"""ClientHellos that would make OpenSSL work in finite fields; messages by RFC 8446 section 4.1.2, written by hand."""

from __future__ import annotations

import struct

import pytest
from OpenSSL import SSL
from tests.unit.openvpn.link import authority, server_identity
from tests.world.strangers import client_hello
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn.tls.client_hello import FINITE_FIELDS, LONGEST, HelloScreen
from hognose.openvpn.tls.context import TlsContext
from hognose.openvpn.tls.openssl_endpoint import OpenSslEndpoint
from hognose.settings import TlsSettings

X25519, FFDHE2048, FFDHE8192, PRIVATE_FIELD, HYBRID = 0x001D, 0x0100, 0x0104, 0x01FC, 0x11EC
SIZES = {X25519: 32, FFDHE2048: 256, FFDHE8192: 1024, PRIVATE_FIELD: 256, HYBRID: 1216}
CHANGE_CIPHER_SPEC = bytes.fromhex("140303000101")


def extension(kind: int, body: bytes) -> bytes:
    return struct.pack(">HH", kind, len(body)) + body


def record(message: bytes, kind: int = 22) -> bytes:
    return bytes((kind, 3, 1)) + struct.pack(">H", len(message)) + message


def message(*shares: int, groups: tuple[int, ...] = (X25519, FFDHE8192), padding: int = 0) -> bytes:
    """A ClientHello with key shares of these groups."""
    named = b"".join(struct.pack(">H", group) for group in groups)
    keys = b"".join(struct.pack(">HH", group, SIZES[group]) + b"\2" * SIZES[group] for group in shares)
    extensions = (
        extension(21, bytes(padding))
        + extension(10, struct.pack(">H", len(named)) + named)
        + extension(13, bytes.fromhex("0004 0403 0804"))
        + extension(43, bytes.fromhex("02 0304"))
        + extension(51, struct.pack(">H", len(keys)) + keys)
    )
    body = b"\3\3" + bytes(32) + b"\x20" + bytes(32) + bytes.fromhex("0004 1301 1302 01 00")
    body += struct.pack(">H", len(extensions)) + extensions
    return b"\1" + len(body).to_bytes(3, "big") + body


def accept() -> OpenSslEndpoint:
    identity = server_identity()
    return TlsContext(TlsSettings(ca=authority().pem, cert=identity.cert, key=identity.key)).accept(UNIX)


def refused(endpoint: OpenSslEndpoint, *pieces: bytes) -> bool:
    """True for the words about finite fields, at the last piece."""
    for piece in pieces[:-1]:
        endpoint.receive(piece)
    try:
        endpoint.receive(pieces[-1])
    except PeerError as error:
        return (error.reason, error.detail) == (DropReason.TLS_ERROR, FINITE_FIELDS)
    return False


@pytest.mark.parametrize(
    "shares", [(FFDHE2048,), (FFDHE8192,), (X25519, FFDHE8192), (FFDHE8192, X25519), (PRIVATE_FIELD,)]
)
def test_a_share_in_a_finite_field_gets_an_alert(shares: tuple[int, ...]) -> None:
    endpoint = accept()
    assert refused(endpoint, record(message(*shares)))
    assert endpoint.take_output() == bytes.fromhex("15 0303 0002 02 28")  # fatal, handshake_failure
    assert endpoint.take_output() == b""
    with pytest.raises(PeerError, match="failed before"):
        endpoint.receive(b"x")


# A share of the hybrid group that is no key: OpenSSL looks at it since 3.5.
HYBRID_HELLOS = [record(message(X25519, HYBRID))] if SSL.OPENSSL_VERSION_NUMBER < 0x30500000 else []


@pytest.mark.parametrize("hello", [record(message(X25519)), *HYBRID_HELLOS, client_hello()])
def test_others_are_answered(hello: bytes) -> None:
    endpoint = accept()
    assert not refused(endpoint, hello)
    answer = endpoint.take_output()
    assert (answer[:3], answer[5]) == (bytes.fromhex("160303"), 2)  # a ServerHello


def test_the_second_hello_is_looked_at_too() -> None:
    """OpenSSL asks for a share of a group that both have."""
    endpoint = accept()
    assert not refused(endpoint, record(message(groups=(FFDHE2048,))))
    request = endpoint.take_output()
    assert request[5] == 2
    assert FFDHE2048.to_bytes(2, "big") in request
    assert refused(endpoint, CHANGE_CIPHER_SPEC, record(message(FFDHE2048, groups=(FFDHE2048,))))


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 100, 1000])
def test_in_pieces_and_in_several_records(step: int) -> None:
    hello = message(FFDHE8192)
    whole = b"".join(record(hello[at : at + 99]) for at in range(0, len(hello), 99))
    pieces = [whole[at : at + step] for at in range(0, len(whole), step)]
    screen = HelloScreen()
    for piece in pieces[:-1]:
        screen.take(piece)
    with pytest.raises(PeerError):
        screen.take(pieces[-1])


def test_nothing_is_looked_at_after_the_hellos() -> None:
    screen = HelloScreen()
    screen.take(CHANGE_CIPHER_SPEC + record(message(X25519)) + record(bytes(40), 23))
    assert not screen.over
    screen.take(record(b"\x10" + bytes(60)))
    assert screen.over
    screen.take(record(message(FFDHE8192)))


def test_a_hello_of_any_length_is_none() -> None:
    fits = LONGEST - len(message(X25519))
    for padding in (fits, fits + 1):
        hello = message(X25519, padding=padding)
        screen = HelloScreen()
        if padding > fits:
            with pytest.raises(PeerError, match="too long"):
                screen.take(record(hello[:16_000]))
        else:
            screen.take(b"".join(record(hello[at : at + 16_000]) for at in range(0, len(hello), 16_000)))
            assert not screen.over


def test_what_openssl_does_not_read_is_not_kept() -> None:
    screen = HelloScreen()
    screen.take(b"\x16\3\1\xff\xff" + bytes(99))
    assert screen.over


@pytest.mark.parametrize("size", [4, 5, 40, 80, 100])
def test_malformed_hellos_are_left_to_openssl(size: int) -> None:
    body = message(FFDHE8192)[4 : 4 + size]
    endpoint = accept()
    with pytest.raises(PeerError) as raised:
        endpoint.receive(record(b"\1" + len(body).to_bytes(3, "big") + body))
    assert raised.value.detail != FINITE_FIELDS
    assert endpoint.take_output()[:1] == b"\x15"
