"""Packets at the very size and TTL at which the gateway does something else, and what is counted when they leave."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet
from tests.unit.router.test_egress import MAC, NOW, make, outgoing, partial, sent
from tests.unit.router.test_forwarding import OUTSIDE, A, B, World
from tests.unit.vpn.test_handshake_scheduler import START, Turns, peer

from hognose.drops import DropReason, Stat
from hognose.link import LinkCaps
from hognose.units import MS


def packet(size: int, to: str, flags: str = "", ttl: int = 64) -> Packet:
    return IP(src="10.8.0.2", dst=to, flags=flags, ttl=ttl) / UDP(sport=5000, dport=53) / bytes(size - 28)


@pytest.mark.parametrize(("ttl", "left"), [(3, 2), (2, 1), (1, None), (0, None)])
def test_a_packet_with_a_ttl_of_two_reaches_the_other_client(ttl: int, left: int | None) -> None:
    """RFC 1812 section 5.3.1: a router takes one, and what would be 0 goes no further."""
    world = World(client_to_client=True)
    _, inner = world.send(packet(100, "10.8.0.3", ttl=ttl))
    if left is not None:
        assert [one.ttl for one in inner[B]] == [left]
        assert world.dropped(DropReason.TTL_EXCEEDED) == 0
    else:
        assert [(one[ICMP].type, one[ICMP].code) for one in inner[A]] == [(11, 0)]
        assert world.dropped(DropReason.TTL_EXCEEDED) == 1


@pytest.mark.parametrize("flags", ["", "DF"])
def test_the_largest_packet_of_a_narrow_uplink_leaves_whole(flags: str) -> None:
    world = World(link_mtu=1400)
    [frame], inner = world.send(packet(1400, OUTSIDE, flags))
    assert (len(frame[IP]), int(frame[IP].frag), inner) == (1400, 0, {})
    frames, inner = world.send(packet(1401, OUTSIDE, flags))
    if flags:
        assert [one[ICMP].nexthopmtu for one in inner[A]] == [1400]
        assert (frames, world.dropped(DropReason.TOO_BIG)) == ([], 1)
    else:
        assert [len(one[IP]) for one in frames] == [1396, 25]


def test_a_packet_between_clients_is_cut_above_the_tunnels_mtu() -> None:
    world = World(client_to_client=True, tun_mtu=1300)
    assert [len(one) for one in world.send(packet(1300, "10.8.0.3"))[1][B]] == [1300]
    assert [len(one) for one in world.send(packet(1301, "10.8.0.3"))[1][B]] == [1300, 21]


@pytest.mark.parametrize(("size", "fits"), [(1499, True), (1500, True), (1501, False)])
def test_a_frame_of_the_links_mtu_leaves_whole(size: int, fits: bool) -> None:
    egress = make()
    egress.send([outgoing(IP(src="10.0.0.2", dst=OUTSIDE, flags="DF") / UDP() / bytes(size - 28))], NOW)
    assert [len(frame[IP]) for _, frame in sent(egress)] == ([size] if fits else [])
    assert egress._counters.drops[DropReason.TOO_BIG] == (not fits)


def test_what_left_is_counted_in_frames_and_bytes_of_ip() -> None:
    """Whole ones, super-frames, fragments, and segments that were cut for a device that cannot."""
    super_segment = partial(IP(src="10.0.0.2", dst=OUTSIDE) / TCP(sport=1, dport=2) / bytes(4000), 1000)
    counted = []
    for caps, one in (
        (LinkCaps(MAC), outgoing(IP(src="10.0.0.2", dst=OUTSIDE) / UDP() / bytes(72))),
        (LinkCaps(MAC), super_segment),
        (LinkCaps(MAC), outgoing(IP(src="10.0.0.2", dst=OUTSIDE) / UDP() / bytes(1972))),
        (LinkCaps(MAC, tx_tso4=False), (super_segment[0], super_segment[1], list(super_segment[2]))),
    ):
        egress = make(caps)
        egress.send([(one[0], one[1], list(one[2]))], NOW)
        stats = egress._counters.stats
        assert egress.queued == stats[Stat.FRAMES_OUT]
        counted.append((stats[Stat.FRAMES_OUT], stats[Stat.BYTES_OUT], stats[Stat.SUPER_FRAMES_OUT]))
    assert counted == [(1, 100, 0), (1, 4040, 1), (2, 2020, 0), (4, 4160, 0)]


@pytest.mark.parametrize(("cost", "turns_of_a_step"), [(4_999_999, 2), (5_000_000, 1), (2_500_000, 2), (1_000_000, 5)])
def test_handshakes_have_five_milliseconds_of_a_step(cost: int, turns_of_a_step: int) -> None:
    """Packets of clients wait so long, and for the turn that exceeds it; twenty are saved up for later steps."""
    turns = Turns()
    for number in range(100):
        turns.scheduler.enqueue(peer(f"10.0.{number}.1"))
    assert len(turns.work(START, cost)) == turns_of_a_step
    later = sum(len(turns.work(START + step, cost)) for step in range(1, 100))
    assert 20 * MS <= (turns_of_a_step + later) * cost < 20 * MS + 2 * cost
