"""SYNs without end: clients live, newcomers come in, and what is no SYN of the flood is not touched."""

from __future__ import annotations

from itertools import pairwise

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet import fragment as cut
from scapy.layers.l2 import Ether
from tests.sim.segments import Segment, build, ipv4_int
from tests.unit.gateway.gateway_world import ADDRESS, GATEWAY, MAC, OUTSIDE, PLAIN, ROUTER_MAC, GatewayWorld, query

from hognose.drops import DropReason, Stat
from hognose.limits import Limits, TcpLimits
from hognose.units import MS, SECOND

HEAD = PLAIN + MAC + bytes.fromhex(ROUTER_MAC.replace(":", "")) + b"\x08\0"
RATE = 20_000


class Flood:
    """A world whose half-open table is small, and strangers."""

    def __init__(self, **bounds: int) -> None:
        self.world = GatewayWorld(limits=Limits(tcp=TcpLimits(half_open=8, **bounds)))
        self.number = 0

    def syns(self, count: int) -> list[bytes]:
        frames = []
        for _ in range(count):
            self.number += 1
            segment = Segment(self.number, 0, "S", 64_000, mss=1460)
            frames.append(HEAD + build(segment, 0xC6130000 + self.number, 4000, ipv4_int(ADDRESS), 1194))
        return frames

    def go_on(self, seconds: float) -> None:
        """Strangers for so long, a batch every 5 ms."""
        for _ in range(int(seconds * 200)):
            self.world.now += 5 * MS
            self.world.frames(*self.syns(RATE // 200))


@pytest.fixture
def flood() -> Flood:
    return Flood()


@pytest.mark.stress
def test_a_flood_locks_nobody_out(flood: Flood) -> None:
    """A client's second SYN is answered, for the strangers' do not come twice."""
    world = flood.world
    alice = world.client("alice")
    flood.go_on(1.5)
    answered = world.stat(Stat.TCP_SYN_COOKIES_SENT)
    flood.go_on(1)
    assert world.stat(Stat.TCP_SYN_COOKIES_SENT) - answered < 250
    assert world.dropped(DropReason.TCP_SYN_CROWDED) > 40_000
    late = [HEAD + build(Segment(77, 0, "S", 64_000, mss=1460), ipv4_int("192.0.2.99"), 4000, ipv4_int(ADDRESS), 1194)]
    answered = world.stat(Stat.TCP_SYN_COOKIES_SENT)
    for _ in range(2):
        assert world.stat(Stat.TCP_SYN_COOKIES_SENT) == answered
        world.frames(*late)
        world.now += SECOND
    assert world.stat(Stat.TCP_SYN_COOKIES_SENT) == answered + 1
    assert alice.inner(query(alice.tunnel_address)) == []
    assert world.outside[-1].dst == OUTSIDE
    assert world.stat(Stat.FRAMES_IN) > flood.number


@pytest.mark.parametrize(("bounds", "most"), [({}, 2000), ({"syns_per_second": 1000}, 1000)])
def test_so_many_syns_a_second_are_answered(bounds: dict[str, int], most: int) -> None:
    """2,000 unless said otherwise, first ones and repeated ones each; a quarter of that is saved up."""
    flood = Flood(**bounds)
    flood.world.frames(*flood.syns(9))  # the table overflows
    answered = [flood.world.stat(Stat.TCP_SYN_COOKIES_SENT)]
    for share in (0.5, 0.9, 0.9, 1.5):  # below the bound, and beyond
        for _ in range(100):
            flood.world.now += 10 * MS
            flood.world.frames(*flood.syns(int(most * share) // 100))
        answered.append(flood.world.stat(Stat.TCP_SYN_COOKIES_SENT))
    in_each = [after - before for before, after in pairwise(answered)]
    assert in_each[:3] == [most // 2, most * 9 // 10, most * 9 // 10], "all"
    assert most // 2 < in_each[3] <= most * 5 // 4


def test_when_it_is_over_everything_is_as_before(flood: Flood) -> None:
    world = flood.world
    flood.go_on(1)
    assert world.gateway.sieve(world.now)
    world.rest(40)  # half-open entries are given up
    assert world.gateway.sieve(world.now) is None
    bob = world.client("bob")
    assert bob.inner(query(bob.tunnel_address)) == []
    world.remote("192.0.2.33")


def test_only_plain_syns_for_the_port_are_sieved(flood: Flood) -> None:
    """Everything that passes comes out as it went in."""
    world = flood.world
    flood.go_on(1.5)
    sieve = world.gateway.sieve(world.now)
    assert sieve
    to_us = Ether(src=ROUTER_MAC, dst=MAC.hex(":"))
    kept = [
        PLAIN + bytes(to_us / IP(src=OUTSIDE, dst=ADDRESS) / TCP(sport=5, dport=1194, flags=flags) / payload)
        for flags in ("A", "SA", "R", "F", "PA")
        for payload in (b"", b"S" * 30, b"long" * 100)
    ]
    kept += [
        PLAIN + bytes(to_us / IP(src=OUTSIDE, dst=ADDRESS) / TCP(sport=5, dport=1195, flags="S")),
        PLAIN + bytes(to_us / query(OUTSIDE)),
        PLAIN + bytes(12) + b"\x08\x06" + bytes(60),
        PLAIN + b"\2" * 60,
        b"",
    ]
    assert sieve(kept) == kept
    assert sieve(flood.syns(50)) == []


@pytest.mark.parametrize("how", ["options", "fragments"])
def test_unusual_syns_get_nothing_while_it_lasts(flood: Flood, how: str) -> None:
    world = flood.world
    flood.go_on(0.3)
    answered = world.stat(Stat.TCP_SYN_COOKIES_SENT)
    dropped = world.dropped(DropReason.TCP_SYN_CROWDED)
    packet = IP(src="192.0.2.9", dst=ADDRESS, options=b"\1\1\1\0" if how == "options" else []) / TCP(
        sport=5, dport=1194, flags="S", options=[("MSS", 1400), ("NOP", None)] * 2
    )
    packets = cut(packet, 24) if how == "fragments" else [packet]
    world.frames(*(PLAIN + bytes(Ether(src=ROUTER_MAC, dst=MAC.hex(":")) / part) for part in packets))
    assert world.dropped(DropReason.TCP_SYN_CROWDED) == dropped + 1
    assert world.stat(Stat.TCP_SYN_COOKIES_SENT) == answered


def test_a_bug_in_the_sieve_costs_no_frame(flood: Flood, monkeypatch: pytest.MonkeyPatch) -> None:
    world = flood.world
    alice = world.client("alice")
    flood.go_on(0.3)
    monkeypatch.setattr(type(world.gateway._ingress._syn_sieve), "sift", lambda *_: 1 // 0)
    world.frames(*flood.syns(5))
    assert world.dropped(DropReason.INTERNAL_ERROR) == 1
    assert world.events_of("internal_error")[0]["where"] == "ingress"
    monkeypatch.undo()
    alice.inner(query(alice.tunnel_address), query(GATEWAY))
    assert world.outside[-1].dst == OUTSIDE
