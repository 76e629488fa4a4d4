"""Super-frames of UDP datagrams from outside: the client gets the datagrams that its peer sent; scapy builds them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from tests.unit.nat.nat_packets import CLIENT, OTHER, OUTSIDE, SERVER, STRANGER, Bench, rebuilt, udp

from hognose.drops import DropReason
from hognose.limits import NatLimits


def flow(**limits: Any) -> tuple[Bench, int]:
    """A NAT with a flow of CLIENT:5000 to SERVER:3478, and its port outside."""
    bench = Bench(limits=NatLimits(**limits))
    bench.send(udp(5000, src=OTHER), client=2)
    (left,) = bench.send(udp(5000))  # the port is translated
    return bench, left.sport


def answer(port: int, payload: bytes, **fields: Any) -> IP:
    return udp(3478, port, payload, **{"src": SERVER, "dst": OUTSIDE, **fields})


@given(st.binary(min_size=1, max_size=5000), st.integers(1, 1400), st.booleans())
def test_the_client_gets_each_datagram(payload: bytes, gso: int, df: bool) -> None:
    bench, port = flow()
    payload = payload[: gso * 30]
    fields = {"id": 65530, "tos": 3, "flags": "DF" if df else 0}
    client, inner = bench.accept(answer(port, payload, **fields), gso)
    assert client == 1
    expected = []
    for number, at in enumerate(range(0, len(payload), gso)):
        fields["id"] = (65530 + number) % 65536
        expected.append(bytes(udp(3478, 5000, payload[at : at + gso], SERVER, CLIENT, ttl=63, **fields)))
    assert [bytes(packet) for packet in inner] == expected


@pytest.mark.parametrize("gso", [0, 100, 101, 65_535])
def test_one_datagram_keeps_its_wrong_checksum(gso: int) -> None:
    bench, port = flow()
    whole = IP(bytes(answer(port, bytes(range(100)))))
    whole[UDP].chksum = (whole[UDP].chksum + 7) % 0xFFFF
    _, (inner,) = bench.accept(whole, gso)
    assert (inner[UDP].chksum - IP(rebuilt(inner))[UDP].chksum) % 0xFFFF == 7
    assert inner[UDP].len == 108


@pytest.mark.parametrize(("size", "gso", "count"), [(128, 1, 128), (129, 1, 0), (256, 2, 128), (65_507, 1, 0)])
def test_a_super_frame_has_at_most_128_datagrams(size: int, gso: int, count: int) -> None:
    bench, port = flow()
    result = bench.receive(answer(port, bytes(size)), gso)
    if count:
        assert isinstance(result, tuple)
        assert len(result[1]) == count
    else:
        assert result is DropReason.NAT_BAD_PACKET


def test_lengths_that_contradict_each_other() -> None:
    bench, port = flow()
    whole = IP(bytes(answer(port, bytes(100))))
    whole[UDP].len = 107
    assert bench.receive(whole, 10) is DropReason.NAT_BAD_PACKET


def test_time_to_live_and_filter_are_those_of_single_packets() -> None:
    bench, port = flow()
    assert bench.receive(answer(port, bytes(100), ttl=1), 10) is DropReason.TTL_EXCEEDED
    assert bench.receive(answer(port, bytes(100), src=STRANGER), 10) is DropReason.NAT_FILTERED
    assert bench.receive(answer(port + 9, bytes(100)), 10) is DropReason.NAT_NO_MAPPING


def test_a_stranger_that_may_send_to_a_port() -> None:
    """Endpoint-independent filtering: there is no flow to it."""
    bench, port = flow(endpoint_independent_filtering=True)
    client, inner = bench.accept(answer(port, b"abcde", src=STRANGER), 2)
    assert client == 1
    assert [bytes(packet[UDP].payload) for packet in inner] == [b"ab", b"cd", b"e"]
    assert {(packet.src, packet.dst, packet[UDP].dport) for packet in inner} == {(STRANGER, CLIENT, 5000)}
    assert all(bytes(packet) == rebuilt(packet) for packet in inner)
