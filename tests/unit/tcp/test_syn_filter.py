"""A flood of SYNs leaves room for clients, who come again."""

from __future__ import annotations

from hognose.tcp.syn_filter import ROTATE, SynFilter
from hognose.units import SECOND

SECRET = bytes(range(32))


def flood(subject: SynFilter, count: int, now: int, start: int = 0) -> int:
    """How many of so many SYNs from different sources are answered."""
    return sum(subject.answers(number.to_bytes(6, "big"), number, now) for number in range(start, start + count))


def test_first_ones_are_bounded_and_repeated_ones_get_through() -> None:
    subject = SynFilter(100, SECRET)
    now = 5 * SECOND
    assert 100 <= flood(subject, 2_000, now) < 105  # a bit is anybody's: a few get through by chance
    assert not subject.answers(b"client", 7, now)
    now += SECOND
    assert 100 <= flood(subject, 2_000, now, 50_000) < 105
    assert subject.answers(b"client", 7, now)
    assert not subject.answers(b"client", 8, now)  # another SYN is a first one


def test_what_was_seen_is_forgotten() -> None:
    subject = SynFilter(0, SECRET)
    assert not subject.answers(b"client", 7, 10 * SECOND)
    assert not subject.answers(b"client", 7, 10 * SECOND + 2 * ROTATE + SECOND)
    assert not subject.answers(b"client", 7, 10 * SECOND)  # nothing is answered without a budget


def test_repeats_are_bounded_too() -> None:
    subject = SynFilter(3, SECRET)
    assert flood(subject, 10, SECOND) == 3
    assert flood(subject, 10, SECOND) == 3  # of the seven that were seen before
    assert flood(subject, 10, SECOND) == 0
