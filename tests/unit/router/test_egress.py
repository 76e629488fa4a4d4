"""The way out: next hop, ARP, and what is done in software for a device that cannot."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, defragment
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from hognose.address import Prefix, parse_ipv4
from hognose.drops import Counters, DropReason, Stat
from hognose.ip.neighbor import NeighborTable
from hognose.limits import IpLimits
from hognose.link import LinkCaps, Outgoing
from hognose.router.egress import Egress
from hognose.units import SECOND
from hognose.wire import virtio_net
from hognose.wire.checksum import ones_sum, pseudo_sum

MAC = bytes.fromhex("020000000002")
NOW = 5 * SECOND


def make(caps: LinkCaps | None = None, gateway: str | None = "10.0.0.1", known: bool = True) -> Egress:
    counters = Counters()
    neighbors = NeighborTable(mac=MAC, address=parse_ipv4("10.0.0.2"), limits=IpLimits(), counters=counters)
    egress = Egress(
        caps=caps or LinkCaps(mac=MAC),
        uplink=Prefix.of(parse_ipv4("10.0.0.2"), 24),
        gateway=parse_ipv4(gateway) if gateway else None,
        neighbors=neighbors,
        counters=counters,
    )
    if known:
        for last in (1, 9):
            answer = arp(f"10.0.0.{last}", f"02:00:00:00:00:0{last}")
            neighbors.receive(answer, 0, NOW)
        neighbors.requests()
    return egress


def arp(address: str, mac: str) -> bytes:
    """A neighbour asks for us."""
    return (
        bytes.fromhex("0001080006040001") + bytes.fromhex(mac.replace(":", "")) + parse_ipv4(address)
        + bytes(6) + parse_ipv4("10.0.0.2")
    )  # fmt: skip


def outgoing(packet: Packet) -> Outgoing:
    raw = bytes(packet)
    return raw[16:20], virtio_net.PLAIN, [raw]


def partial(packet: Packet, gso_size: int = 0) -> Outgoing:
    """As an engine gives it: pseudo-header sum in the checksum field."""
    raw = bytearray(bytes(packet))
    start, offset = (34, 16) if packet.proto == 6 else (34, 6)
    at = 20 + offset
    total = pseudo_sum(bytes(raw[12:16]), bytes(raw[16:20]), packet.proto, len(raw) - 20)
    raw[at : at + 2] = (total % 0xFFFF).to_bytes(2, "big")
    vnet = virtio_net.tcp_super_segment(54, gso_size, 34) if gso_size else virtio_net.partial_checksum(start, offset)
    return bytes(raw[16:20]), vnet, [bytes(raw[:40]), bytes(raw[40:])]


def sent(egress: Egress) -> list[tuple[bytes, Packet]]:
    """(vnet header, frame) of everything that left."""
    frames = [b"".join(pieces) for pieces in egress.take()]
    return [(frame[:12], Ether(frame[12:])) for frame in frames]


def test_a_packet_that_leads_to_an_exception_is_lost_alone() -> None:
    egress = make()
    packets = [outgoing(IP(src="10.0.0.2", dst=f"198.51.100.{last}") / UDP(dport=9)) for last in (1, 2, 3)]
    for broken in (0, 1):
        packets[broken] = packets[broken][0], packets[broken][1], []
    with pytest.raises(IndexError):
        egress.send(packets, NOW)
    assert [frame[IP].dst for _, frame in sent(egress)] == ["198.51.100.3"]
    assert egress._counters.drops[DropReason.INTERNAL_ERROR] == 1, "the caller counts the last one"


@pytest.mark.parametrize(
    ("destination", "mac"),
    [("198.51.100.7", "02:00:00:00:00:01"), ("10.0.0.9", "02:00:00:00:00:09"), ("10.0.0.1", "02:00:00:00:00:01")],
)
def test_the_next_hop(destination: str, mac: str) -> None:
    egress = make()
    egress.send([outgoing(IP(src="10.0.0.2", dst=destination) / UDP())], NOW)
    [(vnet, frame)] = sent(egress)
    assert (frame.dst, frame.src, frame.type) == (mac, MAC.hex(":"), 0x0800)
    assert vnet == virtio_net.PLAIN


@pytest.mark.parametrize("router", ["169.254.0.1", "100.64.0.1"])
def test_a_router_beside_a_single_address_is_the_next_hop(router: str) -> None:
    counters = Counters()
    address = parse_ipv4("203.0.113.66")
    neighbors = NeighborTable(mac=MAC, address=address, limits=IpLimits(), counters=counters)
    neighbors.receive(bytes(ARP(op=1, hwsrc="02:00:00:00:00:01", psrc=router, pdst="203.0.113.66")), 0, NOW)
    neighbors.requests()
    gateway = parse_ipv4(router)
    egress = Egress(
        caps=LinkCaps(mac=MAC), uplink=Prefix.of(address, 32), gateway=gateway, neighbors=neighbors, counters=counters
    )
    for destination in ("198.51.100.7", "203.0.113.67", router):
        egress.send([outgoing(IP(src="203.0.113.66", dst=destination) / UDP())], NOW)
    assert [frame.dst for _, frame in sent(egress)] == ["02:00:00:00:00:01"] * 3


@pytest.mark.parametrize("destination", ["10.0.0.0", "10.0.0.255"])
def test_broadcast_addresses_of_the_link_are_nobody(destination: str) -> None:
    egress = make()
    egress.send([outgoing(IP(src="10.0.0.2", dst=destination) / UDP())], NOW)
    assert egress.take() == []
    assert egress._counters.drops[DropReason.MARTIAN] == 1


def test_no_router_no_route() -> None:
    egress = make(gateway=None)
    egress.send([outgoing(IP(src="10.0.0.2", dst="198.51.100.7") / UDP())], NOW)
    assert egress.take() == []
    assert egress._counters.drops[DropReason.NO_ROUTE] == 1


def test_packets_wait_for_arp_and_leave_in_order() -> None:
    egress = make(known=False)
    egress.send([outgoing(IP(src="10.0.0.2", dst="10.0.0.9") / UDP(sport=n)) for n in (1, 2, 3)], NOW)
    [(_, asked)] = sent(egress)
    assert (asked.dst, asked.type) == ("ff:ff:ff:ff:ff:ff", 0x0806)
    egress.send(egress._neighbors.receive(arp("10.0.0.9", "02:00:00:00:00:09"), 0, NOW), NOW)
    frames = [frame for _, frame in sent(egress) if frame.type == 0x0800]
    assert [frame[UDP].sport for frame in frames] == [1, 2, 3]


def test_offloads_are_left_to_a_device_that_has_them() -> None:
    egress = make()
    egress.send([partial(IP(src="10.0.0.2", dst="10.0.0.9") / TCP() / bytes(5000), 1000)], NOW)
    [(vnet, frame)] = sent(egress)
    assert vnet[:2] == b"\1\1"
    assert len(frame[IP]) == 5040
    assert egress._counters.stats[Stat.SUPER_FRAMES_OUT] == 1


def test_without_offloads_segments_and_checksums_are_made_here() -> None:
    egress = make(LinkCaps(mac=MAC, rx_gso=False, tx_csum=False, tx_tso4=False))
    egress.send([partial(IP(src="10.0.0.2", dst="10.0.0.9") / TCP(seq=7, flags="PA") / bytes(2500), 1000)], NOW)
    egress.send([partial(IP(src="10.0.0.2", dst="10.0.0.9") / UDP() / b"x")], NOW)
    frames = sent(egress)
    assert [vnet for vnet, _ in frames] == [virtio_net.PLAIN] * 4
    segments = [frame[IP] for _, frame in frames[:3]]
    assert [(s[TCP].seq, len(s[TCP].payload), s[TCP].flags) for s in segments] == [
        (7, 1000, "A"), (1007, 1000, "A"), (2007, 500, "PA"),
    ]  # fmt: skip
    for _, frame in frames:
        raw = bytes(frame[IP])
        total = pseudo_sum(parse_ipv4("10.0.0.2"), parse_ipv4("10.0.0.9"), raw[9], len(raw) - 20)
        assert ones_sum(raw[20:], total) == 0
        assert ones_sum(raw[:20]) == 0


@pytest.mark.parametrize("checksum", ["complete", "partial"])
def test_what_is_too_long_for_the_link_leaves_in_fragments(checksum: str) -> None:
    egress = make()
    packet = IP(src="10.0.0.2", dst="10.0.0.9", id=4) / UDP() / bytes(range(250)) / bytes(3000)
    egress.send([outgoing(packet) if checksum == "complete" else partial(packet)], NOW)
    pieces = [frame[IP] for _, frame in sent(egress)]
    assert all(len(piece) <= 1500 for piece in pieces)
    assert len(pieces) == 3
    [whole] = defragment(pieces)
    del whole.chksum
    assert bytes(IP(bytes(whole)).payload) == bytes(packet.payload)


def test_what_must_not_be_fragmented_is_dropped() -> None:
    egress = make()
    egress.send([outgoing(IP(src="10.0.0.2", dst="10.0.0.9", flags="DF") / ICMP() / bytes(3000))], NOW)
    assert egress.take() == []
    assert egress._counters.drops[DropReason.TOO_BIG] == 1
