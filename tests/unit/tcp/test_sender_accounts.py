"""The books of the sender: what is measured, when the window counts as used, and what an acknowledgement leaves."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from tests.unit.tcp.tcp_script import MS, Script
from tests.unit.tcp.test_loss_recovery import MSS, WIDE, in_flight, opened

from hognose.drops import Counters, Stat
from hognose.limits import TcpLimits
from hognose.tcp.sender import Sender

both_ways = pytest.mark.parametrize("short", [True, False], ids=["short way", "long way"])


def way(script: Script, *, short: bool) -> dict[str, Any]:
    """Timestamps in front of the NOPs make a segment take the long way."""
    if short:
        return {}
    return {"ts": None, "raw_options": struct.pack(">BBII", 8, 10, script.stamp(), script.ts_echo) + b"\1\1"}


@both_ways
@pytest.mark.parametrize(("size", "grown"), [(5 * MSS - 1, 0), (5 * MSS, 5 * MSS), (10 * MSS, 10 * MSS)])
def test_a_window_of_which_half_is_used_grows(size: int, grown: int, short: bool) -> None:
    """RFC 9438 section 4.2, RFC 7661: it is used if half of it or more is in flight."""
    script = Script()
    script.open(window=WIDE, after=40)
    script.write(bytes(size))
    script.poll()
    script.now += 40 * MS
    script.send("A", window=WIDE, **way(script, short=short))
    assert script.conn.info().cwnd == 10 * MSS + grown


@both_ways
def test_of_two_segments_the_first_is_measured(short: bool) -> None:
    """RFC 6298 section 3: one measurement at a time."""
    script = Script()
    script.open(window=WIDE)
    script.write(b"x")
    script.poll()
    script.now += 30 * MS
    script.write(b"y")
    script.poll()
    script.now += 70 * MS
    script.send("A", ack=2, window=WIDE, **way(script, short=short))
    assert script.conn.info().srtt == 100 * MS
    script.now += 100 * MS
    script.send("A", window=WIDE, **way(script, short=short))
    assert script.conn.info().srtt == 100 * MS, "of the second nothing was measured"
    script.write(b"z")
    script.poll()
    script.now += 20 * MS
    script.send("A", window=WIDE, **way(script, short=short))
    assert script.conn.info().srtt == 90 * MS


def made(segments: int = 10, *, sack: bool = True, mss: int = 100, counters: Counters | None = None) -> Sender:
    """Segments of 100 bytes, sent at 1000 ms; the handshake took 40 ms."""
    sender = Sender(mss, 1 << 20, sack, TcpLimits(), counters or Counters())
    sender.timers.rtt.begin(40 * MS)
    sender.buffer.append([bytes(100 * segments)])
    sender.sent(1, 100 * segments, 1000 * MS)
    return sender


def acknowledge(sender: Sender, position: int, now: int, *blocks: tuple[int, int], **changes: Any) -> None:
    """An acknowledgement without text, with the window as before."""
    arguments = {"window": sender.window, "has_data": False, "rtt": -1} | changes
    sender.acknowledge(position, blocks=list(blocks), now=now * MS, **arguments)


def test_karn_by_the_numbers():
    """RFC 6298 section 3: neither the segment that was sent again nor the end of one running is a measurement."""
    for again in (False, True):
        sender = made()
        if again:
            sender.sent(901, 100, 1150 * MS)
        acknowledge(sender, 1001, 1200)
        assert sender.timers.rtt.srtt == (40 * MS if again else 200 * MS)
        assert sender.timers.timed_position == -1


def test_nothing_is_measured_in_a_recovery():
    sender = made()
    acknowledge(sender, 1, 1040, (101, 501))
    assert sender.recovery.point == 1001
    sender.buffer.append([bytes(100)])
    sender.sent(1001, 100, 1050 * MS)
    assert sender.timers.timed_position == -1
    sender.sent(1, 100, 1050 * MS)
    acknowledge(sender, 1001, 1300)
    assert (sender.recovery.point, sender.timers.rtt.srtt) == (-1, 40 * MS)
    acknowledge(sender, 1101, 1350)
    assert sender.timers.rtt.srtt == 40 * MS
    sender.buffer.append([bytes(100)])
    sender.sent(1101, 100, 1400 * MS)
    assert sender.timers.timed_position == 1201, "after it one is measured again"


def test_the_time_out_runs_from_the_first_of_a_flight_and_from_each_advance():
    """RFC 6298 (5.1), (5.2), (5.3)."""
    sender = made()
    assert sender.timers.rto_at == 1200 * MS
    sender.buffer.append([bytes(200)])
    sender.sent(1001, 100, 1100 * MS)
    assert sender.timers.rto_at == 1200 * MS
    acknowledge(sender, 1, 1110)
    assert sender.timers.rto_at == 1200 * MS, "nothing new"
    acknowledge(sender, 501, 1120)
    assert sender.timers.rto_at == 1120 * MS + sender.timers.rtt.rto
    acknowledge(sender, 1101, 1130)
    assert (sender.timers.rto_at, sender.timers.tail_at) == (0, 0)
    sender.sent(1101, 100, 1500 * MS)
    assert sender.timers.rto_at == 1500 * MS + sender.timers.rtt.rto


def test_patience_counts_from_the_first_of_a_flight():
    sender = made()
    sender.buffer.append([bytes(100)])
    sender.sent(1001, 100, 1100 * MS)
    assert sender.timers.progress_at == 1000 * MS
    acknowledge(sender, 501, 1120)
    assert sender.timers.progress_at == 1120 * MS
    acknowledge(sender, 501, 1130)
    assert sender.timers.progress_at == 1120 * MS
    acknowledge(sender, 1101, 1140)
    sender.buffer.append([bytes(100)])
    sender.sent(1101, 100, 9000 * MS)
    assert sender.timers.progress_at == 9000 * MS


def test_an_old_or_duplicate_report_leaves_the_probes_time_alone():
    """RFC 8985 section 7.2: with SACK, and while nothing is missing."""
    sender = made()
    assert sender.timers.tail_at == 1080 * MS
    acknowledge(sender, 501, 1040)
    assert sender.timers.tail_at == 1040 * MS + sender.timers.rtt.pto
    acknowledge(sender, 501, 1050, (701, 801))
    assert sender.timers.tail_at == 0
    plain = made(sack=False)
    assert plain.timers.tail_at == 0
    acknowledge(plain, 501, 1040)
    assert plain.timers.tail_at == 0


@pytest.mark.parametrize("timestamps", [True, False])
def test_duplicates_count_only_while_something_is_outstanding(timestamps: bool) -> None:
    """RFC 5681 section 2 (a)."""
    script = opened(sack=False, timestamps=timestamps)
    for _ in range(5):
        script.send("A", window=WIDE, **(way(script, short=False) if timestamps else {}))
    assert script.conn.info().calm
    script.write(bytes(20 * MSS))
    assert script.conn.info().in_flight == 0
    script.poll()
    assert script.conn.info().in_flight == 20 * MSS
    assert script.stat(Stat.TCP_RETRANSMITS) == 0


def test_a_measurement_by_a_report_is_a_millisecond_at_least():
    """And the time-out that was backed off comes down to it, but is never put off (RFC 6298 (5.7))."""
    for delay, rto_at in ((0, 200), (150, 350)):
        sender = made(2)
        for _ in range(4):
            sender.timed_out(2000 * MS)
        sender.buffer.append([bytes(100)])
        sender.sent(201, 100, 3000 * MS)
        sender.timers.rto_at = 9000 * MS
        acknowledge(sender, 1, 3000 + delay, (201, 301))
        assert sender.timers.rtt.backoff == 0
        assert sender.timers.rtt.srtt == max(MS, delay * MS)
        assert sender.timers.rto_at == (3000 + delay) * MS + sender.timers.rtt.rto
        assert sender.timers.rto_at >= 3000 * MS + rto_at * MS
    sender = made(2)
    sender.timed_out(2000 * MS)
    sender.buffer.append([bytes(100)])
    sender.sent(201, 100, 3000 * MS)
    sender.timers.rto_at = 3100 * MS
    acknowledge(sender, 1, 3050, (201, 301))
    assert sender.timers.rto_at == 3100 * MS


@pytest.mark.parametrize(("mss", "taken"), [(87, False), (88, True), (99, True), (100, False), (101, False)])
def test_only_a_smaller_path_changes_the_size(mss: int, taken: bool) -> None:
    """88 bytes are the least that is believed; what is in flight goes again only when the size changes."""
    sender = made()
    sender.set_mss(mss, 1000 * MS)
    assert sender.mss == (mss if taken else 100)
    assert sender.recovery.lost.total == (1000 if taken else 0)
    assert sender.calm is not taken
    assert sender.timers.tail_at == (0 if taken else 1080 * MS)


def test_an_idle_sender_takes_a_smaller_path_in_peace():
    sender = made()
    acknowledge(sender, 1001, 1040)
    sender.set_mss(90, 1000 * MS)
    assert (sender.mss, sender.calm, sender.recovery.point) == (90, True, -1)


def test_an_override_is_for_one_segment():
    """RFC 9293 section 3.8.6.2.1: after the time-out one small segment leaves, and the next one waits again."""
    sender = Sender(100, 1000, True, TcpLimits(), Counters())
    sender.timers.rtt.begin(40 * MS)
    sender.buffer.append([bytes(500)])
    sender.window = 30
    assert sender.next_segment(0) is None, "not from the beginning either"
    sender.timers.arm_persist(0)
    assert sender.persist_over(200 * MS)
    assert sender.next_segment(200 * MS) == (1, 30)
    sender.sent(1, 30, 200 * MS)
    assert sender.timers.persist_at == 0
    acknowledge(sender, 31, 240)
    assert sender.next_segment(240 * MS) is None


@pytest.mark.parametrize(("window", "patient"), [(0, False), (1, True)])
def test_patience_with_a_shut_window_ends_and_with_a_small_one_does_not(window: int, patient: bool) -> None:
    sender = Sender(100, 1000, True, TcpLimits(), Counters())
    sender.buffer.append([bytes(500)])
    sender.window = window
    sender.timers.arm_persist(1000 * MS)
    assert sender.persist_over(60_999 * MS)
    assert sender.override is bool(window)
    assert sender.persist_over(61_000 * MS) is patient


def test_the_largest_window_is_remembered_and_an_open_one_ends_the_probes():
    sender = made()
    sender.timers.persist_at = sender.timers.shut_since = 5
    acknowledge(sender, 1, 1010, window=0)
    assert (sender.window, sender.max_window) == (0, 1 << 20)
    assert (sender.timers.persist_at, sender.timers.shut_since) == (5, 5)
    acknowledge(sender, 1, 1020, window=1)
    assert (sender.window, sender.max_window) == (1, 1 << 20)
    assert (sender.timers.persist_at, sender.timers.shut_since) == (0, 0)
    acknowledge(sender, 1, 1030, window=1 << 21)
    assert sender.max_window == 1 << 21


def test_a_flight_counts_whole_though_acknowledgements_come_in_a_batch():
    """RecoverFS and the loss are of what was in flight when new data left last (RFC 9937, RFC 5681)."""
    script = opened(rounds=4)
    first = in_flight(script, 100)
    before = script.conn.info().in_flight
    script.send("A", ack=first + 90 * MSS, window=WIDE)
    una = first + 90 * MSS
    script.send("A", ack=una, sack=((una + MSS, una + 4 * MSS),), window=WIDE)
    assert script.conn.info().ssthresh >= before * 7 // 10


def test_what_comes_before_the_answer_to_a_size_probe_leaves_it_under_way():
    """No short way and no tail loss probe meanwhile; the answer brings the larger size."""
    sender = made()
    sender.cc.cwnd = 2000
    sender.hole.full = 200
    sender.hole.search(100)
    sender.hole.due_at = 1
    sender.buffer.append([bytes(800)])
    probe = sender.size_probe(1000 * MS)
    assert probe == (1001, 200)
    sender.sent(*probe, 1000 * MS)
    assert (sender.calm, sender.timers.tail_at) == (False, 0)
    acknowledge(sender, 501, 1040)
    assert (sender.calm, sender.timers.tail_at, sender.mss) == (False, 0, 100)
    acknowledge(sender, 1200, 1041)
    assert sender.mss == 100
    acknowledge(sender, 1201, 1042)
    assert (sender.mss, sender.hole.probe) == (200, None)
    assert sender.hole.due_at == 601_042 * MS, "again after ten minutes"


@pytest.mark.parametrize("probing", [True, False])
def test_a_fin_is_probed_for_unless_a_size_is(probing: bool) -> None:
    sender = made()
    if probing:
        sender.hole.probe = (901, 1001)
    sender.fin_queued = True
    sender.sent(1001, 0, 1010 * MS)
    assert sender.fin_sent
    assert not sender.calm
    assert sender.timers.tail_at == (0 if probing else 1090 * MS)


def test_a_recovery_that_is_over_reduces_nothing_any_more() -> None:
    """RFC 9937: the reduction is that of one recovery."""
    sender = made()
    acknowledge(sender, 1, 1040, (101, 501))
    assert sender.recovery.prr is not None
    acknowledge(sender, 1001, 1080)
    assert (sender.recovery.prr, sender.recovery.in_rto) == (None, False)
    window = sender.cc.cwnd
    sender.buffer.append([bytes(600)])
    sender.sent(1001, 600, 1090 * MS)
    acknowledge(sender, 1001, 1130, (1501, 1601))
    assert (sender.recovery.point, sender.cc.cwnd) == (-1, window)


@both_ways
def test_what_is_acknowledged_leaves_no_records(short: bool) -> None:
    """Of transmissions, for RACK: in the common case they end with their acknowledgement."""
    script = Script()
    script.open(window=WIDE, after=40)
    for _ in range(30):
        script.write(bytes(3 * MSS))
        script.poll()
        script.now += 40 * MS
        script.send("A", ack=script.seen - MSS, window=WIDE, **way(script, short=short))
        if short:
            assert script.conn.info().transmissions == 1
        script.now += 5 * MS
        script.send("A", window=WIDE, **way(script, short=short))
        if short:
            assert script.conn.info().transmissions == 0
    assert script.conn.info().calm
