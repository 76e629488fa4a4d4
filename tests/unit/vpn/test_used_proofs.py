"""Packets that have begun a session and begin no other."""

from __future__ import annotations

import pytest
from tests.unit.openvpn.client import ModelClient
from tests.unit.openvpn.link import START, kit
from tests.unit.vpn.test_datagrams import Place

from hognose.units import SECOND
from hognose.vpn.datagram_transport import DatagramTransport
from hognose.vpn.used_proofs import UsedProofs

LIFE = 90 * SECOND  # three slots of half of hand-window


def proof(place: Place) -> bytes:
    """The packet with which a client proves its address."""
    client = ModelClient(kit())
    client.start(START)
    place.take(client.poll(START)[0])
    assert place.accepted() == []
    for packet in place.sent():
        client.receive(bytes(packet.payload.payload), START)
    return client.poll(START)[0]


def opened(place: Place, datagram: bytes) -> DatagramTransport:
    """The transport that a proof makes, after its first answer."""
    place.take(datagram)
    [made] = place.accepted()
    made.take(9)
    made.send([b"answer"])
    place.port.poll(START)
    return made


def test_a_copy_of_an_old_proof_ends_no_newcomer() -> None:
    """A client at the port of another session has begun twice; the cookie of the first time is still good."""
    place = Place()
    place.client()
    old = proof(place)
    first = opened(place, old)
    second = opened(place, proof(place))
    assert (first.close_reason, second.close_reason) == ("replaced", "")
    place.take(old)
    assert place.accepted() == []
    assert second.close_reason == ""
    assert place.drops() == {"BAD_COOKIE": 1}


def test_a_proof_begins_nothing_after_its_session_or_beside_it() -> None:
    place = Place()
    recorded = proof(place)
    made = opened(place, recorded)
    made.trust(6)
    assert made.roam(bytes((198, 51, 100, 9)) + b"\x0f\xa0")
    place.take(recorded)  # its address is free again
    assert place.accepted() == []
    made.close(START)
    place.take(recorded)
    assert place.accepted() == []
    assert len(place.port) == 0
    assert place.drops() == {"BAD_COOKIE": 2}


@pytest.mark.parametrize("how", ["crowded out", "refused before it was answered"])
def test_a_client_that_the_server_had_no_room_for_comes_again_by_the_same_packet(how: str) -> None:
    """connect-freq, a full table: the client repeats the packet."""
    place = Place()
    repeated = proof(place)
    place.take(repeated)
    [made] = place.accepted()
    if how == "crowded out":
        made.send([b"answer"])
        made.abort(START)
    else:
        made.close(START)
    place.take(repeated)
    assert len(place.accepted()) == 1
    assert place.drops() == {}


def test_a_proof_is_used_as_long_as_its_cookie_is_good() -> None:
    used = UsedProofs(8, LIFE)
    used.add(b"a", START)
    assert used.has(b"a", START)
    assert used.has(b"a", START + LIFE - 1)
    assert not used.has(b"a", START + LIFE)
    assert not used.has(b"b", START)
    used.forget(b"a")
    used.forget(b"a")
    assert not used.has(b"a", START)


def test_their_number_is_bounded_and_the_oldest_is_forgotten() -> None:
    used = UsedProofs(3, LIFE)
    for number in range(5):
        used.add(b"%d" % number, START + number)
    assert [used.has(b"%d" % number, START + 5) for number in range(5)] == [False, False, True, True, True]
    used.add(b"late", START + 2 * LIFE)
    assert len(used) == 1
