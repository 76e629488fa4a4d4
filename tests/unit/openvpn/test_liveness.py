"""Idle sessions: what is due when, what counts as activity, and what another session takes over."""

from __future__ import annotations

import pytest
from tests.unit.openvpn.link import SECOND, START

from hognose.drops import DropReason
from hognose.openvpn.liveness import Liveness, LivenessState
from hognose.settings import LivenessSettings

NEVER = LivenessSettings()
LATER = START + 1_000_000 * SECOND


def reason(clocks: Liveness, ours: LivenessSettings, traffic: int, now: int) -> DropReason | None:
    over = clocks.over(ours, traffic, now)
    return None if over is None else over[0]


def test_without_settings_nothing_is_ever_due() -> None:
    clocks = Liveness(START)
    assert not clocks.ping_due(NEVER, LATER)
    assert clocks.deadlines(NEVER) == []
    assert clocks.over(NEVER, 0, LATER) is None


def test_packets_of_both_sides_put_their_own_times_off() -> None:
    """A ping follows what we sent, the time-out what the client sent."""
    clocks, ours = Liveness(START), LivenessSettings(ping_s=10, ping_timeout_s=60)
    clocks.last_sent = START + 5 * SECOND
    clocks.last_received = START + 7 * SECOND
    assert clocks.deadlines(ours) == [START + 15 * SECOND, START + 67 * SECOND]
    assert not clocks.ping_due(ours, START + 15 * SECOND - 1)
    assert clocks.ping_due(ours, START + 15 * SECOND)
    assert clocks.over(ours, 0, START + 67 * SECOND - 1) is None
    assert reason(clocks, ours, 0, START + 67 * SECOND) is DropReason.PEER_TIMEOUT


def test_a_session_has_its_time_whatever_it_does() -> None:
    clocks, ours = Liveness(START), LivenessSettings(session_timeout_s=60)
    clocks.last_received = clocks.last_sent = START + 59 * SECOND
    assert clocks.over(ours, 1 << 30, START + 60 * SECOND - 1) is None
    assert reason(clocks, ours, 1 << 30, START + 60 * SECOND) is DropReason.SESSION_TIMEOUT


def test_looks_at_the_counters_are_an_eighth_of_the_span_apart() -> None:
    clocks, ours = Liveness(START), LivenessSettings(inactive_s=80)
    for look in range(1, 8):
        [due] = clocks.deadlines(ours)
        assert due == START + look * 10 * SECOND
        assert clocks.over(ours, 0, due - 1) is None
        assert clocks.deadlines(ours) == [due], "too early: it was no look"
        assert clocks.over(ours, 0, due) is None
    assert reason(clocks, ours, 0, START + 80 * SECOND) is DropReason.INACTIVE


@pytest.mark.parametrize("least", [0, 100])
def test_activity_counts_from_the_last_one(least: int) -> None:
    """OpenVPN forward.h register_activity: bytes since then, and the span begins anew."""
    clocks, ours = Liveness(START), LivenessSettings(inactive_s=80, inactive_bytes=least)
    active = START + 70 * SECOND
    assert clocks.over(ours, 100, active) is None
    for seconds in range(10, 80, 10):
        assert clocks.over(ours, 100, active + seconds * SECOND) is None
    assert reason(clocks, ours, 100, active + 80 * SECOND) is DropReason.INACTIVE
    more = Liveness(START)
    assert more.over(ours, 100, active) is None
    assert more.over(ours, 200, active + 80 * SECOND) is None, "a hundred bytes more are enough"
    assert reason(more, ours, 200, active + 160 * SECOND) is DropReason.INACTIVE


def test_another_session_takes_all_of_it_over() -> None:
    state = LivenessState(
        last_received=START + 1, last_sent=START + 2, started_at=START + 3, active_at=START + 4, bytes_at_active=50,
        look_at=START + 5,
    )  # fmt: skip
    clocks = Liveness(LATER)
    clocks.restore(state)
    assert clocks.export() == state
    ours = LivenessSettings(ping_s=1, ping_timeout_s=2, session_timeout_s=3, inactive_s=8)
    assert clocks.deadlines(ours) == [
        START + 2 + SECOND, START + 1 + 2 * SECOND, START + 3 + 3 * SECOND, START + 5 + SECOND,
    ]  # fmt: skip
    quiet = LivenessSettings(inactive_s=8)
    assert clocks.over(quiet, 50, START + 4 + 8 * SECOND - 1) is None
    clocks.restore(state)
    assert reason(clocks, quiet, 50, START + 4 + 8 * SECOND) is DropReason.INACTIVE
    clocks.restore(state)
    assert clocks.over(quiet, 51, START + 4 + 8 * SECOND) is None
