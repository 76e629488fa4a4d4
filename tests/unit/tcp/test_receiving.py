"""Received text: order, windows, when it is acknowledged (RFC 9293, RFC 5681 4.2, RFC 2018, RFC 2883)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.tcp.tcp_script import Script

from hognose.base.fair_table import FairTable
from hognose.drops import DropReason
from hognose.limits import TcpLimits

KIB = 1024
MSS = 1448


def opened(**limits: int) -> Script:
    script = Script(limits=TcpLimits(**limits))
    script.open()
    return script


def test_the_first_segments_are_acknowledged_at_once():
    script = opened()
    for number in range(40):
        script.send("A", b"x" * MSS)
        assert [s.ack for s in script.poll()] == [1 + (number + 1) * MSS]
    script.send("A", b"x" * MSS)
    assert script.poll() == []


def test_one_acknowledgement_for_a_batch():
    script = opened()
    for _ in range(30):
        script.send("A", b"x" * MSS)
    assert [s.ack for s in script.poll()] == [1 + 30 * MSS]


def test_later_acknowledgements_are_stretched_by_bytes():
    script = opened()
    script.quick_acks_over()
    answers = 0
    for _ in range(170):
        script.send("A", b"x" * MSS)
        script.take()
        answers += len(script.poll())
    assert answers == 10, "one per 24 KiB"


def test_the_stretch_is_24_kib_exactly():
    for size, answers in ((24 * KIB - 1, 0), (24 * KIB, 1)):
        script = opened()
        script.quick_acks_over()
        script.send("A", bytes(size - 1000))
        assert script.poll() == []
        script.send("A", bytes(1000))
        assert len(script.poll()) == answers


def test_a_pause_of_a_millisecond_is_acknowledged():
    script = opened()
    script.quick_acks_over()
    script.send("PA", b"x")
    assert script.poll() == []
    assert script.wait(0.9) == []
    assert [s.ack for s in script.wait(0.2)] == [script.next]
    assert script.wait(100) == [], "once"


def test_a_pause_that_data_went_out_in_costs_no_acknowledgement():
    script = opened()
    script.quick_acks_over()
    script.send("PA", b"question")
    script.write(b"answer")
    assert [(s.payload, s.ack) for s in script.poll()] == [(b"answer", script.next)]
    assert script.wait(5) == []


def test_text_after_a_pause_is_acknowledged_at_once():
    """A wake-up for the sake of one acknowledgement costs more than to send it along."""
    script = opened()
    script.quick_acks_over()
    for _ in range(3):
        script.wait(1.1)
        script.send("PA", b"x")
        assert [s.ack for s in script.poll()] == [script.next]
        script.send("PA", b"y")
        assert script.poll() == []
        assert [s.ack for s in script.wait(1)] == [script.next]


def test_a_pause_that_moved_is_kept():
    """The pause was cut short by an outgoing segment, and text came again before its time."""
    script = opened()
    script.quick_acks_over()
    script.send("PA", b"x")
    script.poll()
    script.wait(0.5)
    script.write(b"y")
    script.poll()
    script.send("PA", b"x")
    script.poll()
    assert script.wait(0.7) == []
    assert [s.ack for s in script.wait(0.5)] == [script.next]


def test_acknowledgements_wait_for_a_peer_without_window_scaling_too():
    """Its window cannot open beyond 64 KiB, and taking a segment is no news for it."""
    script = Script()
    script.open(scale=None)
    script.quick_acks_over()
    script.send("A", b"x" * 1000)
    script.take()
    script.poll()
    for _ in range(3):
        script.send("A", b"x" * 1000)
        assert len(script.take()) == 1000
        assert script.poll() == []
    assert [s.ack for s in script.wait(1)] == [script.next]


def test_a_super_segment_is_one_delivery():
    script = opened()
    script.send("PA", bytes(60_000), gso_size=MSS)
    [conn] = script.server.readable()
    assert [len(part) for part in conn.take()] == [60_000]
    assert [s.ack for s in script.poll()] == [60_001]


def test_out_of_order_text_waits_and_is_reported():
    script = opened()
    script.quick_acks_over()
    base = script.next
    script.send("PA", b"C" * 10, seq=base + 20)
    [answer] = script.poll()
    assert (answer.ack, answer.sack) == (base, [(base + 20, base + 30)])
    script.send("PA", b"E" * 10, seq=base + 40)
    [answer] = script.poll()
    assert answer.sack == [(base + 40, base + 50), (base + 20, base + 30)], "the newest first"
    assert script.take() == b""
    script.send("PA", b"A" * 10, seq=base)
    [answer] = script.poll()
    assert (answer.ack, answer.sack) == (base + 10, [(base + 40, base + 50), (base + 20, base + 30)])
    script.send("PA", b"BBBBBBBBBB" + b"C" * 10 + b"D" * 10, seq=base + 10)
    assert script.take() == b"A" * 10 + b"B" * 10 + b"C" * 10 + b"D" * 10 + b"E" * 10
    [answer] = script.poll()
    assert (answer.ack, answer.sack) == (base + 50, [])


def test_gap_and_fill_in_one_batch():
    script = opened()
    script.send("A", b"b" * 10, seq=11)
    script.send("A", b"a" * 10, seq=1)
    assert script.take() == b"a" * 10 + b"b" * 10
    assert [s.ack for s in script.poll()] == [21]


def test_duplicates_are_reported_as_such():
    """RFC 2883: the first block below the cumulative acknowledgement."""
    script = opened()
    script.send("PA", b"x" * 100)
    script.poll()
    script.send("PA", b"x" * 60, seq=21)
    [answer] = script.poll()
    assert (answer.ack, answer.sack) == (101, [(21, 81)])
    script.send("PA", b"y" * 100, seq=51)
    [answer] = script.poll()
    assert (answer.ack, answer.sack) == (151, [(51, 101)])
    assert script.take() == b"x" * 100 + b"y" * 50


def test_a_duplicate_beside_queued_ranges_comes_first():
    script = opened()
    script.send("PA", b"x" * 100)
    script.send("PA", b"z" * 10, seq=201)
    script.poll()
    script.send("PA", b"x" * 100, seq=1)
    [answer] = script.poll()
    assert answer.sack == [(1, 101), (201, 211)]


def test_reports_are_not_lost_in_outgoing_data():
    script = opened()
    script.send("PA", b"gap", seq=11)
    script.write(b"data")
    bare, data = script.poll()
    assert (bare.payload, bare.sack) == (b"", [(11, 14)])
    assert (data.payload, data.ack) == (b"data", 1)


def test_no_reports_to_a_peer_without_sack():
    script = Script()
    script.open(sack_ok=False)
    script.send("PA", b"gap", seq=11)
    assert [s.sack for s in script.poll()] == [[]]


def test_the_reassembly_queue_refuses_what_is_over_its_bound():
    script = opened(reassembly_ranges=2)
    for at in (11, 21, 31):
        script.send("PA", b"x", seq=at)
    assert script.drops(DropReason.TCP_REASSEMBLY_FULL) == 1
    [answer] = script.poll()
    assert sorted(answer.sack) == [(11, 12), (21, 22)]


def test_the_window_counts_what_was_not_taken():
    script = opened(receive_buffer=16 * KIB)
    script.send("A", b"x" * 10_000)
    [answer] = script.poll()
    assert answer.window == 16 * KIB - 10_000
    script.take()
    [answer] = script.poll()
    assert answer.window == 16 * KIB, "a window update, because more than half opened"


def test_a_window_that_opened_a_little_is_not_announced():
    script = opened(receive_buffer=16 * KIB)
    script.send("A", b"x" * 1000)
    script.poll()
    script.take()
    assert script.poll() == []


def test_the_right_edge_never_moves_back_and_not_in_silly_steps():
    script = opened(receive_buffer=16 * KIB)
    edge = 1 + 16 * KIB
    script.send("A", b"x" * 15_000)
    [first] = script.poll()
    assert first.ack + first.window == edge
    script.send("A", b"x" * 500)
    [second] = script.poll()
    assert second.ack + second.window == edge


def test_a_full_buffer_closes_the_window_and_probes_are_answered():
    script = opened(receive_buffer=16 * KIB)
    script.send("A", b"x" * 16 * KIB)
    [answer] = script.poll()
    assert answer.window == 0
    script.write(b"still talking")
    script.poll()
    script.send("A", b"p", ack=14)
    script.next -= 1
    [answer] = script.poll()
    assert (answer.ack, answer.window) == (1 + 16 * KIB, 0)
    assert script.conn.send_queued == 0, "RFC 9293: the acknowledgement of a probe counts"
    assert script.take() == b"x" * 16 * KIB
    [answer] = script.poll()
    assert answer.window == 16 * KIB


def test_a_fin_into_a_closed_window_waits():
    script = opened(receive_buffer=16 * KIB)
    script.send("A", b"x" * 16 * KIB)
    script.poll()
    script.send("FA")
    script.next -= 1
    script.poll()
    script.take()
    script.poll()
    assert not script.conn.eof
    script.send("FA")
    assert script.conn.eof


def test_numbers_wrap():
    script = Script(irs=0xFFFFFFF0)
    script.open()
    script.send("PA", b"0123456789")
    script.send("PA", b"z", seq=31)
    script.send("PA", b"abcdefghijklmnopqrst")
    assert script.take() == b"0123456789abcdefghijklmnopqrstz"


def test_readable_lists_a_connection_once_and_only_with_news():
    script = opened()
    for _ in range(3):
        script.send("PA", b"x")
    assert len(script.server.readable()) == 1
    assert script.server.readable() == []
    script.send("A")
    assert script.server.readable() == [script.conn], "what was not taken is still there"
    script.conn.take()
    script.send("A")
    assert script.server.readable() == []


def test_nothing_readable_is_lost_by_an_early_poll():
    script = opened()
    script.send("PA", b"x")
    script.poll()
    script.send("PA", b"y")
    script.poll()
    assert script.take() == b"xy"


def test_text_beyond_the_window_does_not_restart_anything():
    script = opened()
    script.quick_acks_over()
    script.send("A", b"x", seq=script.next + (2 << 20))
    script.poll()
    script.send("A", b"x")
    assert script.poll() == [], "still stretched"


def test_the_right_edge_moves_by_a_segment_at_least():
    script = opened(receive_buffer=16 * KIB)
    script.send("A", b"x" * 500)
    script.take()
    [answer] = script.poll()
    assert answer.ack + answer.window == 1 + 16 * KIB
    script.send("A", b"x" * 1000)
    script.take()
    [answer] = script.poll()
    assert answer.window == 16 * KIB


def test_the_pause_counts_from_the_first_byte_not_acknowledged():
    script = opened()
    script.quick_acks_over()
    answers = []
    for _ in range(4):
        script.send("PA", b"x")
        answers += script.poll()
        answers += script.wait(0.4)
    assert len(answers) == 1


def test_after_a_gap_acknowledgements_are_immediate_again():
    script = opened()
    script.quick_acks_over()
    base = script.next
    script.send("A", b"b", seq=base + 1)
    script.poll()
    script.send("A", b"a", seq=base)
    script.poll()
    script.send("A", b"c", seq=base + 2)
    assert len(script.poll()) == 1


def test_filling_a_long_gap_is_acknowledged_at_once_to_its_end():
    script = opened()
    script.send("A", b"far", seq=1001)
    script.poll()
    for at in range(1, 61):
        script.send("A", b"x", seq=at)
        assert [s.ack for s in script.poll()] == [at + 1]


def test_a_duplicate_is_reported_once():
    script = opened()
    script.send("A", b"x" * 10)
    script.poll()
    script.send("A", b"x" * 10, seq=1)
    assert script.poll()[0].sack
    script.send("A", b"y" * 10, seq=11)
    assert [s.sack for s in script.poll()] == [[]]


# -- the window of a connection that is not trusted yet ----------------------------------------------------------------


def stranger() -> Script:
    """Its first byte is here."""
    script = Script(silent=FairTable(9, 9, 9))
    assert script.syn()[0].window == 16 * KIB
    script.send("A", b"x")
    script.accept()
    return script


def test_a_stranger_may_send_a_little_until_it_is_taken():
    script = stranger()
    while script.next < 1 + 20 * KIB:
        script.send("A", b"x" * 1000)
        script.poll()
        assert script.edge <= 1 + 16 * KIB + 32, "32: the scale rounds"
    assert len(script.take()) == 16 * KIB
    [answer] = script.poll()
    assert answer.ack + (answer.window << script.scale) == 1 + 32 * KIB


def test_a_stranger_has_few_gaps():
    script = stranger()
    for at in range(40):
        script.send("A", b"x" * 10, seq=100 + 20 * at)
    assert script.conn.info().reassembly_ranges == TcpLimits().first_ranges
    assert script.counters.drops[DropReason.TCP_REASSEMBLY_FULL] == 40 - TcpLimits().first_ranges
    script.conn.trust()
    for at in range(40):
        script.send("A", b"x" * 10, seq=100 + 20 * at)
    assert script.conn.info().reassembly_ranges == 40


def test_trust_opens_the_window_and_takes_nothing_back():
    script = stranger()
    script.send("A", b"x" * 5000)
    script.poll()
    edge = script.edge
    script.conn.trust()
    script.send("A", b"x" * 1000)
    [answer] = script.poll()
    assert answer.ack + (answer.window << script.scale) >= 1 + (1 << 20) - 32 > edge
    for _ in range(100):
        script.send("A", b"x" * 1000)
    assert len(script.take()) == 106_001


@given(st.lists(st.binary(min_size=1, max_size=400), max_size=60), st.lists(st.integers(0, 900), min_size=1))
def test_bytes_taken_in_parts_are_the_stream(segments: list[bytes], takes: list[int]):
    """Whatever is taken when, with the joining of small chunks between: the stream, and a window for what is free."""
    script = opened(receive_buffer=64 * KIB)
    stream = b"".join(segments)
    taken = b""
    for number, segment in enumerate(segments):
        script.send("PA", segment)
        most = takes[number % len(takes)]
        part = b"".join(script.conn.take(most))
        assert len(part) == min(most, number_of_bytes(segments[: number + 1]) - len(taken))
        taken += part
        if number % 3 == 0:
            script.conn.compact()
        assert script.conn.waiting == (len(taken) < number_of_bytes(segments[: number + 1]))
    taken += b"".join(script.conn.take())
    assert taken == stream
    assert not script.conn.waiting


def number_of_bytes(segments: list[bytes]) -> int:
    return sum(map(len, segments))


def test_the_window_opens_by_what_was_taken():
    """RFC 9293 3.8.6.2.2: an acknowledgement of its own once half of the buffer is free again."""
    script = opened(receive_buffer=64 * KIB)
    for _ in range(63):
        script.send("A", bytes(KIB))
    script.poll()
    script.conn.take(30 * KIB)
    assert script.poll() == []
    script.conn.take(3 * KIB)
    [update] = script.poll()
    assert update.window << script.scale == 34 * KIB, "what is free"


def test_bytes_alone_cost_no_more_memory_than_their_bytes():
    script = opened(receive_buffer=256 * KIB)
    for _ in range(3):
        for _ in range(2000):
            script.send("PA", b"x")
        script.conn.compact()
    assert script.conn.info().ready_chunks <= 2
    assert script.take() == b"x" * 6000
