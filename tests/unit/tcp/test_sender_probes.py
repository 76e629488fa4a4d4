"""Time-outs, tail loss probes and size probes of the sender, at the edges of their conditions."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.tcp.test_sender_accounts import MS, acknowledge, made

from hognose.drops import Counters, Stat
from hognose.tcp.sender import Sender

# -- tail loss probes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "new"), [(1099, False), (1100, True), (1101, True)])
def test_a_probe_is_of_new_data_if_the_window_has_room_for_it(window: int, new: bool) -> None:
    """RFC 8985 section 7.3; regardless of the congestion window, and one segment at most."""
    sender = made()
    sender.buffer.append([bytes(500)])
    sender.window = window
    found = sender.probe_tail(1080 * MS)
    assert found == ((1001, 100) if new else None)
    assert (sender.recovery.probe_end, sender.recovery.probe_again) == ((1101, False) if new else (1001, True))
    assert (sender.calm, sender.timers.tail_at, sender.timers.rto_at) == (False, 0, 1280 * MS)
    if not new:
        assert sender.next_segment(1080 * MS) == (901, 100)


def test_a_probe_of_little_new_data_is_little():
    sender = made()
    sender.buffer.append([bytes(1)])
    assert sender.probe_tail(1080 * MS) == (1001, 1)
    assert sender.recovery.probe_end == 1002


@pytest.mark.parametrize(("flight", "probed"), [(1, False), (100, False), (101, True)])
def test_a_lone_segment_waits_for_a_delayed_acknowledgement(flight: int, probed: bool) -> None:
    sender = made()
    acknowledge(sender, 1001 - flight, 1010)
    sender.probe_tail(1011 * MS)
    assert (sender.recovery.probe_end >= 0) is probed
    assert (sender.timers.tail_at > 0) is not probed
    if not probed:
        assert sender.calm
        sender.probe_tail(sender.timers.tail_at)
        assert sender.recovery.lost.first() == (1001 - flight, 1001)


def test_nothing_is_probed_for_in_a_recovery_or_beside_another_probe():
    for change in ("nothing", "report", "probe", "size", "flight"):
        sender = made()
        if change == "report":
            acknowledge(sender, 1, 1040, (901, 1001))
        elif change == "probe":
            sender.recovery.probe_end = 1001
        elif change == "size":
            sender.hole.probe = (801, 1001)
        elif change == "flight":
            acknowledge(sender, 1001, 1040)
        sender.timers.tail_at = 5
        before = sender.recovery.lost.total
        assert sender.probe_tail(1080 * MS) is None
        assert sender.timers.tail_at == 0
        assert (sender.recovery.lost.total > before) is (change == "nothing")


# -- time-outs ---------------------------------------------------------------------------------------------------------


def test_what_was_reported_is_believed_for_two_time_outs():
    """RFC 2018 section 8: then the peer may have dropped it."""
    sender = made()
    acknowledge(sender, 1, 1040, (901, 1001))
    held = []
    for number in range(4):
        assert sender.timed_out((2000 + number) * MS)
        held.append(sender.recovery.board.total)
    assert held == [100, 100, 0, 0]


def test_a_time_out_leaves_one_segment_of_window_and_waits_twice_as_long():
    sender = made()
    assert sender.timed_out(1200 * MS)
    assert (sender.cc.cwnd, sender.cc.ssthresh, sender.calm) == (100, 700, False)
    assert (sender.timers.rto_at, sender.timers.tail_at, sender.timers.timed_position) == (1600 * MS, 0, -1)
    assert sender.next_segment(1200 * MS) == (1, 100)
    sender.sent(1, 100, 1200 * MS)
    assert sender.next_segment(1200 * MS) is None
    assert sender.timed_out(1600 * MS)
    assert (sender.cc.cwnd, sender.cc.ssthresh) == (100, 700)


@pytest.mark.parametrize(("after", "goes_on"), [(99_999, True), (100_000, False)])
def test_time_outs_end_after_a_hundred_seconds_without_an_acknowledgement(after: int, goes_on: bool) -> None:
    sender = made()
    assert sender.timed_out((1000 + after) * MS) is goes_on
    assert sender.timers.rtt.backoff == goes_on


def test_a_third_time_out_doubts_the_size():
    """docs/dev/tcp.md T27: every other attempt is smaller; the sizes between are as before."""
    counters = Counters()
    sender = made(20, mss=1400, counters=counters)
    sizes = []
    for number in range(7):
        sender.timed_out((2000 + number) * MS)
        sizes.append(sender.mss)
    assert sizes == [1400, 1400, 1024, 1400, 524, 1400, 524]
    assert sender.cc.mss == sender.mss
    assert counters.stats[Stat.TCP_BLACK_HOLES_SUSPECTED] == 3, "each time that it became smaller"
    assert counters.stats[Stat.TCP_TIMEOUTS] == 7
    assert sender.recovery.time_out is not None
    assert sender.recovery.time_out.mss == 1400
    assert sender.recovery.time_out.repeated


def test_a_time_out_ends_a_size_probe():
    sender = made()
    sender.hole.full = 200
    sender.hole.search(100)
    for number in range(3):
        sender.hole.probe = (801, 1001)
        sender.timed_out((1200 + number) * MS)
        assert sender.hole.probe is None
    assert sender.hole.candidate == 150, "the third lost one of a size"


# -- idling ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("idle", "window"), [(199, 5000), (200, 5000), (201, 1000)])
def test_after_more_than_a_time_out_of_idling_the_window_is_the_initial_one(idle: int, window: int) -> None:
    """RFC 5681 section 4.1; counted from the latest segment sent."""
    sender = made()
    sender.timers.rtt.begin(40 * MS)
    acknowledge(sender, 1001, 1040)
    assert sender.timers.rtt.rto == 200 * MS
    sender.cc.cwnd = 5000
    sender.restart_after_idle((1000 + idle) * MS)
    assert sender.cc.cwnd == window


def test_what_is_in_flight_is_no_idling():
    sender = made()
    sender.cc.cwnd = 5000
    sender.restart_after_idle(9000 * MS)
    assert sender.cc.cwnd == 5000


@pytest.mark.parametrize(
    ("sack", "due", "size"),
    [(False, 5000, 200), (False, 4999, 200), (False, 5001, 100), (False, 0, 100), (True, 1, 100)],
)
def test_without_sack_the_full_size_is_tried_after_idling(sack: bool, due: int, size: int) -> None:
    sender = made(sack=sack)
    acknowledge(sender, 1001, 1040)
    sender.hole.full = 200
    sender.hole.due_at = due * MS
    sender.restart_after_idle(5000 * MS)
    assert sender.mss == size
    assert sender.hole.due_at == (0 if size == 200 else due * MS)


# -- size probes -------------------------------------------------------------------------------------------------------


def probing(*, unsent: int = 500, cwnd: int = 1100, window: int = 1 << 20, sack: bool = True) -> Sender:
    """A probe of 200 bytes is due, 1000 bytes are in flight."""
    sender = made(sack=sack)
    sender.hole.full = 200
    sender.hole.search(100)
    sender.hole.due_at = 1000 * MS
    sender.buffer.append([bytes(unsent)])
    sender.cc.cwnd, sender.window = cwnd, window
    return sender


@pytest.mark.parametrize(
    ("changes", "now", "probes"),
    [
        ({}, 1000, True),
        ({}, 999, False),
        ({"unsent": 499}, 1000, False),  # three segments after it make its loss known (RFC 4821 section 7.4)
        ({"window": 1500}, 1000, True),
        ({"window": 1499}, 1000, False),
        ({"cwnd": 1099}, 1000, False),
        ({"sack": False}, 1000, False),
    ],
)
def test_when_a_larger_size_is_probed_for(changes: dict[str, Any], now: int, probes: bool) -> None:
    sender = probing(**changes)
    assert sender.size_probe(now * MS) == ((1001, 200) if probes else None)
    assert sender.hole.probe == ((1001, 1201) if probes else None)
    assert sender.calm is not probes


def test_no_size_is_probed_for_in_trouble():
    sender = probing()
    sender.calm = False
    assert sender.size_probe(1000 * MS) is None


def test_what_was_found_is_looked_for_again():
    sender = probing()
    for _ in range(3 * 8):
        sender.hole.lost()
    assert sender.hole.found
    assert sender.size_probe(1000 * MS) == (1001, 200)


@pytest.mark.parametrize(
    ("held", "acked", "recovers"),
    [
        ((1201, 1501), 1001, False),  # nothing but the probe is lost
        ((1101, 1501), 1001, False),  # a part of it
        ((1201, 1501), 901, True),  # what was sent before it is lost too
        ((601, 1001), 1, True),  # and of it nothing is known
    ],
)
def test_a_lost_size_probe_is_no_congestion(held: tuple[int, int], acked: int, recovers: bool) -> None:
    """RFC 4821 section 7.7; any loss up to its end ends it."""
    sender = probing()
    sender.sent(*(sender.size_probe(1000 * MS) or (0, 0)), 1000 * MS)
    sender.sent(1201, 300, 1001 * MS)
    if acked > 1:
        acknowledge(sender, acked, 1040)
    window = sender.cc.cwnd
    acknowledge(sender, acked, 1050, held)
    assert (sender.recovery.point >= 0) is recovers
    assert (sender.hole.probe, sender.hole.due_at) == (None, 1050 * MS), "the next one at once"
    assert sender.recovery.urgent
    assert (sender.cc.cwnd < window) is recovers
    if not recovers:
        assert sender.next_segment(1050 * MS) == (1001, held[0] - 1001), "in segments of the size that works"
