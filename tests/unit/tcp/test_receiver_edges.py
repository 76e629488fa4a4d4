"""The receiving half by itself: acknowledgements, windows and chunks at the edges of their conditions."""

from __future__ import annotations

import pytest

from hognose.drops import Counters, DropReason
from hognose.limits import TcpLimits
from hognose.tcp.receiver import Receiver

MS = 1_000_000
NOW = 5_000 * MS
KIB = 1024


def receiver(*, buffer: int = 10_000, mss: int = 1000, most: int = 1 << 30, quick: int = 0) -> Receiver:
    made = Receiver(mss, most, TcpLimits(receive_buffer=buffer, first_window=buffer), Counters())
    made.quick = quick
    made.arrived = NOW
    return made


@pytest.mark.parametrize(("after", "at_once"), [(0, False), (MS, False), (MS + 1, True)])
def test_text_after_more_than_a_millisecond_is_acknowledged_at_once(after: int, at_once: bool) -> None:
    made = receiver()
    made.in_order(b"x", NOW + after)
    assert made.ack_now is at_once
    assert made.ack_at == (0 if at_once else NOW + after + MS)


def test_a_pause_runs_from_the_first_text_and_ends_with_the_acknowledgement() -> None:
    made = receiver()
    made.in_order(b"x", NOW)
    made.in_order(b"y", NOW + MS // 2)
    assert (made.ack_now, made.ack_at) == (False, NOW + MS)
    made.acknowledged(5000)
    assert (made.ack_now, made.ack_at, made.last_ack, made.adv) == (False, 0, 3, 10_001)
    made.acknowledged(9_999)
    assert made.adv == 10_002


def test_a_number_of_acknowledgements_is_quick_and_after_a_gap_as_many() -> None:
    made = receiver(quick=2)
    told = []
    for _ in range(4):
        made.in_order(b"x", NOW)
        told.append(made.ack_now)
        made.acknowledged(made.window)
    assert told == [True, True, False, False]
    made.receive(made.nxt + 5, b"later", NOW)
    assert made.ack_now
    assert made.quick == 40


@pytest.mark.parametrize(
    ("buffer", "mss", "taken", "window"),
    [
        (10_000, 1000, 0, 6000),
        (10_000, 1000, 999, 6000),  # less than a segment
        (10_000, 1000, 1000, 7000),
        (10_000, 1000, 4000, 10_000),
        (10_000, 3000, 2999, 6000),
        (10_000, 3000, 3000, 9000),
        (1600, 1000, 799, 600),  # of a small buffer its half counts (RFC 9293 section 3.8.6.2.2)
        (1600, 1000, 800, 1400),
    ],
)
def test_the_window_opens_by_a_segment_or_half_of_the_buffer(buffer: int, mss: int, taken: int, window: int) -> None:
    made = receiver(buffer=buffer, mss=mss)
    held = buffer - (6000 if buffer > 6000 else 600)
    made.in_order(bytes(taken), NOW)
    made.in_order(bytes(held - taken), NOW)
    made.acknowledged(made.window)
    assert made.window == buffer - held
    if taken:
        made.take(taken)
    assert made.window == window


def test_the_window_is_never_taken_back_and_never_below_zero() -> None:
    made = receiver()
    made.in_order(bytes(10_000), NOW)
    made.acknowledged(made.window)
    assert made.window == 0
    made.nxt += 1  # a FIN after the text
    assert made.window == 0


@pytest.mark.parametrize(("taken", "told"), [(4999, False), (5000, True), (5001, True)])
def test_a_window_that_opened_by_half_is_told(taken: int, told: bool) -> None:
    made = receiver()
    made.in_order(bytes(10_000), NOW)
    made.acknowledged(made.window)
    assert [len(part) for part in made.take(taken)] == [taken]
    assert made.ack_now is told


def test_a_field_without_a_scale_is_the_limit() -> None:
    made = receiver(buffer=1 << 20, most=0xFFFF)
    assert made.window == 0xFFFF
    made.trust(TcpLimits(receive_buffer=1 << 20))
    assert made.window == 0xFFFF
    wide = receiver(buffer=1 << 20)
    assert wide.window == 1 << 20


def chunks(*sizes: int) -> Receiver:
    made = receiver(buffer=1 << 20)
    for number, size in enumerate(sizes):
        made.in_order(bytes((number,)) * size, NOW)
    return made


@pytest.mark.parametrize(
    ("sizes", "joined"),
    [
        ([10] * 16, [10] * 16),  # as many as may wait
        ([10] * 17, [170]),
        ([10_000] * 17, [60_000, 60_000, 50_000]),
        ([32 * KIB] * 17, [64 * KIB] * 8 + [32 * KIB]),  # 64 KiB are a chunk
        ([64 * KIB - 1, 1, 1, *([64 * KIB] * 3), *([1] * 11)], [64 * KIB, 1, *([64 * KIB] * 3), 11]),
        ([100 * KIB, *([1] * 16)], [100 * KIB, 16]),  # one that is larger stays
        ([*([1] * 16), 100 * KIB], [16, 100 * KIB]),
    ],
)
def test_small_chunks_are_joined(sizes: list[int], joined: list[int]) -> None:
    made = chunks(*sizes)
    whole = b"".join(made.ready)
    first = made.ready[0]
    made.compact()
    assert [len(chunk) for chunk in made.ready] == joined
    assert b"".join(made.ready) == whole
    assert (made.ready[0] is first) is (sizes[0] == joined[0])
    assert made.ready_bytes == len(whole)


@pytest.mark.parametrize(
    ("most", "taken", "left"),
    [
        (1, [1], [9, 20, 30]),
        (9, [9], [1, 20, 30]),
        (10, [10], [20, 30]),
        (11, [10, 1], [19, 30]),
        (30, [10, 20], [30]),
        (59, [10, 20, 29], [1]),
        (60, [10, 20, 30], []),
        (61, [10, 20, 30], []),
    ],
)
def test_parts_are_taken_at_their_edges(most: int, taken: list[int], left: list[int]) -> None:
    made = chunks(10, 20, 30)
    whole = b"".join(made.ready)
    found = made.take(most)
    assert [len(part) for part in found] == taken
    assert [len(part) for part in made.ready] == left
    assert b"".join([*found, *made.ready]) == whole
    assert made.ready_bytes == sum(left)


def test_what_came_before_is_reported_as_it_came() -> None:
    """RFC 2883: the part that was there already; the rest is taken."""
    made = receiver()
    made.in_order(b"0123456789", NOW)
    made.acknowledged(made.window)
    made.receive(4, b"345", NOW)
    assert (made.duplicate, made.ack_now, made.nxt) == ((4, 7), True, 11)
    made.acknowledged(made.window)
    assert made.duplicate is None
    made.receive(9, b"89", NOW)
    assert (made.duplicate, made.nxt) == ((9, 11), 11)
    made.acknowledged(made.window)
    made.receive(9, b"89ab", NOW)
    assert (made.duplicate, made.nxt) == ((9, 11), 13)
    assert b"".join(made.take()) == b"0123456789ab"


def test_a_full_queue_is_counted() -> None:
    counters = Counters()
    made = Receiver(1000, 1 << 20, TcpLimits(first_ranges=1), counters)
    made.receive(10, b"x", NOW)
    assert counters.drops[DropReason.TCP_REASSEMBLY_FULL] == 0
    made.receive(20, b"y", NOW)
    assert counters.drops[DropReason.TCP_REASSEMBLY_FULL] == 1
    made.trust(TcpLimits(reassembly_ranges=2))
    made.receive(20, b"y", NOW)
    made.receive(30, b"z", NOW)
    assert counters.drops[DropReason.TCP_REASSEMBLY_FULL] == 2


def test_a_gap_that_is_filled_gives_what_was_queued() -> None:
    made = receiver()
    made.receive(4, b"def", NOW)
    made.receive(9, b"i", NOW)
    assert made.ready == []
    made.ack_now = False
    made.receive(1, b"abc", NOW)
    assert (made.ready, made.ready_bytes, made.nxt, made.ack_now) == ([b"abc", b"def"], 6, 7, True)
    made.receive(7, b"gh", NOW)
    assert b"".join(made.take()) == b"abcdefghi"
    assert made.nxt == 10
