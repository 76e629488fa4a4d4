"""Turns of clients in a step, and their numbers of records."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from hognose.limits import StepLimits
from hognose.vpn.peer import Peer
from hognose.vpn.turns import Turns

LIMITS = StepLimits()


def peer(number: int, cost: int = 100) -> Peer:
    transport = SimpleNamespace(id=number, set_aside=lambda: None)
    return cast(Peer, SimpleNamespace(transport=transport, share=0, cost=cost))


def test_a_client_alone_has_the_whole_step() -> None:
    turns = Turns(LIMITS)
    alice = peer(1, cost=300)
    assert not turns.queue
    assert not turns.shared
    turns.add(alice)
    turns.add(alice)
    assert turns.queue
    assert turns.begin([]) == [alice]
    assert alice.share == LIMITS.records
    assert not turns.shared
    assert not turns.queue
    alice.share = 0
    turns.give_all(alice)
    assert alice.share == LIMITS.records


def test_a_client_that_waits_is_kept_in_few_pieces() -> None:
    """Its sender may cut the stream into single bytes, each an object: they are joined while it has no turn."""
    compacted: list[int] = []
    transport = SimpleNamespace(id=1, set_aside=lambda: compacted.append(1))
    alice = cast(Peer, SimpleNamespace(transport=transport, share=0, cost=100))
    turns = Turns(LIMITS)
    turns.add(alice)
    assert compacted == []
    turns.add(alice)
    turns.add(alice)
    assert compacted == [1, 1]
    assert turns.begin([]) == [alice]


def test_who_only_receives_counts_too() -> None:
    turns = Turns(LIMITS)
    alice, bob = peer(1), peer(2)
    turns.add(alice)
    turns.begin([bob])
    assert alice.share == LIMITS.records // 2
    turns.add(alice)
    turns.begin([alice])
    assert alice.share == LIMITS.records, "what comes for the client itself takes nothing from it"


def test_dear_records_are_fewer() -> None:
    turns = Turns(LIMITS)
    alice, bob = peer(1), peer(2)
    turns.charge(alice, 100, 100)
    turns.charge(bob, 100, 4)
    turns.charge(bob, 0, 0)
    assert (alice.cost, bob.cost) == (300, 108)
    turns.add(alice)
    turns.add(bob)
    turns.begin([])
    assert (alice.share, bob.share) == (LIMITS.units // 2 // 3, LIMITS.records // 2)


@given(st.lists(st.integers(100, 3000), min_size=1, max_size=300))
def test_every_client_has_its_turn_and_no_step_is_longer(costs: list[int]) -> None:
    """Each of many clients is served once before any is served twice; a step's records are bounded."""
    turns = Turns(LIMITS)
    peers = [peer(number, cost) for number, cost in enumerate(costs)]
    for each in peers:
        turns.add(each)
    served: list[int] = []
    while len(served) < len(peers):
        chosen = turns.begin([])
        assert sum(each.share for each in chosen) <= LIMITS.records
        assert len(chosen) == 1 or all(LIMITS.records_least <= each.share for each in chosen)
        for each in chosen:
            served.append(each.transport.id)
            turns.add(each)
    assert served[: len(peers)] == list(range(len(peers)))
