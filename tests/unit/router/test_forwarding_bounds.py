"""Exact sizes, TTLs and counts at which the forwarder decides."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw
from tests.unit.router.test_forwarding import OUTSIDE, T0, A, B, World

from hognose.drops import DropReason, Stat
from hognose.ip.fragments import fragment
from hognose.nat.flow_timeouts import UDP_TIMEOUT
from hognose.wire import virtio_net


def inner(to: str, **fields: Any) -> IP:
    return IP(**{"src": "10.8.0.2", "dst": to, **fields})


@pytest.mark.parametrize(("ttl", "passes"), [(255, True), (2, True), (1, False), (0, False)])
def test_a_ttl_of_one_ends_between_clients(ttl: int, passes: bool) -> None:
    world = World(client_to_client=True)
    packet = inner("10.8.0.3", ttl=ttl, options=[b"\1\1\1\0"]) / UDP() / Raw(b"x")
    _, got = world.send(packet)
    if passes:
        expected = IP(bytes(packet))
        expected.ttl -= 1
        del expected.chksum
        assert [bytes(one) for one in got[B]] == [bytes(expected)]
    else:
        assert [(one[ICMP].type, one[ICMP].code) for one in got[A]] == [(11, 0)]
    assert world.counters.stats[Stat.CLIENT_TO_CLIENT_PACKETS] == passes
    assert world.dropped(DropReason.TTL_EXCEEDED) == (not passes)


@pytest.mark.parametrize("checksum", range(0, 0x10000, 0x0FFF))
def test_the_checksum_of_a_forwarded_header_is_right_whatever_it_was(checksum: int) -> None:
    """Incrementally (RFC 1624), for headers of many sums."""
    world = World(client_to_client=True)
    _, got = world.send(inner("10.8.0.3", id=checksum, ttl=33) / UDP() / Raw(b"x"))
    expected = IP(bytes(inner("10.8.0.3", id=checksum, ttl=32) / UDP() / Raw(b"x")))
    assert [bytes(one) for one in got[B]] == [bytes(expected)]


@pytest.mark.parametrize(
    ("size", "sizes"),
    [(1399, [1399]), (1400, [1400]), (1401, [1396, 25]), (2772, [1396, 1396]), (2773, [1396, 1396, 21])],
)
def test_what_is_larger_than_the_tunnel_is_cut_for_the_other_client(size: int, sizes: list[int]) -> None:
    world = World(client_to_client=True, tun_mtu=1400)
    _, got = world.send(inner("10.8.0.3") / UDP() / Raw(bytes(size - 28)))
    assert [len(one) for one in got[B]] == sizes


@pytest.mark.parametrize("to", ["10.8.0.3", OUTSIDE])
@pytest.mark.parametrize(("flags", "mss"), [("S", 1300), ("SA", 1300), ("A", 1460)])
def test_syns_are_clamped_on_every_way(to: str, flags: str, mss: int) -> None:
    world = World(client_to_client=True)
    syn = inner(to) / TCP(sport=5000, dport=80, flags=flags, options=[("MSS", 1460)])
    frames, got = world.send(syn)
    [arrived] = frames or got[B]
    assert dict(arrived[TCP].options)["MSS"] == mss


def test_syns_are_clamped_by_hairpin() -> None:
    world = World()
    ports = {}
    for client, source in ((A, "10.8.0.2"), (B, "10.8.0.3")):
        [left], _ = world.send(inner(OUTSIDE, src=source) / TCP(sport=5000, dport=80, flags="S"), client=client)
        ports[client] = left[TCP].sport
    world.send(inner("10.0.0.2") / TCP(sport=5000, dport=ports[B], flags="S"))
    assert world.counters.stats[Stat.NAT_HAIRPIN_PACKETS] == 0
    syn = inner("10.0.0.2", src="10.8.0.3") / TCP(sport=5000, dport=ports[A], flags="S", options=[("MSS", 1460)])
    _, got = world.send(syn, client=B)
    assert dict(got[A][0][TCP].options)["MSS"] == 1300
    assert world.counters.stats[Stat.NAT_HAIRPIN_PACKETS] == 1


@pytest.mark.parametrize(("size", "df", "told", "sizes"), [
    (1400, True, 0, [1400]), (1401, True, 1, []), (1400, False, 0, [1400]), (1401, False, 0, [1396, 25]),
])  # fmt: skip
@pytest.mark.parametrize("known", [False, True])
def test_an_uplink_narrower_than_the_tunnel_at_its_exact_size(
    size: int, df: bool, told: int, sizes: list[int], known: bool
) -> None:
    world = World(link_mtu=1400)
    head = UDP(sport=5000, dport=9)
    if known:
        world.send(inner(OUTSIDE) / head / Raw(b"x"))
    frames, got = world.send(inner(OUTSIDE, flags="DF" if df else 0) / head / Raw(bytes(size - 28)))
    assert [frame[IP].len for frame in frames] == sizes
    assert [one[ICMP].nexthopmtu for one in got.get(A, [])] == [1400] * told
    assert world.dropped(DropReason.TOO_BIG) == told


def test_only_what_leaves_in_fragments_gets_another_id() -> None:
    """RFC 6864 section 4: the ID of a packet that is sent whole has no meaning, and stays."""
    world = World(link_mtu=1400)
    for size, same in ((1400, True), (1401, False)):
        frames, _ = world.send(inner(OUTSIDE, id=0x7777) / UDP(sport=5000, dport=9) / Raw(bytes(size - 28)))
        assert {frame[IP].id == 0x7777 for frame in frames} == {same}


@pytest.mark.parametrize(
    ("size", "mtu", "offloads", "count"),
    [(1400, 1400, True, 1), (1401, 1400, True, 2), (2800, 1400, True, 2), (2801, 1400, True, 3), (3000, 1500, True, 1),
     (1500, 1500, False, 1), (1501, 1500, False, 2)],
)  # fmt: skip
def test_frames_of_a_packet_are_counted_by_its_size(size: int, mtu: int, offloads: bool, count: int) -> None:
    """Each is one where the device or the tunnel spares the work."""
    world = World(link_mtu=mtu, offloads=offloads)
    packet = bytes(inner(OUTSIDE) / UDP() / Raw(bytes(size - 28)))
    one = (b"\1\2\3\4", virtio_net.PLAIN, [packet[:40], packet[40:]])
    assert world.forwarder.frames([one]) == count
    assert world.forwarder.frames([one, one]) == 2 * count
    assert world.forwarder.frames([]) == 0


@pytest.mark.parametrize(("payload", "count"), [(2960, 3), (2961, 4), (3960, 4), (1, 1)])
def test_frames_of_a_super_segment_are_counted_by_its_segments(payload: int, count: int) -> None:
    """Of 1000 bytes each; with 40 bytes of headers, so that it is never fewer than leave."""
    pieces = [bytes(40), bytes(payload)]
    one = (b"\1\2\3\4", virtio_net.tcp_super_segment(54, 1000, 34), pieces)
    assert World(offloads=False).forwarder.frames([one]) == count
    assert World(link_mtu=1400).forwarder.frames([one]) == 1


@pytest.mark.parametrize("padding", [0, 1, 7])
def test_bytes_after_the_packet_go_nowhere(padding: int) -> None:
    world = World(client_to_client=True)
    packet = bytes(inner("10.8.0.3") / UDP() / Raw(b"ab"))
    routed = world.forwarder.from_client(A, [packet + bytes(padding)], T0)
    assert [len(one) for one in routed.to_clients[B]] == [len(packet)]


@pytest.mark.parametrize("kind", [0, 3, 8, 13])
def test_of_icmp_to_our_outside_address_echo_alone_is_answered(kind: int) -> None:
    world = World()
    _, got = world.send(inner("10.0.0.2") / ICMP(type=kind) / Raw(bytes(40)))
    assert [one[ICMP].type for one in got.get(A, [])] == ([0] if kind == 8 else [])
    assert world.counters.stats[Stat.ECHO_REPLIES] == (kind == 8)
    assert world.send(inner("10.0.0.2", proto=1)) == ([], {})
    assert world.dropped(DropReason.BAD_ICMP) == 1 + (kind == 3)  # which quotes no packet


@pytest.mark.parametrize("first", [b"\x60", b"\x6f", b"\x50", b"\x70", b"\x30", b"\x0f", b"\xff"])
def test_versions_of_ip_are_told_apart(first: bytes) -> None:
    world = World()
    world.forwarder.from_client(A, [first + bytes(39)], T0)
    reason = DropReason.IPV6_IN_TUNNEL if first[0] >> 4 == 6 else DropReason.NOT_IP
    assert world.dropped(reason) == 1


@pytest.mark.parametrize("protocol", [6, 17])
@pytest.mark.parametrize("size", range(0, 24, 3))
def test_a_cut_header_to_the_gateway_is_refused_like_any_other(protocol: int, size: int) -> None:
    """Nothing is read after its end."""
    world = World()
    _, got = world.send(inner("10.8.0.1", proto=protocol) / Raw(bytes(size)))
    assert [(one[ICMP].type, one[ICMP].code) for one in got[A]] == [(3, 3)]
    assert world.counters.stats[Stat.ICMP_ERRORS_SENT] == 1


def test_an_error_without_an_mtu_has_a_zero_word() -> None:
    world = World()
    for packet in (inner("10.8.0.1") / UDP(), inner(OUTSIDE, ttl=1) / UDP(), inner("10.8.0.3") / UDP()):
        _, got = world.send(packet)
        assert bytes(got[A][0][ICMP])[4:8] == bytes(4)


def first_of(packet: Packet) -> list[IP]:
    return [IP(piece) for piece in fragment(bytes(packet), 1500)]


def test_a_datagram_of_a_client_that_has_gone_times_out_in_silence() -> None:
    world = World()
    world.send(first_of(inner(OUTSIDE, src="10.8.0.9") / UDP() / Raw(bytes(3000)))[0], client=b"\x0a\x08\0\x09")
    deadline = world.forwarder.next_deadline()
    assert deadline is not None
    routed = world.forwarder.expire(deadline)
    assert (routed.to_clients, world.dropped(DropReason.FRAGMENT_TIMEOUT)) == ({}, 1)
    assert deadline - T0 < UDP_TIMEOUT
