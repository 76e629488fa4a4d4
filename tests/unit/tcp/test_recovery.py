"""Decisions of loss recovery, each as a function of positions; whole transfers are in the tests of the sender."""

from __future__ import annotations

import pytest

from hognose.limits import TcpLimits
from hognose.tcp.recovery import Recovery

MS = 1_000_000
NOW = 10**12
MSS = 100
SAVED = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)


def flight(segments: int = 10, *, sack: bool = True) -> Recovery:
    """Segments of 100 bytes from 1 on, one each millisecond, the first 50 ms ago."""
    made = Recovery(sack, TcpLimits())
    for number in range(segments):
        made.rack.sent(1 + number * MSS, 1 + (number + 1) * MSS, NOW - (50 - number) * MS, False)
    return made


def test_what_a_report_says():
    made = flight()
    assert made.report([(301, 401), (101, 201)], 1, 1001, 1) == ([(101, 201), (301, 401)], False)
    assert made.report([(101, 401)], 1, 1001, 1) == ([(201, 301)], False), "only what is new"
    assert made.report([(1, 101)], 101, 1001, 101) == ([], True), "below the acknowledgement: a duplicate"
    assert made.report([(901, 1101), (1, 101), (101, 101)], 1, 1001, 1) == ([], False), "what was never sent"
    assert made.board.total == 300


def test_the_pipe_counts_neither_what_is_held_nor_what_is_lost():
    made = flight()
    made.report([(501, 601)], 1, 1001, 1)
    made.lost.add(1, 301)
    assert made.pipe(1000, MSS) == 600
    assert made.pipe(300, MSS) == 0
    made.dupacks = 2
    assert made.pipe(1000, MSS) == 600, "with SACK duplicates say nothing"
    plain = flight(sack=False)
    plain.dupacks = 2
    assert plain.pipe(1000, MSS) == 800


@pytest.mark.parametrize(
    ("change", "quiet"),
    [
        (lambda made: None, True),
        (lambda made: made.report([(101, 201)], 1, 1001, 1), False),
        (lambda made: setattr(made, "dupacks", 1), False),
        (lambda made: setattr(made, "probe_end", 1001), False),
        (lambda made: made.enter(1001, 1000, MSS), False),
    ],
)
def test_quiet(change, quiet):
    made = flight()
    change(made)
    assert made.quiet() is quiet


def test_loss_begins_with_more_than_two_segments_held():
    """RFC 6675: DupThresh; the ranges before what arrived, sent earlier."""
    made = flight()
    made.arrived(made.report([(301, 501)], 1, 1001, 1)[0], NOW)
    assert made.find_lost(1, 1001, MSS, 20 * MS, NOW) == []
    assert made.rack.deadline > NOW, "they may only be late"
    made.arrived(made.report([(501, 601)], 1, 1001, 1)[0], NOW)
    assert made.find_lost(1, 1001, MSS, 20 * MS, NOW) == [(1, 101), (101, 201), (201, 301)]
    assert made.lost.total == 300
    assert made.find_lost(1, 1001, MSS, 20 * MS, NOW) == [], "each once"


def test_without_sack_the_third_duplicate_tells():
    made = flight(sack=False)
    for dupacks, found in ((2, []), (3, [(1, 101)])):
        made.dupacks = dupacks
        assert made.find_lost(1, 1001, MSS, 20 * MS, NOW) == found
    made.enter(1001, 1000, MSS)
    assert made.find_lost(1, 1001, MSS, 20 * MS, NOW) == []
    made.dupacks = 3
    assert flight(sack=False).find_lost(1, 51, MSS, 0, NOW) == []


def test_a_short_flight_is_lost_as_far_as_it_goes():
    made = Recovery(False, TcpLimits())
    made.dupacks = 3
    assert made.find_lost(1, 51, MSS, 0, NOW) == [(1, 51)]


def test_a_partial_acknowledgement_without_sack_names_the_next_hole():
    made = flight(sack=False)
    made.enter(1001, 1000, MSS)
    made.urgent = False
    made.dupacks = 5
    assert not made.advance(401, 1001, MSS)
    assert (made.lost.first(), made.lost.total, made.urgent, made.dupacks) == ((401, 501), 100, True, 0)
    assert not made.advance(951, 1001, MSS)
    assert (made.lost.first(), made.lost.total) == ((951, 1001), 50)
    assert made.advance(1001, 1001, MSS)
    assert (made.point, made.lost.total) == (-1, 0)


def test_a_recovery_ends_at_its_point():
    made = flight()
    assert not made.advance(101, 1001, MSS), "there is none"
    made.enter(901, 1000, MSS)
    assert (made.point, made.urgent, made.probe_end) == (901, True, -1)
    assert not made.advance(900, 1001, MSS)
    assert made.advance(901, 1001, MSS)
    assert made.prr is not None, "the caller reads it before it clears it"


def test_in_a_time_out_all_that_is_not_held_is_lost():
    made = flight()
    made.report([(201, 301)], 1, 1001, 1)
    made.dupacks, made.probe_end = 2, 1001
    made.timed_out(1, 1001, MSS, SAVED, NOW)
    assert (made.point, made.in_rto, made.dupacks, made.probe_end, made.prr) == (1001, True, 0, -1, None)
    assert made.lost.total == 900
    assert made.time_out is not None
    assert (made.time_out.congestion, made.time_out.mss, made.time_out.repeated) == (SAVED, MSS, False)
    first = made.time_out
    made.timed_out(1, 1001, MSS // 2, (0.0,) * 6, NOW + 1)
    assert made.time_out is first
    assert first.repeated


def test_a_time_out_in_a_recovery_is_not_to_be_undone():
    made = flight()
    made.enter(1001, 1000, MSS)
    made.timed_out(1, 1001, MSS, SAVED, NOW)
    assert made.time_out is None


@pytest.mark.parametrize(("rtt_ms", "undone"), [(300, True), (11, True), (10, False), (3, False), (0, False)])
def test_the_first_echo_decides_about_a_time_out(rtt_ms: int, undone: bool):
    """Eifel (RFC 3522): the echo is of a segment from before the time-out, or of its repetition."""
    made = flight()
    made.timed_out(1, 1001, MSS, SAVED, NOW)
    found = made.undo_time_out(101, [(1, 101)], rtt_ms * MS, NOW + 10 * MS)
    assert (found is not None) is undone
    assert made.time_out is None, "later ones say nothing"
    assert (made.point, made.in_rto) == ((-1, False) if undone else (1001, True))
    if found is not None:
        assert found.congestion == SAVED
        assert (made.lost.total, len(made.rack)) == (0, 10), "the transmissions are in flight again"


def test_without_echoes_what_was_not_repeated_decides():
    """F-RTO (RFC 5682): data acknowledged that was not sent again since."""
    for repeated, undone in ((100, True), (200, False)):
        made = flight()
        made.timed_out(1, 1001, MSS, SAVED, NOW)
        made.lost.remove(1, 1 + repeated)
        assert (made.undo_time_out(201, [(1, 201)], -1, NOW) is not None) is undone
        assert (made.time_out is None) is undone, "a later one may tell"
    made = flight()
    made.timed_out(1, 1001, MSS, SAVED, NOW)
    assert made.undo_time_out(1001, [(1, 1001)], -1, NOW) is None, "all says nothing"
    plain = flight(sack=False)
    plain.timed_out(1, 1001, MSS, SAVED, NOW)
    assert plain.undo_time_out(201, [(1, 201)], -1, NOW) is None


@pytest.mark.parametrize(
    ("again", "position", "advanced", "duplicate", "repaired", "over"),
    [
        (True, 900, True, False, False, False),  # of what came before the probe
        (True, 1001, True, False, False, False),  # of the segment or of its repetition: unknown yet
        (True, 1001, True, True, False, True),  # both came
        (True, 1001, False, False, False, True),
        (True, 1002, True, False, True, True),  # no duplicate was reported: the first one was lost
        (True, 1002, True, True, False, True),
        (False, 1001, True, False, False, True),  # of new data: nothing was repaired
        (False, 1002, True, False, False, True),
    ],
)
def test_what_the_answer_to_a_probe_tells(again, position, advanced, duplicate, repaired, over):
    """RFC 8985 section 7.4."""
    made = flight()
    made.probe_again_from(901, 1001)
    assert (made.lost.first(), made.urgent, made.probe_end) == ((901, 1001), True, 1001)
    made.probe_again = again
    assert made.probe_answered(position, advanced, duplicate) is repaired
    assert (made.probe_end == -1) is over


def test_a_probe_in_a_recovery_repairs_nothing_of_its_own():
    made = flight()
    made.probe_again_from(901, 1001)
    made.point = 1001
    assert made.probe_answered(1002, True, False) is False


def test_what_arrives_beside_a_loss_is_no_reordering() -> None:
    """Only the arrival of what was taken for lost shows that segments overtake each other."""
    made = Recovery(True, TcpLimits())
    made.rack.sent(0, 3000, 0, False)
    made.lost.add(0, 1000)
    made.arrived([(1000, 2000)], 50)
    assert not made.rack.reordering
    made.arrived([(0, 1000)], 60)
    assert made.rack.reordering
