"""Times of sending: segments and super-segments, windows, silly windows, probes (RFC 9293 section 3.8.6, RFC 5681)."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.tcp.tcp_script import MS, Script

from hognose.drops import Stat
from hognose.errors import LocalError
from hognose.limits import TcpLimits

MSS = 1448
WIDE = 60_000  # with scale 7: more than any test sends


def opened(**changes: Any) -> Script:
    script = Script()
    script.open(**({"window": WIDE} | changes))
    return script


def grown(script: Script, windows: int = 8) -> Script:
    """Past slow start's first rounds: the window is wide."""
    for _ in range(windows):
        script.write(bytes(min(500_000, script.conn.send_space)))
        script.poll()
        script.now += 20 * MS
        script.send("A", window=WIDE)
        while script.poll():
            script.now += 20 * MS
            script.send("A", window=WIDE)
    assert script.conn.send_queued == 0
    return script


def test_a_small_write_leaves_at_once():
    """NODELAY always."""
    script = opened()
    script.write(b"a")
    [one] = script.poll()
    assert (one.flags, one.seq, one.ack, one.payload) == ("PA", 1, 1, b"a")
    script.write(b"b")
    assert [s.payload for s in script.poll()] == [b"b"], "although the first is not acknowledged"


def test_the_initial_window_is_ten_segments_in_one_super_segment():
    script = opened()
    script.write(bytes(100_000))
    assert script.sizes() == [10 * MSS]
    assert script.poll() == []
    script.send("A", window=WIDE)
    assert script.sizes() == [20 * MSS], "slow start doubles"


def test_super_segments_have_whole_segments_and_end_with_the_rest():
    script = grown(opened())
    script.write(bytes(150_000))
    sizes = script.sizes()
    assert sum(sizes) == 150_000
    assert [size % MSS for size in sizes[:-1]] == [0] * (len(sizes) - 1)
    assert max(sizes) == 64_963 // MSS * MSS
    for _, vnet, _ in script.raw[:-1]:
        assert int.from_bytes(vnet[4:6], "little") == MSS


def test_the_pieces_written_are_the_pieces_sent():
    script = grown(opened())
    pieces = [bytes((number,)) * 1400 for number in range(20)]
    script.conn.write(pieces)
    [(_, _, sent)] = script.server.poll(script.now)
    assert all(a is b for a, b in zip(sent[1:], pieces, strict=True))


def test_push_is_set_where_the_queue_ends():
    script = grown(opened())
    script.write(bytes(5 * MSS))
    assert [s.flags for s in script.poll()] == ["A"] * 4 + ["PA"]


def test_the_peers_window_is_a_limit():
    script = opened(scale=None, window=4000)
    script.write(bytes(10_000))
    assert script.sizes() == [2 * MSS], "a third segment would be a silly part of the window"
    script.send("A", window=4000)
    assert script.sizes() == [2 * MSS]


@pytest.mark.parametrize(("room", "sent"), [(MSS - 1, []), (MSS, [MSS]), (2 * MSS - 1, [MSS]), (2 * MSS, [2 * MSS])])
def test_room_for_exactly_one_segment_is_used(room: int, sent: list[int]) -> None:
    """RFC 9293 section 3.8.6.2.1 (1): min(D, U) >= Eff.snd.MSS, with something in flight already."""
    script = opened(scale=None, window=4 * MSS)
    script.write(bytes(20 * MSS))
    assert script.sizes() == [4 * MSS]
    script.send("A", ack=1 + MSS, window=3 * MSS + room)
    assert [len(s.payload) for s in script.poll()] == [MSS] * (sum(sent) // MSS)


def test_the_congestion_window_has_room_for_exactly_one_segment() -> None:
    script = opened()
    script.write(bytes(30 * MSS))
    assert script.sizes() == [10 * MSS]
    script.send("A", ack=1 + MSS // 2, window=WIDE)  # half of one is acknowledged, half of one grows: one
    assert [(s.seq, len(s.payload)) for s in script.poll()] == [(1 + 10 * MSS, MSS)]


def test_a_window_smaller_than_a_segment_is_used_when_it_is_half_of_the_largest():
    script = opened(scale=None, window=1000)
    script.write(bytes(3000))
    assert script.sizes() == [1000]
    assert script.poll() == []
    script.send("A", window=600)
    assert script.sizes() == [600]


def test_a_silly_window_is_used_after_a_time():
    """RFC 9293 section 3.8.6.2.1: the override time-out."""
    script = opened(scale=None, window=8000)
    script.write(bytes(8000))
    script.poll()
    script.send("A", window=300)
    script.write(bytes(1000))
    assert script.poll() == []
    assert len(script.wait(1500)[0].payload) == 300


def test_a_closed_window_is_probed_with_growing_intervals():
    script = opened(scale=None, window=2000)
    script.write(bytes(3000))
    script.poll()
    script.now += 100 * MS
    script.send("A", window=0)
    assert script.poll() == []
    times = []
    for _ in range(60):
        for probe in script.wait(100):
            assert (probe.seq, probe.payload) == (1448, b"")
            script.send("A", window=0)
            script.poll()
            times.append((script.now - script.start) // (100 * MS))
    assert times == [4, 10, 22, 46]
    script.send("A", window=2000)
    assert [len(s.payload) for s in script.poll()] == [1448, 104]


def test_a_peer_that_never_opens_its_window_is_dropped():
    """T24: the class of sockstress."""
    script = opened(scale=None, window=2000)
    script.write(bytes(3000))
    script.poll()
    script.send("A", window=0)
    script.poll()
    sent = []
    for _ in range(2000):
        for segment in script.wait(100):
            sent.append(segment.flags)
            if segment.flags == "A":
                script.send("A", window=0)
                script.poll()
    assert sent[-1] == "RA"
    assert script.ended == ["TIMED_OUT"]


def test_a_window_that_opens_in_between_may_be_shut_for_longer_than_a_minute_in_all():
    script = opened(scale=None, window=2000)
    script.write(bytes(20_000))
    script.poll()
    for _ in range(4):
        for _ in range(40):  # seconds
            script.send("A", window=0)
            script.poll()
            script.wait(1000)
        assert script.ended == []
        script.send("A", window=2000)
        assert script.poll(), "it goes on"


def test_data_beyond_a_window_that_shrank_is_sent_again_when_it_opens():
    script = opened(scale=None, window=8000)
    script.write(bytes(8000))
    script.poll()
    script.send("A", ack=4001, window=0)
    assert script.poll() == []
    sent = script.wait(2500)
    assert 4001 in [segment.seq for segment in sent]
    script.send("A", ack=8001, window=8000)
    assert script.conn.send_queued == 0


def test_an_older_segment_does_not_set_the_window():
    """RFC 9293: SND.WL1; the older one arrives late and fills a gap."""
    script = opened(scale=None, window=5000)
    script.send("PA", b"y" * 5, seq=11, window=5000)
    script.send("PA", b"x" * 10, seq=1, window=0)
    script.poll()
    script.write(bytes(1000))
    assert script.sizes() == [1000]


def test_the_send_queue_is_bounded():
    script = Script(limits=TcpLimits(send_buffer=10_000))
    script.open(window=WIDE)
    assert script.conn.send_space == 10_000
    script.write(bytes(10_000))
    assert (script.conn.send_space, script.conn.send_queued) == (0, 10_000)
    with pytest.raises(LocalError):
        script.write(b"x")
    script.poll()
    assert script.conn.send_space == 0, "sent is not acknowledged"
    script.send("A", ack=4001)
    assert script.conn.send_space == 4000


def test_nothing_is_written_after_close():
    script = opened()
    script.conn.close(script.now)
    assert script.conn.send_space == 0
    with pytest.raises(LocalError):
        script.write(b"x")
    script.conn.close(script.now)
    assert [s.flags for s in script.poll()] == ["FA"]


def test_empty_pieces_are_nothing():
    script = opened()
    script.conn.write([b"", b"a", b""])
    assert [s.payload for s in script.poll()] == [b"a"]


def test_the_fin_rides_on_the_last_data():
    script = opened()
    script.write(b"bye")
    script.conn.close(script.now)
    assert [(s.flags, s.payload) for s in script.poll()] == [("FPA", b"bye")]


def test_the_fin_waits_for_the_queue():
    script = opened(scale=None, window=4 * MSS)
    script.write(bytes(8 * MSS))
    script.conn.close(script.now)
    assert all("F" not in s.flags for s in script.poll())
    script.send("A", window=4 * MSS)
    assert [s.flags for s in script.poll()][-1] == "FPA"


def test_abort_resets():
    script = opened()
    script.write(b"never sent")
    script.conn.abort(script.now)
    [reset] = script.poll()
    assert (reset.flags, reset.seq) == ("RA", 1)
    assert script.ended == ["ABORTED"]
    script.conn.abort(script.now)
    assert script.poll() == []
    assert script.ended == []
    assert script.conn.send_space == 0


def test_an_idle_connection_begins_again_with_the_initial_window():
    """RFC 5681 section 4.1."""
    script = grown(opened())
    script.write(bytes(100_000))
    assert sum(script.sizes()) == 100_000
    script.send("A", window=WIDE)
    script.wait(5_000)
    script.write(bytes(100_000))
    assert sum(script.sizes()) == 10 * MSS


def test_without_timestamps_segments_are_larger():
    script = Script()
    script.ts = False
    script.open(window=WIDE)
    script.write(bytes(10_000))
    segments = script.poll()
    assert len(segments[0].payload) == 1460
    assert segments[0].ts is None
    assert script.stat(Stat.TCP_RETRANSMITS) == 0


def test_round_trips_without_timestamps_are_measured():
    script = Script()
    script.ts = False
    script.open(window=WIDE)
    for _ in range(10):
        script.write(b"x")
        script.poll()
        script.now += 400 * MS
        script.send("A", window=WIDE)
        script.poll()
    script.write(b"lost")
    script.poll()
    assert script.wait(390) == [], "RTO above the round trip of 400 ms"
    assert [s.payload for s in script.wait(400)] == [b"lost"]
