"""The life of a TLS endpoint: one judgement, long texts, broken records, goodbyes, failures."""

from __future__ import annotations

import contextlib

import pytest
from OpenSSL import SSL
from tests.unit.openvpn.handshake import World, client, handshake, output
from tests.world.pki import Identity
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.errors import PeerError
from hognose.openvpn.tls.openssl_endpoint import OpenSslEndpoint


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def alice(world: World) -> Identity:
    return world.authority.issue("alice")


def test_a_certificate_is_judged_once(world: World, alice: Identity) -> None:
    class Counting:
        """The judge of a context, counted."""

        pinned_only = False

        def __init__(self) -> None:
            self.count = 0

        def judge(self, chain: tuple[bytes, ...], unix: int) -> str:
            self.count += 1
            return f"{len(chain)} at {unix - UNIX}"

    judge = Counting()
    settled = world.context()
    endpoint = OpenSslEndpoint(settled._context, judge, UNIX + 5)
    ours = client(alice)
    while not endpoint.handshake_done:
        with contextlib.suppress(SSL.WantReadError):
            ours.do_handshake()
        endpoint.receive(output(ours))
        ours.bio_write(endpoint.take_output())
    assert (endpoint.common_name, judge.count) == ("1 at 5", 1)
    ours.send(b"more")
    endpoint.receive(output(ours))
    assert endpoint.read() == b"more"
    assert judge.count == 1


def test_long_texts_come_whole(world: World, alice: Identity) -> None:
    ours = client(alice)
    endpoint = handshake(world.context(), ours)
    text = bytes(range(256)) * 200
    for at in range(0, len(text), 16_000):
        ours.send(text[at : at + 16_000])
    endpoint.receive(output(ours))
    assert endpoint.read() == text
    assert endpoint.read() == b""
    for at in range(0, len(text), 16_000):
        endpoint.write(text[at : at + 16_000])
    ours.bio_write(endpoint.take_output())
    got = b""
    with contextlib.suppress(SSL.WantReadError):
        while True:
            got += ours.recv(65_536)
    assert got == text


def test_a_broken_record_ends_the_reading(world: World, alice: Identity) -> None:
    ours = client(alice)
    endpoint = handshake(world.context(), ours)
    ours.send(b"hello")
    data = output(ours)
    endpoint.receive(data[:-1] + bytes((data[-1] ^ 1,)))
    with pytest.raises(PeerError) as caught:
        endpoint.read()
    assert caught.value.reason is DropReason.TLS_ERROR
    assert caught.value.detail == "decryption failed or bad record mac"


def test_the_peers_goodbye_is_no_error(world: World, alice: Identity) -> None:
    ours = client(alice)
    endpoint = handshake(world.context(), ours)
    ours.send(b"last")
    ours.shutdown()
    endpoint.receive(output(ours))
    assert endpoint.read() == b"last"


def test_nothing_is_written_before_the_handshake(world: World) -> None:
    with pytest.raises(PeerError) as caught:
        world.context().accept(UNIX).write(b"early")
    assert caught.value.reason is DropReason.TLS_ERROR


def test_a_connection_that_failed_stays_so(world: World) -> None:
    endpoint = world.context().accept(UNIX)
    for words in (r"wrong version number|http request", "has failed before", "has failed before"):
        with pytest.raises(PeerError, match=words):
            endpoint.receive(b"GET / HTTP/1.0\r\n\r\n")
    assert not endpoint.handshake_done
    assert (endpoint.common_name, endpoint.certificate_sha256, endpoint.peer_chain) == ("", b"", ())
