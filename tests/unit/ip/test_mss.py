"""MSS clamping against scapy; hostile options are left alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, IPOption_RR
from scapy.packet import Raw

from hognose.ip.mss import clamp


def syn(tcp_options: object, tcp_flags: str = "S", **fields: Any) -> bytes:
    return bytes(IP(**{"src": "10.8.0.2", "dst": "1.2.3.4", **fields}) / TCP(flags=tcp_flags, options=tcp_options))


@given(
    st.integers(0, 65535),
    st.integers(1, 65535),
    st.integers(0, 4),
    st.sampled_from(("S", "SA", "SEC")),
    st.sampled_from(([], [IPOption_RR(routers=["0.0.0.0"])])),
)
def test_only_ever_lowered(old: int, mss: int, nops: int, flags: str, ip_options: object) -> None:
    nop = [("NOP", None)] * nops
    packet = syn([*nop, ("MSS", old), ("WScale", 7)], flags, options=ip_options)
    clamped = clamp(packet, mss)
    assert clamped == syn([*nop, ("MSS", min(old, mss)), ("WScale", 7)], flags, options=ip_options)
    if old <= mss:
        assert clamped is packet


def test_wrong_checksum_stays_wrong() -> None:
    packet = bytearray(syn([("MSS", 1460)]))
    packet[37] ^= 0x10
    clamped = bytearray(clamp(bytes(packet), 1200))
    assert clamped != bytearray(syn([("MSS", 1200)]))
    difference = int.from_bytes(clamped[36:38], "big") - int.from_bytes(syn([("MSS", 1200)])[36:38], "big")
    assert abs(difference) % 0xFFFF in (0x10, 0xFFFF - 0x10)


@pytest.mark.parametrize(
    "packet",
    [
        syn([("MSS", 1460)], "A"),
        syn([("NOP", None), ("EOL", None)]),
        syn([("SAckOK", b""), ("WScale", 7), ("NOP", None)]),
        syn([("MSS", 1460)], frag=5),
        syn([("MSS", 1460)], proto=17),
        syn([("MSS", 1460)])[:39],
        syn([]),
        bytes(IP() / UDP() / Raw(b"\x02" * 20)),
        bytes(IP() / TCP(flags="S", dataofs=6) / Raw(b"\x02\x03\x05\xb4")),  # wrong length of MSS
        bytes(IP() / TCP(flags="S", dataofs=6) / Raw(b"\x08\x00\x05\xb4")),  # length below two
        bytes(IP() / TCP(flags="S", dataofs=6) / Raw(b"\x08\x0a\x05\xb4")),  # beyond the header
        bytes(IP() / TCP(flags="S", dataofs=6) / Raw(b"\x01\x01\x01\x02")),  # no length
        bytes(IP() / TCP(flags="S", dataofs=6) / Raw(b"\x00\x02\x04\xff")),  # after the end of the list
        bytes(IP(options=IPOption_RR(routers=["0.0.0.0"] * 3)) / TCP(flags="S"))[:40],  # TCP header cut
    ],
)
def test_left_alone(packet: bytes) -> None:
    assert clamp(packet, 1000) is packet


@given(st.binary(min_size=40, max_size=80))
def test_garbage(data: bytes) -> None:
    assert len(clamp(data, 1000)) == len(data)
