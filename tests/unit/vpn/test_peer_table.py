"""Peers by transport, by endpoint and session id, by peer id, by inner address."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hognose.address import Endpoint
from hognose.errors import LocalError
from hognose.openvpn.session import Session
from hognose.vpn.peer import NO_PEER_ID, Peer
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.transport import Transport

A = bytes((10, 8, 0, 100))


def peer(number: int) -> Peer:
    endpoint = Endpoint(bytes((192, 0, 2, number)), 1000 + number)
    return Peer(cast(Transport, SimpleNamespace(id=number, endpoint=endpoint)), 0)


def admitted(table: PeerTable, number: int) -> Peer:
    one = peer(number)
    table.add(one)
    table.admit(one, bytes((10, 8, 0, number)))
    return one


def test_a_client_of_another_table_keeps_its_names() -> None:
    old, new = PeerTable(bytes), PeerTable(bytes)
    admitted(old, 1)
    bob = admitted(old, 2)
    bob.session_id = b"session2"
    new.adopt(bob)
    assert (new.by_transport, new.clients) == ({2: bob}, {bob.address: bob})
    assert new.with_peer_id(1) is bob
    assert new.with_session(bob.transport.endpoint, b"session2") is bob
    assert [admitted(new, number).peer_id for number in (3, 5)] == [0, 2]
    other = peer(4)
    other.address, other.peer_id = bytes((10, 8, 0, 4)), 1
    for one in (bob, other):
        with pytest.raises(LocalError):
            new.adopt(one)
    new.remove(bob)
    assert new.with_peer_id(1) is None


def test_a_peer_is_found_by_every_name_until_it_is_removed() -> None:
    table, alice, bob = PeerTable(bytes), peer(1), peer(2)
    for one in (alice, bob):
        table.add(one)
        table.greet(one, b"session1")
    assert len(table) == 2
    table.admit(alice, A)
    assert table.by_transport == {1: alice, 2: bob}
    assert table.with_session(alice.transport.endpoint, b"session1") is alice
    assert table.with_session(bob.transport.endpoint, b"session1") is bob
    assert table.with_session(bob.transport.endpoint, b"session2") is None
    assert (alice.peer_id, alice.address, table.clients) == (0, A, {A: alice})
    assert table.with_peer_id(0) is alice
    assert table.with_peer_id(NO_PEER_ID) is None
    for _ in range(2):
        table.remove(alice)
    assert table.by_transport == {2: bob}
    assert table.clients == {}
    assert alice.address == b""
    assert table.with_peer_id(0) is None
    assert table.with_session(alice.transport.endpoint, b"session1") is None


def test_an_address_is_given_once() -> None:
    table = PeerTable(bytes)
    alice = admitted(table, 5)
    with pytest.raises(LocalError):
        table.admit(peer(6), bytes((10, 8, 0, 5)))
    with pytest.raises(LocalError):
        table.admit(alice, A)
    assert table.clients == {bytes((10, 8, 0, 5)): alice}


def test_a_newcomer_may_have_an_older_peers_address_before_that_has_left() -> None:
    table = PeerTable(bytes)
    older, newer = admitted(table, 1), peer(2)
    table.vacate(older)
    assert older.address == bytes((10, 8, 0, 1)), "for its line in the log"
    table.admit(newer, older.address)
    table.vacate(older)
    table.leave(older)
    assert (table.clients, older.address, newer.address) == ({newer.address: newer}, b"", bytes((10, 8, 0, 1)))


def test_a_session_id_that_comes_again_names_the_newer_peer() -> None:
    table, older, newer = PeerTable(bytes), peer(1), peer(1)
    table.greet(older, b"session1")
    table.greet(newer, b"session1")
    table.leave(older)
    assert table.with_session(newer.transport.endpoint, b"session1") is newer


def test_a_client_that_has_moved_is_found_at_its_new_endpoint_alone() -> None:
    """Unless a newer peer with its session id is at the old one: that one stays."""
    table, alice, newer = PeerTable(bytes), peer(1), peer(1)
    table.greet(alice, b"session1")
    before = alice.transport.endpoint
    for other in (2, 3):
        place = alice.transport.endpoint
        alice.transport = peer(other).transport
        table.moved(alice, place)
        assert table.with_session(place, b"session1") is None
        assert table.with_session(alice.transport.endpoint, b"session1") is alice
    table.greet(newer, b"session1")
    table.moved(alice, before)
    assert table.with_session(before, b"session1") is newer


def test_peer_ids_are_drawn_and_are_never_all_ones() -> None:
    numbers = iter((7, 7, 0xFFFFFF, 0xFFFFFE, 0xFFFFFE, 7))
    table = PeerTable(lambda size: next(numbers).to_bytes(size, "big"))
    assert NO_PEER_ID == 0xFFFFFF
    first = [admitted(table, number) for number in range(1, 6)]
    assert [one.peer_id for one in first] == [7, 8, 0, 0xFFFFFE, 1]
    table.remove(first[0])
    assert admitted(table, 6).peer_id == 7


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 20)), max_size=80))
def test_no_two_clients_have_one_peer_id(actions: list[tuple[bool, int]]) -> None:
    table = PeerTable(bytes)
    there: dict[int, Peer] = {}
    for comes, number in actions:
        if comes and number not in there:
            there[number] = admitted(table, number)
        elif not comes and number in there:
            table.remove(there.pop(number))
        assert {one.peer_id: one for one in there.values()} == {
            one.peer_id: table.with_peer_id(one.peer_id) for one in there.values()
        }
        assert len({one.peer_id for one in there.values()}) == len(there)
        assert table.clients == {bytes((10, 8, 0, number)): one for number, one in there.items()}


@pytest.mark.parametrize(
    ("record_limit", "established_at", "limit", "mss"),
    [(0, 5, 0, {A: 1400}), (1000, 5, 976, {A: 936}), (1470, 5, 1446, {A: 1400}), (1000, 0, 0, {})],
)
def test_the_mss_is_that_of_mssfix_or_of_a_narrower_path(
    record_limit: int, established_at: int, limit: int, mss: dict[bytes, int]
) -> None:
    """Before a client has data keys their format is not agreed."""
    table, one = PeerTable(bytes), peer(1)
    one.transport.record_limit = record_limit
    one.session = cast(Session, SimpleNamespace(control=SimpleNamespace(inner_mss=1400, packet_len=lambda n: n - 24)))
    table.admit(one, A)
    one.established_at = established_at
    table.refit(one)
    assert (one.packet_limit, table.mss) == (limit, mss)
    table.vacate(one)
    table.refit(one)
    assert table.mss == {}
