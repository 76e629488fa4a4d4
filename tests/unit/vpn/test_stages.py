"""The stage table, every stage against every event, against a drawing of it that was written by hand."""

from __future__ import annotations

from itertools import product

import pytest
from tests.unit.gateway.gateway_world import GatewayWorld
from tests.unit.gateway.test_fault_containment import goes_on, say_something

from hognose.drops import DropReason
from hognose.errors import LocalError
from hognose.vpn.peer import Peer
from hognose.vpn.peer_service import PeerService
from hognose.vpn.stages import PeerEvent, Stage, StageError, next_stage

# One line for each stage: the stages that GREETED MUTED ASKED REFUSED ADMITTED ESTABLISHED ENDED LEFT lead to; - is
# impossible.
DRAWING = """
CONNECTED      HANDSHAKE MUTED -              -       -        -           CLOSING GONE
MUTED          -         -     -              -       -        -           CLOSING GONE
HANDSHAKE      -         -     AUTHENTICATING REFUSED ADMITTED -           CLOSING GONE
AUTHENTICATING -         -     -              REFUSED ADMITTED -           CLOSING GONE
REFUSED        -         -     -              -       -        -           CLOSING GONE
ADMITTED       -         -     -              -       -        ESTABLISHED CLOSING GONE
ESTABLISHED    -         -     -              -       -        -           CLOSING GONE
CLOSING        -         -     -              -       -        -           CLOSING GONE
GONE           -         -     -              -       -        -           GONE    GONE
"""
ROWS = {name: dict(zip(PeerEvent, after, strict=True)) for name, *after in map(str.split, DRAWING.strip().split("\n"))}


def test_the_drawing_has_every_stage() -> None:
    assert list(ROWS) == [stage.name for stage in Stage]


@pytest.mark.parametrize(("stage", "event"), list(product(Stage, PeerEvent)), ids=lambda one: one.name)
def test_every_event_in_every_stage(stage: Stage, event: PeerEvent) -> None:
    expected = ROWS[stage.name][event]
    if expected == "-":
        with pytest.raises(StageError, match=f"{event.name.lower()} in stage {stage.name.lower()}"):
            next_stage(stage, event)
    else:
        assert next_stage(stage, event) is Stage[expected]


def test_every_stage_is_reached_and_no_way_leads_back() -> None:
    reached = {Stage.CONNECTED}
    for stage, event in product(Stage, PeerEvent):
        if ROWS[stage.name][event] != "-":
            following = next_stage(stage, event)
            assert following >= stage
            reached.add(following)
    assert reached == set(Stage)


def test_an_impossible_event_is_our_bug_and_costs_that_peer_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert issubclass(StageError, LocalError)
    world = GatewayWorld("keepalive 10 60")
    bob = world.client("bob", "192.0.2.12")
    alice = world.client("alice")
    broken: list[Peer] = []
    original = PeerService._process_input

    def process_input(self: PeerService, peer: Peer, now: int, unix: int) -> None:
        if not broken:
            broken.append(peer)
            peer.advance(PeerEvent.GREETED)
        original(self, peer, now, unix)

    monkeypatch.setattr(PeerService, "_process_input", process_input)
    say_something(world, alice)
    assert alice.reset
    assert broken[0].stage is Stage.GONE
    assert world.dropped(DropReason.INTERNAL_ERROR) == 1
    [report] = world.events_of("internal_error")
    assert str(report["error"]).startswith("StageError at next_stage:")
    goes_on(world, bob)
