"""The deadlines of peers: each comes up when it is due, once, and no later than it was armed for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from hognose.vpn.peer import Peer
from hognose.vpn.peer_timers import PeerTimers


def peer(number: int) -> Peer:
    return cast(Peer, SimpleNamespace(transport=SimpleNamespace(id=number), armed=0))


def test_a_deadline_comes_up_when_it_is_due_and_once() -> None:
    timers, alice = PeerTimers(), peer(1)
    timers.arm(alice, 10)
    assert timers.take_due({1: alice}, 9) == []
    assert timers.take_due({1: alice}, 10) == [alice]
    assert timers.take_due({1: alice}, 100) == []
    assert len(timers) == 0


def test_an_earlier_deadline_takes_the_place_of_a_later_one() -> None:
    """The later entry stays in the heap and means nothing any more; a later deadline changes nothing."""
    timers, alice = PeerTimers(), peer(1)
    for deadline in (20, 30, 10, 15):
        timers.arm(alice, deadline)
    assert len(timers) == 2
    assert timers.take_due({1: alice}, 12) == [alice]
    assert timers.take_due({1: alice}, 25) == []
    timers.arm(alice, 40)
    assert timers.take_due({1: alice}, 40) == [alice]


def test_peers_that_are_gone_do_not_come_up() -> None:
    timers, alice, bob = PeerTimers(), peer(1), peer(2)
    timers.arm(alice, 10)
    timers.arm(bob, 10)
    assert timers.take_due({2: bob}, 10) == [bob]
    assert len(timers) == 0


def test_one_that_is_armed_in_the_past_comes_up_at_the_next_look() -> None:
    timers, alice = PeerTimers(), peer(1)
    timers.arm(alice, 10)
    for now in (10, 11, 12):
        assert timers.take_due({1: alice}, now) == [alice]
        timers.arm(alice, 5)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 50)), max_size=60))
def test_the_earliest_deadline_of_each_counts(arms: list[tuple[int, int]]) -> None:
    timers, peers = PeerTimers(), {number: peer(number) for number in range(5)}
    earliest: dict[int, int] = {}
    for number, deadline in arms:
        timers.arm(peers[number], deadline)
        earliest[number] = min(deadline, earliest.get(number, deadline))
    came: dict[int, int] = {}
    for now in range(1, 52):
        for one in timers.take_due(peers, now):
            assert one.transport.id not in came
            came[one.transport.id] = now
    assert came == earliest
