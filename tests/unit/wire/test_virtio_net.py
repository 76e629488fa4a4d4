"""The virtio-net header, byte by byte."""

from __future__ import annotations

import pytest

from hognose.wire import virtio_net


def test_plain_is_all_zero() -> None:
    assert bytes(12) == virtio_net.PLAIN
    assert virtio_net.HEADER.size == 12


def test_partial_checksum() -> None:
    header = virtio_net.partial_checksum(34, 6)
    assert header.hex() == "010000000000220006000000"


def test_tcp_super_segment() -> None:
    header = virtio_net.tcp_super_segment(66, 1348, 34)
    assert header.hex() == "010142004405220010000000"
    assert virtio_net.HEADER.unpack(header) == (virtio_net.F_NEEDS_CSUM, virtio_net.GSO_TCPV4, 66, 1348, 34, 16, 0)


@pytest.mark.parametrize(
    ("gso_type", "protocol", "l4_len", "gso_size", "number"),
    [
        (5, 17, 8 + 4000, 1000, 4),
        (5, 17, 8 + 4001, 1000, 5),
        (0x85, 17, 8 + 4001, 1000, 5),  # ECN says nothing here
        (5, 17, 8 + 128, 1, 128),
        (5, 17, 8 + 129, 1, 0),
        (5, 17, 65_515, 65_535, 1),
        (5, 17, 8 + 1000, 1000, 1),
        (5, 17, 8, 1000, 1),
        (5, 17, 0, 1000, 1),  # less than a header: whose engine says so
        (5, 17, 8 + 1000, 0, 0),
        (5, 6, 8 + 1000, 500, 0),
        (5, 1, 8 + 1000, 500, 0),
        (0x80, 17, 8 + 1000, 500, 0),
        (1, 17, 8 + 1000, 500, 0),
        (3, 17, 8 + 1000, 500, 0),
        (4, 17, 8 + 1000, 500, 0),
        (7, 17, 8 + 1000, 500, 0),
    ],
)
def test_datagrams_of_a_super_frame(gso_type: int, protocol: int, l4_len: int, gso_size: int, number: int) -> None:
    assert virtio_net.datagrams_of(gso_type, protocol, l4_len, gso_size) == number
