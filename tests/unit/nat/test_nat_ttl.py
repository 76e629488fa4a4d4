"""Forwarding takes one off the TTL; a packet that comes with 1 goes no further (RFC 1812 section 5.3.1)."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, IPOption_RR
from scapy.packet import Packet, Raw
from tests.unit.nat.nat_packets import CLIENT, OTHER, OUTSIDE, SERVER, STRANGER, Bench, Make, echo, tcp, udp

from hognose.drops import DropReason
from hognose.limits import NatLimits

OPTIONS = [IPOption_RR(routers=["0.0.0.0"])]
TTLS = [(3, True), (2, True), (1, False), (0, False)]


def error(quoted: Packet, ttl: int, src: str, dst: str) -> IP:
    return IP(src=src, dst=dst, ttl=ttl) / ICMP(type=3, code=1) / Raw(bytes(quoted))


def answer(left: IP, **fields: Any) -> IP:
    if ICMP in left:
        return echo(left[ICMP].id, kind=0, src=left.dst, dst=left.src, **fields)
    make = tcp if left.proto == 6 else udp
    return make(left.dport, left.sport, src=left.dst, dst=left.src, **fields)


@pytest.mark.parametrize(("ttl", "passes"), TTLS)
@pytest.mark.parametrize("make", [udp, tcp, echo])
def test_outward(make: Make, ttl: int, passes: bool) -> None:
    for flow_is_there in (False, True):
        bench = Bench()
        if flow_is_there:
            bench.send(make())
        if not passes:
            assert bench.refuse(make(ttl=ttl)) is DropReason.TTL_EXCEEDED
            assert bench.hot(make(ttl=ttl)) == ([], [bytes(make(ttl=ttl))])
            continue
        assert bench.send(make(ttl=ttl))[0].ttl == ttl - 1
        if make is not echo:
            out, rest = bench.hot(make(ttl=ttl))
            assert (IP(b"".join(out[0][2])).ttl, rest) == (ttl - 1, [])


@pytest.mark.parametrize(("ttl", "passes"), TTLS)
@pytest.mark.parametrize("options", [[], OPTIONS])
@pytest.mark.parametrize("make", [udp, tcp, echo])
def test_inward(make: Make, options: object, ttl: int, passes: bool) -> None:
    bench = Bench()
    (left,) = bench.send(make())
    packet = answer(left, ttl=ttl)
    packet[IP].options = options
    result = bench.receive(packet)
    if passes:
        assert isinstance(result, tuple)
        assert [inner.ttl for inner in result[1]] == [ttl - 1]
    else:
        assert result is DropReason.TTL_EXCEEDED


@pytest.mark.parametrize(("ttl", "passes"), TTLS)
@pytest.mark.parametrize("make", [udp, tcp])
def test_inward_without_a_flow(make: Make, ttl: int, passes: bool) -> None:
    bench = Bench(limits=NatLimits(endpoint_independent_filtering=True))
    (left,) = bench.send(make())
    result = bench.receive(make(40_007, left.sport, src=STRANGER, dst=OUTSIDE, payload=b"", ttl=ttl))
    if passes:
        assert isinstance(result, tuple)
        assert [inner.ttl for inner in result[1]] == [ttl - 1]
    else:
        assert result is DropReason.TTL_EXCEEDED


@pytest.mark.parametrize(("ttl", "passes"), TTLS)
def test_a_super_segment(ttl: int, passes: bool) -> None:
    bench = Bench()
    (left,) = bench.send(tcp())
    result = bench.receive(answer(left, ttl=ttl, payload=bytes(300)), 100)
    if passes:
        assert isinstance(result, tuple)
        assert [inner.ttl for inner in result[1]] == [ttl - 1] * 3
    else:
        assert result is DropReason.TTL_EXCEEDED


@pytest.mark.parametrize(("ttl", "passes"), TTLS)
def test_errors(ttl: int, passes: bool) -> None:
    bench = Bench()
    (left,) = bench.send(udp())
    result = bench.receive_error(error(left, ttl, "9.9.9.9", OUTSIDE))
    complaint = error(udp(3478, 5000, src=SERVER, dst=CLIENT), ttl, CLIENT, SERVER)
    if passes:
        assert isinstance(result, tuple)
        assert result[1].ttl == ttl - 1
        assert bench.send(complaint)[0].ttl == ttl - 1
    else:
        assert result is DropReason.TTL_EXCEEDED
        assert bench.refuse(complaint) is DropReason.TTL_EXCEEDED


@pytest.mark.parametrize(("ttl", "passes"), TTLS)
def test_hairpin(ttl: int, passes: bool) -> None:
    """Once for both halves of the way."""
    bench = Bench(limits=NatLimits(endpoint_independent_filtering=True))
    bench.send(udp(6000, src=OTHER), client=2)
    result = bench.hairpin(1, udp(5000, 6000, dst=OUTSIDE, ttl=ttl))
    if passes:
        assert isinstance(result, tuple)
        assert IP(result[1]).ttl == ttl - 1
    else:
        assert result is DropReason.TTL_EXCEEDED
