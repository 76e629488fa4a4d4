"""Super-frames of datagrams through a whole gateway: of hosts outside to clients, and of clients over UDP.

Whatever a device joins, the other end gets the datagrams that were sent, as scapy would have built them.
"""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Packet, Raw
from tests.unit.gateway.gateway_world import ADDRESS, OUTSIDE, query
from tests.unit.gateway.udp_world import JOINED, UDP_PORT, UdpWorld, joined

from hognose.drops import DropReason, Stat


def sound(packet: Packet) -> bool:
    """True when scapy, which makes checksums and lengths again, builds the same packet."""
    fresh = IP(bytes(packet))
    del fresh[IP].chksum, fresh[IP].len, fresh[UDP].chksum, fresh[UDP].len
    return bytes(fresh) == bytes(packet)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("uso", [False, True])
def test_a_host_outside_answers_with_a_super_frame(transport: str, uso: bool) -> None:
    world = UdpWorld(uso=uso)
    alice = world.any_client(transport)
    alice.inner(query(alice.tunnel_address))
    port = world.outside[-1][UDP].sport
    payload = b"".join(bytes((number,)) * 1200 for number in range(40)) + b"the last"
    world.frames(joined(IP(src=OUTSIDE, dst=ADDRESS, id=9, flags="DF") / UDP(sport=53, dport=port) / payload, 1200))
    got = alice.take()
    assert [bytes(packet[UDP].payload) for packet in got] == [bytes((n,)) * 1200 for n in range(40)] + [b"the last"]
    assert all(sound(packet) for packet in got)
    assert [packet.id for packet in got] == list(range(9, 50))
    assert {(packet.src, packet.dst, packet[UDP].sport, packet[UDP].dport) for packet in got} == {
        (OUTSIDE, alice.tunnel_address, 53, 5000)
    }
    assert world.stat(Stat.SUPER_FRAMES_IN) >= 1
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_clients_super_frame_for_another_client(transport: str) -> None:
    world = UdpWorld()
    alice = world.udp_client("alice", "192.0.2.11")
    bob = world.any_client(transport, "bob", "192.0.2.12")
    before = world.stat(Stat.SUPER_FRAMES_IN)
    packets = [
        IP(src=alice.tunnel_address, dst=bob.tunnel_address, id=n) / UDP(sport=1, dport=2) / (b"%04d" % n * 250)
        for n in range(60)
    ]
    alice.inner(*packets)
    got = bob.take()
    assert [packet[UDP].load for packet in got] == [packet[UDP].load for packet in packets]
    assert all(sound(packet) for packet in got)
    assert world.stat(Stat.SUPER_FRAMES_IN) - before == 2


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_clients_super_frame_by_hairpin(transport: str) -> None:
    """To the port that another client has outside."""
    world = UdpWorld()
    alice = world.udp_client("alice", "192.0.2.11")
    bob = world.any_client(transport, "bob", "192.0.2.12")
    bob.inner(query(bob.tunnel_address))
    bobs = world.outside[-1][UDP].sport
    alice.inner(query(alice.tunnel_address, 5001))
    alices = world.outside[-1][UDP].sport
    bob.inner(IP(src=bob.tunnel_address, dst=ADDRESS) / UDP(sport=5000, dport=alices) / b"to meet")
    packets = [
        IP(src=alice.tunnel_address, dst=ADDRESS, id=n) / UDP(sport=5001, dport=bobs) / (b"%04d" % n * 200)
        for n in range(60)
    ]
    alice.inner(*packets)
    got = bob.take()
    assert [packet[UDP].load for packet in got] == [packet[UDP].load for packet in packets]
    assert {(packet.src, packet[UDP].sport, packet[UDP].dport) for packet in got} == {(ADDRESS, alices, 5000)}
    assert all(sound(packet) for packet in got)


def test_a_clients_super_frame_to_the_outside() -> None:
    world = UdpWorld()
    alice = world.udp_client("alice", "192.0.2.11")
    packets = [query(alice.tunnel_address, 5000, bytes((n,)) * 1000) for n in range(100)]
    alice.inner(*packets)
    assert [packet[UDP].load for packet in world.outside] == [packet[UDP].load for packet in packets]


@pytest.mark.parametrize(
    ("size", "gso"), [(4000, 0), (4000, 1), (129, 1), (65_000, 10), (4000, 4000), (4000, 65_535), (8, 8)]
)
@pytest.mark.parametrize("port", [UDP_PORT, 0], ids=["vpn", "nat"])
def test_sizes_that_no_kernel_gives_are_counted_and_harmless(size: int, gso: int, port: int) -> None:
    world = UdpWorld()
    alice = world.client()
    alice.inner(query(alice.tunnel_address))
    nat = world.outside[-1][UDP].sport
    packet = IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=port or nat) / Raw(bytes(size))
    world.frames(joined(packet, gso))
    if gso < size:
        assert world.dropped(DropReason.BAD_VNET_HEADER) == 1
        assert alice.take() == []
    elif port:
        assert world.dropped(DropReason.BAD_FRAME_LENGTH) + world.dropped(DropReason.NO_SESSION) == 1
    else:
        assert sum(len(one.payload) for one in alice.take()) == size + 8
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=nat) / b"answer")
    assert [one[UDP].load for one in alice.take()] == [b"answer"]
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0


def test_a_super_frame_of_tcp_is_none_of_datagrams() -> None:
    world = UdpWorld()
    alice = world.client()
    alice.inner(IP(src="10.8.0.2", dst=OUTSIDE) / TCP(sport=5000, dport=80, flags="S"))
    port = world.outside[-1][TCP].sport
    segment = IP(src=OUTSIDE, dst=ADDRESS) / TCP(sport=80, dport=port, flags="A") / Raw(bytes(3000))
    head = JOINED.pack(1, 5, 54, 1000, 34, 16, 0)
    world.ip(segment, head)
    assert world.dropped(DropReason.BAD_VNET_HEADER) == 1
    assert alice.take() == []


def test_datagrams_larger_than_the_tunnel() -> None:
    """Cut where they may be; else their sender hears of it once, and the last one, which fits, goes on."""
    world = UdpWorld("tun-mtu 1400")
    alice = world.client()
    alice.inner(query(alice.tunnel_address))
    port = world.outside[-1][UDP].sport
    datagrams = UDP(sport=53, dport=port) / Raw(bytes(3 * 1440 + 100))
    world.frames(joined(IP(src=OUTSIDE, dst=ADDRESS, id=5) / datagrams, 1440))
    assert [len(one) for one in alice.take()] == [1396, 92] * 3 + [128]
    world.outside.clear()
    world.frames(joined(IP(src=OUTSIDE, dst=ADDRESS, id=5, flags="DF") / datagrams, 1440))
    assert [len(one) for one in alice.take()] == [128]
    [error] = world.outside
    assert (error.dst, error.payload.type, error.payload.code, error.payload.nexthopmtu) == (OUTSIDE, 3, 4, 1400)
    assert world.dropped(DropReason.TOO_BIG) == 3
