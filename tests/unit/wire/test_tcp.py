"""TCP headers and options, with scapy as the second opinion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import TCP

from hognose.wire import tcp

words = st.integers(0, 2**32 - 1)


def scapy_options(options: bytes) -> list[tuple[str, object]]:
    header = tcp.HEADER.pack(1, 2, 3, 4, (20 + len(options)) << 2, 0, 0, 0, 0)
    return TCP(header + options).options


@given(st.integers(0, 65535), st.none() | st.integers(0, 14), st.booleans(), st.none() | st.tuples(words, words))
def test_syn_options_as_scapy_reads_them(mss, scale, sack, stamps):
    built = tcp.build_syn_options(mss, scale, sack, stamps)
    assert len(built) % 4 == 0
    assert len(built) <= 40
    read = dict(scapy_options(built))
    assert read["MSS"] == mss
    assert read.get("WScale") == scale
    assert ("SAckOK" in read) == sack
    assert read.get("Timestamp") == stamps
    parsed = tcp.parse_options(built)
    assert parsed == tcp.Options(mss, scale, sack, (), stamps)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=4))
def test_sack_options_as_scapy_reads_them(blocks):
    built = tcp.build_sack(blocks)
    assert len(built) % 4 == 0
    flat = tuple(edge for block in blocks for edge in block)
    assert dict(scapy_options(built))["SAck"] == flat
    assert tcp.parse_options(built).sack == tuple(blocks)


@given(st.none() | st.integers(0, 65535), st.none() | st.integers(0, 255), st.none() | st.tuples(words, words))
def test_options_that_scapy_builds(mss, scale, stamps):
    options: list[tuple[str, object]] = [("NOP", None)]
    options += [("MSS", mss)] if mss is not None else []
    options += [("Timestamp", stamps)] if stamps is not None else []
    options += [("WScale", scale)] if scale is not None else []
    packet = bytes(TCP(options=options))
    parsed = tcp.parse_options(packet[20:])
    assert parsed.mss == mss
    assert parsed.timestamps == stamps
    assert parsed.window_scale == (None if scale is None else min(scale, 14)), "RFC 7323 section 2.3"


@given(st.binary(max_size=40))
def test_no_bytes_break_the_reading(data):
    parsed = tcp.parse_options(data)
    assert len(parsed.sack) <= 4
    assert tcp.parse_options(memoryview(data)) == parsed


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (b"", tcp.NO_OPTIONS),
        (b"\0\x02\x04\x05\xb4", tcp.NO_OPTIONS),  # after the end of the list
        (b"\x01\x01\x02\x04\x05\xb4", tcp.Options(mss=1460)),
        (b"\xfe\x04ab\x02\x04\x05\xb4", tcp.Options(mss=1460)),  # an unknown one is skipped
        (b"\x02\x03\x05", tcp.NO_OPTIONS),  # known kinds of a wrong length say nothing
        (b"\x03\x02\x04\x02", tcp.Options(sack_permitted=True)),
        (b"\x04\x03\x00", tcp.NO_OPTIONS),
        (b"\x05\x0eabcdabcdabcd", tcp.NO_OPTIONS),
        (b"\x05\x02", tcp.NO_OPTIONS),
        (b"\x08\x08abcdef", tcp.NO_OPTIONS),
        (b"\x02\x04\x05\xb4\x03\x00\x04\x02", tcp.Options(mss=1460)),  # an illegal length ends the reading
        (b"\x02\x04\x05\xb4\x03\x01\x04\x02", tcp.Options(mss=1460)),
        (b"\x02\x04\x05\xb4\x08\x0aabc", tcp.Options(mss=1460)),
        (b"\x02", tcp.NO_OPTIONS),
    ],
)
def test_odd_options(options, expected):
    assert tcp.parse_options(options) == expected


def test_the_timestamp_layout():
    header = tcp.WITH_TIMESTAMPS.pack(1, 2, 3, 4, 0x80, tcp.ACK, 5, 6, 0, tcp.TIMESTAMP_OPTION, 7, 8)
    packet = TCP(header)
    assert packet.options == [("NOP", None), ("NOP", None), ("Timestamp", (7, 8))]
    assert (packet.sport, packet.dport, packet.seq, packet.ack, packet.window, packet.flags) == (1, 2, 3, 4, 5, "A")
