"""The timers of the sending half, each at the edges of its time."""

from __future__ import annotations

import pytest

from hognose.tcp.send_timers import GIVE_UP, SINGLE_SEGMENT_DELAY, ZERO_WINDOW_LIMIT, SendTimers

MS = 1_000_000
SECOND = 1000 * MS
NOW = 7_000 * SECOND


def measured(rtt_ms: int = 40) -> SendTimers:
    """One round trip was measured: SRTT is it, RTO the floor of 200 ms, PTO twice it."""
    timers = SendTimers()
    timers.rtt.sample(rtt_ms * MS)
    assert (timers.rtt.srtt, timers.rtt.rto, timers.rtt.pto) == (40 * MS, 200 * MS, 80 * MS)
    return timers


def test_an_acknowledged_segment_ends_its_measurement():
    timers = measured()
    timers.timed_position, timers.timed_at = 5000, NOW - 40 * MS
    timers.acknowledged(4999, -1, NOW)
    assert (timers.timed_position, timers.rtt.rttvar) == (5000, 20 * MS)
    timers.acknowledged(5000, 999 * MS, NOW)
    assert (timers.timed_position, timers.rtt.srtt) == (-1, 40 * MS), "its own time counts, not the echo's"
    assert timers.rtt.rttvar == 15 * MS
    assert timers.progress_at == NOW


@pytest.mark.parametrize(("echo_ms", "srtt_ms"), [(120, 50), (0, 35.125)])
def test_without_a_measurement_the_echo_counts(echo_ms: int, srtt_ms: float):
    """(7 * 40 + R) / 8 (RFC 6298 (2.3)); an echo of the same millisecond is one millisecond."""
    timers = measured()
    timers.acknowledged(5000, echo_ms * MS, NOW)
    assert timers.rtt.srtt == int(srtt_ms * MS)


def test_progress_without_any_measurement_ends_the_back_off():
    timers = measured()
    timers.timed_position, timers.tail_at = 5000, NOW
    timers.back_off(NOW)
    assert (timers.rtt.rto, timers.rto_at) == (400 * MS, NOW + 400 * MS)
    assert (timers.timed_position, timers.tail_at) == (-1, 0), "Karn; and the probe is too late"
    timers.acknowledged(5000, -1, NOW + SECOND)
    assert (timers.rtt.rto, timers.rtt.backoff, timers.rtt.srtt) == (200 * MS, 0, 40 * MS)


def test_patience_ends_after_the_time_without_acknowledgements():
    timers = SendTimers()
    timers.progress_at = NOW
    assert not timers.exhausted(NOW + GIVE_UP - 1)
    assert timers.exhausted(NOW + GIVE_UP)


def test_a_lone_segment_is_given_time_once():
    timers = measured()
    timers.last_sent = NOW
    timers.rto_at = NOW + 200 * MS
    due = NOW + 80 * MS + SINGLE_SEGMENT_DELAY
    assert timers.postpone_tail(due - 1)
    assert timers.tail_at == due
    timers.tail_at = 0
    assert not timers.postpone_tail(due)
    timers.rto_at = due - 1
    assert not timers.postpone_tail(due - 1), "the RTO is due too"
    assert timers.tail_at == 0


def test_the_persist_timer_doubles_until_patience_ends():
    timers = measured()
    timers.arm_persist(NOW)
    assert timers.persist_at == NOW + 200 * MS
    timers.arm_persist(NOW + 5 * MS)
    assert timers.persist_at == NOW + 200 * MS, "it runs"
    at = timers.persist_at
    intervals = []
    while timers.persist_again(at):
        intervals.append(timers.persist_at - at)
        at = timers.persist_at
    assert intervals == [200 * MS << n for n in range(1, 9)]
    assert NOW + ZERO_WINDOW_LIMIT <= at < NOW + 2 * ZERO_WINDOW_LIMIT


def test_no_persist_timer_beside_the_rto():
    timers = measured()
    timers.rto_at = NOW + 1
    timers.arm_persist(NOW)
    assert timers.persist_at == 0
