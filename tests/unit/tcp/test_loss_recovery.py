"""Loss: SACK recovery (RFC 6675), NewReno (RFC 6582), time-outs (RFC 6298), giving up (RFC 9293)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.unit.tcp.tcp_script import MS, Script

from hognose.drops import Stat

MSS = 1448
WIDE = 60_000


def opened(*, sack: bool = True, timestamps: bool = True, rounds: int = 3, after: float = 0) -> Script:
    """Warmed up: round trips of 100 ms (that of the handshake: after), a window of 10 * 2**rounds segments."""
    script = Script()
    script.ts = timestamps
    script.open(window=WIDE, sack_ok=sack, after=after)
    for _ in range(rounds):
        script.write(bytes(script.conn.send_space))
        script.poll()
        script.now += 100 * MS
        script.send("A", window=WIDE)
    while script.poll() or script.conn.send_queued:
        script.now += 100 * MS
        script.send("A", window=WIDE)
    return script


def in_flight(script: Script, segments: int) -> int:
    """Write and send that many full segments; returns the position of the first."""
    first = script.seen
    script.write(bytes(range(256)) * (segments * MSS // 256 + 1))
    sent = script.poll()
    assert len(sent) >= segments
    script.now += 100 * MS
    return first


def test_three_duplicates_bring_the_first_segment_again():
    script = opened(sack=False)
    first = in_flight(script, 10)
    for number in range(3):
        assert script.poll() == [], f"after {number} duplicates"
        script.send("A", ack=first, window=WIDE)
    again = script.poll()
    assert [(s.seq, len(s.payload)) for s in again] == [(first, MSS)]
    assert script.stat(Stat.TCP_RETRANSMITS) == 1


@pytest.mark.parametrize("timestamps", [True, False])
def test_what_acknowledges_something_new_is_no_duplicate(timestamps):
    script = opened(sack=False, timestamps=timestamps)
    first = in_flight(script, 10) + 1000
    for number in range(3):  # one that is new, and two duplicates
        script.send("A", ack=first, window=WIDE)
        assert all(s.seq > first for s in script.poll() if s.payload), f"after {number} duplicates"
    script.send("A", ack=first, window=WIDE)
    assert [s.seq for s in script.poll() if s.payload] == [first]


def test_segments_that_are_no_duplicate_acknowledgements():
    """RFC 5681 section 2: with data, or with another window, they do not count."""
    script = opened(sack=False)
    first = in_flight(script, 10)
    for number in range(6):
        script.send("PA", b"data", ack=first, window=WIDE)
        script.send("A", ack=first, window=WIDE - 1 - number % 2)
    assert all(s.seq > first for s in script.poll() if s.payload)
    assert script.stat(Stat.TCP_RETRANSMITS) == 0


def test_newreno_repairs_one_hole_per_round_trip():
    """RFC 6582: a partial acknowledgement shows the next hole."""
    script = opened(sack=False)
    first = in_flight(script, 20)
    for _ in range(3):
        script.send("A", ack=first, window=WIDE)
    assert script.poll()[0].seq == first
    second = first + 5 * MSS
    script.send("A", ack=second, window=WIDE)
    assert script.poll()[0].seq == second
    end = script.seen
    script.send("A", ack=end, window=WIDE)
    script.poll()
    assert script.conn.send_queued == 0
    assert script.stat(Stat.TCP_TIMEOUTS) == 0


def test_sacked_segments_are_not_sent_again():
    script = opened()
    first = in_flight(script, 20)
    holes = [0, 4, 5, 9]
    blocks = (
        (first + 1 * MSS, first + 4 * MSS),
        (first + 6 * MSS, first + 9 * MSS),
        (first + 10 * MSS, first + 19 * MSS),
    )
    script.send("A", ack=first, sack=blocks, window=WIDE)
    sent = []
    for _ in range(5):
        sent += script.poll()
        script.now += 10 * MS
    again = [(s.seq - first) // MSS for s in sent if s.seq < first + 20 * MSS]
    assert again == holes
    script.send("A", ack=script.seen, window=WIDE)
    assert script.conn.send_queued == 0


def test_two_duplicates_are_not_yet_a_loss():
    script = opened()
    first = in_flight(script, 10)
    script.send("A", ack=first, sack=((first + MSS, first + 3 * MSS),), window=WIDE)
    assert script.poll() == []
    script.send("A", ack=first, sack=((first + MSS, first + 3 * MSS + 1),), window=WIDE)
    assert script.poll()[0].seq == first


def test_the_first_retransmission_waits_for_no_room():
    """RFC 6675 section 5 (4.3): even when the pipe is fuller than the reduced window."""
    script = opened(rounds=4)
    first = in_flight(script, 100)
    script.send("A", ack=first, sack=((first + MSS, first + 4 * MSS),), window=WIDE)
    assert [(s.seq, len(s.payload)) for s in script.poll()] == [(first, MSS)]


def test_the_window_is_reduced_once_per_recovery():
    script = opened(rounds=4)
    first = in_flight(script, 100)
    for number in range(4, 60):
        script.send("A", ack=first, sack=((first + MSS, first + number * MSS),), window=WIDE)
        script.poll()
    script.send("A", ack=script.seen, window=WIDE)
    script.write(bytes(400_000))
    size = sum(script.sizes())
    assert 0.6 * 100 * MSS < size < 0.9 * 170 * MSS


def test_duplicate_and_impossible_blocks_are_ignored():
    script = opened()
    first = in_flight(script, 10)
    beyond = script.seen
    junk = ((first - 3 * MSS, first), (first + MSS, beyond + 1), (first + 5, first + 5))
    for _ in range(5):
        script.send("A", ack=first, sack=junk, window=WIDE)
    assert script.poll() == []


def test_a_time_out_sends_one_segment_again():
    script = opened()
    first = in_flight(script, 10)
    probe, *sent = script.wait(350)
    assert probe.seq > first
    assert (sent[0].seq, len(sent[0].payload)) == (first, MSS)
    assert len(sent) == 1
    assert script.stat(Stat.TCP_TIMEOUTS) == 1
    script.send("A", ack=first + MSS, window=WIDE)
    assert [(s.seq - first) // MSS for s in script.poll()] == [1, 2], "slow start over what was lost"


def test_time_outs_back_off_and_give_up():
    """RFC 6298 (5.5), RFC 9293 section 3.8.3: R2 at least 100 seconds."""
    script = opened()
    in_flight(script, 3)
    times, sent = [], []
    start = script.now
    for _ in range(4000):
        for segment in script.wait(50):
            times.append((script.now - start) // MS)
            sent.append(segment.flags)
    assert script.stat(Stat.TCP_TAIL_PROBES) == 1
    gaps = [b - a for a, b in pairwise(sorted(set(times[1:])))]
    assert all(1.7 < later / earlier < 2.3 for earlier, later in pairwise(gaps[:6]))
    assert sent[-1] == "RA"
    assert 100_000 <= times[-1] <= 165_000
    assert script.ended == ["TIMED_OUT"]
    assert script.conn.eof


def test_repeated_time_outs_forget_what_was_sacked():
    """RFC 2018 section 8: the peer may have dropped it."""
    script = opened()
    first = in_flight(script, 6)
    script.send("A", ack=first, sack=((first + MSS, first + 2 * MSS),), window=WIDE)
    script.poll()
    script.wait(6_000)
    script.send("A", ack=first + MSS, window=WIDE)
    assert script.poll()[0].seq == first + MSS


def test_karn_no_measurement_from_a_segment_sent_twice():
    """Without timestamps an acknowledgement of a retransmission measures nothing."""
    script = Script()
    script.ts = False
    script.open(window=WIDE)
    for _ in range(8):
        script.write(b"x")
        script.poll()
        script.now += 50 * MS
        script.send("A", window=WIDE)
        script.poll()
    script.write(b"lost")
    script.poll()
    assert [s.payload for s in script.wait(250)] == [b"lost"]
    script.wait(140)
    script.send("A", window=WIDE)  # 390 ms after the first, 190 after the second transmission
    script.poll()
    script.write(b"next")
    script.poll()
    assert [s.payload for s in script.wait(230)] == [b"next"], "the time-out is as before"


def test_timestamps_measure_even_in_recovery():
    script = opened()
    in_flight(script, 3)
    script.wait(500)
    script.send("A", window=WIDE)
    script.poll()
    script.write(b"x")
    script.poll()
    assert script.wait(150) == []
    assert script.wait(600)[0].payload == b"x"


def test_a_report_of_new_data_ends_the_back_off():
    """RFC 6298 (5.7): what was sent once and is reported is a measurement, whatever is still missing."""
    script = opened()
    first = script.seen
    script.write(b"one")
    script.poll()
    while script.stat(Stat.TCP_TIMEOUTS) < 4:
        script.wait(100)
    script.write(b"two")
    [second] = [s for s in script.poll() if s.payload == b"two"] or script.wait(5_000)[-1:]
    assert script.conn.info().backoff == 4
    script.now += 100 * MS
    script.send("A", ack=first, sack=((second.seq, second.end),), window=WIDE)
    script.poll()
    assert script.conn.info().backoff == 0
    script.wait(1_000)
    assert script.stat(Stat.TCP_TIMEOUTS) > 4, "soon, not after sixteen times the time-out"


def test_a_report_of_what_was_sent_again_measures_nothing():
    """Karn: it is unknown which of the two it answers, and how long ago the first was sent."""
    script = opened()
    first = script.seen
    script.write(bytes(2 * MSS))
    script.poll()
    while script.stat(Stat.TCP_TIMEOUTS) < 4:
        script.wait(100)
    script.send("A", ack=first, sack=((first + MSS, first + 2 * MSS),), window=WIDE)
    assert script.conn.info().backoff == 4


def test_a_lost_fin_is_sent_again():
    script = opened()
    script.conn.close(script.now)
    assert [s.flags for s in script.poll()] == ["FA"]
    assert [s.flags for s in script.wait(300)] == ["FA"]
    script.send("A")
    script.send("FA")
    script.poll()
    assert script.ended == ["FINISHED"]


def test_lost_data_with_fin_is_sent_again_together():
    script = opened()
    script.write(b"bye")
    script.conn.close(script.now)
    script.poll()
    assert [(s.flags, s.payload) for s in script.wait(300)] == [("FPA", b"bye")]


def test_a_fin_closed_meanwhile_rides_on_the_retransmission():
    script = opened()
    script.write(b"bye")
    script.poll()
    script.conn.close(script.now)
    script.poll()
    sent = script.wait(500)
    assert (sent[0].flags, sent[0].payload) == ("FPA", b"bye")


def test_retransmissions_are_cut_anew():
    """Data that was sent as small segments leaves again in whole ones."""
    script = opened()
    first = script.seen
    for _ in range(30):
        script.write(b"r" * 100)
        script.poll()
    probe, *sent = script.wait(500)
    assert len(probe.payload) == MSS
    assert (sent[0].seq, len(sent[0].payload)) == (first, MSS)


def test_a_spurious_acknowledgement_of_everything_ends_recovery():
    script = opened()
    first = in_flight(script, 10)
    script.send("A", ack=first, sack=((first + MSS, first + 9 * MSS),), window=WIDE)
    script.poll()
    script.send("A", ack=script.seen, window=WIDE)
    script.write(b"fresh")
    assert [s.payload for s in script.poll()] == [b"fresh"]


def test_a_nonsense_echo_measures_nothing():
    """An echoed timestamp from the future or from days ago must not set the time-out."""
    script = opened()
    in_flight(script, 3)
    script.wait(300)
    script.send("A", window=WIDE, ts=(script.stamp(), script.ts_echo - 10_000_000 & 0xFFFFFFFF))
    script.poll()
    script.write(b"x")
    script.poll()
    assert script.wait(1_000)


def test_a_long_silence_is_no_reason_to_give_up():
    script = opened()
    script.wait(300_000)
    script.write(b"after five minutes")
    script.poll()
    sent = script.wait(50_000)
    assert len(sent) > 4
    assert {s.payload for s in sent} == {b"after five minutes"}
    assert script.ended == []


def test_a_duplicate_sack_makes_no_room():
    """RFC 2883: a block below the cumulative acknowledgement says nothing about what is in flight."""
    script = opened(rounds=0)
    script.write(bytes(200_000))
    script.poll()
    una = script.seen
    script.send("A", window=WIDE)
    script.poll()
    script.send("A", ack=una, sack=((una - 8 * MSS, una),), window=WIDE)
    assert script.poll() == []


def test_further_duplicates_let_new_segments_out():
    """RFC 5681 section 3.2 (4), without SACK: each duplicate says that a segment has left the network."""
    script = opened(sack=False, rounds=0)
    script.write(bytes(200_000))
    first = script.seen
    sent = len(script.poll())
    for _ in range(3):
        script.send("A", ack=first, window=WIDE)
    assert script.poll()[0].seq == first
    for _ in range(sent - 4):
        script.send("A", ack=first, window=WIDE)
    fresh = script.poll()
    assert fresh
    assert all(segment.seq >= first + sent * MSS for segment in fresh)
    assert len(fresh) <= sent * 7 // 10


def test_repeated_time_outs_keep_the_threshold():
    """RFC 5681 equation 4: ssthresh is set when a segment is sent again for the first time."""
    script = opened(rounds=4)
    in_flight(script, 100)
    script.wait(3_000)
    assert script.stat(Stat.TCP_TIMEOUTS) >= 3
    script.send("A", window=WIDE)
    script.write(bytes(script.conn.send_space))
    largest = 0
    for _ in range(7):
        largest = max(largest, len(script.poll()))
        script.now += 100 * MS
        script.send("A", window=WIDE)
    assert largest > 40


def test_a_window_that_is_not_used_does_not_grow():
    """RFC 9438 section 4.2, RFC 7661: only a full window tells that the network carries more."""
    script = Script()
    script.open(window=WIDE)
    for _ in range(50):
        script.write(bytes(2 * MSS))
        script.poll()
        script.now += 10 * MS
        script.send("A", window=WIDE)
    script.write(bytes(200_000))
    assert sum(script.sizes()) == 10 * MSS


def test_a_batch_of_acknowledgements_does_not_make_the_window_look_unused():
    """Half of the window is acknowledged in the batch that tells of a loss; seven tenths of all of it are left."""
    script = opened(rounds=4)
    first = script.seen
    script.write(bytes(400 * MSS))
    window = len(script.poll())
    script.now += 100 * MS
    for number in range(1, window // 2):
        script.send("A", ack=first + number * MSS, window=WIDE)
    una = first + (window // 2 - 1) * MSS
    script.send("A", ack=una, sack=((una + MSS, una + 5 * MSS),), window=WIDE)
    script.poll()
    assert script.conn.info().ssthresh >= 0.7 * window * MSS


def test_acknowledgements_of_an_idle_connection_are_no_duplicates():
    """RFC 5681 section 2 (a): there must be something outstanding."""
    script = opened(sack=False)
    for _ in range(5):
        script.send("A", window=WIDE)
    script.write(bytes(3 * MSS))
    assert len(script.poll()) == 3
    assert script.stat(Stat.TCP_RETRANSMITS) == 0
    script.send("A", window=WIDE)
    script.write(b"x")
    assert [s.payload for s in script.poll()] == [b"x"]
