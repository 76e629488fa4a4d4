"""First fragments from outside at a whole gateway: those of flows, peers, servers, strangers, and unwanted ones."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.packet import Packet, Raw
from tests.unit.gateway.gateway_world import ADDRESS, OUTSIDE, GatewayWorld, query

from hognose.address import parse_ipv4
from hognose.drops import Counters, DropReason
from hognose.limits import IpLimits, Limits, NatLimits, UdpLimits
from hognose.router.local_endpoints import LocalEndpoints
from hognose.udp.endpoint import UdpEndpoint

NO_STRANGERS = IpLimits(reassembly_strangers_per_second=0)
HOST = "203.0.113.77"


def in_two(packet: Packet) -> list[Packet]:
    return list(fragment(IP(bytes(packet)), 1480))


def come(world: GatewayWorld, packet: Packet) -> None:
    for piece in in_two(packet):
        world.ip(piece)


def answer(port: int, source: str = OUTSIDE, sport: int = 53) -> Packet:
    return IP(src=source, dst=ADDRESS, id=9) / UDP(sport=sport, dport=port) / Raw(bytes(2000))


def fragments_dropped(world: GatewayWorld) -> dict[str, int]:
    return {name: count for name, count in world.counters.non_zero().items() if name.startswith("drop_")}


def test_an_answer_to_a_client_needs_no_place_of_strangers() -> None:
    world = GatewayWorld(limits=Limits(ip=NO_STRANGERS))
    alice = world.client()
    alice.inner(query(alice.tunnel_address))
    come(world, answer(world.outside[-1][UDP].sport))
    assert sum(len(packet.payload) for packet in alice.take()) == 2008
    assert fragments_dropped(world) == {}


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (answer(9), "drop_nat_no_mapping"),
        (IP(src=HOST, dst=ADDRESS, id=9) / TCP(sport=5, dport=80, flags="A") / Raw(bytes(2000)), "drop_nat_no_mapping"),
        (IP(src=HOST, dst=ADDRESS, id=9) / ICMP(type=0, id=77) / Raw(bytes(2000)), "drop_nat_no_mapping"),
        (IP(src=HOST, dst=ADDRESS, id=9, proto=47) / Raw(bytes(2000)), "drop_unknown_protocol"),
    ],
)
def test_what_nothing_waits_for_is_dropped_at_its_first_fragment(packet: Packet, reason: str) -> None:
    world = GatewayWorld()
    world.ip(in_two(packet)[0])
    assert world.counters.non_zero().get(reason) == 1
    world.rest(31)
    world.ip(in_two(packet)[0])
    assert world.dropped(DropReason.FRAGMENT_TIMEOUT) == 0, "nothing was kept"


@pytest.mark.parametrize("source", [OUTSIDE, HOST])
def test_a_port_that_any_host_may_send_to_is_a_strangers(source: str) -> None:
    """Filtering is endpoint-independent: the host that the client has asked has a flow, others have not."""
    nat = NatLimits(endpoint_independent_filtering=True)
    for limits in (Limits(nat=nat), Limits(nat=nat, ip=NO_STRANGERS)):
        world = GatewayWorld(limits=limits)
        alice = world.client()
        alice.inner(query(alice.tunnel_address))
        come(world, answer(world.outside[-1][UDP].sport, source))
        whole = limits.ip is not NO_STRANGERS or source == OUTSIDE
        assert sum(len(packet.payload) for packet in alice.take()) == 2008 * whole
    filtered = GatewayWorld()
    alice = filtered.client()
    alice.inner(query(alice.tunnel_address))
    come(filtered, answer(filtered.outside[-1][UDP].sport, HOST))
    assert filtered.dropped(DropReason.NAT_FILTERED) == 1


def test_pings_and_segments_of_no_connection_are_strangers() -> None:
    for packet in (
        IP(src=HOST, dst=ADDRESS, id=9) / ICMP() / Raw(bytes(2000)),
        IP(src=HOST, dst=ADDRESS, id=9) / TCP(sport=5, dport=1194, flags="A") / Raw(bytes(2000)),
    ):
        world = GatewayWorld(limits=Limits(ip=NO_STRANGERS))
        come(world, packet)
        assert fragments_dropped(world) == {"drop_fragment_table_full": 2}


def test_a_server_of_ours_without_sessions_has_strangers() -> None:
    for limits, count in ((Limits(), 1), (Limits(ip=NO_STRANGERS), 0)):
        port = UdpEndpoint(
            address=parse_ipv4(ADDRESS), port=5353, limits=UdpLimits(), random=bytes, counters=Counters()
        )
        world = GatewayWorld(limits=limits, link_endpoints=LocalEndpoints(udp={5353: port}))
        come(world, answer(5353, HOST))
        assert len(port.take()) == count


def test_a_peer_of_tcp_is_known_by_its_address_and_port() -> None:
    """Its segments come in fragments where a path cuts them, at any rate."""
    world = GatewayWorld(limits=Limits(ip=NO_STRANGERS))
    alice = world.client()
    [(source, port)] = [key for key in world.remotes if world.remotes[key] is alice]
    for sport, crowded in ((port, 0), (port + 1, 1)):
        segment = IP(src=source, dst=ADDRESS, id=9, flags=0) / TCP(sport=sport, dport=1194, flags="A", seq=1)
        for piece in fragment(IP(bytes(segment / Raw(bytes(100)))), 64):
            world.ip(piece)
        assert (world.dropped(DropReason.FRAGMENT_TABLE_FULL) > 0) == bool(crowded)
