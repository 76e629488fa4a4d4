"""Rate limits against plain models: every token and every event is kept with its time, and counted again each time."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from hognose.base.rate import FixedWindow, KeyedWindow, TokenBucket

SECOND = 1_000_000_000
GAPS = st.one_of(
    st.integers(0, 3 * SECOND), st.sampled_from((0, 1, 19_999_999, 20_000_000, 20_000_001, SECOND - 1, SECOND))
)
STARTS = st.sampled_from((0, 5, 10**15 + 7))


class Tokens:
    """A list of tokens. The next one is complete at an exact time, and dropped where the list is full."""

    def __init__(self, per_second: int, burst: int, now: int) -> None:
        self.gap = Fraction(SECOND, per_second)
        self.burst = burst
        self.tokens = ["full"] * burst
        self.since = now

    def at(self, now: int) -> int:
        complete = 0
        while self.since + (complete + 1) * self.gap <= now:
            complete += 1
        if complete:
            self.tokens = (self.tokens + ["earned"] * complete)[: self.burst]
            self.since = now
        return len(self.tokens)


@given(STARTS, st.integers(1, 50), st.integers(1, 20), st.lists(st.tuples(GAPS, st.integers(0, 5)), max_size=40))
def test_a_bucket_against_a_list_of_tokens(
    start: int, per_second: int, burst: int, steps: list[tuple[int, int]]
) -> None:
    now = start
    bucket, model = TokenBucket(per_second, burst, now), Tokens(per_second, burst, now)
    spent = 0
    for gap, wanted in steps:
        now += gap
        there = model.at(now)
        assert bucket.available(now) == there
        taken = bucket.take(wanted, now)
        assert taken == (wanted <= there)
        if taken:
            del model.tokens[:wanted]
            spent += wanted
        assert spent <= burst + Fraction((now - start) * per_second, SECOND)


@given(STARTS, st.lists(st.tuples(GAPS, st.integers(1, 7)), max_size=40))
def test_tokens_of_a_nanosecond_lose_no_time(start: int, steps: list[tuple[int, int]]) -> None:
    """As ICMP errors use it: a rate is the price of a message, and the times of questions do not matter."""
    now, price = start, 100_000_000
    bucket = TokenBucket(1_000_000_000, 1_000_000_000, now)
    saved = 1_000_000_000
    for gap, messages in steps:
        now += gap
        saved = min(1_000_000_000, saved + gap)
        for _ in range(messages):
            assert bucket.available(now) == saved
            if saved >= price:
                bucket.spend(price)
                saved -= price


def test_a_full_bucket_is_emptied_at_once_and_fills_up_again() -> None:
    bucket = TokenBucket(10, 3, 7 * SECOND)
    assert [bucket.take(1, 7 * SECOND) for _ in range(4)] == [True, True, True, False]
    assert [bucket.available(7 * SECOND + ms * 1_000_000) for ms in (99, 100, 199, 200, 300, 400, 9000)] == [
        *(0, 1, 1, 2, 3, 3, 3),
    ]


def test_all_or_none_is_taken() -> None:
    bucket = TokenBucket(1, 4, 0)
    assert not bucket.take(5, 0)
    assert bucket.available(0) == 4
    assert bucket.take(4, 0)
    assert bucket.take(0, 0)
    assert not bucket.take(1, 0)


def test_a_fraction_is_kept_until_a_whole_token_is_earned_and_then_lost() -> None:
    bucket = TokenBucket(1, 16, 0)
    bucket.spend(16)
    assert [bucket.available(at * 100_000_000) for at in (9, 10, 19, 29, 38, 39)] == [0, 1, 1, 2, 2, 3]


def windows(times: list[int], length: int, began_at: int) -> list[int]:
    """The number of each event in its window, from the times alone."""
    found: list[int] = []
    begin = began_at
    for place, now in enumerate(times):
        if now >= begin + length:
            begin = now
            first = place
        elif place == 0:
            first = 0
        found.append(place - first + 1)
    return found


@given(STARTS, st.sampled_from((SECOND, 10 * SECOND)), st.lists(GAPS, max_size=60))
def test_a_window_against_all_times(start: int, length: int, gaps: list[int]) -> None:
    times = [start + sum(gaps[: place + 1]) for place in range(len(gaps))]
    window = FixedWindow(start)
    assert [window.count(now, length) for now in times] == windows(times, length, start)


def test_a_window_lasts_a_second_and_begins_with_an_event() -> None:
    window = FixedWindow(0)
    events = [(500, 1), (999, 2), (1700, 1), (2699, 2), (2700, 1), (2700, 2), (9000, 1)]
    assert [(ms, window.count(ms * 1_000_000)) for ms, _ in events] == events


@given(STARTS, st.lists(st.tuples(GAPS, st.sampled_from("abc")), max_size=60))
def test_keys_share_windows_and_have_counts_of_their_own(start: int, steps: list[tuple[int, str]]) -> None:
    window = KeyedWindow(start)
    begin, now, seen = start, start, ""
    for gap, key in steps:
        now += gap
        due = now >= begin + 1_000_000_000
        assert window.begins(now) == due
        assert not window.begins(now)
        if due:
            begin, seen = now, ""
        seen += key
        assert window.count(key) == seen.count(key)
