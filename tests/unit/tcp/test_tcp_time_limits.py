"""Time limits of TCP as numbers, by what leaves and when: a moment before the limit, and a moment after."""

from __future__ import annotations

import pytest
from tests.unit.tcp.tcp_script import MS, Script
from tests.unit.tcp.test_loss_recovery import MSS, WIDE, in_flight, opened
from tests.unit.tcp.test_segment_arrival import closing, established, fin_wait_2

from hognose.base.fair_table import FairTable
from hognose.drops import Stat
from hognose.limits import TcpLimits
from hognose.tcp.rack import Rack
from hognose.tcp.sack import Scoreboard

S = 1000  # milliseconds


def sent(script: Script, milliseconds: int) -> list[tuple[int, str]]:
    """Times of segments sent, in milliseconds from now on, and their flags."""
    start, out = script.now, []
    while script.now - start < milliseconds * MS:
        deadline = script.server.next_deadline()
        rest = start + milliseconds * MS - script.now
        step = rest if deadline is None else min(max(deadline - script.now, 0), rest)
        out += [((script.now - start) // MS, segment.flags) for segment in script.wait(step / MS)]
    return out


def unmeasured() -> Script:
    """The SYN-ACK was sent twice to a peer without timestamps, so that the handshake says nothing."""
    script = Script()
    script.ts = False
    script.syn(sack_ok=False)
    script.wait(260)
    script.send("A", window=WIDE)
    script.poll()
    script.accept()
    return script


def test_three_seconds_after_a_handshake_with_a_time_out_then_doubled_to_a_minute_and_given_up():
    """RFC 6298 (5.7), (5.5), (2.5); RFC 9293 section 3.8.3: R2 is 100 seconds at least."""
    script = unmeasured()
    script.write(b"lost")
    script.poll()
    assert sent(script, 400 * S) == [
        (3 * S, "PA"), (9 * S, "PA"), (21 * S, "PA"), (45 * S, "PA"), (93 * S, "PA"), (153 * S, "RA")
    ]  # fmt: skip
    assert script.ended == ["TIMED_OUT"]


def test_one_second_where_nothing_was_measured():
    """RFC 6298 (2.1), after back-off ended with an acknowledgement that measures nothing (Karn)."""
    script = unmeasured()
    script.write(b"lost")
    script.poll()
    assert sent(script, 3 * S) == [(3 * S, "PA")]
    script.send("A", window=WIDE)
    script.poll()
    script.write(b"lost too")
    script.poll()
    assert sent(script, 3 * S - 1) == [(1 * S, "PA")]


def test_the_least_time_out_is_200_milliseconds():
    """The minimum, for which RFC 6298 (2.4) says a second and all others do as we."""
    script = Script()
    script.open(window=WIDE, sack_ok=False)
    for _ in range(100):
        script.write(b"x")
        script.poll()
        script.now += MS
        script.send("A", window=WIDE)
        script.poll()
    script.write(b"lost")
    script.poll()
    assert sent(script, 700) == [(200, "PA"), (600, "PA")]


def test_a_time_out_is_the_round_trip_and_four_deviations():
    """RFC 6298 (2.2): of the first measurement, 100 + 4 * 50 milliseconds."""
    script = Script()
    script.ts = False
    script.open(window=WIDE, sack_ok=False, after=40)
    script.write(b"x")
    script.poll()
    script.now += 100 * MS
    script.send("A", window=WIDE)
    script.poll()
    script.write(b"lost")
    script.poll()
    assert sent(script, 800) == [(300, "PA")]


def test_a_probe_leaves_after_two_round_trips():
    """RFC 8985 section 7.2; 50 milliseconds more where one segment is in flight, whose ACK may be delayed."""
    for segments, after in ((2, 200), (1, 250)):
        script = Script()
        script.open(window=WIDE, after=100)
        script.write(bytes(segments * MSS))
        script.poll()
        assert sent(script, 290) == [(after, "PA")]
        assert script.stat(Stat.TCP_TAIL_PROBES) == 1


def test_the_least_time_to_a_probe_is_ten_milliseconds():
    script = Script()
    script.open(window=WIDE)
    for _ in range(100):
        script.write(b"x")
        script.poll()
        script.now += MS
        script.send("A", window=WIDE)
        script.poll()
    script.write(bytes(2 * MSS))
    script.poll()
    assert sent(script, 100) == [(10, "PA")]


def test_reordering_is_given_a_quarter_of_the_least_round_trip():
    """RFC 8985 section 6.2, step 4; the segment that was sent with the one delivered is due after 25 of 100 ms."""
    script = opened()
    first = in_flight(script, 3)
    script.send("A", ack=first, sack=((first + MSS, first + 2 * MSS),), window=WIDE)
    assert script.poll() == []
    assert [at for at, _ in sent(script, 60)] == [25]


def test_of_two_that_are_late_the_earlier_one_is_due_first():
    """RFC 8985 section 6.2, step 5: each has its own time, counted from when it was sent."""
    script = opened()
    first = script.seen
    for _ in range(3):
        script.write(bytes(MSS))
        script.poll()
        script.now += 10 * MS
    script.now += 90 * MS  # the third was sent 100 ms ago
    script.send("A", ack=first, sack=((first + 2 * MSS, first + 3 * MSS),), window=WIDE)
    assert script.poll() == []
    assert script.wait(4) == []
    assert [s.seq for s in script.wait(2)][:1] == [first]


def test_in_a_recovery_reordering_is_given_no_time_where_none_was_seen():
    """RFC 8985 section 6.2, step 4: fewer than three segments beyond a gap are enough then."""
    script = opened(rounds=4)
    first = in_flight(script, 20)
    script.send("A", ack=first, sack=((first + MSS, first + 5 * MSS),), window=WIDE)
    assert script.poll()[0].seq == first
    gap = first + 5 * MSS
    script.send("A", ack=gap, sack=((gap + MSS, gap + 2 * MSS),), window=WIDE)
    script.send("A", ack=gap, sack=((gap + MSS, gap + 3 * MSS - 1),), window=WIDE)
    assert gap in [s.seq for s in script.poll()]
    assert script.stat(Stat.TCP_RECOVERIES) == 1


def test_a_wider_time_for_reordering_lasts_for_16_recoveries():
    """RFC 8985 section 6.2, step 4 (RACK.reo_wnd_persist)."""
    for recoveries, wide in ((15, True), (16, False)):
        rack, board = Rack(), Scoreboard(8)
        rack.min_rtt = 40 * MS
        rack.reordering = True
        rack.duplicate(srtt=40 * MS, now=100 * MS)
        for _ in range(recoveries):
            rack.recovered()
        rack.sent(0, 100, 500 * MS, False)
        rack.sent(100, 200, 502 * MS, False)
        board.add(100, 200)
        rack.delivered([(100, 200)], 542 * MS)
        assert rack.lost(0, board, True, 40 * MS, 542 * MS) == []
        assert rack.deadline == (500 + 40 + (20 if wide else 10)) * MS


def duplicates(*times: int, srtt: int) -> int:
    """Milliseconds that reordering is given after reports of needless transmissions; the least round trip is 40."""
    rack, board = Rack(), Scoreboard(8)
    rack.min_rtt = 40 * MS
    rack.reordering = True
    for at in times:
        rack.duplicate(srtt=srtt * MS, now=at * MS)
    rack.sent(0, 100, 5000 * MS, False)
    rack.sent(100, 200, 5002 * MS, False)
    board.add(100, 200)
    rack.delivered([(100, 200)], 5042 * MS)
    assert rack.lost(0, board, True, srtt * MS, 5042 * MS) == []
    return rack.deadline // MS - 5040


def test_the_time_for_reordering_grows_once_per_round_trip_and_to_a_round_trip():
    """RFC 8985 section 6.2, step 4: a quarter of the least round trip more each time, SRTT at most."""
    assert duplicates(1000, srtt=60) == 20
    assert duplicates(1000, 1030, 1060, srtt=60) == 20
    assert duplicates(1000, 1061, srtt=60) == 30
    assert duplicates(*range(1000, 2000, 61), srtt=60) == 60


def test_an_idle_time_out_later_the_window_is_the_initial_one():
    """RFC 5681 section 4.1: idle for more than one RTO."""
    for idle, segments in ((190, 40), (210, 10)):
        script = opened()
        for _ in range(100):  # the round trip is a millisecond: the RTO is 200
            script.write(b"x")
            script.poll()
            script.now += MS
            script.send("A", window=WIDE)
            script.poll()
        script.now += idle * MS
        script.write(bytes(40 * MSS))
        assert sum(script.sizes()) == segments * MSS


def test_fin_wait_2_ends_after_a_minute():
    script = fin_wait_2()
    assert sent(script, 120 * S) == [(60 * S, "RA")]
    assert script.ended == ["TIMED_OUT"]


@pytest.mark.parametrize(("after", "answer"), [(60 * S - 1, "A"), (60 * S, "R")])
def test_time_wait_lasts_a_minute(after, answer):
    """RFC 9293 section 3.6.1: a FIN that comes again is acknowledged, afterwards no connection is known."""
    script = closing()
    script.send("A", ack=2)
    script.poll()
    script.wait(after)
    script.send("FA", seq=1, ack=2)
    assert [s.flags for s in script.poll()] == [answer]


def test_a_window_that_stays_shut_for_a_minute_ends_the_connection():
    """Its peer answers every probe; the first one due after 60 seconds is a reset."""
    script = Script()
    script.open(scale=None, window=2000)
    script.write(bytes(3000))
    script.poll()
    script.now += 100 * MS
    script.send("A", window=0)
    script.poll()
    start, last = script.now, 0
    while not (ended := script.ended):
        assert script.now - start < 200 * S * MS
        if script.wait(100):
            last = (script.now - start) // MS
            script.send("A", window=0)
            script.poll()
    assert ended == ["TIMED_OUT"]
    assert 60 * S <= last <= 120 * S


def test_a_connection_without_a_byte_has_ten_seconds():
    script = Script(silent=FairTable(8, 8, 8))
    script.syn()
    script.send("A")
    assert script.poll() == []
    assert sent(script, 60 * S) == [(10 * S, "RA")]


@pytest.mark.parametrize(("after", "accepted"), [(10_990, 1), (11_000, 0)])
def test_a_cookie_is_good_for_its_slot_of_eight_seconds_and_the_next(after, accepted):
    """Made 5 s after a slot began: 11 s are left. The flood goes on, so that cookies are believed."""
    script = Script(limits=TcpLimits(half_open=1))
    script.address = 0x0B000000
    script.syn()
    script.address += 1
    script.syn()
    cookie = script.iss
    script.wait(after)
    script.address += 1
    script.syn()  # fills the table again, or overflows it
    script.address += 1
    script.syn()
    script.address, script.iss, script.next = 0x0B000001, cookie, 1
    script.send("A", ack=1)
    assert len(script.server.accepted()) == accepted


@pytest.mark.parametrize(("after", "accepted"), [(15_990, 1), (16_010, 0)])
def test_cookies_are_believed_for_16_seconds_after_the_last_overflow(after, accepted):
    script = Script(start=8_000 * MS, limits=TcpLimits(half_open=1))  # a slot begins
    script.address = 0x0B000000
    script.syn()
    script.address += 1
    script.syn()
    script.now += after * MS
    script.send("A")
    assert len(script.server.accepted()) == accepted


def test_challenges_are_ten_in_a_second():
    """RFC 5961 section 7."""
    script = established()
    answers = []
    for tick in range(200):
        script.send("S", seq=1)
        answers += [tick // 100] * len(script.poll())
        script.now += 10 * MS
    assert answers == [0] * 10 + [1] * 10
