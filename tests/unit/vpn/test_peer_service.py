"""All peers together: their next deadline, the earliest of timers, turns of handshakes and verdicts; muted ones."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.unit.gateway.gateway_world import GatewayWorld

from hognose.vpn.handshake_scheduler import HandshakeScheduler
from hognose.vpn.peer import Peer
from hognose.vpn.stages import Stage
from hognose.vpn.streams import StreamTransport

TIMES = (None, 300, 500, 700)


@pytest.mark.parametrize("timer", TIMES)
@pytest.mark.parametrize("turn", TIMES)
@pytest.mark.parametrize("verdict", TIMES)
def test_the_earliest_counts(timer: int | None, turn: int | None, verdict: int | None) -> None:
    service = cast(Any, SERVICE)
    service.timers.heap[:] = [] if timer is None else [(timer, 0)]
    service.scheduler = SimpleNamespace(turns=turn is not None, next_turn_at=lambda idle_at: turn)
    service.admissions = SimpleNamespace(waiting=verdict is not None, next_deadline=lambda: verdict)
    assert service.next_deadline() == min((one for one in (timer, turn, verdict) if one is not None), default=None)
    service.rejudging.waiting.append(1)
    assert service.next_deadline() == 0, "clients wait to be judged"
    service.rejudging.waiting.clear()


def test_a_login_whose_verdict_has_no_time_is_no_deadline() -> None:
    service = cast(Any, SERVICE)
    service.timers.heap[:] = [(300, 0)]
    service.scheduler = SimpleNamespace(turns=False)
    service.admissions = SimpleNamespace(waiting=True, next_deadline=lambda: None)
    assert service.next_deadline() == 300


def test_a_muted_peer_has_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    world = GatewayWorld()
    remote = world.remote("192.0.2.50")
    remote.send(b"GET / HTTP/1.1\r\n\r\n")
    world.frames()
    [peer] = world.gateway.service.table.by_transport.values()
    assert peer.stage is Stage.MUTED
    queued: list[Peer] = []
    monkeypatch.setattr(HandshakeScheduler, "enqueue", lambda self, peer: queued.append(peer))
    remote.send(b"Host: hognose\r\n")
    world.frames()
    assert queued == []
    assert not peer.transport.has_input


def test_input_that_waits_for_its_turn_takes_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its sender may cut the stream into single bytes, each an object."""
    world = GatewayWorld()
    aside: list[int] = []
    monkeypatch.setattr(StreamTransport, "set_aside", lambda self: aside.append(self.id))
    remote = world.remote("192.0.2.50")
    remote.send(b"\0")
    world.frames()
    [peer] = world.gateway.service.table.by_transport.values()
    assert aside == [peer.transport.id]


def test_input_that_comes_with_the_end_waits_for_its_turn_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HandshakeScheduler, "next_peer", lambda self, now, idle: None)
    world = GatewayWorld()
    remote = world.remote("192.0.2.50")
    remote.emit("PAF", b"\0")
    world.frames()
    [peer] = world.gateway.service.table.by_transport.values()
    assert peer.stage is Stage.CONNECTED
    assert peer.transport.finished
    assert peer.transport.has_input


SERVICE = GatewayWorld().gateway.service
