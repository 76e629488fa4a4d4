"""The time that a closing or muted peer has: timers from before its end do not shorten it."""

from __future__ import annotations

from tests.unit.gateway.gateway_world import GatewayWorld
from tests.unit.gateway.test_reload import config
from tests.world.today import UNIX

from hognose.units import MS, SECOND
from hognose.vpn.peer import Peer
from hognose.vpn.stages import Stage


def only_peer(world: GatewayWorld) -> Peer:
    [peer] = world.gateway.service.table.by_transport.values()
    return peer


def test_a_client_that_is_cut_has_five_seconds_to_fetch_what_it_is_told() -> None:
    """Its next ping was due 1 ms later; the cable is out, so nothing is acknowledged."""
    world = GatewayWorld("keepalive 10 60")
    alice = world.client("alice")
    alice.silent = True
    world.now = only_peer(world).armed - MS
    world.gateway.reconfigure(
        config("keepalive 10 60", "<client-config-dir>\n[alice]\ndisable\n</client-config-dir>"), world.now, UNIX
    )
    world.frames()
    assert only_peer(world).stage is Stage.CLOSING
    began = world.now
    world.rest(4.9)
    assert not alice.reset
    world.rest(0.2)
    assert alice.reset
    assert world.now - began < 6 * SECOND


def test_a_muted_peer_is_ended_when_a_silent_one_is() -> None:
    world = GatewayWorld()
    remote = world.remote("192.0.2.50")
    remote.send(b"GET / HTTP/1.1\r\n\r\n")
    world.frames()
    peer = only_peer(world)
    assert peer.stage is Stage.MUTED
    world.gateway.service.timers.arm(peer, world.now + SECOND)  # as if its session had wanted to run then
    world.rest(9.9)
    assert not remote.reset
    world.rest(0.2)
    assert remote.reset


def test_a_muted_peer_has_a_timer_though_none_ran() -> None:
    world = GatewayWorld()
    remote = world.remote("192.0.2.50")
    remote.send(b"\0")
    world.frames()
    peer = only_peer(world)
    peer.armed = 0
    world.gateway.service.timers.heap.clear()
    remote.send(b"\0")  # no record has length 0
    world.frames()
    assert peer.stage is Stage.MUTED
    assert peer.armed == peer.accepted_at + 10 * SECOND
    world.rest(10.1)
    assert remote.reset


def test_a_connection_that_ends_before_it_was_a_client_leaves_a_line() -> None:
    world = GatewayWorld()
    remote = world.remote("192.0.2.50")
    remote.send(b"\0")
    world.frames()
    number = only_peer(world).transport.id
    remote.abort()
    world.frames()
    assert world.events_of("peer_closed") == [{"conn": number, "peer": "192.0.2.50:40000", "reason": "reset_by_peer"}]
    assert not world.gateway.service.table.by_transport
