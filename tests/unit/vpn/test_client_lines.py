"""The lines of a client's life: how long it lasted, how much it carried, and that each end has one line only."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from tests.unit.gateway.gateway_world import ADDRESS, GATEWAY, OUTSIDE, UNIX, GatewayWorld, Remote, query
from tests.unit.openvpn.client import OCC_EXIT

from hognose.drops import Stat


def exit_(world: GatewayWorld, alice: Remote) -> None:
    assert alice.vpn is not None
    alice.vpn.say("EXIT", world.now)
    world.frames()


def occ_exit(world: GatewayWorld, alice: Remote) -> None:
    assert alice.vpn is not None
    alice.vpn.send(OCC_EXIT)
    world.frames()


def fin(world: GatewayWorld, alice: Remote) -> None:
    alice.fin()
    world.frames()


def reset(world: GatewayWorld, alice: Remote) -> None:
    alice.abort()
    world.frames()


def stop(world: GatewayWorld, alice: Remote) -> None:
    world.gateway.stop("SIGTERM", world.now, UNIX)
    world.frames()


def replaced(world: GatewayWorld, alice: Remote) -> None:
    world.client("alice", "192.0.2.99")


Way = Callable[[GatewayWorld, Remote], None]
ENDS: dict[Way, str] = {
    exit_: "peer_exit",
    occ_exit: "peer_exit",
    fin: "peer_closed",
    reset: "peer_closed",
    stop: "server_stopping",
}


@pytest.mark.parametrize("way", ENDS, ids=lambda way: way.__name__)
def test_seconds_of_a_session(way: Way) -> None:
    """From the moment at which it was established; what it took to get there is not counted."""
    world = GatewayWorld("keepalive 1000 10000")
    before = world.remote("192.0.2.50")  # a stranger, long before
    world.rest(9)
    alice = world.client()
    world.rest(3599.5)
    assert world.events_of("client_ended") == []
    way(world, alice)
    [line] = world.events_of("client_ended")
    assert line["seconds"] == 3599
    assert line["reason"] == ENDS[way]
    assert before.connected


def test_seconds_count_from_the_established_session_not_from_the_connection() -> None:
    """The cable is pulled for 8 seconds between the handshake of TCP and that of OpenVPN."""
    world = GatewayWorld("keepalive 1000 10000")
    alice = world.start()
    alice.silent = True
    world.rest(8)
    alice.silent = False
    world.run(lambda: alice.vpn is not None and alice.vpn.established, 20)
    world.rest(99.5)
    fin(world, alice)
    [line] = world.events_of("client_ended")
    assert line["seconds"] == 99


def test_a_replaced_session_has_its_own_seconds() -> None:
    world = GatewayWorld("keepalive 1000 10000")
    world.client()
    world.rest(60)
    replaced(world, world.remotes["192.0.2.11", 40_000])
    world.rest(5)
    fin(world, world.remotes["192.0.2.99", 40_000])
    assert [(line["reason"], line["seconds"]) for line in world.events_of("client_ended")] == [
        ("replaced", 60),
        ("peer_closed", 5),
    ]
    assert world.stat(Stat.SESSIONS_ESTABLISHED) == world.stat(Stat.SESSIONS_ENDED) == 2


def test_bytes_of_a_session_are_those_of_inner_packets() -> None:
    """Both ways, without tunnel headers, pings and what never reached the client."""
    world = GatewayWorld()
    alice = world.client()
    up = [query("10.8.0.2", payload=bytes(100)), IP(src="10.8.0.2", dst=GATEWAY) / ICMP() / bytes(50)]
    [reply] = alice.inner(*up)
    sport = world.outside[-1][UDP].sport
    down = IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=sport) / bytes(70)
    world.ip(down)
    world.rest(30)  # pings
    fin(world, alice)
    [line] = world.events_of("client_ended")
    assert line["bytes_in"] == sum(map(len, up)) == 128 + 78
    assert line["bytes_out"] == len(reply) + len(down) == 78 + 98
    assert (line["common_name"], line["address"], line["peer"]) == ("alice", "10.8.0.2", "192.0.2.11:40000")
