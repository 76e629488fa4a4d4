"""The IPv4 header against scapy, both ways, and every way to be malformed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, IPOption_LSRR, IPOption_RR, IPOption_SSRR, IPOption_Timestamp
from scapy.packet import Raw

from hognose.address import address_text, parse_ipv4
from hognose.drops import DropReason
from hognose.wire import ipv4

ADDRESSES = st.binary(min_size=4, max_size=4)


@given(
    ADDRESSES,
    ADDRESSES,
    st.integers(0, 255),
    st.binary(max_size=60),
    st.integers(0, 65535),
    st.integers(0, 255),
    st.integers(0, 255),
    st.booleans(),
)
def test_build_is_what_scapy_builds(
    source: bytes,
    destination: bytes,
    protocol: int,
    payload: bytes,
    ident: int,
    ttl: int,
    tos: int,
    dont_fragment: bool,
) -> None:
    theirs = IP(
        src=address_text(source), dst=address_text(destination), proto=protocol, id=ident, ttl=ttl, tos=tos,
        flags="DF" if dont_fragment else 0,
    )  # fmt: skip
    ours = ipv4.build(
        source, destination, protocol, len(payload), ident=ident, ttl=ttl, tos=tos, dont_fragment=dont_fragment
    )
    assert ours + payload == bytes(theirs / Raw(payload))
    data = b"junk" + ours + payload + b"padding"
    assert ipv4.parse(data, 4, len(data)) == (
        24, 24 + len(payload), protocol, 0x4000 if dont_fragment else 0, source, destination,
    )  # fmt: skip


def test_parse_takes_every_buffer() -> None:
    data = bytes(IP(src="1.2.3.4", dst="5.6.7.8", frag=3, flags="MF") / Raw(b"x" * 8))
    expected = (20, 28, 0, 0x2003, parse_ipv4("1.2.3.4"), parse_ipv4("5.6.7.8"))
    assert ipv4.parse(data, 0, 28) == ipv4.parse(bytearray(data), 0, 28) == ipv4.parse(memoryview(data), 0, 28)
    assert ipv4.parse(data, 0, 28) == expected


def packet(**changes: Any) -> bytes:
    return bytes(IP(**{"src": "1.2.3.4", "dst": "5.6.7.8", "proto": 17, **changes}) / Raw(b"12345678"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (packet()[:19], DropReason.BAD_IP_HEADER),
        (packet(version=5), DropReason.BAD_IP_HEADER),
        (packet(version=6), DropReason.BAD_IP_HEADER),
        (packet(ihl=4), DropReason.BAD_IP_HEADER),
        (packet(ihl=15), DropReason.BAD_IP_HEADER),  # beyond the total length
        (packet(len=29), DropReason.BAD_IP_HEADER),
        (packet(len=19), DropReason.BAD_IP_HEADER),
        (packet(chksum=1), DropReason.BAD_IP_CHECKSUM),
        (packet(options=[IPOption_RR(routers=["0.0.0.0"])], chksum=1), DropReason.BAD_IP_CHECKSUM),
        (packet(options=[IPOption_LSRR(routers=["9.9.9.9"])]), DropReason.IP_OPTIONS_SOURCE_ROUTE),
        (packet(options=[IPOption_SSRR(routers=["9.9.9.9"])]), DropReason.IP_OPTIONS_SOURCE_ROUTE),
        (packet(options=b"\x01\x07\x08\x00"), DropReason.BAD_IP_HEADER),  # option beyond the header
        (packet(options=b"\x01\x01\x01\x07"), DropReason.BAD_IP_HEADER),  # no length
        (packet(options=b"\x07\x01\x00\x00"), DropReason.BAD_IP_HEADER),  # length below two
    ],
)
def test_malformed(data: bytes, reason: DropReason) -> None:
    assert ipv4.parse(data, 0, len(data)) is reason


@pytest.mark.parametrize(
    "options", [[IPOption_RR(routers=["0.0.0.0"])], [IPOption_Timestamp()], b"\x01\x01\x01\x01", b"\x00\xff\xff\xff"]
)
def test_harmless_options(options: object) -> None:
    data = packet(options=options)
    parsed = ipv4.parse(data, 0, len(data))
    assert isinstance(parsed, tuple)
    assert parsed[0] == (data[0] & 15) * 4
    assert parsed[1] == len(data)


@given(st.binary(max_size=80))
def test_garbage_gives_a_reason_or_lies_within(data: bytes) -> None:
    parsed = ipv4.parse(data, 0, len(data))
    if isinstance(parsed, tuple):
        l4, end, *_ = parsed
        assert 20 <= l4 <= end <= len(data)
    else:
        assert parsed in (DropReason.BAD_IP_HEADER, DropReason.BAD_IP_CHECKSUM, DropReason.IP_OPTIONS_SOURCE_ROUTE)


@given(st.binary(max_size=40))
def test_options_garbage(options: bytes) -> None:
    assert ipv4.check_options(options) in (
        DropReason.NONE,
        DropReason.BAD_IP_HEADER,
        DropReason.IP_OPTIONS_SOURCE_ROUTE,
    )


def test_with_checksum() -> None:
    good = packet(options=[IPOption_RR(routers=["0.0.0.0"])])
    header = good[: (good[0] & 15) * 4]
    assert ipv4.with_checksum(header[:10] + b"\x12\x34" + header[12:]) == header
