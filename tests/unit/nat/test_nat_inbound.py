"""Super-segments of the link at exact sizes."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP, TCP
from tests.unit.nat.nat_packets import OUTSIDE, SERVER, TIMESTAMP, Bench, rebuilt, tcp


def opened() -> Bench:
    bench = Bench()
    bench.send(tcp(5000, flags="S"))
    return bench


@pytest.mark.parametrize(("header", "options"), [(40, ()), (52, TIMESTAMP)])
@pytest.mark.parametrize(("payload", "count"), [(99, 1), (100, 1), (101, 2), (200, 2), (201, 3)])
def test_a_super_segment_is_cut_where_a_segment_is_full(payload: int, count: int, header: int, options: object) -> None:
    bench = opened()
    whole = tcp(80, 5000, payload=bytes(range(payload)), src=SERVER, dst=OUTSIDE, options=options)
    _, inner = bench.accept(whole, 100)
    full, left = divmod(payload, 100)
    assert [len(packet) - header for packet in inner] == [100] * full + [left] * bool(left)
    assert len(inner) == count
    assert all(bytes(packet) == rebuilt(packet) for packet in inner)


@pytest.mark.parametrize("payload", [1, 99, 100])
def test_one_segment_keeps_its_wrong_checksum_whatever_size_the_device_names(payload: int) -> None:
    bench = opened()
    whole = IP(bytes(tcp(80, 5000, payload=bytes(payload), src=SERVER, dst=OUTSIDE)))
    whole[TCP].chksum = (whole[TCP].chksum + 7) % 0xFFFF
    _, (inner,) = bench.accept(whole, 100)
    assert (inner[TCP].chksum - IP(rebuilt(inner))[TCP].chksum) % 0xFFFF == 7
