"""The engine of each packet, and what leaves for clients."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.l2 import ARP
from scapy.packet import Raw
from tests.unit.router.lone_ingress import (
    CLIENT,
    HOST,
    MAC,
    OTHER,
    PORT,
    TUN_MTU,
    US,
    LoneIngress,
    answer,
    frame,
    ip,
    segment,
    vnet,
)

from hognose.address import parse_ipv4
from hognose.drops import Stat

# -- to whom -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "gso", "trusted"),
    [(vnet(), 0, False), (vnet(1), 0, True), (vnet(2), 0, True), (vnet(1, 0, 1448), 0, True),
     (vnet(1, 1, 1448), 1448, True), (vnet(1, 0x81, 0x0203), 0x0203, True)],
)  # fmt: skip
@pytest.mark.parametrize("options", [[], [b"\x01\x01\x01\x00"]], ids=["plain", "options"])
def test_segments_for_the_port_go_to_tcp(head: bytes, gso: int, trusted: bool, options: list[bytes]) -> None:
    """With the end of the packet, not of the frame: Ethernet pads short ones."""
    lone = LoneIngress()
    packet = bytes(segment(b"x" * 3, options=options))
    assert lone.take(frame(packet + bytes(9), head)).to_clients == {}
    l4 = 46 + 4 * len(options)
    assert lone.engines.calls == [("tcp", 26, l4, l4 + 23, gso, trusted)]
    assert (lone.drops, lone.came[:2]) == ({}, (1, 12 + 14 + len(packet) + 9))
    if not options:
        assert lone.came[2] == int(gso > 0)


@pytest.mark.parametrize("size", [0, 1, 19])
@pytest.mark.parametrize("options", [[], [b"\x01\x01\x01\x00"]], ids=["plain", "options"])
def test_a_segment_without_a_whole_header_is_not_for_tcp(size: int, options: list[bytes]) -> None:
    lone = LoneIngress()
    whole = ip(proto=6, options=options) / Raw(bytes(TCP(sport=40_000, dport=PORT))[:size])
    lone.take(frame(bytes(whole) + bytes(40)))
    assert [call[0] for call in lone.engines.calls] == ["nat"]
    assert lone.drops == {"NAT_NO_MAPPING": 1}


@pytest.mark.parametrize("flags", [0, 1, 2, 3])
def test_other_packets_go_to_the_nat(flags: int) -> None:
    """It is told of checksums that the device left to us, and not of those that it has looked at."""
    for options in ([], [b"\x01\x01\x01\x00"]):
        for port, protocol in ((PORT + 1, TCP), (PORT, UDP)):
            lone = LoneIngress(100, answer())
            packet = bytes(ip(options=options) / protocol(sport=53, dport=port) / Raw(bytes(40)))
            assert lone.take(frame(packet, vnet(flags))).to_clients == {CLIENT: answer()[1]}
            assert lone.engines.calls == [("nat", 26, 26 + len(packet), 0, bool(flags & 1))]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (frame(segment(), to="02:00:00:00:00:03"), "NOT_FOR_US"),
        (frame(segment(), to="ff:ff:ff:ff:ff:ff"), "NOT_FOR_US"),
        (frame(segment(dst="10.0.0.3")), "NOT_FOR_US"),
        (frame(segment(), ethertype=0x86DD), "UNKNOWN_ETHERTYPE"),
        (frame(segment(), vnet(0, 3)), "BAD_VNET_HEADER"),
        (frame(segment(), vnet(0, 4)), "BAD_VNET_HEADER"),
        (frame(segment(), vnet(0, 0x83)), "BAD_VNET_HEADER"),
        (frame(segment(b"x", len=40 + 2)), "BAD_IP_HEADER"),  # a byte more than there is
        (frame(segment(len=19)), "BAD_IP_HEADER"),
        (frame(segment(chksum=0x1234)), "BAD_IP_CHECKSUM"),
        (frame(segment())[:45], "FRAME_TOO_SHORT"),
        (frame(bytes(ARP()))[:25], "FRAME_TOO_SHORT"),
        (b"", "FRAME_TOO_SHORT"),
    ],
)
def test_what_no_engine_is_shown(data: bytes, reason: str) -> None:
    """And one good frame after it is taken all the same."""
    lone = LoneIngress()
    lone.take(data, frame(segment()))
    assert lone.drops == {reason: 1}
    assert [call[0] for call in lone.engines.calls] == ["tcp"]
    assert lone.came == (2, len(data) + 66, 0)


def test_first_fragments_and_later_ones_wait_for_each_other() -> None:
    lone = LoneIngress()
    for piece in fragment(IP(bytes(segment(bytes(100), id=7))), 64):
        assert lone.engines.calls == []
        lone.take(frame(piece))
    assert lone.engines.calls == [("tcp", 0, 20, 140, 0, False)]
    assert lone.drops == {}


def test_fragments_that_do_not_fit_are_counted() -> None:
    lone = LoneIngress()
    first = IP(bytes(ip(id=7, flags="MF") / UDP() / Raw(bytes(56))))
    lone.take(frame(first), frame(ip(id=7, frag=4, proto=17) / Raw(bytes(64))))
    assert (lone.engines.calls, lone.drops) == ([], {"FRAGMENT_OVERLAP": 1})


@pytest.mark.parametrize("to", [MAC.hex(":"), "ff:ff:ff:ff:ff:ff"])
@pytest.mark.parametrize("size", [None, 54])
def test_arp_for_us_and_for_all_goes_to_the_table(to: str, size: int | None) -> None:
    lone = LoneIngress()
    lone.take(frame(ARP(), to=to, ethertype=0x0806)[:size])
    assert lone.engines.calls == [("arp", 26)]
    lone.take(frame(ARP(), to="02:00:00:00:00:03", ethertype=0x0806))
    assert (len(lone.engines.calls), lone.drops) == (1, {})


# -- what leaves for clients -------------------------------------------------------------------------------------------


def test_packets_of_a_batch_for_one_client_stay_together_and_in_order() -> None:
    first, second, third, fourth = (answer(size)[1] for size in (60, 61, 62, 63))
    lone = LoneIngress(100, (CLIENT, first), (OTHER, second), (CLIENT, third), (CLIENT, fourth))
    udp = frame(ip() / UDP() / Raw(bytes(20)))
    error = frame(ip() / ICMP(type=3, code=1) / IP(src=US) / UDP(sport=1) / Raw(bytes(8)))
    lone.engines.inbound_answers[3] = (CLIENT, fourth[0])
    assert lone.take(udp, udp, udp, error).to_clients == {CLIENT: first + third + fourth, OTHER: second}


def test_what_is_larger_than_the_tunnel_is_cut_or_answered() -> None:
    lone = LoneIngress(100, answer(TUN_MTU, flags="DF"), answer(TUN_MTU + 1), answer(TUN_MTU + 1, flags="DF"))
    udp = frame(ip() / UDP() / Raw(bytes(20)))
    assert [len(packet) for packet in lone.take(udp).to_clients[CLIENT]] == [1400]
    assert [len(packet) for packet in lone.take(udp).to_clients[CLIENT]] == [1396, 25]
    assert (lone.drops, lone.sent) == ({}, [])
    assert lone.take(udp).to_clients == {CLIENT: []}
    [error] = lone.sent
    assert (error.src, error.dst, error[ICMP].type, error[ICMP].code, error[ICMP].nexthopmtu) == (US, HOST, 3, 4, 1400)
    assert (lone.drops, lone.counters.stats[Stat.ICMP_ERRORS_SENT]) == ({"TOO_BIG": 1}, 1)


@pytest.mark.parametrize(("flags", "mss"), [("S", 1360), ("SA", 1360), ("A", 1460), ("PA", 1460), ("R", 1460)])
def test_only_syns_are_clamped(flags: str, mss: int) -> None:
    tcp = TCP(flags=flags, options=[("MSS", 1460)])
    packet = bytes(IP(src=HOST, dst="10.8.0.2") / tcp)
    lone = LoneIngress(100, (CLIENT, [packet]))
    [got] = lone.take(frame(ip() / UDP() / Raw(bytes(20)))).to_clients[CLIENT]
    assert dict(IP(got)[TCP].options)["MSS"] == mss


def test_packets_of_other_protocols_are_no_syns() -> None:
    """A UDP packet with the bit of SYN at its place, and one that ends before it."""
    packets = [
        bytes(IP(dst="10.8.0.2") / UDP() / Raw(b"\0\0\0\0\0\2" + bytes(20))),
        bytes(IP(proto=6) / Raw(bytes(13))),
    ]
    for packet in packets:
        lone = LoneIngress(100, (CLIENT, [packet]))
        routed = lone.take(frame(ip() / UDP() / Raw(bytes(20))))
        assert (routed.to_clients, routed.failures, lone.drops) == ({CLIENT: [packet]}, [], {})


# -- OpenVPN over UDP --------------------------------------------------------------------------------------------------

RESETS = [b"\x38", b"\x50"]  # hard reset of a client, with tls-crypt-v2 and without, key id 0


def udp(payload: bytes, port: int = PORT, sport: int = 40_000, **fields: object) -> bytes:
    return frame(ip(**fields) / UDP(sport=sport, dport=port) / Raw(payload + bytes(20)))


@pytest.mark.parametrize("options", [[], [b"\1\1\1\0"]], ids=["plain", "options"])
@pytest.mark.parametrize("first", RESETS)
def test_openvpn_clients_over_udp_are_named_once(first: bytes, options: list[bytes]) -> None:
    lone = LoneIngress()
    routed = lone.take(udp(first, options=options, src="192.0.2.9", sport=50_001))
    assert routed.udp_clients == [(parse_ipv4("192.0.2.9"), 50_001)]
    assert lone.take().udp_clients == []


@pytest.mark.parametrize(
    "other",
    [udp(b"\x38", port=PORT + 1), udp(b"\x39"), udp(b"\x40"), udp(b"\x28"), frame(ip() / UDP(dport=PORT)),
     frame(segment(b"\x38" * 30, port=5000)), frame(ip(proto=47) / UDP(dport=PORT) / Raw(b"\x38" * 20))],
)  # fmt: skip
def test_other_packets_are_no_clients(other: bytes) -> None:
    lone = LoneIngress()
    assert lone.take(other).udp_clients == []
    assert lone.drops == {"NAT_NO_MAPPING": 1}


@pytest.mark.parametrize("size", range(9))
def test_a_cut_udp_header_is_no_client(size: int) -> None:
    """Not an exception either: frames of the link may be without padding."""
    lone = LoneIngress()
    taken = lone.take(frame(bytes(ip(proto=17, options=[b"\x01\x01\x01\x00"]) / Raw(bytes(size)))))
    assert (taken.failures, taken.udp_clients) == ([], [])
    assert lone.drops == {"NAT_NO_MAPPING": 1}


def test_eight_clients_over_udp_are_kept_and_all_are_counted() -> None:
    lone = LoneIngress()
    routed = lone.take(*[udp(b"\x38", sport=50_000 + number) for number in range(20)])
    assert [port for _, port in routed.udp_clients] == list(range(50_000, 50_008))
    assert lone.drops == {"NAT_NO_MAPPING": 20}
    assert len(lone.take(udp(b"\x38", sport=50_100)).udp_clients) == 1
