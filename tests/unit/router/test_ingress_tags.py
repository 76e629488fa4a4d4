"""Frames with a priority tag, VLAN 0, are taken as if they had none (IEEE 802.1Q section 6.9); scapy tags them."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw
from tests.unit.gateway.gateway_world import ADDRESS, OUTSIDE, ROUTER, ROUTER_MAC, GatewayWorld, query
from tests.unit.router.lone_ingress import MAC, NOW, PLAIN, PORT, LoneIngress, answer, frame, ip, segment, vnet

from hognose.drops import Stat

US = MAC.hex(":")


def tagged(packet: Packet, head: bytes = PLAIN, to: str = US, **tag: Any) -> bytes:
    return head + bytes(Ether(src=ROUTER_MAC, dst=to) / Dot1Q(**{"vlan": 0, "prio": 5, **tag}) / packet)


@pytest.mark.parametrize("prio", range(8))
@pytest.mark.parametrize("dei", [0, 1])
def test_every_priority_is_taken(prio: int, dei: int) -> None:
    lone = LoneIngress()
    packet = segment(b"abc")
    lone.take(tagged(packet, vnet(1, 1, 1448), prio=prio, dei=dei))
    assert lone.engines.calls == [("tcp", 26, 46, 26 + len(packet), 1448, True)]
    assert (lone.drops, lone.came) == ({}, (1, 12 + 14 + len(packet), 1))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tagged(segment(), vlan=1), "UNKNOWN_ETHERTYPE"),
        (tagged(segment(), vlan=0x100), "UNKNOWN_ETHERTYPE"),
        (tagged(segment(), vlan=4095), "UNKNOWN_ETHERTYPE"),
        (tagged(Dot1Q(vlan=0) / segment()), "UNKNOWN_ETHERTYPE"),
        (tagged(segment(), to="02:00:00:00:00:77"), "NOT_FOR_US"),
        (tagged(Raw(bytes(60)), type=0x88CC), "UNKNOWN_ETHERTYPE"),
        (tagged(ip() / Raw(b""))[:49], "FRAME_TOO_SHORT"),
    ],
)
def test_what_is_dropped_all_the_same(data: bytes, reason: str) -> None:
    lone = LoneIngress()
    lone.take(data, tagged(segment()))
    assert (lone.drops, lone.came[0]) == ({reason: 1}, 2)
    assert [call[0] for call in lone.engines.calls] == ["tcp"]


def test_super_segments_wait_for_the_next_step_in_their_order() -> None:
    """The bound of a step holds for tagged frames too, and for both kinds together."""
    lone = LoneIngress(3, *[answer(count=2) for _ in range(5)])
    inner = segment(bytes(20), port=PORT + 1)
    big = vnet(1, 1, 1000)
    lone.take(*[tagged(inner, big, prio=number) for number in range(5)])
    assert (len(lone.engines.calls), len(lone.ingress.held), lone.came[0]) == (2, 3, 2)
    lone.take()
    lone.take()
    assert (len(lone.engines.calls), len(lone.ingress.held), lone.came[0]) == (5, 0, 5)


def test_both_kinds_of_super_segments_wait_for_each_other() -> None:
    lone = LoneIngress(3, *[answer(count=2) for _ in range(6)])
    inner = segment(bytes(20), port=PORT + 1)
    big = vnet(1, 1, 1000)
    lone.take(*[tagged(inner, big), frame(inner, big)] * 3)
    assert (len(lone.engines.calls), len(lone.ingress.held), lone.came[0]) == (2, 4, 2)
    lone.take()
    lone.take()
    assert (len(lone.engines.calls), len(lone.ingress.held), lone.came) == (6, 0, (6, 6 * (12 + 14 + 60), 6))


def test_syns_pass_the_sieve_of_a_flood() -> None:
    lone = LoneIngress()
    lone.engines.overflow_at, lone.engines.kept = 1, 1
    lone.ingress.sieve(NOW)
    lone.take(*[tagged(segment(flags="S"), prio=number) for number in range(4)])
    assert len(lone.engines.calls) == 1
    assert (lone.drops, lone.came[0]) == ({"TCP_SYN_CROWDED": 3}, 4)


def test_a_router_that_tags_all_it_sends_serves_a_client() -> None:
    world = GatewayWorld()
    alice = world.client()
    world.frames(tagged(ARP(op=1, hwsrc=ROUTER_MAC, psrc=ROUTER, pdst=ADDRESS), to="ff:ff:ff:ff:ff:ff"))
    assert (world.arp[-1].dst, world.arp[-1][ARP].op) == (ROUTER_MAC, 2)
    alice.inner(query(alice.tunnel_address))
    port = world.outside[-1][UDP].sport
    world.frames(tagged(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=port) / b"answer"))
    for piece in fragment(IP(src=OUTSIDE, dst=ADDRESS, id=5) / UDP(sport=53, dport=port) / Raw(bytes(2000)), 1480):
        world.frames(tagged(piece))
    assert [len(packet) for packet in alice.take()] == [34, 1500, 548]
    world.frames(tagged(IP(src=OUTSIDE, dst=ADDRESS) / ICMP()))
    assert world.stat(Stat.ECHO_REPLIES) == 1
    world.frames(tagged(IP(src=OUTSIDE, dst=ADDRESS) / TCP(sport=5, dport=1194, flags="S")))
    assert world.counters.non_zero().get("drop_unknown_ethertype") is None
