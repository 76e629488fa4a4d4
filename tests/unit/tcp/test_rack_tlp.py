"""RACK-TLP (RFC 8985), proportional rate reduction (RFC 9937), scripted."""

from __future__ import annotations

import pytest
from tests.unit.tcp.tcp_script import MS
from tests.unit.tcp.test_loss_recovery import MSS, WIDE, in_flight, opened

from hognose.drops import Stat
from hognose.tcp.rack import Rack
from hognose.tcp.rate_reduction import RateReduction
from hognose.tcp.sack import Scoreboard


def test_a_lost_retransmission_is_found_without_a_time_out():
    """RFC 8985 section 3.1: what was sent after the retransmission arrived, the retransmission did not."""
    script = opened(rounds=4)
    first = in_flight(script, 100)
    script.send("A", ack=first, sack=((first + MSS, first + 90 * MSS),), window=WIDE)
    assert script.poll()[0].seq == first  # and this one is lost too
    script.write(bytes(60 * MSS))
    fresh = [s for s in script.poll() if s.payload]
    script.now += 100 * MS
    again = []
    script.send("A", ack=first, sack=((first + MSS, first + 100 * MSS),), window=WIDE)
    again += script.poll()
    for count in range(1, len(fresh) + 1):
        script.send("A", ack=first, sack=((first + MSS, fresh[count - 1].end),), window=WIDE)
        again += script.poll()
    assert first in [s.seq for s in again]
    assert script.stat(Stat.TCP_TIMEOUTS) == 0


def test_a_lost_tail_is_repaired_without_a_time_out():
    """Section 7: the last segment of a burst is lost; the probe is that segment, in about two round trips."""
    script = opened()
    first = script.seen
    script.write(bytes(4 * MSS))
    script.poll()
    script.now += 50 * MS
    script.send("A", ack=first + 3 * MSS, window=WIDE)
    assert script.poll() == []
    before = script.now
    sent = script.wait(210)
    assert [(s.seq, len(s.payload)) for s in sent] == [(first + 3 * MSS, MSS)]
    assert script.stat(Stat.TCP_TAIL_PROBES) == 1
    assert script.stat(Stat.TCP_TIMEOUTS) == 0
    assert script.now - before < 300 * MS
    script.send("A", window=WIDE)
    script.poll()
    assert script.conn.send_queued == 0


def test_the_probe_tells_of_more_than_it_repairs():
    """The last three segments are lost: the answer to the probe reports the last, RACK finds the two before it."""
    script = opened()
    first = in_flight(script, 10)
    script.send("A", ack=first + 7 * MSS, window=WIDE)
    script.poll()
    end = script.seen
    assert len(script.wait(210)) == 1
    script.send("A", ack=first + 7 * MSS, sack=((end - MSS, end),), window=WIDE)
    sent = script.poll() + script.wait(60)
    assert first + 7 * MSS in [s.seq for s in sent]
    assert script.stat(Stat.TCP_TIMEOUTS) == 0


def test_a_lost_fin_is_probed_for_as_any_tail():
    """The FIN belongs to the last segment, and that goes again after about two round trips."""
    script = opened()
    first = script.seen
    script.write(bytes(4 * MSS))
    script.conn.close(script.now)
    assert "F" in script.poll()[-1].flags
    script.now += 50 * MS
    script.send("A", ack=first + 3 * MSS, window=WIDE)
    assert script.poll() == []
    [probe] = script.wait(210)
    assert (probe.end, probe.flags) == (first + 4 * MSS + 1, "FPA")
    assert (script.stat(Stat.TCP_TAIL_PROBES), script.stat(Stat.TCP_TIMEOUTS)) == (1, 0)
    script.send("FA", window=WIDE)
    script.poll()
    assert script.ended == ["FINISHED"]


def test_a_fin_by_itself_is_probed_for():
    script = opened()
    script.conn.close(script.now)
    [fin] = script.poll()
    [probe] = script.wait(260)
    assert (probe.seq, probe.flags) == (fin.seq, "FA")
    assert (script.stat(Stat.TCP_TAIL_PROBES), script.stat(Stat.TCP_TIMEOUTS)) == (1, 0)


def test_a_probe_is_of_new_data_where_there_is_some():
    """Section 7.3: beyond the congestion window; what it tells costs no window by itself (7.4.2)."""
    script = opened(rounds=0)
    first = script.seen
    script.write(bytes(15 * MSS))
    assert len(script.poll()) == 10
    script.now += 50 * MS
    [probe] = script.wait(2_000)[:1]
    assert (probe.seq, len(probe.payload)) == (first + 10 * MSS, MSS)
    assert script.stat(Stat.TCP_TAIL_PROBES) == 1


def test_what_a_probe_of_new_data_tells():
    for lost in (True, False):
        script = opened(rounds=0)
        first = script.seen
        script.write(bytes(15 * MSS))
        script.poll()
        while not script.stat(Stat.TCP_TAIL_PROBES):
            script.wait(10)
        window = script.conn.info().cwnd
        if lost:
            script.send("A", ack=first + 7 * MSS, sack=((first + 10 * MSS, first + 11 * MSS),), window=WIDE)
            again = script.poll() + script.wait(60)
            assert next(s.seq for s in again if s.seq < first + 11 * MSS) == first + 7 * MSS
            assert script.conn.info().cwnd < window
        else:
            script.send("A", ack=first + 11 * MSS, window=WIDE)
            assert [s.seq for s in script.poll()] == [
                first + 11 * MSS,
                first + 12 * MSS,
                first + 13 * MSS,
                first + 14 * MSS,
            ]
            assert script.conn.info().cwnd >= window
            assert script.conn.info().calm
        assert script.stat(Stat.TCP_TIMEOUTS) == 0


def test_a_probe_does_not_exceed_the_peers_window():
    script = opened(rounds=0)
    first = script.seen
    script.send("A", window=3 * MSS >> 7)
    script.poll()
    script.write(bytes(15 * MSS))
    sent = script.poll()
    assert len(sent) < 4
    [probe] = script.wait(500)[:1]
    assert first <= probe.seq < sent[-1].end
    assert probe.end == sent[-1].end


def test_one_probe_then_the_time_out():
    script = opened()
    in_flight(script, 10)
    script.wait(1_000)
    assert script.stat(Stat.TCP_TAIL_PROBES) == 1
    assert script.stat(Stat.TCP_TIMEOUTS) >= 1


def test_an_acknowledgement_begins_the_time_to_the_probe_anew():
    """Section 7.2: what advances SND.UNA rearms it, in the common case too; two round trips from then on."""
    script = opened()
    first = script.seen
    script.write(bytes(4 * MSS))
    script.poll()
    assert script.conn.info().pto == 200 * MS
    script.now += 150 * MS
    script.send("A", ack=first + 2 * MSS, window=WIDE)
    assert script.poll() == []
    assert script.wait(199) == []
    [probe] = script.wait(2)
    assert (probe.seq, len(probe.payload)) == (first + 3 * MSS, MSS)
    assert (script.stat(Stat.TCP_TAIL_PROBES), script.stat(Stat.TCP_TIMEOUTS)) == (1, 0)


def test_no_probe_without_sack():
    script = opened(sack=False)
    in_flight(script, 10)
    script.wait(1_000)
    assert script.stat(Stat.TCP_TAIL_PROBES) == 0


def test_a_probe_that_repaired_a_loss_costs_window():
    """Section 7.4: the loss that the probe hid from everybody is one all the same."""
    sizes = []
    for spurious in (False, True):
        script = opened(rounds=4)
        in_flight(script, 20)
        end = script.seen
        script.wait(210)
        assert script.stat(Stat.TCP_TAIL_PROBES) == 1
        script.send("A", ack=end, window=WIDE)
        script.write(bytes(MSS))
        script.poll()
        script.now += 100 * MS
        if spurious:
            script.send("A", ack=end, sack=((end - MSS, end),), window=WIDE)  # D-SACK: both arrived
        script.send("A", window=WIDE)
        script.write(bytes(300 * MSS))
        sizes.append(sum(script.sizes()))
    assert sizes[0] < 0.75 * sizes[1]


def test_reordering_is_given_time_where_it_was_seen():
    """Section 6.2 step 4: after a segment came late nothing is lost at once any more."""
    script = opened()
    first = in_flight(script, 10)
    script.send("A", ack=first, sack=((first + MSS, first + 3 * MSS),), window=WIDE)
    assert script.poll() == []
    script.send("A", ack=first + 3 * MSS, window=WIDE)  # it was late, not lost
    script.poll()
    script.send("A", ack=first + 3 * MSS, sack=((first + 4 * MSS, first + 10 * MSS),), window=WIDE)
    assert [s for s in script.poll() if s.seq == first + 3 * MSS] == []
    assert first + 3 * MSS in [s.seq for s in script.wait(60)], "a quarter of the least round trip later"
    assert script.stat(Stat.TCP_TIMEOUTS) == 0


def test_what_counted_as_lost_and_arrived_was_reordered():
    """Section 6.2 step 4: a segment found lost, not sent again yet and then reported tells of reordering."""
    for late in (True, False):
        script = opened(rounds=4)
        first = in_flight(script, 100)
        script.send("A", ack=first, sack=((first + 10 * MSS, first + 13 * MSS),), window=WIDE)
        assert [s.seq for s in script.poll()] == [first, first + MSS], "ten are lost, two have gone again"
        if late:
            blocks = ((first + 5 * MSS, first + 6 * MSS), (first + 10 * MSS, first + 13 * MSS))
            script.send("A", ack=first, sack=blocks, window=WIDE)
        script.poll()
        script.now += 100 * MS
        end = script.seen
        script.send("A", ack=end, window=WIDE)
        script.poll()
        script.send("A", window=WIDE)
        script.poll()
        assert script.conn.send_queued == 0
        first = in_flight(script, 10)
        script.send("A", ack=first, sack=((first + MSS, first + 9 * MSS),), window=WIDE)
        assert (first in [s.seq for s in script.poll()]) is not late
        assert late is (first in [s.seq for s in script.wait(60)])


def test_what_arrived_in_its_time_leaves_no_timer_behind():
    """Else the next segment sent, long after, would make the server run once for nothing."""
    script = opened()
    first = in_flight(script, 3)
    script.send("A", ack=first, sack=((first + MSS, first + 2 * MSS),), window=WIDE)
    assert script.poll() == []
    assert script.conn.info().reordering_at > script.now
    script.now += 5 * MS
    script.send("A", window=WIDE)
    script.poll()
    script.wait(500)
    script.write(b"x")
    script.poll()
    assert script.server.next_deadline() > script.now


def test_fewer_than_three_are_lost_after_the_time_for_reordering():
    """A case in which RFC 6675 waits for a third segment for ever."""
    script = opened()
    first = in_flight(script, 3)
    script.send("A", ack=first, sack=((first + MSS, first + 2 * MSS),), window=WIDE)
    assert script.poll() == []
    assert script.wait(35)[0].seq == first
    assert script.stat(Stat.TCP_TIMEOUTS) == 0


def test_duplicates_widen_the_time_for_reordering_and_it_is_forgotten():
    rack, board = Rack(), Scoreboard(8)
    rack.min_rtt = 40 * MS
    rack.reordering = True
    for number in range(3):
        rack.duplicate(srtt=40 * MS, now=(number + 1) * 100 * MS)
    rack.sent(0, 100, 500 * MS, False)
    rack.sent(100, 200, 502 * MS, False)
    board.add(100, 200)
    rack.delivered([(100, 200)], 542 * MS)
    assert rack.lost(0, board, True, 40 * MS, 542 * MS) == []
    assert rack.deadline == 500 * MS + 40 * MS + 40 * MS  # four steps of a quarter
    for _ in range(16):
        rack.recovered()
    assert rack.lost(0, board, True, 40 * MS, 550 * MS) == [(0, 100)]


def test_a_super_segment_is_as_many_segments_as_it_stands_for():
    """Facts T35: the one record of 40 segments is cut where the delivered part ends."""
    rack, board = Rack(), Scoreboard(8)
    rack.sent(0, 40_000, 1 * MS, False)
    board.add(5_000, 9_000)
    rack.delivered([(5_000, 9_000)], 41 * MS)
    assert rack.lost(0, board, True, 0, 41 * MS) == [(0, 5_000)]
    board.add(20_000, 40_000)
    rack.delivered([(20_000, 40_000)], 42 * MS)
    assert rack.lost(0, board, True, 0, 42 * MS) == [(9_000, 20_000)]


def test_records_are_few_whatever_was_written():
    rack = Rack()
    for number in range(10_000):
        rack.sent(number, number + 1, number * MS // 100, False)
    assert len(rack._records) <= 101


def test_an_acknowledgement_too_early_for_the_retransmission_proves_nothing():
    rack, board = Rack(), Scoreboard(8)
    rack.min_rtt = 40 * MS
    rack.sent(100, 200, 0, False)
    rack.sent(0, 100, 100 * MS, True)
    board.add(0, 100)
    rack.delivered([(0, 100)], 110 * MS)
    assert rack.lost(0, board, True, 40 * MS, 110 * MS) == []


def test_a_recovery_that_a_timer_begins_is_no_burst():
    """RFC 9937 section 6.2: nothing was delivered, so only the first segment goes again."""
    script = opened(rounds=4)
    first = in_flight(script, 10)
    end = script.seen
    script.send("A", ack=first, sack=((end - 256, end),), window=WIDE)
    assert script.poll() == []
    assert [(s.seq, len(s.payload)) for s in script.wait(60)] == [(first, MSS)]
    assert script.stat(Stat.TCP_RECOVERIES) == 1


def test_each_segment_delivered_lets_one_go_again():
    """RFC 9937 section 6.2 (PRR-SSRB): room for exactly one segment is room enough."""
    script = opened(rounds=4)
    first = in_flight(script, 20)
    again = []
    for count in (13, 14, 15, 16):
        script.send("A", ack=first, sack=((first + 10 * MSS, first + count * MSS),), window=WIDE)
        again.append([(s.seq - first) // MSS for s in script.poll()])
    assert again == [[0, 1, 2], [3], [4], [5]]


def test_rate_reduction_is_proportional():
    """RFC 9937: 100 in flight, target 70: seven sent for ten delivered, the window is the target at the end."""
    prr = RateReduction(100_000, 1000)
    pipe = 99_000
    sent = 0
    for _ in range(90):
        pipe -= 1000
        room = prr.window(1000, pipe, 70_000, 1000, advanced=False) - pipe
        while room >= 1000:
            prr.sent(1000)
            pipe, room, sent = pipe + 1000, room - 1000, sent + 1
    assert 60 <= sent <= 66
    assert pipe == pytest.approx(70_000, abs=3000)


def test_rate_reduction_below_the_target_grows_by_what_is_delivered():
    prr = RateReduction(100_000, 1000)
    assert prr.window(2000, 10_000, 70_000, 1000, advanced=False) == 12_000
    prr.sent(2000)
    assert prr.window(1000, 11_000, 70_000, 1000, advanced=True) == 11_000 + 2_000


def test_a_peer_that_reports_every_other_segment_costs_bounded_work(monkeypatch):
    """T30: 256 ranges, each hole sent again by itself and lost again; then all is acknowledged at once."""
    script = opened(rounds=7)
    first = script.seen
    script.write(bytes(script.conn.send_space))
    script.poll()
    script.now += 100 * MS
    window = (script.seen - first) // MSS
    compared = 0
    real = Scoreboard.missing

    def counted(board, start, end):
        nonlocal compared
        found = real(board, start, end)
        compared += 1 + len(found)
        return found

    monkeypatch.setattr(Scoreboard, "missing", counted)
    rounds = 0
    for number in range(1, window, 2):
        script.send("A", ack=first, sack=((first + number * MSS, first + (number + 1) * MSS),), window=WIDE)
        rounds += 1
    script.wait(90)
    assert script.conn.info().sacked_ranges <= 256
    assert script.conn.info().transmissions <= 2 * 512
    script.send("A", window=WIDE)
    script.poll()
    assert script.conn.send_queued <= WIDE << 7
    assert compared <= rounds * (window + 20)
