"""Moves of clients to another address: which packets move one, how often, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest
from tests.unit.openvpn.link import START
from tests.unit.vpn.test_datagrams import HOME, Place, data, key_of
from tests.world.today import UNIX

from hognose.drops import Stat
from hognose.openvpn.session import Session
from hognose.units import SECOND
from hognose.vpn.roaming import LEAST_NS, Roaming
from hognose.vpn.stages import Stage

ELSEWHERE, FARTHER = ("198.51.100.9", 4000), ("198.51.100.10", 4000)
OLD, NEW = data(5, b"old"), data(5, b"new")


@dataclass
class Newest:
    """A session whose newest packets end in `new`; `heard` are all that it was given."""

    heard: list[tuple[bytes, int, int]] = field(default_factory=list)

    def receive_from_elsewhere(self, record: bytes, now: int, unix: int) -> tuple[list[bytes], bool]:
        self.heard.append((record, now, unix))
        return [b"inner " + record[4:]], record.endswith(b"new")


class Moving(Place):
    """A client at HOME whose session is in the table."""

    def __init__(self) -> None:
        super().__init__()
        self.home, self.peer = self.client()
        self.session = Newest()
        self.peer.session, self.peer.stage = cast(Session, self.session), Stage.ESTABLISHED
        self.peer.common_name = "alice"
        self.table.greet(self.peer, b"session1")
        self.roaming = Roaming(self.table, self.journal, self.counters)

    def arrive(self, record: bytes, source: tuple[str, int], at: int = START) -> list[bytes]:
        self.take(record, source)
        return self.roaming.take(self.peer, at, UNIX)

    def moves(self) -> list[dict[str, str | int]]:
        return [dict(event.fields) for event in self.journal.take() if event.kind.value == "client_floated"]

    @property
    def place(self) -> str:
        return str(self.peer.transport.endpoint)


def test_the_newest_packet_moves_a_client_and_an_older_one_is_only_taken() -> None:
    world = Moving()
    assert world.arrive(OLD, ELSEWHERE) == [b"inner old"]
    assert (world.place, world.moves()) == ("192.0.2.7:40000", [])
    before = world.peer.transport.endpoint
    assert world.arrive(NEW, ELSEWHERE) == [b"inner new"]
    assert world.place == "198.51.100.9:4000"
    assert world.session.heard == [(OLD, START, UNIX), (NEW, START, UNIX)]
    assert world.table.with_session(before, b"session1") is None
    assert world.table.with_session(world.peer.transport.endpoint, b"session1") is world.peer
    assert world.counters.stats[Stat.UDP_FLOATS] == 1
    assert world.moves() == [
        {"conn": world.home.id, "peer": "198.51.100.9:4000", "common_name": "alice", "before": "192.0.2.7:40000"}
    ]
    assert world.drops() == {}


def test_packets_of_several_addresses_are_all_taken() -> None:
    world = Moving()
    for source in (ELSEWHERE, FARTHER):
        world.take(NEW, source)
    assert world.roaming.take(world.peer, START, UNIX) == [b"inner new"] * 2
    assert world.place == "198.51.100.9:4000"
    assert world.drops() == {"FLOAT_REFUSED": 1}


def test_a_second_move_is_refused_for_a_second() -> None:
    assert LEAST_NS == SECOND
    world = Moving()
    world.arrive(NEW, ELSEWHERE)
    world.arrive(NEW, FARTHER, START + SECOND - 1)
    assert (world.place, world.drops()) == ("198.51.100.9:4000", {"FLOAT_REFUSED": 1})
    world.arrive(NEW, FARTHER, START + SECOND)
    assert (world.place, len(world.moves())) == ("198.51.100.10:4000", 2)
    world.arrive(NEW, ELSEWHERE, START + 2 * SECOND - 1)
    assert (world.place, world.drops()) == ("198.51.100.10:4000", {"FLOAT_REFUSED": 2})


def test_the_first_second_of_the_clock_refuses_no_move() -> None:
    world = Moving()
    world.arrive(NEW, ELSEWHERE, 5)
    assert (world.place, world.drops()) == ("198.51.100.9:4000", {})


def test_no_client_moves_to_the_address_of_another_client() -> None:
    world = Moving()
    world.take(NEW, ELSEWHERE)
    world.client(ELSEWHERE, 6)
    world.take(data(6), ELSEWHERE)
    assert world.roaming.take(world.peer, START, UNIX) == [b"inner new"]
    assert (world.place, world.moves(), world.peer.moved_at) == ("192.0.2.7:40000", [], 0)
    assert world.counters.stats[Stat.UDP_FLOATS] == 0
    assert world.drops() == {"FLOAT_REFUSED": 1}


@pytest.mark.parametrize("stage", [stage for stage in Stage if stage is not Stage.ESTABLISHED])
def test_only_an_established_client_moves(stage: Stage) -> None:
    world = Moving()
    world.peer.stage = stage
    assert world.arrive(NEW, ELSEWHERE) == []
    assert (world.place, world.session.heard) == ("192.0.2.7:40000", [])


def test_a_peer_without_a_session_does_not_move() -> None:
    world = Moving()
    world.peer.session = None
    assert world.arrive(NEW, ELSEWHERE) == []
    assert world.home.key == key_of(HOME)
