"""Super-segments and super-frames that are cut in the middle of a frame, addresses and TTL changed, against scapy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Raw
from tests.unit.ip.test_offload import expected, tcp

from hognose.address import parse_ipv4
from hognose.wire.segmentation import cut, cut_datagrams, first_datagram

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


# -- datagrams ---------------------------------------------------------------------------------------------------------


def datagrams(payload: bytes, gso_size: int, **fields: Any) -> list[bytes]:
    """Packets of a super-frame, built by scapy one by one; its first packet has these fields."""
    ports = {name: fields.pop(name) for name in ("sport", "dport") if name in fields}
    ident = fields.pop("id", 65534)
    return [
        bytes(IP(**{"id": (ident + number) % 65536, **fields}) / UDP(**ports) / Raw(payload[at : at + gso_size]))
        for number, at in enumerate(range(0, len(payload), gso_size) or (0,))
    ]


def whole(payload: bytes, **fields: Any) -> bytes:
    """The super-frame of these datagrams, with the wrong checksum that a partial one is."""
    return datagrams(payload, 1 << 16, **fields)[0][:26] + b"\x12\x34" + payload


FIELDS: dict[str, Any] = {
    "src": "198.51.100.7",
    "dst": "10.0.0.2",
    "tos": 3,
    "ttl": 63,
    "flags": "DF",
    "sport": 443,
    "dport": 40_001,
}


@given(st.binary(min_size=1, max_size=3000), st.integers(1, 700), st.sampled_from((bytes, bytearray, memoryview)))
def test_translated_datagrams(payload: bytes, gso_size: int, kind: type) -> None:
    payload = payload[: gso_size * 20]
    data = kind(bytes(26) + whole(payload, **FIELDS) + b"padding")
    end = 26 + 28 + len(payload)
    got = cut_datagrams(data, 26, end, gso_size, most=20)
    assert got == datagrams(payload, gso_size, **FIELDS)
    assert got[0] == first_datagram(data, 26, end, gso_size) or len(got) == 1
    after = {**FIELDS, "src": "198.51.100.7", "dst": "10.8.0.2", "sport": 80, "dport": 5000, "ttl": 62}
    assert cut_datagrams(data, 26, end, gso_size, most=20, wire=WIRE, ttl_step=0x100) == datagrams(
        payload, gso_size, **after
    )


def test_a_sum_of_zero_is_written_as_ones() -> None:
    """RFC 768: 0 would say that there is none."""
    fixed = UDP(datagrams(b"\0\0", 2, **FIELDS)[0][20:]).chksum
    payload = fixed.to_bytes(2, "big") + b"xy"
    data = whole(payload, **FIELDS)
    got = cut_datagrams(data, 0, len(data), 2, most=2)
    assert got == datagrams(payload, 2, **FIELDS)
    assert got[0][26:28] == b"\xff\xff"


@pytest.mark.parametrize(("size", "taken"), [(1, True), (40, True), (41, False)])
def test_the_bound_on_datagrams(size: int, taken: bool) -> None:
    data = whole(bytes(size), **FIELDS)
    assert (cut_datagrams(data, 0, len(data), 10, most=4) is not None) == taken


@pytest.mark.parametrize("gso_size", [0, 40, 41, 65_535])
def test_one_datagram_is_quoted_as_it_is(gso_size: int) -> None:
    data = whole(bytes(40), **FIELDS)
    assert first_datagram(b"xx" + data, 2, 2 + len(data), gso_size) == data


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0x46), (0, 0x65), (25, 47), (25, 49)], ids=["options", "IPv6", "shorter", "longer"]
)
def test_headers_of_datagrams_that_are_not_taken(at: int, value: int) -> None:
    """The UDP length must be that of the packet: 8 + 40 bytes here."""
    data = bytearray(whole(bytes(40), **FIELDS))
    data[at] = value
    assert cut_datagrams(data, 0, len(data), 10, most=9) is None
    assert cut_datagrams(whole(b"", **FIELDS), 0, 28, 10, most=9) is None
    assert cut_datagrams(whole(bytes(40), **FIELDS), 0, 68, 0, most=9) is None
