"""Super-segments that are cut in the middle of a frame, with addresses and TTL changed, against scapy's packets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from tests.unit.ip.test_offload import expected, tcp

from hognose.address import parse_ipv4
from hognose.wire.segmentation import cut

WIRE = parse_ipv4("198.51.100.7") + parse_ipv4("10.8.0.2") + bytes((0, 80, 0x13, 0x88))


def cut_in_a_frame(packet: IP, gso_size: int, most: int = 1024, wire: bytes = b"", ttl_step: int = 0) -> object:
    data = bytes(packet)
    return cut(bytes(26) + data + b"padding", 26, 26 + len(data), gso_size, most=most, wire=wire, ttl_step=ttl_step)


@given(
    st.binary(min_size=1, max_size=3000),
    st.integers(1, 700),
    st.sampled_from(("A", "PA", "FPA", "CEPA")),
    st.sampled_from(([], [("NOP", None), ("NOP", None), ("Timestamp", (11, 12))])),
)
def test_translated_segments(payload: bytes, gso_size: int, flags: str, options: object) -> None:
    payload = payload[: gso_size * 20]
    packet = tcp(payload, flags, options)
    after = packet.copy()
    after[IP].src, after[IP].dst, after[IP].ttl = "198.51.100.7", "10.8.0.2", packet[IP].ttl - 1
    after[TCP].sport, after[TCP].dport = 80, 5000
    got = cut_in_a_frame(packet, gso_size, wire=WIRE, ttl_step=0x100)
    assert got == expected(after, payload, gso_size)
    assert cut_in_a_frame(packet, gso_size) == expected(packet, payload, gso_size)


@pytest.mark.parametrize(("size", "taken"), [(40, True), (41, False)])
def test_the_bound_on_segments(size: int, taken: bool) -> None:
    assert (cut_in_a_frame(tcp(bytes(size)), 10, most=4) is not None) == taken


@pytest.mark.parametrize(
    "data",
    [bytes(39), b"\x46" + bytes(tcp(b"x" * 30))[1:], bytes(tcp(b""))[:32] + b"\x40" + bytes(30), b"\x65" + bytes(60)],
    ids=["short", "IPv4 options", "TCP header too short", "IPv6"],
)
def test_headers_that_are_not_taken(data: bytes) -> None:
    assert cut(data, 0, len(data), 10, most=1024) is None
