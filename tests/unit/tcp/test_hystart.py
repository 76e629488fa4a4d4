"""HyStart++ (RFC 9406) by itself and in a connection."""

from __future__ import annotations

import math
import random

import pytest
from tests.unit.tcp.tcp_script import MS, Script
from tests.unit.tcp.test_loss_recovery import MSS, WIDE

from hognose.limits import TcpLimits
from hognose.tcp.congestion import UNLIMITED
from hognose.tcp.hystart import CSS_GROWTH_DIVISOR, CSS_ROUNDS, N_RTT_SAMPLE, HyStart


class Rounds:
    """Rounds of 1000 bytes, acknowledged in equal parts."""

    def __init__(self) -> None:
        self.hystart = HyStart(1000)
        self.at = 0

    def go(self, *rtts_ms: float) -> list[int]:
        """One round with these measurements; what the window may grow by at each."""
        grown = []
        start = self.at
        for number, rtt in enumerate(rtts_ms, 1):
            position = start + 1000 * number // len(rtts_ms)
            grown.append(self.hystart.acknowledged(100, position, self.at + 1000, int(rtt * MS)))
            self.at = position
        return grown


def test_steady_round_trips_change_nothing():
    rounds = Rounds()
    for _ in range(20):
        assert rounds.go(*[40] * 10) == [100] * 10
    assert not rounds.hystart.over


@pytest.mark.parametrize(("base", "threshold"), [(8, 4), (40, 5), (80, 10), (400, 16)])
def test_growth_slows_down_when_the_least_round_trip_has_grown(base, threshold):
    """Section 4.2: by an eighth, at least 4 and at most 16 ms; judged from the eighth sample of a round on."""
    rounds = Rounds()
    rounds.go(*[base] * 10)
    assert rounds.go(*[base + threshold - 0.01] * 10) == [100] * 10
    rounds = Rounds()
    rounds.go(*[base] * 10)
    assert rounds.go(*[base + threshold] * 10) == [100] * (N_RTT_SAMPLE - 1) + [25] * 3


def test_five_slow_rounds_end_it():
    """The rest of the round in which it began is the first of them."""
    rounds = Rounds()
    rounds.go(*[40] * 10)
    rounds.go(*[50] * 10)
    for _ in range(CSS_ROUNDS - 1):
        assert not rounds.hystart.over
        assert rounds.go(*[60] * 10) == [25] * 10
    assert not rounds.hystart.over
    rounds.go(60)
    assert rounds.hystart.over


def test_a_round_trip_that_shrinks_again_was_noise():
    rounds = Rounds()
    rounds.go(*[40] * 10)
    rounds.go(*[50] * 10)
    assert rounds.go(*[45] * 10) == [25] * (N_RTT_SAMPLE - 1) + [100] * 3
    rounds.go(*[45] * 10)
    assert rounds.hystart.css_rounds == 0
    rounds.go(*[51] * 10)
    assert rounds.hystart.css_rounds > 0, "and may begin again"


def test_the_least_of_a_round_counts():
    rounds = Rounds()
    rounds.go(*[40] * 10)
    rounds.go(90, 90, 42, *[90] * 7)
    assert rounds.hystart.css_rounds == 0


def test_few_samples_say_nothing():
    rounds = Rounds()
    rounds.go(*[40] * 10)
    rounds.go(*[90] * (N_RTT_SAMPLE - 1))
    assert rounds.hystart.css_rounds == 0


def test_acknowledgements_without_a_measurement_count_for_rounds_only():
    hystart = HyStart(1000)
    assert [hystart.acknowledged(100, 100 * n, 2000, -1) for n in range(1, 40)] == [100] * 39
    assert hystart.css_rounds == 0


def grown(script: Script, delay_ms: float) -> int:
    """One window of data, acknowledged by twos after `delay_ms` milliseconds; the window after it."""
    script.write(bytes(script.conn.info().cwnd // MSS * MSS))
    sent = script.poll()
    script.now += int(delay_ms * MS)
    for segment in sent[1::2]:
        script.send("A", ack=segment.end, window=WIDE)
    script.send("A", window=WIDE)
    script.poll()
    return script.conn.info().cwnd


def test_the_first_slow_start_of_a_connection_ends_by_delay():
    script = Script(limits=TcpLimits(send_buffer=1 << 22))
    script.open(window=WIDE, after=40)
    windows = [grown(script, 40) for _ in range(3)]
    assert windows == [20 * MSS, 40 * MSS, 80 * MSS]
    while script.conn.info().ssthresh == UNLIMITED:
        windows.append(grown(script, 50 + len(windows)))
        assert len(windows) < 20
    assert len(windows) == 3 + CSS_ROUNDS + 1, "noticed by the first acknowledgement behind them"
    assert windows[4] < 1.3 * windows[3] < 1.3 * 1.6 * windows[2]
    assert script.conn.info().ssthresh <= script.conn.info().cwnd
    assert not script.conn.info().first_slow_start
    before = script.conn.info().cwnd
    assert grown(script, 60) < 1.2 * before, "congestion avoidance"


def test_a_late_segment_does_not_hurry_conservative_slow_start(monkeypatch):
    """An acknowledgement after reordering goes another way through the sender; the window grows a quarter there too."""
    script = Script()
    script.open(window=WIDE, after=40)
    grown(script, 40)
    monkeypatch.setattr(HyStart, "acknowledged", lambda hystart, acked, *_: acked // CSS_GROWTH_DIVISOR)
    before, first = script.conn.info().cwnd, script.seen
    script.write(bytes(before // MSS * MSS))
    script.poll()
    script.now += 40 * MS
    script.send("A", ack=first, sack=((first + MSS, first + 2 * MSS),), window=WIDE)
    assert not script.conn.info().calm
    script.send("A", ack=first + 8 * MSS, window=WIDE)
    assert script.conn.info().cwnd == before + 8 * MSS // 4


def test_a_loss_ends_it_for_good():
    """RFC 9406 section 4.2: for the first slow start only."""
    script = Script()
    script.open(window=WIDE, after=40)
    grown(script, 40)
    assert script.conn.info().first_slow_start
    first = script.seen
    script.write(bytes(10 * MSS))
    script.poll()
    script.now += 40 * MS
    script.send("A", ack=first, sack=((first + MSS, first + 8 * MSS),), window=WIDE)
    assert not script.conn.info().first_slow_start
    script.poll()
    script.send("A", window=WIDE)
    script.poll()
    grown(script, 40)
    assert not script.conn.info().first_slow_start


class Rfc9406:
    """Section 4.2 line by line; bytes and milliseconds."""

    def __init__(self, window_end: int) -> None:
        self.window_end = window_end
        self.last = self.current = self.baseline = math.inf
        self.samples = 0
        self.in_css = self.over = False
        self.css_rounds = 0

    def acknowledged(self, acked: int, position: int, nxt: int, rtt: float | None) -> int:
        if position > self.window_end:
            self.window_end = nxt
            self.last, self.current = self.current, math.inf
            self.samples = 0
            if self.in_css:
                self.css_rounds += 1
                self.over = self.css_rounds >= 5
        if rtt is not None:
            self.current = min(self.current, rtt)
            self.samples += 1
        if rtt is not None and self.samples >= 8:
            if self.in_css:
                if self.current < self.baseline:
                    self.in_css, self.baseline = False, math.inf
            elif math.inf > self.current >= self.last + max(4, min(self.last / 8, 16)):
                self.baseline, self.in_css, self.css_rounds = self.current, True, 0
        return acked // 4 if self.in_css else acked


@pytest.mark.parametrize("seed", range(30))
def test_any_slow_start_is_rfc_9406s(seed: int) -> None:
    draw = random.Random(seed)
    ours, rfc = HyStart(1000), Rfc9406(1000)
    position, base, ended = 0, draw.choice((8, 40, 120, 400)), 0
    for _ in range(60):
        base += draw.choice((0, 0, 0, 1, 4, 6, 17, -3))
        per_round = draw.choice((7, 8, 9, 20))
        for _ in range(per_round):
            position += 1000 // per_round + draw.choice((0, 1))
            rtt = max(1, base + draw.choice((0, 0, 1, 5))) if draw.random() < 0.95 else None
            arguments = (103, position, position + 1000)
            grown = ours.acknowledged(*arguments, rtt * MS if rtt is not None else -1)
            assert grown == rfc.acknowledged(*arguments, rtt)
            assert ours.over is rfc.over
        if ours.over:
            ended += 1
            ours, rfc = HyStart(position), Rfc9406(position)
    assert ended > 0
