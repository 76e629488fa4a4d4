"""MirageVPN's data path case by case, and what is done here instead (docs/dev/parity.md), in a whole gateway."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.packet import Packet, Raw
from tests.unit.gateway.gateway_world import ADDRESS, GATEWAY, OUTSIDE, GatewayWorld, Remote, query

from hognose.drops import DropReason

ALICE, BOB, NOBODY = "10.8.0.2", "10.8.0.3", "10.8.0.77"


def two(*lines: str) -> tuple[GatewayWorld, Remote, Remote]:
    """A world with two clients."""
    world = GatewayWorld(*lines)
    alice, bob = world.client("alice"), world.client("bob", "192.0.2.12")
    assert (alice.tunnel_address, bob.tunnel_address) == (ALICE, BOB)
    return world, alice, bob


def error(packets: list[Packet]) -> tuple[str, int, int]:
    """Source, type and code of the one ICMP error."""
    [packet] = packets
    return packet.src, packet[ICMP].type, packet[ICMP].code


@pytest.mark.parametrize("lines", [(), ("client-to-client",)])
def test_a_foreign_source(lines: tuple[str, ...]) -> None:
    world, alice, bob = two(*lines)
    assert alice.inner(IP(src=BOB, dst=OUTSIDE) / UDP() / b"x", IP(src=BOB, dst=GATEWAY) / ICMP()) == []
    assert (bob.take(), world.outside, world.dropped(DropReason.WRONG_SOURCE)) == ([], [], 2)
    assert world.events_of("peer_rejected") == []


@pytest.mark.parametrize("lines", [(), ("client-to-client",)])
@pytest.mark.parametrize("to", ["10.8.0.255", "255.255.255.255", "224.0.0.251", "239.1.2.3"])
def test_broadcast_and_multicast(lines: tuple[str, ...], to: str) -> None:
    world, alice, bob = two(*lines)
    assert alice.inner(IP(src=ALICE, dst=to) / UDP(dport=5353) / b"x") == []
    assert (bob.take(), world.outside, world.dropped(DropReason.MULTICAST)) == ([], [], 1)


def test_echo_to_the_tunnel_gateway_has_a_ttl_of_its_own() -> None:
    world = GatewayWorld()
    alice = world.client()
    replies = alice.inner(*[IP(src=ALICE, dst=GATEWAY, ttl=ttl) / ICMP(id=ttl) / b"x" for ttl in (1, 3, 255)])
    assert [(reply.src, reply.ttl, reply[ICMP].id) for reply in replies] == [
        (GATEWAY, 64, 1), (GATEWAY, 64, 3), (GATEWAY, 64, 255),
    ]  # fmt: skip


def test_an_echo_in_fragments_to_the_tunnel_gateway() -> None:
    world = GatewayWorld()
    alice = world.client()
    pieces = fragment(IP(src=ALICE, dst=GATEWAY, id=9) / ICMP(id=5) / Raw(bytes(3000)), 1400)
    replies = alice.inner(*pieces)
    assert sum(len(reply.payload) for reply in replies) == 3008
    assert all(len(reply) <= 1500 for reply in replies)


@pytest.mark.parametrize("icmp_type", [0, 3, 13, 15, 17])
def test_other_icmp_to_the_tunnel_gateway(icmp_type: int) -> None:
    world = GatewayWorld()
    alice = world.client()
    assert alice.inner(IP(src=ALICE, dst=GATEWAY) / ICMP(type=icmp_type) / bytes(40)) == []
    assert world.outside == []


@pytest.mark.parametrize("lines", [(), ("client-to-client",)])
@pytest.mark.parametrize("packet", [TCP(sport=5000, dport=22, flags="S"), UDP(sport=5000, dport=53) / b"question"])
def test_a_service_that_the_tunnel_gateway_does_not_have(lines: tuple[str, ...], packet: Packet) -> None:
    """Refused, and never sent to the Internet under the outside address."""
    world = GatewayWorld(*lines)
    alice = world.client()
    assert error(alice.inner(IP(src=ALICE, dst=GATEWAY) / packet)) == (GATEWAY, 3, 3)
    assert (world.outside, world.dropped(DropReason.PORT_CLOSED)) == ([], 1)


def test_between_clients_the_ttl_goes_down_and_the_rest_stays() -> None:
    _, alice, bob = two("client-to-client")
    sent = IP(src=ALICE, dst=BOB, ttl=9, tos=0xB8, id=77, flags="DF") / UDP(sport=1, dport=2) / b"hello"
    assert alice.inner(sent) == []
    [got] = bob.take()
    assert (got.src, got.dst, got.ttl, got.tos, got.id, got.flags) == (ALICE, BOB, 8, 0xB8, 77, "DF")
    assert got[UDP].load == b"hello"


def test_an_address_of_nobody_among_clients() -> None:
    world, alice, _ = two("client-to-client")
    sent = IP(src=ALICE, dst=NOBODY, id=77) / UDP(sport=1, dport=2) / bytes(200)
    [answer] = alice.inner(sent)
    assert (answer.src, answer[ICMP].type, answer[ICMP].code) == (GATEWAY, 3, 1)
    assert bytes(answer)[28:] == bytes(sent)  # RFC 1812 4.3.2.3: as much as fits into 576 bytes
    assert world.outside == []


@pytest.mark.parametrize("to", [BOB, NOBODY])
def test_without_client_to_client_nothing_for_the_tunnel_network_leaks_out(to: str) -> None:
    world, alice, bob = two()
    assert error(alice.inner(IP(src=ALICE, dst=to) / UDP(sport=1, dport=2) / b"x")) == (GATEWAY, 3, 13)
    assert (bob.take(), world.outside, world.dropped(DropReason.CLIENT_TO_CLIENT_OFF)) == ([], [], 1)


def test_everything_else_goes_through_the_nat_with_its_header_kept() -> None:
    world = GatewayWorld()
    alice = world.client()
    sent = IP(src=ALICE, dst=OUTSIDE, ttl=31, tos=0xB8, id=77, flags="DF") / UDP(sport=5000, dport=53) / b"question"
    assert alice.inner(sent) == []
    [out] = world.outside
    assert (out.src, out.dst, out.ttl, out.tos, out.id, out.flags) == (ADDRESS, OUTSIDE, 30, 0xB8, 77, "DF")
    assert (out[UDP].sport, out[UDP].load) == (5000, b"question")


def test_our_own_outside_address_from_inside() -> None:
    world = GatewayWorld()
    alice = world.client()
    assert alice.inner(IP(src=ALICE, dst=ADDRESS) / TCP(sport=5000, dport=443, flags="S")) == []
    assert (world.outside, world.dropped(DropReason.NAT_NO_MAPPING)) == ([], 1)
    [error] = alice.inner(IP(src=ALICE, dst=ADDRESS) / TCP(sport=5000, dport=1194, flags="S"))
    assert (world.outside, error[ICMP].type, error[ICMP].code) == ([], 3, 13)
    [reply] = alice.inner(IP(src=ALICE, dst=ADDRESS) / ICMP(id=3, seq=4) / b"payload")
    assert (reply.src, reply.dst, reply[ICMP].type) == (ADDRESS, ALICE, 0)


def test_ping_of_the_outside_address() -> None:
    world = GatewayWorld()
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / ICMP(id=3, seq=4) / b"payload")
    [reply] = world.outside
    assert (reply.src, reply.dst, reply[ICMP].type, reply[ICMP].id) == (ADDRESS, OUTSIDE, 0, 3)


@pytest.mark.parametrize("packet", [TCP(dport=22, flags="S"), TCP(dport=1195, flags="S"), UDP(dport=1194) / b"x"])
def test_other_ports_of_the_outside_address_are_silent(packet: Packet) -> None:
    world = GatewayWorld()
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / packet)
    assert (world.outside, world.events) == ([], [])
    assert world.dropped(DropReason.NAT_NO_MAPPING) == 1


def test_the_listening_port_of_another_address_is_not_ours() -> None:
    world = GatewayWorld()
    world.ip(IP(src=OUTSIDE, dst="10.0.0.9") / TCP(dport=1194, flags="S"))
    assert (world.outside, world.dropped(DropReason.NOT_FOR_US)) == ([], 1)


@pytest.mark.stress
def test_what_nobody_asked_for_is_counted_and_not_logged() -> None:
    """Also an answer from another port, or for a client that left: thousands of them are a number in `stats`."""
    world = GatewayWorld()
    alice = world.client()
    alice.inner(query(ALICE))
    port = world.outside[-1][UDP].sport
    alice.fin()
    world.run(lambda: alice.closed, 5)
    world.events.clear()
    for _ in range(500):
        world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=54, dport=port) / b"another port")
        world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=port) / b"late")
    assert world.dropped(DropReason.NAT_FILTERED) == 500
    assert world.dropped(DropReason.CLIENT_GONE) == 500
    assert world.events == []


@pytest.mark.stress
def test_a_download_faster_than_its_client_keeps_the_session() -> None:
    """A bounded queue with loss beyond it, as at any router; the session and the other clients go on."""
    world, alice, bob = two()
    alice.inner(query(ALICE))
    port = world.outside[-1][UDP].sport
    alice.reads = False
    for _ in range(1000):
        world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=port) / bytes(1200))
    assert world.dropped(DropReason.SEND_QUEUE_FULL) > 300
    assert len(bob.inner(IP(src=BOB, dst=GATEWAY) / ICMP())) == 1
    alice.reads = True
    world.rest(10)
    assert len(alice.take()) > 100
    assert len(alice.inner(IP(src=ALICE, dst=GATEWAY) / ICMP())) == 1
    assert world.events_of("client_ended") == []
