"""Time-outs that a delay brought about: Eifel (RFC 3522, RFC 4015) and F-RTO (RFC 5682), scripted."""

from __future__ import annotations

from typing import Any

import pytest
from tests.sim.segments import Segment
from tests.unit.tcp.tcp_script import MS, Script
from tests.unit.tcp.test_loss_recovery import MSS, WIDE, in_flight, opened

from hognose.drops import Stat
from hognose.tcp.ranges import RangeSet
from hognose.tcp.time_out import TimeOut


def timed_out(*, stamps: bool, segments: int = 20, sack: bool = True) -> tuple[Script, int, int]:
    """A connection whose answers are late: (script, first position in flight, the timestamp sent with it)."""
    script = opened(sack=sack, timestamps=stamps, rounds=4, after=100)
    first = in_flight(script, segments)
    echo = script.ts_echo
    again: list[Segment] = []
    while not script.stat(Stat.TCP_TIMEOUTS):
        again += script.wait(50)
    assert again[-1].seq == first
    return script, first, echo


def answer(script: Script, ack: int, echo: int, **changes: Any) -> list[Segment]:
    """An acknowledgement of the peer that echoes such a timestamp."""
    stamps = (script.stamp(), echo) if script.ts else None
    script.send("A", ack=ack, window=WIDE, ts=stamps, **changes)
    return [segment for segment in script.poll() if segment.payload]


@pytest.mark.parametrize("stamps", [True, False])
def test_a_late_answer_undoes_the_time_out(stamps):
    """Nothing more is sent again, and the window is what it was."""
    script, first, echo = timed_out(stamps=stamps)
    before = script.stat(Stat.TCP_RETRANSMITS)
    saved = script.conn.info().undo
    assert answer(script, first + 2 * MSS, echo) == []
    assert script.stat(Stat.TCP_SPURIOUS_TIMEOUTS) == 1
    info = script.conn.info()
    assert info.congestion == saved
    assert info.cwnd == info.in_flight + 2 * MSS, "RFC 4015: no burst"
    assert info.rto > 400 * MS, "the delay was the path's"
    for count in range(4, 20, 2):
        assert answer(script, first + count * MSS, echo) == []
    assert script.stat(Stat.TCP_RETRANSMITS) == before
    script.send("A", window=WIDE)
    script.poll()
    assert script.conn.send_queued == 0


def test_new_data_follows_a_spurious_time_out_at_once():
    script, first, echo = timed_out(stamps=True)
    end = script.seen
    script.write(bytes(40 * MSS))
    sent = answer(script, first + 2 * MSS, echo)
    assert sum(len(segment.payload) for segment in sent) == 2 * MSS
    assert sent[0].seq == end


def test_the_echo_of_the_repeated_segment_means_loss():
    """With timestamps the first acknowledgement decides: all that was in flight is sent again."""
    script, first, _ = timed_out(stamps=True)
    again = answer(script, first + MSS, script.ts_echo)
    assert [segment.seq for segment in again] == [first + MSS, first + 2 * MSS]
    again = answer(script, first + 3 * MSS, 1)  # later ones are not looked at
    assert again[0].seq == first + 3 * MSS
    assert script.stat(Stat.TCP_SPURIOUS_TIMEOUTS) == 0


def test_without_timestamps_an_answer_to_all_says_nothing():
    """RFC 5682 section 3, step 2 a: the first was lost, or only the acknowledgements."""
    script, _, _ = timed_out(stamps=False)
    script.send("A", window=WIDE)
    script.poll()
    assert script.stat(Stat.TCP_SPURIOUS_TIMEOUTS) == 0
    assert script.conn.info().ssthresh < 20 * MSS


def test_without_timestamps_an_answer_to_what_was_repeated_says_nothing():
    script, first, _ = timed_out(stamps=False)
    size = script.conn.info().mss
    again = answer(script, first + size, 0)
    assert [segment.seq for segment in again] == [first + size, first + 2 * size]
    assert script.stat(Stat.TCP_SPURIOUS_TIMEOUTS) == 0


def test_without_timestamps_a_late_report_tells_too():
    """The first segment is lost and the others are late: a loss remains, found as any other; no go-back-N."""
    script, first, _ = timed_out(stamps=False)
    before = script.stat(Stat.TCP_RETRANSMITS)
    answer(script, first, 0, sack=((first + MSS, first + 3 * MSS),))
    assert script.stat(Stat.TCP_SPURIOUS_TIMEOUTS) == 1
    for count in range(5, 21):
        answer(script, first, 0, sack=((first + MSS, first + count * MSS),))
    answer(script, script.seen, 0)
    assert script.stat(Stat.TCP_RETRANSMITS) <= before + 1
    assert script.conn.send_queued == 0


def test_a_loss_in_a_delayed_flight_is_found_by_what_came_after():
    """Segments under way before the time-out are under way again, so that RACK sees the hole."""
    script, first, echo = timed_out(stamps=True)
    answer(script, first + 2 * MSS, echo)
    again = []
    for count in range(4, 20):
        again += answer(script, first + 2 * MSS, echo, sack=((first + 3 * MSS, first + count * MSS),))
    again += script.wait(200)
    assert [segment.seq for segment in again if segment.seq < first + 19 * MSS] == [first + 2 * MSS]
    assert script.stat(Stat.TCP_TIMEOUTS) == 1


def test_two_time_outs_are_undone_by_an_echo_only():
    for stamps, undone in ((True, 1), (False, 0)):
        script, first, echo = timed_out(stamps=stamps)
        while script.stat(Stat.TCP_TIMEOUTS) < 2:
            script.wait(50)
        answer(script, first + 2 * MSS, echo)
        assert script.stat(Stat.TCP_SPURIOUS_TIMEOUTS) == undone


def test_peers_without_sack_are_undone_by_the_echo():
    script, first, echo = timed_out(stamps=True, sack=False)
    before = script.stat(Stat.TCP_RETRANSMITS)
    for count in range(2, 20, 2):
        answer(script, first + count * MSS, echo)
    assert script.stat(Stat.TCP_SPURIOUS_TIMEOUTS) == 1
    assert script.stat(Stat.TCP_RETRANSMITS) == before


def test_a_size_that_was_doubted_is_believed_again():
    """Three time-outs in a row make the segments smaller; when they were spurious, they return to their size."""
    script, first, echo = timed_out(stamps=True)
    while not script.stat(Stat.TCP_BLACK_HOLES_SUSPECTED):
        script.wait(50)
    answer(script, first + 2 * MSS, echo)
    assert script.conn.info().mss == MSS


def test_a_router_that_spoke_meanwhile_is_believed():
    """The segment sent before the time-out was too large, late or not."""
    script, first, echo = timed_out(stamps=True)
    script.conn.path_mtu(1012, script.iss + first, script.now)
    script.poll()
    answer(script, first + 2 * MSS, echo)
    assert script.conn.info().mss == 1000
    assert script.stat(Stat.TCP_SPURIOUS_TIMEOUTS) == 0


def test_a_time_out_that_is_over_is_not_undone():
    script, _, _ = timed_out(stamps=False)
    script.send("A", window=WIDE)
    script.poll()
    assert not script.conn.info().recovering
    assert script.conn.info().undo is None


def test_a_time_out_in_a_recovery_is_not_undone():
    """RFC 5682 section 3: something was lost, whatever the time-out was."""
    script, first, _ = timed_out(stamps=True)
    answer(script, first + MSS, script.ts_echo)
    assert script.conn.info().undo is None
    script.wait(2_000)
    assert script.conn.info().undo is None


@pytest.mark.parametrize(("una", "at"), [(1, 5), (100, 5), (101, 9), (300, 9), (301, 77)])
def test_the_oldest_transmission_left(una: int, at: int) -> None:
    """Of the first record that ends after SND.UNA; now, where there is none."""
    assert TimeOut(50, 100, (), [[1, 101, 5, 0], [101, 301, 9, 0]]).oldest(una, 77) == at


@pytest.mark.parametrize(
    ("fresh", "whole", "repeated", "undone"),
    [
        ([(101, 201)], False, False, True),
        ([(1, 101)], False, False, False),  # sent again since
        ([(1, 101), (101, 102)], False, False, True),
        ([(101, 201)], True, False, False),
        ([(101, 201)], False, True, False),
        ([], False, False, False),
    ],
)
def test_what_was_not_sent_again_tells(fresh: list[tuple[int, int]], whole: bool, repeated: bool, undone: bool) -> None:
    """RFC 5682 section 3, steps 2 a and 3 b."""
    unsent = RangeSet(8)
    unsent.add(101, 501)
    time_out = TimeOut(50, 100, (), [])
    time_out.repeated = repeated
    assert time_out.answers_unsent(fresh, whole, unsent) is undone
