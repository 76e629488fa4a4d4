"""The sieve's numbers as its documentation says them, and frames that are none of its SYNs."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet
from tests.unit.router.test_syn_sieve import START, Flood, syn

from hognose.router.syn_sieve import PLACES
from hognose.units import MIB

MS = 1_000_000


def frame(packet: Packet, kind: int = 0x0800) -> bytes:
    return bytes(12) + bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=kind) / packet)


def made(flags: str = "S", sport: int = 40_000, dport: int = 1194, seq: int = 7, **fields: Any) -> bytes:
    """A SYN by scapy."""
    return frame(
        IP(**{"src": "192.0.2.9", "dst": "10.0.0.2", **fields}) / TCP(sport=sport, dport=dport, seq=seq, flags=flags)
    )


def exhausted(per_second: int = 2000) -> Flood:
    """A flood in which no first SYN is answered for now."""
    flood = Flood(per_second)
    flood.sieve.sift([syn(number) for number in range(per_second)])
    assert flood.sieve.sift([syn(1 << 20)]) == []
    return flood


def test_a_flood_costs_four_mebibytes() -> None:
    assert 4 * PLACES == 4 * MIB


@pytest.mark.parametrize("per_second", [4, 100, 2000])
def test_a_quarter_of_a_second_of_first_syns_is_saved_up(per_second: int) -> None:
    flood = Flood(per_second)
    assert len(flood.sieve.sift([syn(number) for number in range(per_second)])) == per_second // 4


def test_the_budget_of_first_syns_grows_with_time() -> None:
    """Before the flood's size is known."""
    flood = exhausted(2000)
    flood.rest(10 * MS)
    assert len(flood.sieve.sift([syn((2 << 20) + number) for number in range(100)])) == 20


@pytest.mark.parametrize(("come", "answered"), [(800, 500), (1600, 200), (3200, 50)])
def test_the_more_come_the_fewer_first_syns_are_answered(come: int, answered: int) -> None:
    """Of 2000 a second 800 are for a slot of 0.4 s; when twice as many were too many, there is a quarter of that."""
    flood = Flood(2000)
    flood.sieve.sift([syn(number) for number in range(500)])
    assert flood.sieve.sift([syn((1 << 20) + number) for number in range(come)]) == []
    flood.rest(400 * MS)
    assert len(flood.sieve.sift([syn((1 << 21) + number) for number in range(2000)])) == answered


def test_the_budget_of_repeats_grows_with_time() -> None:
    """Of 100 a second 25 are saved up; then there is one every ten milliseconds."""
    flood = exhausted(100)
    frames = [syn((1 << 21) + number) for number in range(400)]
    flood.sieve.sift(frames)
    flood.rest(999 * MS)
    flood.sieve.sift([syn((1 << 22) + number) for number in range(400)])  # no first one has a budget now
    repeats = flood.sieve.sift(frames[:100])
    assert len(repeats) == 25
    flood.rest(40 * MS)
    assert len(flood.sieve.sift(frames[100:200])) == 4


@pytest.mark.parametrize(("after", "sifted"), [(0, True), (2000 * MS, True), (2000 * MS + 1, False)])
def test_a_flood_is_over_two_seconds_after_the_last_overflow(after: int, sifted: bool) -> None:
    flood = Flood(2000)
    assert flood.sieve.begin(START, START + after) is sifted
    assert flood.sieve.sifts is sifted


def test_after_a_flood_all_is_forgotten() -> None:
    flood = exhausted()
    assert not flood.sieve.begin(START, START + 2001 * MS)
    flood.now = START + 2001 * MS
    assert flood.sieve.begin(flood.now, flood.now)
    assert len(flood.sieve.sift([syn(number) for number in range(2000)])) == 500


@pytest.mark.parametrize("flags", ["S", "SEC"])
def test_a_syn_of_scapy_is_sifted(flags: str) -> None:
    """With the flags by which it offers ECN too (RFC 3168 section 6.1.1)."""
    flood = exhausted()
    assert flood.sieve.sift([made(flags)]) == []
    assert flood.sieve.sift([made(flags) + bytes(1400)]) == []


OTHERS = {
    "another port": made(dport=1195),
    "the port's bytes swapped": made(dport=0xAA04),
    "from the port": made(sport=1194, dport=40_000),
    "an answer": made("SA"),
    "a SYN with FIN": made("SF"),
    "a SYN with RST": made("SR"),
    "a SYN with PSH": made("SP"),
    "a SYN with URG": made("SU"),
    "no SYN": made("A"),
    "no flag": made(""),
    "options of IPv4": made(options=[b"\1\1\1\0"]),
    "another protocol": made(proto=17),
    "a datagram": frame(IP(src="192.0.2.9", dst="10.0.0.2") / UDP(sport=40_000, dport=1194) / bytes(40)),
    "IPv6": frame(IP(src="192.0.2.9", dst="10.0.0.2", version=6) / TCP(sport=40_000, dport=1194, seq=7, flags="S")),
    "another ethertype": frame(
        IP(src="192.0.2.9", dst="10.0.0.2") / TCP(sport=40_000, dport=1194, seq=7, flags="S"), 0x0806
    ),
    "a cut header": made()[:65],
    "nothing": b"",
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_is_no_syn_for_the_port_passes(other: bytes) -> None:
    flood = exhausted()
    assert flood.sieve.sift([other, made(), other]) == [other, other]


@pytest.mark.parametrize(
    "changed",
    [{"src": "192.0.2.10"}, {"src": "193.0.2.9"}, {"dst": "10.0.0.3"}, {"sport": 40_001}, {"sport": 40_256},
     {"seq": 8}, {"seq": 7 + (1 << 24)}],
)  # fmt: skip
def test_a_repeat_has_the_same_addresses_ports_and_number(changed: dict[str, Any]) -> None:
    """Its ID and TTL may differ."""
    flood = exhausted(4)  # few enough that none displaces another one
    assert flood.sieve.sift([made()]) == []
    flood.rest(1000 * MS)  # after these SYNs there is no budget for a first one yet
    assert flood.sieve.sift([made(**changed)]) == []
    assert flood.sieve.sift([made(id=77, ttl=9)]) == [made(id=77, ttl=9)]


def test_the_order_of_frames_is_kept() -> None:
    flood = exhausted()
    others = [made("A", seq=number) for number in range(5)]
    frames = [piece for other in others for piece in (other, made(seq=int.from_bytes(other[50:54], "big")))]
    assert flood.sieve.sift(frames) == others
