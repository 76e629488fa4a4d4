"""A flood of SYNs leaves room for clients, who come again in due time."""

from __future__ import annotations

import pytest

from hognose.tcp.syn_filter import BURST, FLOOD_LIFE, SLOT, SPOTS, SynFilter
from hognose.units import MS, SECOND

SECRET = bytes(range(32))
START = 1000 * SECOND


class Flood:
    """A filter at work, and strangers who come at a rate."""

    def __init__(self, per_second: int) -> None:
        self.filter = SynFilter(per_second, SECRET)
        self.now = START
        self.number = 0
        self.filter.overflow(self.now)
        assert self.filter.begin(self.now)

    def rest(self, time: int) -> None:
        self.now += time
        self.filter.overflow(self.now)
        self.filter.begin(self.now)

    def come(self, rate: int, seconds: float, repeat_after: int = 0) -> int:
        """Strangers for so long, in batches of ten milliseconds; how many were answered. repeat_after: they cycle."""
        answered = 0
        for _ in range(int(seconds * 100)):
            self.rest(10 * MS)
            for _ in range(rate // 100):
                self.number += 1
                number = self.number % repeat_after if repeat_after else self.number
                answered += self.filter.answers(b"stranger" + number.to_bytes(8, "big"))
        return answered

    def client(self, name: bytes = b"client") -> bool:
        return self.filter.answers(name)


def test_without_an_overflow_nothing_is_looked_at() -> None:
    subject = SynFilter(100, SECRET)
    assert not subject.begin(START)
    subject.overflow(START)
    assert subject.begin(START + FLOOD_LIFE)
    assert not subject.begin(START + FLOOD_LIFE + 1)


def test_first_ones_are_bounded_and_repeated_ones_get_through() -> None:
    flood = Flood(2000)
    flood.come(20_000, 1)
    assert flood.come(20_000, 1) < 250  # beyond the budget, first ones get the less the more come
    assert not flood.client()
    flood.come(20_000, 0.99)
    assert flood.client()
    assert not flood.client(b"client with another number")


def test_a_small_flood_is_answered() -> None:
    flood = Flood(2000)
    flood.come(1000, 1)
    assert flood.come(1000, 2) == 2000


@pytest.mark.parametrize(
    ("after", "answered"), [(100, False), (450, False), (1000, True), (2000, True), (2700, True), (4500, False)]
)
def test_in_due_time(after: int, answered: bool) -> None:
    flood = Flood(2000)
    flood.come(20_000, 1)
    assert not flood.client()
    for _ in range(after // 50):
        flood.rest(50 * MS)
        flood.come(20_000, 0)
    flood.filter._firsts = 0
    assert flood.client() is answered


def test_the_second_repeat_counts_when_the_first_was_lost_or_not() -> None:
    flood = Flood(2000)
    flood.come(20_000, 1)
    assert not flood.client()
    flood.rest(SECOND)
    assert flood.client()
    flood.rest(2 * SECOND)
    assert flood.client()


def test_who_repeats_hastily_is_never_answered() -> None:
    """A tool that sends the same forged SYNs in a circle, a fifth of a second long."""
    flood = Flood(2000)
    flood.come(20_000, 1, repeat_after=4000)
    assert flood.come(20_000, 3, repeat_after=4000) == 0


def test_repeats_are_bounded_too() -> None:
    flood = Flood(100)
    flood.come(4000, 1, repeat_after=4000)
    answered = flood.come(4000, 2, repeat_after=4000)
    assert 0 < answered <= 200 + 100 * BURST // SECOND


def test_chance_is_rare() -> None:
    """At 100,000 a second, fewer than one forged SYN in a hundred looks like a repeated one."""
    flood = Flood(1 << 30)
    flood.filter._firsts = -1e18
    assert SPOTS == 1 << 22
    flood.come(100_000, 2)
    assert flood.come(100_000, 0.5) < 500


def test_marks_are_wiped_in_time_whatever_the_batches() -> None:
    flood = Flood(2000)
    assert flood.client()
    assert not flood.client()  # a hasty one
    for wait in (8 * SLOT, 80 * SLOT, 9 * SLOT):
        flood.rest(wait)
        assert flood.client()  # as a first one again
