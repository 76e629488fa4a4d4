"""A new config held against connected clients: a bounded number in each step, each client once, none left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.gateway.gateway_world import UNIX, GatewayWorld, Remote
from tests.unit.gateway.test_reload import block, config, crl, works

from hognose.limits import Limits

NAMES = ("alice", "bob", "carol", "dave", "erin")


def crowd(per_step: int) -> tuple[GatewayWorld, list[Remote]]:
    """Five clients, of whom `per_step` are judged in one step."""
    world = GatewayWorld(block("crl-verify", crl()), limits=replace(Limits(), rejudged_per_step=per_step))
    return world, [world.client(name, port=40_001 + at) for at, name in enumerate(NAMES)]


def reconfigure(world: GatewayWorld, *revoked: str) -> None:
    """A new CRL; no step yet."""
    world.gateway.reconfigure(config(block("crl-verify", crl(*revoked))), world.now, UNIX)


def step(world: GatewayWorld) -> list[object]:
    """One step without frames; who is cut in it. What it sends is lost."""
    before = len(world.events)
    world.gateway.step([], world.now, UNIX)
    world.events += world.gateway.take_events()
    return [event.fields["common_name"] for event in world.events[before:] if event.kind.value == "client_cut"]


def waits(world: GatewayWorld) -> bool:
    """The next step is due at once."""
    deadline = world.gateway.next_deadline()
    return deadline is not None and deadline <= world.now


def test_the_bound_is_twenty() -> None:
    assert Limits().rejudged_per_step == Limits.for_memory(128 << 20).rejudged_per_step == 20


def test_a_few_in_each_step_and_all_in_the_end() -> None:
    world, _ = crowd(2)
    assert not waits(world)
    reconfigure(world, "alice", "carol", "erin")
    turns = []
    while waits(world):
        turns.append(step(world))
    assert turns == [["alice"], ["carol"], ["erin"]]
    assert world.gateway.client_count == 2
    assert step(world) == []


def test_the_queue_survives_clients_that_go() -> None:
    world, clients = crowd(2)
    reconfigure(world, *NAMES)
    assert step(world) == ["alice", "bob"]
    clients[2].abort()  # in one step with the last two turns: its own is before its end
    world.frames()
    assert [event["common_name"] for event in world.events_of("client_cut")] == list(NAMES)
    assert world.gateway.client_count == 0
    world, clients = crowd(0)
    reconfigure(world, *NAMES)
    clients[0].abort()
    clients[2].fin()
    for _ in range(3):
        world.frames()
    world.gateway.service.rejudging._per_step = 20
    assert step(world) == ["bob", "dave", "erin"]
    assert not waits(world)


def test_a_second_reload_begins_again() -> None:
    world, clients = crowd(2)
    reconfigure(world, *NAMES)
    assert step(world) == ["alice", "bob"]
    reconfigure(world, "carol")
    assert step(world) == ["carol"]
    assert step(world) == []
    assert not waits(world)
    assert works(clients[3])
    reconfigure(world, "dave")
    assert step(world) == ["dave"]


def test_a_client_whose_turn_has_not_come_cannot_renegotiate() -> None:
    """Sessions go by the new list from the reload on, whatever their place in the queue."""
    world, clients = crowd(0)
    reconfigure(world, "bob")
    for name, client in zip(NAMES[:2], clients, strict=False):
        assert client.vpn is not None
        client.vpn.renegotiate(world.now)
        world.frames()
        assert [event["common_name"] for event in world.events_of("client_renegotiated")] == ["alice"]
        assert client.closed == (name == "bob")
    assert world.events_of("client_ended")[0]["reason"] == "certificate_rejected"


def test_a_client_that_is_admitted_meanwhile_is_judged_by_the_new_list() -> None:
    world, _ = crowd(0)
    reconfigure(world, "frank")
    world.start("frank", port=40_010)
    world.run(lambda: bool(world.events_of("peer_rejected")))
    assert "is revoked" in str(world.events_of("peer_rejected")[0]["detail"])
    world.client("grace", port=40_011)


def test_a_bug_in_one_turn_ends_that_client(monkeypatch: pytest.MonkeyPatch) -> None:
    world, _ = crowd(2)
    session = next(
        peer.session for peer in world.gateway.service.table.by_transport.values() if peer.common_name == "bob"
    )

    monkeypatch.setattr(type(session), "peer_chain", property(lambda own: 1 // (own is not session) and ()))
    reconfigure(world)
    step(world)
    [error] = world.events_of("internal_error")
    assert error["where"] == "judge_again"
    assert "bob" not in {peer.common_name for peer in world.gateway.service.table.by_transport.values()}
