"""Frames of the link, one by one: what is taken, what is answered, what is dropped for which reason."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, defragment, fragment
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw
from tests.unit.gateway.gateway_world import (
    ADDRESS,
    MAC,
    OUTSIDE,
    PLAIN,
    ROUTER,
    ROUTER_MAC,
    GatewayWorld,
    Remote,
    query,
)

from hognose.drops import DropReason, Stat
from hognose.limits import Limits, NatLimits

PORT_OF_NO_FLOW = 9
NIC = MAC.hex(":")
TO_US = Ether(src=ROUTER_MAC, dst=NIC)


def frame(packet: Packet, vnet: bytes = PLAIN) -> bytes:
    return vnet + bytes(TO_US / packet)


def damaged(packet: Packet, at: int, value: int) -> bytes:
    """A frame with one byte of the IP packet changed, the IP checksum made right again where it is the header's."""
    raw = bytearray(bytes(packet))
    raw[at] = value
    if at < 20:
        fixed = IP(bytes(raw))
        del fixed.chksum
        raw[10:12] = bytes(fixed)[10:12]
    return PLAIN + bytes(TO_US)[:12] + b"\x08\0" + bytes(raw)


@pytest.mark.parametrize(
    "source", ["0.0.0.0", "0.0.0.1", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "10.0.0.255", ADDRESS]
)
def test_martian_sources_get_nothing_and_reach_nobody(source: str) -> None:
    """RFC 1812 section 5.3.7: no answer, no connection, no client hears of it."""
    world = GatewayWorld()
    alice = world.client()
    alice.inner(query(alice.tunnel_address))
    [sent] = world.outside
    quoted = IP(bytes(sent))
    before = list(world.outside)
    for packet in (
        IP(src=source, dst=ADDRESS) / ICMP(id=1, seq=1) / bytes(40),
        IP(src=source, dst=ADDRESS) / ICMP(type=3, code=1) / quoted,
        IP(src=source, dst=ADDRESS) / TCP(sport=9, dport=1194, flags="S") / bytes(0),
    ):
        world.ip(packet)
    assert world.dropped(DropReason.MARTIAN) == 3
    world.ip(IP(src=source, dst=ADDRESS) / UDP(sport=53, dport=sent[UDP].sport) / bytes(40))
    world.ip(IP(src=source, dst=ADDRESS, ttl=1) / TCP(sport=9, dport=81, flags="S") / bytes(40))
    assert (world.outside, alice.take()) == (before, [])


@pytest.mark.parametrize("open_to_all", [False, True])
def test_errors_that_quote_packets_to_martians_concern_nobody(open_to_all: bool) -> None:
    """Such a packet cannot have left: there is no flow and no connection that it could be of."""
    world = GatewayWorld(limits=Limits(nat=NatLimits(endpoint_independent_filtering=open_to_all)))
    alice = world.client()
    alice.inner(query(alice.tunnel_address))
    [sent] = world.outside
    for to in ("127.0.0.1", "169.254.169.254", "224.0.0.1", "240.0.0.1", "10.0.0.255"):
        for quoted in (UDP(sport=sent[UDP].sport, dport=53), TCP(sport=1194, dport=40_000)):
            world.ip(IP(src=OUTSIDE, dst=ADDRESS) / ICMP(type=3, code=1) / IP(src=ADDRESS, dst=to) / quoted / bytes(8))
    assert (alice.take(), world.outside, alice.closed) == ([], [sent], False)
    assert world.dropped(DropReason.NAT_NO_MAPPING) == 5


@pytest.mark.parametrize("source", ["169.254.169.254", "168.63.129.16", "100.64.0.1"])
def test_health_checks_of_clouds_are_answered(source: str) -> None:
    world = GatewayWorld()
    world.ip(IP(src=source, dst=ADDRESS) / ICMP(id=1, seq=1) / bytes(40))
    assert [packet.dst for packet in world.outside] == [source]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", DropReason.FRAME_TOO_SHORT),
        (PLAIN + bytes(14), DropReason.FRAME_TOO_SHORT),
        (frame(IP(src=OUTSIDE, dst=ADDRESS) / UDP())[:40], DropReason.FRAME_TOO_SHORT),
        (PLAIN + bytes(Ether(dst=NIC, type=0x88CC) / Raw(bytes(60))), DropReason.UNKNOWN_ETHERTYPE),
        (PLAIN + bytes(Ether(dst=NIC) / Dot1Q(vlan=3) / IP() / UDP() / bytes(60)), DropReason.UNKNOWN_ETHERTYPE),
        (PLAIN + bytes(Ether(dst=NIC) / IPv6() / UDP() / bytes(60)), DropReason.UNKNOWN_ETHERTYPE),
        (PLAIN + bytes(Ether(dst="02:00:00:00:00:77") / IP(dst=ADDRESS) / UDP() / bytes(60)), DropReason.NOT_FOR_US),
        (PLAIN + bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / IP(dst=ADDRESS) / UDP() / bytes(60)), DropReason.NOT_FOR_US),
        (frame(IP(src=OUTSIDE, dst="10.0.0.3") / UDP() / bytes(60)), DropReason.NOT_FOR_US),
        (frame(IP(src=OUTSIDE, dst="10.0.0.255") / UDP() / bytes(60)), DropReason.NOT_FOR_US),
        (frame(IP(src=OUTSIDE, dst=ADDRESS, len=999) / UDP() / bytes(60)), DropReason.BAD_IP_HEADER),
        (frame(IP(src=OUTSIDE, dst=ADDRESS, len=19) / UDP() / bytes(60)), DropReason.BAD_IP_HEADER),
        (frame(IP(src=OUTSIDE, dst=ADDRESS, chksum=1) / UDP() / bytes(60)), DropReason.BAD_IP_CHECKSUM),
        (damaged(IP(src=OUTSIDE, dst=ADDRESS) / UDP() / bytes(60), 0, 0x44), DropReason.BAD_IP_HEADER),
        (damaged(IP(src=OUTSIDE, dst=ADDRESS) / UDP() / bytes(60), 0, 0x65), DropReason.BAD_IP_HEADER),
        (frame(IP(src=OUTSIDE, dst=ADDRESS, proto=47) / Raw(bytes(60))), DropReason.UNKNOWN_PROTOCOL),
        (frame(IP(src=OUTSIDE, dst=ADDRESS) / TCP(dport=81) / bytes(60)), DropReason.NAT_NO_MAPPING),
        (frame(IP(src=OUTSIDE, dst=ADDRESS) / UDP(dport=81) / bytes(60)), DropReason.NAT_NO_MAPPING),
        (frame(IP(src=OUTSIDE, dst=ADDRESS) / TCP(dport=1194, flags="A") / b""), DropReason.TCP_NO_CONNECTION),
        (frame(IP(src=OUTSIDE, dst=ADDRESS) / TCP(dport=1194, chksum=1) / bytes(60)), DropReason.BAD_TCP_CHECKSUM),
        (frame(IP(src=OUTSIDE, dst=ADDRESS) / ICMP(type=8, chksum=1) / bytes(60)), DropReason.BAD_ICMP_CHECKSUM),
        (frame(IP(src=OUTSIDE, dst=ADDRESS) / ICMP(type=13) / bytes(60)), DropReason.BAD_ICMP),
        (frame(IP(src=OUTSIDE, dst=ADDRESS) / ICMP(type=0, id=5) / bytes(60)), DropReason.NAT_NO_MAPPING),
        (frame(IP(src=OUTSIDE, dst=ADDRESS) / ICMP(type=3) / bytes(60)), DropReason.BAD_ICMP),
        (frame(IP(src=OUTSIDE, dst=ADDRESS) / UDP() / bytes(60), b"\0\3" + bytes(10)), DropReason.BAD_VNET_HEADER),
        (PLAIN + bytes(TO_US / ARP(op=1, hwsrc=ROUTER_MAC, psrc=ADDRESS, pdst=ADDRESS)), DropReason.BAD_ARP),
    ],
)  # fmt: skip
def test_what_is_dropped(data: bytes, reason: DropReason) -> None:
    world = GatewayWorld()
    world.frames(data)
    assert {DropReason(n).name: count for n, count in enumerate(world.counters.drops) if count} == {reason.name: 1}


def test_arp_for_others_is_nothing_to_us() -> None:
    world = GatewayWorld()
    seen = len(world.arp)
    world.frames(PLAIN + bytes(Ether(dst="02:00:00:00:00:77") / ARP(op=1, psrc=ROUTER, pdst=ADDRESS)))
    world.frames(PLAIN + bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, psrc=ROUTER, pdst="10.0.0.9")))
    assert len(world.arp) == seen


@pytest.mark.parametrize("pad", [0, 18])
def test_arp_requests_are_answered_padded_or_not(pad: int) -> None:
    world = GatewayWorld()
    question = Ether(src=ROUTER_MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=ROUTER_MAC, psrc=ROUTER, pdst=ADDRESS)
    world.frames(PLAIN + bytes(question) + bytes(pad))
    answer = world.arp[-1]
    assert (answer.dst, answer[ARP].op, answer[ARP].hwsrc, answer[ARP].psrc) == (ROUTER_MAC, 2, NIC, ADDRESS)


def test_the_nic_answers_ping() -> None:
    world = GatewayWorld()
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / ICMP(id=3, seq=4) / bytes(range(56)))
    [reply] = world.outside
    assert (reply.src, reply.dst, reply[ICMP].type, reply[ICMP].id, reply[ICMP].seq) == (ADDRESS, OUTSIDE, 0, 3, 4)
    assert reply[Raw].load == bytes(range(56))
    good = reply.copy()
    del good[IP].chksum, good[ICMP].chksum
    assert bytes(good) == bytes(reply)


def test_a_large_ping_comes_and_goes_in_fragments() -> None:
    world = GatewayWorld()
    for piece in fragment(IP(src=OUTSIDE, dst=ADDRESS, id=77) / ICMP(id=3) / Raw(bytes(3000)), 1400):
        world.ip(piece)
    assert sum(len(piece.payload) for piece in world.outside) == 3008
    assert all(len(piece) <= 1500 for piece in world.outside)
    assert world.stat(Stat.ECHO_REPLIES) == 1


def test_pings_from_outside_are_limited() -> None:
    world = GatewayWorld()
    for _ in range(200):
        world.ip(IP(src=OUTSIDE, dst=ADDRESS) / ICMP())
    assert 10 <= world.stat(Stat.ECHO_REPLIES) <= 60
    assert world.dropped(DropReason.ICMP_RATE_LIMITED) == 200 - world.stat(Stat.ECHO_REPLIES)


def udp_flow(world: GatewayWorld) -> tuple[Remote, int]:
    """A client with one UDP flow to OUTSIDE:53, and the flow's outside port."""
    alice = world.client()
    alice.inner(query("10.8.0.2"))
    return alice, world.outside[-1][UDP].sport


def test_ip_options_from_outside_reach_the_client() -> None:
    world = GatewayWorld()
    alice, port = udp_flow(world)
    world.ip(IP(src=OUTSIDE, dst=ADDRESS, options=[b"\x01\x01\x01\x00"]) / UDP(sport=53, dport=port) / b"answer")
    [answer] = alice.take()
    assert answer[UDP].load == b"answer"


def test_fragments_from_outside_are_put_together_and_cut_again() -> None:
    world = GatewayWorld()
    alice, port = udp_flow(world)
    whole = IP(src=OUTSIDE, dst=ADDRESS, id=9) / UDP(sport=53, dport=port) / Raw(bytes(4000))
    pieces = fragment(IP(bytes(whole)), 1200)
    for piece in reversed(pieces):
        world.ip(piece)
    got = alice.take()
    assert sum(len(piece.payload) for piece in got) == 4008
    assert all(len(piece) <= 1500 for piece in got)


def test_interleaved_datagrams_of_one_source_all_reach_the_client() -> None:
    world = GatewayWorld()
    alice, port = udp_flow(world)
    whole = [
        IP(src=OUTSIDE, dst=ADDRESS, id=n) / UDP(sport=53, dport=port) / Raw(bytes((n,)) * 2000) for n in range(20)
    ]
    pieces = [fragment(IP(bytes(packet)), 1480) for packet in whole]
    for number in (0, 1):
        for each in pieces:
            world.ip(each[number])
    got = [packet for packet in alice.take() if packet.frag]
    assert [packet[Raw].load[-1] for packet in got] == list(range(20))
    assert "drop_fragment_table_full" not in world.counters.non_zero()


@pytest.mark.stress
@pytest.mark.parametrize("frag", [0, 100], ids=["first", "later"])
def test_fragments_of_strangers_take_no_clients_place(frag: int) -> None:
    """Five hundred fragments from as many sources lie between two of a client's, and between two for a client."""
    world = GatewayWorld()
    alice, port = udp_flow(world)
    up = IP(src=alice.tunnel_address, dst=OUTSIDE, id=9) / UDP(sport=5000, dport=53) / Raw(bytes(1200))
    down = IP(src=OUTSIDE, dst=ADDRESS, id=9) / UDP(sport=53, dport=port) / Raw(bytes(1200))
    (first_up, second_up), (first_down, second_down) = (fragment(IP(bytes(each)), 800) for each in (up, down))
    assert alice.inner(first_up) == []
    world.ip(first_down)
    for index in range(500):
        strange = IP(src=f"1.2.{index >> 8}.{index & 255}", dst=ADDRESS, id=9, flags="MF", frag=frag, proto=17)
        world.ip(strange / Raw(bytes(UDP(dport=PORT_OF_NO_FLOW)) + bytes(792)))
    if frag:
        assert world.dropped(DropReason.FRAGMENT_TABLE_FULL) == 500 - 64
    else:
        assert world.dropped(DropReason.NAT_NO_MAPPING) == 500
    assert alice.inner(second_up) == []
    assert world.outside[-1][UDP].load == bytes(1200)
    world.ip(second_down)
    assert sum(len(packet.payload) for packet in alice.take()) == 1208
    world.rest(31)  # what is overdue goes when the next one comes
    world.ip(IP(src="9.9.9.9", dst=ADDRESS, id=9, flags="MF") / UDP(dport=PORT_OF_NO_FLOW) / bytes(792))
    assert world.dropped(DropReason.FRAGMENT_TIMEOUT) == (64 if frag else 0)


def test_fragments_that_overlap_are_dropped() -> None:
    world = GatewayWorld()
    _, port = udp_flow(world)
    world.ip(IP(src=OUTSIDE, dst=ADDRESS, id=9, flags="MF") / UDP(sport=53, dport=port) / bytes(792))
    world.ip(IP(src=OUTSIDE, dst=ADDRESS, id=9, frag=50, proto=17) / Raw(bytes(80)))
    assert world.dropped(DropReason.FRAGMENT_OVERLAP) == 1


def test_a_packet_that_does_not_fit_the_tunnel_is_answered_when_it_must_not_be_cut() -> None:
    world = GatewayWorld("tun-mtu 1400")
    alice, port = udp_flow(world)
    big = UDP(sport=53, dport=port) / Raw(bytes(1440))
    world.ip(IP(src=OUTSIDE, dst=ADDRESS, flags="DF") / big)
    error = world.outside[-1]
    assert (error[ICMP].type, error[ICMP].code, error[ICMP].nexthopmtu) == (3, 4, 1400)
    assert (error.dst, world.dropped(DropReason.TOO_BIG)) == (OUTSIDE, 1)
    assert alice.take() == []
    world.ip(IP(src=OUTSIDE, dst=ADDRESS, id=5) / big)
    assert [len(piece) for piece in alice.take()] == [1396, 92]


def test_ttl_that_ends_here_is_told() -> None:
    world = GatewayWorld()
    alice, port = udp_flow(world)
    world.ip(IP(src=OUTSIDE, dst=ADDRESS, ttl=1) / UDP(sport=53, dport=port) / b"answer")
    error = world.outside[-1]
    assert (error[ICMP].type, error[ICMP].code, error.src) == (11, 0, ADDRESS)
    assert alice.take() == []
    for _ in range(200):
        world.ip(IP(src=OUTSIDE, dst=ADDRESS, ttl=1) / UDP(sport=53, dport=port) / b"answer")
    assert world.dropped(DropReason.ICMP_RATE_LIMITED) > 100


def test_a_syn_ack_from_outside_is_clamped() -> None:
    world = GatewayWorld()
    alice = world.client()
    alice.inner(IP(src="10.8.0.2", dst=OUTSIDE) / TCP(sport=5000, dport=80, flags="S", options=[("MSS", 1460)]))
    syn = world.outside[-1]
    assert dict(syn[TCP].options)["MSS"] == 1386
    reply = TCP(sport=80, dport=syn[TCP].sport, flags="SA", options=[("MSS", 1460)])
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / reply)
    [got] = alice.take()
    assert dict(got[TCP].options)["MSS"] == 1386


def test_errors_about_a_flow_reach_its_client() -> None:
    world = GatewayWorld()
    alice, _ = udp_flow(world)
    world.ip(IP(src="203.0.113.1", dst=ADDRESS) / ICMP(type=3, code=1) / bytes(world.outside[-1]))
    [error] = alice.take()
    assert (error.src, error.dst, error[ICMP].type, error[ICMP].code) == ("203.0.113.1", "10.8.0.2", 3, 1)
    quoted = IP(bytes(error[ICMP].payload))
    assert (quoted.src, quoted.dst, quoted[UDP].sport) == ("10.8.0.2", OUTSIDE, 5000)


def test_errors_about_a_flow_that_is_none() -> None:
    world = GatewayWorld()
    stranger = IP(src=ADDRESS, dst=OUTSIDE) / UDP(sport=9999, dport=53) / b"never sent"
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / ICMP(type=3, code=3) / bytes(stranger))
    assert world.dropped(DropReason.NAT_NO_MAPPING) == 1


def test_fragmentation_needed_for_the_outer_connection_makes_its_segments_smaller() -> None:
    world = GatewayWorld()
    alice = world.client()
    flow, port = udp_flow_of(world, alice)
    sizes: list[int] = []
    receive = alice.receive

    def watch(segment: object) -> None:
        sizes.append(len(segment.payload))  # type: ignore[attr-defined]  # a spy
        receive(segment)  # type: ignore[arg-type]  # a spy

    alice.receive = watch  # type: ignore[method-assign]  # a spy
    alice.reads = False
    world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=port) / Raw(bytes(1400)))
    assert max(sizes) > 1300
    seq = alice.ack
    quoted = IP(src=ADDRESS, dst="192.0.2.11") / TCP(sport=1194, dport=40_000, seq=seq)
    sizes.clear()
    alice.reads = True
    world.ip(IP(src=ROUTER, dst=ADDRESS) / ICMP(type=3, code=4, nexthopmtu=900) / bytes(quoted)[:28])
    world.rest(2)
    assert flow == []
    assert sizes
    assert max(sizes) <= 860
    assert len(alice.take()) == 1


def udp_flow_of(world: GatewayWorld, alice: Remote) -> tuple[list[Packet], int]:
    answers = alice.inner(query("10.8.0.2"))
    return answers, world.outside[-1][UDP].sport


@pytest.mark.parametrize("kind", ["options", "fragments"])
def test_a_tcp_segment_for_the_vpn_port_the_unusual_way(kind: str) -> None:
    """IP options, or in fragments: the connection gets its bytes all the same."""
    world = GatewayWorld()
    remote = world.remote()
    segment = TCP(sport=40_000, dport=1194, flags="PA", seq=remote.seq, ack=remote.ack) / Raw(b"\0\0" + bytes(100))
    if kind == "options":
        world.ip(IP(src="192.0.2.11", dst=ADDRESS, options=[b"\x01\x01\x01\x00"]) / segment)
    else:
        for piece in fragment(IP(bytes(IP(src="192.0.2.11", dst=ADDRESS, id=3) / segment)), 64):
            world.ip(piece)
    assert world.dropped(DropReason.BAD_FRAME_LENGTH) == 1


@pytest.mark.parametrize("mtu", [576, 1500])
def test_the_largest_datagram_passes_both_ways(mtu: int) -> None:
    """65,507 bytes: 119 fragments at the least tun-mtu."""
    world = GatewayWorld(f"tun-mtu {mtu}")
    alice = world.client()
    up = IP(src=alice.tunnel_address, dst=OUTSIDE, id=7) / UDP(sport=5000, dport=53) / Raw(bytes(range(256)) * 255)
    up[Raw].load += bytes(65_507 - len(up[Raw].load))
    for piece in fragment(IP(bytes(up)), (mtu - 20) // 8 * 8):
        alice.inner(piece)
    world.rest(1)
    [whole] = defragment(world.outside)
    assert whole[Raw].load == up[Raw].load
    down = IP(src=OUTSIDE, dst=ADDRESS, id=8) / UDP(sport=53, dport=whole[UDP].sport) / Raw(up[Raw].load)
    for piece in fragment(IP(bytes(down)), 1480):
        world.ip(piece)
    world.rest(1)
    got = alice.take()
    assert all(len(packet) <= mtu for packet in got)
    [back] = defragment(got)
    assert back[Raw].load == up[Raw].load
