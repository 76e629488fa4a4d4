"""A flood of SYNs leaves room for clients, who come again in due time."""

from __future__ import annotations

import pytest

from hognose.router.syn_sieve import BURST, FLOOD_LIFE, SLOT, SynSieve
from hognose.units import MS, SECOND

SECRET = bytes(range(32))
START = 1000 * SECOND


HEAD = bytes(24) + b"\x08\x00\x45" + bytes(8) + b"\x06" + bytes(2)  # vnet header, Ethernet, IPv4 to its checksum


def syn(number: int, source: int = 0xC6120001) -> bytes:
    """A frame; number is that of its first byte."""
    addresses = source.to_bytes(4, "big") + bytes(4)
    return HEAD + addresses + b"\x0f\xa0\x04\xaa" + number.to_bytes(4, "big") + b"\0\0\0\0\x50\x02" + bytes(6)


class Flood:
    """A filter at work, and strangers who come at a rate."""

    def __init__(self, per_second: int) -> None:
        self.sieve = SynSieve([1194], per_second, SECRET)
        self.now = START
        self.number = 0
        assert self.sieve.begin(self.now, self.now)

    def rest(self, time: int) -> None:
        self.now += time
        assert self.sieve.begin(self.now, self.now)

    def come(self, rate: int, seconds: float, repeat_after: int = 0) -> int:
        """Strangers for so long, in batches of ten milliseconds; how many were answered. repeat_after: they cycle."""
        answered = 0
        for _ in range(int(seconds * 100)):
            self.rest(10 * MS)
            numbers = range(self.number, self.number + rate // 100)
            self.number += len(numbers)
            frames = [syn(number % repeat_after if repeat_after else number) for number in numbers]
            answered += len(self.sieve.sift(frames))
        return answered

    def client(self, number: int = 7) -> bool:
        return self.sieve.sift([syn(number, 0xC0000209)]) != []


def test_without_an_overflow_nothing_is_looked_at() -> None:
    subject = SynSieve([1194], 100, SECRET)
    assert subject.begin(START, START + FLOOD_LIFE)
    assert not subject.begin(START, START + FLOOD_LIFE + 1)


def test_first_ones_are_bounded_and_repeated_ones_get_through() -> None:
    flood = Flood(2000)
    flood.come(20_000, 1)
    assert flood.come(20_000, 1) < 250  # beyond the budget, first ones get the less the more come
    flood.sieve._firsts = 0
    clients = [syn(number, 0xC0000209) for number in range(100)]
    assert flood.sieve.sift(clients) == []
    flood.come(20_000, 0.99)
    flood.sieve._firsts = 0
    assert len(flood.sieve.sift(clients)) > 80  # 98: which are displaced differs from run to run
    assert not flood.client(1000)


def test_a_small_flood_is_answered() -> None:
    flood = Flood(2000)
    flood.come(1000, 1)
    assert flood.come(1000, 2) == 2000


@pytest.mark.parametrize(
    ("after", "answered"),
    [(100, False), (450, False), (550, False), (600, True), (1000, True), (2000, True), (2700, True), (4000, True),
     (4150, True), (4200, False), (5000, False)],
)  # fmt: skip
def test_in_due_time(after: int, answered: bool) -> None:
    flood = Flood(2000)
    flood.come(20_000, 1)
    assert not flood.client()
    for _ in range(after // 50):
        flood.rest(50 * MS)
        flood.come(20_000, 0)
    flood.sieve._firsts = 0
    assert flood.client() is answered


def test_the_second_repeat_counts_when_the_first_was_lost_or_not() -> None:
    flood = Flood(2000)
    flood.come(20_000, 1)
    assert not flood.client()
    flood.rest(SECOND)
    assert flood.client()
    flood.rest(2 * SECOND)
    assert flood.client()


def test_who_repeats_hastily_is_hardly_answered() -> None:
    """A tool that sends the same forged SYNs in a circle, a fifth of a second long: those that displace each other."""
    flood = Flood(2000)
    flood.come(20_000, 1, repeat_after=4000)
    assert flood.come(20_000, 3, repeat_after=4000) < 600


def test_repeats_are_bounded_too() -> None:
    flood = Flood(100)
    flood.come(4000, 1, repeat_after=4000)
    answered = flood.come(4000, 2, repeat_after=4000)
    assert 0 < answered <= 200 + 100 * BURST // SECOND


def test_chance_is_rare() -> None:
    """At 100,000 a second, fewer than one forged SYN in ten thousand looks like a repeated one."""
    flood = Flood(1 << 30)
    flood.sieve._firsts = -1e18
    flood.come(100_000, 2)
    assert flood.come(100_000, 0.5) < 5


def test_few_clients_are_forgotten() -> None:
    """Nine of ten get in by their first repeat, at 100,000 forged ones a second."""
    flood = Flood(1 << 30)
    flood.sieve._firsts = -1e18
    clients = [syn(number, 0xC0000209) for number in range(1000)]
    assert flood.sieve.sift(clients) == []
    flood.come(100_000, 1)
    assert len(flood.sieve.sift(clients)) > 850  # 909; which are displaced differs from run to run


def test_text_behind_a_syn_makes_no_difference() -> None:
    flood = Flood(2000)
    flood.come(20_000, 1)
    flood.sieve._firsts = 0
    assert flood.sieve.sift([syn(number) + bytes(1000) for number in range(1 << 20, (1 << 20) + 100)]) == []


def test_marks_grow_old() -> None:
    flood = Flood(2000)
    assert flood.client()
    assert not flood.client()  # a hasty one
    for wait in (12 * SLOT, 80 * SLOT, 1012 * SLOT):
        flood.rest(wait)
        assert flood.client()  # as a first one again
