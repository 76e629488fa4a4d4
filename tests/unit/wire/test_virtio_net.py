"""The virtio-net header, byte by byte."""

from __future__ import annotations

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
