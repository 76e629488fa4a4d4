"""Packets for servers of ours on the NIC's address besides the VPN's."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.packet import Raw
from tests.unit.router.lone_ingress import NOW, PORT, LoneIngress, Server, frame, ip, segment, vnet

OPTIONS = [b"\1\1\1\0"]
WEB, NAME = 0x1F91, 0x14EA  # no byte of a port is zero, or in both


@pytest.mark.parametrize("options", [[], OPTIONS], ids=["plain", "options"])
@pytest.mark.parametrize(
    ("head", "gso", "trusted"),
    [(vnet(), 0, False), (vnet(1), 0, True), (vnet(2), 0, True), (vnet(3), 0, True), (vnet(4), 0, False)],
)
@pytest.mark.parametrize("size", [0, 1, 30])
def test_each_is_given_the_packets_for_its_port(
    size: int, head: bytes, gso: int, trusted: bool, options: list[bytes]
) -> None:
    """With the end of the packet, not of the frame; trusted are checksums that the device has seen or has to make."""
    web, name = Server(), Server()
    lone = LoneIngress(tcp={WEB: web}, udp={NAME: name})
    l4 = 46 + 4 * len(options)
    lone.take(
        frame(bytes(ip(options=options) / UDP(sport=WEB, dport=NAME) / Raw(bytes(size))) + bytes(9), head),
        frame(bytes(ip(options=options) / TCP(sport=NAME, dport=WEB, flags="A") / Raw(bytes(size))) + bytes(9), head),
    )
    assert name.calls == [(26, l4, l4 + 8 + size, gso, trusted, NOW)]
    assert web.calls == [(26, l4, l4 + 20 + size, gso, trusted, NOW)]
    assert (lone.engines.calls, lone.drops) == ([], {})


@pytest.mark.parametrize("options", [[], OPTIONS], ids=["plain", "options"])
def test_super_segments_are_given_whole(options: list[bytes]) -> None:
    web = Server()
    lone = LoneIngress(tcp={WEB: web})
    lone.take(frame(segment(bytes(3000), port=WEB, options=options), vnet(1, 1, 0x0503)))
    assert [call[3:5] for call in web.calls] == [(0x0503, True)]


@pytest.mark.parametrize("options", [[], OPTIONS], ids=["plain", "options"])
@pytest.mark.parametrize(("protocol", "port", "least"), [(17, NAME, 8), (6, WEB, 20)])
def test_none_is_given_a_packet_without_a_whole_header(
    protocol: int, port: int, least: int, options: list[bytes]
) -> None:
    """The bytes after its end are not read, in a frame with padding and in one without."""
    whole = b"\x9c\x40" + port.to_bytes(2, "big") + bytes(20)
    for size in range(least + 2):
        server = Server()
        lone = LoneIngress(tcp={WEB: server}, udp={NAME: server})
        packet = bytes(ip(proto=protocol, options=options) / Raw(whole[:size]))
        lone.take(frame(packet), frame(packet + whole[size:]))
        assert len(server.calls) == (2 if size >= least else 0)
        assert lone.drops == ({} if size >= least else {"NAT_NO_MAPPING": 2})


@pytest.mark.parametrize("options", [[], OPTIONS], ids=["plain", "options"])
def test_a_port_is_one_of_its_protocol(options: list[bytes]) -> None:
    web, name = Server(), Server()
    lone = LoneIngress(tcp={WEB: web}, udp={NAME: name})
    for protocol, other in ((UDP, WEB), (TCP, NAME)):
        lone.take(frame(ip(options=options) / protocol(sport=53, dport=other) / Raw(bytes(40))))
    lone.take(*[frame(ip(options=options, proto=47) / UDP(dport=port) / Raw(bytes(40))) for port in (WEB, NAME)])
    assert (web.calls, name.calls) == ([], [])
    assert lone.drops == {"NAT_NO_MAPPING": 4}


def test_a_datagram_in_fragments_is_given_whole() -> None:
    name = Server()
    lone = LoneIngress(udp={NAME: name})
    for piece in fragment(IP(bytes(ip(id=7) / UDP(dport=NAME) / Raw(bytes(100)))), 64):
        assert name.calls == []
        lone.take(frame(piece, vnet(1)))
    assert name.calls == [(0, 20, 128, 0, False, NOW)]


@pytest.mark.parametrize("flags", ["S", "SEC", "SA", "A"])
def test_a_flood_at_the_vpns_port_costs_no_other_server_its_syns(flags: str) -> None:
    """The sieve has not seen them: with options of IPv4 they are dropped at the VPN's port alone."""
    web = Server()
    lone = LoneIngress(tcp={WEB: web})
    lone.engines.overflow_at, lone.engines.kept = NOW, 0
    lone.ingress.sieve(NOW)
    lone.take(*[frame(segment(flags=flags, port=port, options=OPTIONS)) for port in (WEB, PORT)])
    assert len(web.calls) == 1
    assert lone.drops == ({"TCP_SYN_CROWDED": 1} if "A" not in flags else {})
