"""The router's answer: packets for clients are cut to the tunnel's MTU and stay in order."""

from __future__ import annotations

from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

from hognose.router.routed import Routed

ONE, TWO = b"\x0a\x08\0\2", b"\x0a\x08\0\3"


def packet(size: int) -> bytes:
    return bytes(IP(src="10.8.0.1", dst="10.8.0.2", id=size) / UDP() / Raw(bytes(size - 28)))


def test_what_is_larger_than_the_tunnel_leaves_in_fragments() -> None:
    routed = Routed({}, [], [], [])
    for size in (60, 1400, 1401, 61):
        routed.deliver(ONE, packet(size), 1400)
    routed.deliver(TWO, packet(62), 1400)
    assert [len(piece) for piece in routed.to_clients[ONE]] == [60, 1400, 1396, 25, 61]
    assert [IP(piece).frag for piece in routed.to_clients[ONE]] == [0, 0, 0, 172, 0]
    assert routed.to_clients[TWO] == [packet(62)]
    assert (routed.to_link, routed.failures, routed.udp_clients) == ([], [], [])
