"""RFC 5681 and RFC 9438 against their formulas."""

from __future__ import annotations

import pytest

from hognose.tcp.congestion import INITIAL_SEGMENTS, Cubic

MSS = 1000
SECOND = 1_000_000_000


def test_initial_window_and_slow_start():
    cubic = Cubic(MSS)
    assert cubic.cwnd == INITIAL_SEGMENTS * MSS == 10 * MSS
    cubic.acked(10 * MSS, SECOND // 10, 0)
    assert cubic.cwnd == 20 * MSS


def test_slow_start_ends_at_ssthresh():
    cubic = Cubic(MSS)
    cubic.ssthresh = 15 * MSS
    cubic.acked(10 * MSS, SECOND // 10, 0)
    assert cubic.cwnd == 15 * MSS


def test_a_loss_leaves_seven_tenths():
    cubic = Cubic(MSS)
    cubic.cwnd = 100 * MSS
    cubic.lost(100 * MSS)
    assert cubic.cwnd == cubic.ssthresh == 70 * MSS


def test_a_loss_counts_no_more_than_the_window():
    cubic = Cubic(MSS)
    cubic.cwnd = 10 * MSS
    cubic.lost(500 * MSS)
    assert cubic.cwnd == 7 * MSS


def test_the_window_never_falls_below_two_segments():
    cubic = Cubic(MSS)
    for _ in range(20):
        cubic.lost(cubic.cwnd)
    assert cubic.cwnd == 2 * MSS


def test_a_time_out_leaves_one_segment_and_reduces_ssthresh_once():
    cubic = Cubic(MSS)
    cubic.cwnd = 100 * MSS
    cubic.timed_out(100 * MSS, again=False)
    assert (cubic.cwnd, cubic.ssthresh) == (MSS, 70 * MSS)
    cubic.cwnd = 5 * MSS
    cubic.timed_out(5 * MSS, again=True)
    assert (cubic.cwnd, cubic.ssthresh) == (MSS, 70 * MSS)


def test_idle_returns_to_the_initial_window():
    cubic = Cubic(MSS)
    cubic.cwnd = 500 * MSS
    cubic.idle()
    assert cubic.cwnd == 10 * MSS
    cubic.cwnd = 3 * MSS
    cubic.idle()
    assert cubic.cwnd == 3 * MSS


def grow(cubic: Cubic, rtt: int, seconds: float) -> list[tuple[float, float]]:
    """Acknowledge one whole window per RTT in ten parts; (time, segments) at the end of every round."""
    now, trace = 0, []
    while now < seconds * SECOND:
        window = cubic.cwnd
        for _ in range(10):
            now += rtt // 10
            cubic.acked(window // 10, rtt, now)
        trace.append((now / SECOND, cubic.cwnd / MSS))
    return trace


def test_growth_follows_the_cubic():
    """W(t) = 0.4 (t - K)^3 + Wmax, K = cbrt((Wmax - cwnd) / 0.4); 1000 segments, RTT 100 ms: far from Reno's region."""
    cubic = Cubic(MSS)
    cubic.cwnd = 1000 * MSS
    cubic.lost(1000 * MSS)
    k = (300 / 0.4) ** (1 / 3)
    for at, segments in grow(cubic, SECOND // 10, 12):
        expected = 0.4 * (at - k) ** 3 + 1000
        assert segments == pytest.approx(expected, rel=0.03), f"t={at}"


def test_small_windows_grow_as_reno_would():
    """20 segments at 10 ms: the Reno-friendly region; alpha = 3 (1 - 0.7) / (1 + 0.7) segments per RTT up to Wmax."""
    cubic = Cubic(MSS)
    cubic.cwnd = 20 * MSS
    cubic.lost(20 * MSS)
    trace = grow(cubic, SECOND // 100, 0.1)
    alpha = 3 * 0.3 / 1.7
    assert trace[-1][1] == pytest.approx(14 + alpha * len(trace), rel=0.06)


def test_fast_convergence_forgets_a_window_that_was_lost_to_others():
    cubic = Cubic(MSS)
    cubic.cwnd = 1000 * MSS
    cubic.lost(1000 * MSS)
    cubic.cwnd = 800 * MSS
    cubic.lost(800 * MSS)  # Wmax = 800 * 0.85 = 680
    plateau = [segments for at, segments in grow(cubic, SECOND // 10, 6)]
    flattest = min(range(1, len(plateau)), key=lambda i: plateau[i] - plateau[i - 1])
    assert plateau[flattest] == pytest.approx(680, rel=0.02)


def test_above_the_old_maximum_growth_starts_from_here():
    cubic = Cubic(MSS)
    cubic.ssthresh = cubic.cwnd
    before = cubic.cwnd
    cubic.acked(before, SECOND // 10, SECOND)
    assert before < cubic.cwnd <= 1.5 * before


def test_a_smaller_segment_size_keeps_the_bytes():
    cubic = Cubic(MSS)
    cubic.set_mss(500)
    assert (cubic.cwnd, cubic.mss) == (10 * MSS, 500)


class Model:
    """RFC 9438 sections 4.2 to 4.7 as they are written: segments and seconds, no window of ours in it."""

    def __init__(self, cwnd: float) -> None:
        self.cwnd = cwnd
        self.ssthresh = 1e9
        self.w_max = 0.0
        self.begun: float | None = None

    def acked(self, segments: float, srtt: float, now: float) -> None:
        if self.cwnd < self.ssthresh:
            self.cwnd = min(self.cwnd + segments, max(self.ssthresh, self.cwnd + 1))
            return
        if self.begun is None:
            self.begun = now
            self.w_est = self.cwnd
            self.k = max(0.0, (self.w_max - self.cwnd) / 0.4) ** (1 / 3)
            self.plateau = max(self.w_max, self.cwnd)
        cubic = 0.4 * (now + srtt - self.begun - self.k) ** 3 + self.plateau  # W_cubic(t + RTT)
        target = self.cwnd if cubic < self.cwnd else 1.5 * self.cwnd if cubic > 1.5 * self.cwnd else cubic
        self.w_est += (3 * 0.3 / 1.7 if self.w_est < self.w_max else 1) * segments / self.cwnd
        # The whole step to the target is made in a window of acknowledgements, and no further.
        self.cwnd += (max(target, self.w_est) - self.cwnd) * min(1, segments / self.cwnd)

    def lost(self) -> None:
        self.w_max = self.cwnd * 0.85 if self.cwnd < self.w_max else self.cwnd
        self.cwnd = self.ssthresh = max(2, 0.7 * self.cwnd)
        self.begun = None


@pytest.mark.parametrize("mss", [1000, 1448])
@pytest.mark.parametrize("window", [3, 10, 40, 300, 2000])
@pytest.mark.parametrize("rtt_ms", [3, 40, 250])
@pytest.mark.parametrize("begin", [0, 5 * SECOND])
def test_every_step_is_rfc_9438s(mss: int, window: int, rtt_ms: int, begin: int) -> None:
    """Losses, slow start after one, plateaus, both regions; acknowledgements of a part of a segment and of windows."""
    cubic, model = Cubic(mss), Model(window)
    cubic.cwnd = window * mss
    now = begin
    if not begin:  # the first acknowledgement is at time zero
        cubic.lost(cubic.cwnd)
        model.lost()
        cubic.acked(mss, rtt_ms * 1_000_000, now)
        model.acked(1, rtt_ms / 1000, now / SECOND)
        model.cwnd, model.ssthresh = cubic.cwnd / mss, cubic.ssthresh / mss
    counts = (0.5, 1, 2, 2, 7, 0.25, window, 3 * window, 1)
    for number in range(600):
        now += rtt_ms * 1_000_000 * (1 + number % 3) // 4
        if number % 150 == 75 or number in (5, 20):
            cubic.lost(cubic.cwnd)
            model.lost()
            assert cubic.cwnd == cubic.ssthresh == pytest.approx(model.cwnd * mss, abs=2)
            model.cwnd = model.ssthresh = cubic.cwnd / mss
        if number == 300:  # a time-out: slow start from one segment
            cubic.timed_out(cubic.cwnd, again=False)
            model.lost()
            model.cwnd, model.ssthresh = 1, cubic.ssthresh / mss
        count = counts[number % len(counts)]
        cubic.acked(int(count * mss), rtt_ms * 1_000_000, now)
        model.acked(int(count * mss) / mss, rtt_ms / 1000, now / SECOND)
        assert cubic.cwnd == pytest.approx(model.cwnd * mss, abs=2), number
        model.cwnd, model.ssthresh = cubic.cwnd / mss, cubic.ssthresh / mss  # ours are whole numbers of bytes


def test_what_is_undone_is_as_before_but_for_the_window() -> None:
    cubic = Cubic(MSS)
    cubic.lost(10 * MSS)
    for number in range(5):
        cubic.acked(MSS, SECOND // 10, number * SECOND)
    before = cubic.saved()
    cubic.timed_out(7 * MSS, again=False)
    for number in range(9):
        cubic.acked(MSS, SECOND // 10, (10 + number) * SECOND)
    cubic.undo(before, 3 * MSS)
    assert cubic.saved() == before
    assert (cubic.cwnd, cubic.ssthresh) == (3 * MSS, 7 * MSS)


def test_idling_begins_a_new_epoch() -> None:
    """RFC 9438 section 4.2.1: time without anything to send does not count."""
    busy, idle = Cubic(MSS), Cubic(MSS)
    for cubic in (busy, idle):
        cubic.lost(10 * MSS)
        cubic.acked(MSS, SECOND // 10, SECOND)
    idle.idle()
    for cubic in (busy, idle):
        cubic.acked(MSS, SECOND // 10, 61 * SECOND)
    assert busy.cwnd > idle.cwnd + MSS // 4


def test_a_second_loss_at_the_same_window_is_not_one_to_others() -> None:
    """RFC 9438 section 4.7: fast convergence where the window is smaller than at the loss before."""
    cubic = Cubic(MSS)
    for window, w_max in ((100, 100), (100, 100), (90, 76.5), (77, 77)):
        cubic.cwnd = window * MSS
        cubic.lost(window * MSS)
        assert cubic.saved()[1] == pytest.approx(w_max)
