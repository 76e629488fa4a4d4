"""States x flags x positions: RFC 9293 section 3.10.7.4 with RFC 5961 and RFC 7323; the main rows."""

from __future__ import annotations

import pytest
from tests.sim.segments import Segment, build
from tests.unit.tcp.tcp_script import MASK, MS, PORT, SERVER, Script

from hognose.drops import DropReason
from hognose.limits import TcpLimits
from hognose.tcp.state import CloseReason

WINDOW = 1 << 20


def established() -> Script:
    script = Script()
    script.open()
    return script


def close_wait() -> Script:
    script = established()
    script.send("FA")
    script.take()
    script.poll()
    return script


def fin_wait_1() -> Script:
    script = established()
    script.conn.close(script.now)
    assert [s.flags for s in script.poll()] == ["FA"]
    script.seen = 1  # our FIN is not acknowledged
    return script


def fin_wait_2() -> Script:
    script = fin_wait_1()
    script.send("A", ack=2)
    assert script.poll() == []
    script.seen = 2
    return script


def closing() -> Script:
    script = fin_wait_1()
    script.send("FA")
    assert [s.flags for s in script.poll()] == ["A"]
    script.seen = 1
    return script


def last_ack() -> Script:
    script = close_wait()
    script.conn.close(script.now)
    assert [s.flags for s in script.poll()] == ["FA"]
    script.seen = 1
    return script


STATES = {
    "ESTABLISHED": established,
    "CLOSE-WAIT": close_wait,
    "FIN-WAIT-1": fin_wait_1,
    "FIN-WAIT-2": fin_wait_2,
    "CLOSING": closing,
    "LAST-ACK": last_ack,
}
everywhere = pytest.mark.parametrize("state", STATES)


@everywhere
def test_rst_at_the_very_next_number_ends_the_connection(state):
    """RFC 5961 section 3.2 (1); nothing is sent in answer."""
    script = STATES[state]()
    script.send("R")
    assert script.poll() == []
    assert script.ended == ["RESET_BY_PEER"]
    assert script.conn.eof
    assert len(script.server) == 0


@everywhere
@pytest.mark.parametrize("at", [1, 5000, 60_000])
def test_rst_elsewhere_in_the_window_is_challenged(state, at):
    """RFC 5961 section 3.2 (2)."""
    script = STATES[state]()
    before = script.next
    script.send("R", seq=script.next + at)
    assert [(s.flags, s.ack) for s in script.poll()] == [("A", before)]
    assert script.ended == []


@everywhere
@pytest.mark.parametrize("at", [-1, -70_000, WINDOW * 2, 1 << 31])
def test_rst_outside_the_window_is_ignored(state, at):
    script = STATES[state]()
    script.send("R", seq=script.next + at)
    assert script.poll() == []
    assert script.ended == []
    assert script.drops(DropReason.TCP_OUT_OF_WINDOW) == 1


@everywhere
@pytest.mark.parametrize("at", [0, 10, -1000, WINDOW * 2])
def test_syn_is_challenged_anywhere(state, at):
    """RFC 5961 section 4.2."""
    script = STATES[state]()
    script.send("S", seq=script.next + at)
    assert [(s.flags, s.ack) for s in script.poll()] == [("A", script.next)]
    assert script.ended == []


@everywhere
def test_a_segment_without_ack_is_dropped(state):
    script = STATES[state]()
    script.send("P", b"data", ack=1)
    script.next -= 4
    assert script.poll() == []
    assert script.drops(DropReason.TCP_BAD_ACK) == 1
    assert script.take() == b""


@everywhere
@pytest.mark.parametrize("ack", [2000, 1 << 30, -(1 << 24)])
def test_text_with_an_impossible_ack_is_not_delivered(state, ack):
    """RFC 5961 section 5.2: only SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT."""
    script = STATES[state]()
    script.send("PA", b"evil", ack=ack)
    script.next -= 4
    assert [(s.flags, s.ack) for s in script.poll()] == [("A", script.next)]
    assert script.drops(DropReason.TCP_BAD_ACK) == 1
    assert script.take() == b""


@everywhere
def test_an_old_acknowledgement_is_harmless(state):
    script = STATES[state]()
    script.send("A", ack=-100)
    assert script.poll() == []
    assert script.ended == []


@pytest.mark.parametrize("state", ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2"])
def test_text_is_delivered_where_the_peer_has_not_closed(state):
    script = STATES[state]()
    script.send("PA", b"some text")
    assert script.take() == b"some text"
    assert [(s.flags, s.ack) for s in script.poll()][-1] == ("A", script.next)


@pytest.mark.parametrize("state", ["CLOSE-WAIT", "CLOSING", "LAST-ACK"])
def test_text_behind_the_fin_is_ignored(state):
    script = STATES[state]()
    script.send("PA", b"after the end")
    script.next -= 13
    script.poll()
    assert script.take() == b""
    assert script.ended == []


@everywhere
def test_old_text_is_acknowledged_again(state):
    script = STATES[state]()
    script.send("PA", b"old", seq=-2)
    [answer] = script.poll()
    assert (answer.flags, answer.ack) == ("A", script.next)
    assert answer.sack == [((-2) & MASK, 1)], "a duplicate SACK block (RFC 2883)"


@everywhere
def test_text_beyond_the_window_is_answered_and_dropped(state):
    script = STATES[state]()
    script.send("PA", b"far", seq=script.next + WINDOW * 2)
    assert [(s.flags, s.ack) for s in script.poll()] == [("A", script.next)]
    assert script.drops(DropReason.TCP_OUT_OF_WINDOW) == 1


@pytest.mark.parametrize("state", ["CLOSE-WAIT", "CLOSING", "LAST-ACK"])
def test_a_repeated_fin_is_acknowledged_again(state):
    script = STATES[state]()
    script.send("FA", seq=script.next - 1)
    assert [(s.flags, s.ack) for s in script.poll()] == [("A", script.next)]


def test_fin_in_established():
    script = established()
    script.send("FA")
    assert [conn.id for conn in script.server.readable()] == [script.conn.id]
    assert script.conn.eof
    assert [(s.flags, s.ack) for s in script.poll()] == [("A", 2)]
    script.write(b"half closed, still talking")
    assert [s.payload for s in script.poll()] == [b"half closed, still talking"]


def test_eof_waits_until_everything_was_taken():
    script = established()
    script.send("PFA", b"last words")
    assert not script.conn.eof
    assert script.take() == b"last words"
    assert script.conn.eof


def test_passive_close_ends_without_time_wait():
    script = last_ack()
    script.send("A", ack=2)
    assert script.poll() == []
    assert script.ended == ["FINISHED"]
    assert script.conn.close_reason is CloseReason.FINISHED
    script.send("A", ack=2)
    assert [s.flags for s in script.poll()] == ["R"], "nobody is there"
    assert script.wait(61_000) == []
    assert script.server.next_deadline() is None


def test_active_close_leaves_a_time_wait_entry():
    script = fin_wait_2()
    script.send("FA")
    assert [(s.flags, s.ack) for s in script.poll()] == [("A", 2)]
    assert script.ended == ["FINISHED"]
    script.send("FA", seq=1)
    [answer] = script.poll()
    assert (answer.flags, answer.seq, answer.ack) == ("A", 2, 2)
    assert answer.ts is not None, "RFC 7323 section 3.2: every segment carries the option"
    script.wait(60_001)
    assert script.server.next_deadline() is None


def test_fin_and_its_acknowledgement_in_one_segment():
    script = fin_wait_1()
    script.send("FA", ack=2)
    assert [s.flags for s in script.poll()] == ["A"]
    assert script.ended == ["FINISHED"]


def test_simultaneous_close():
    script = closing()
    script.send("A", ack=2)
    assert script.poll() == []
    assert script.ended == ["FINISHED"]


def test_time_wait_ignores_resets_and_answers_the_rest():
    """RFC 1337."""
    script = closing()
    script.send("A", ack=2)
    script.poll()
    script.send("R", seq=2)
    assert script.poll() == []
    script.send("PA", b"x", seq=2)
    assert [s.flags for s in script.poll()] == ["A"]


@pytest.mark.parametrize(("ahead", "stamp_ahead", "reused"), [(100, -1, True), (-100, 5, True), (-100, -5, False)])
def test_time_wait_gives_way_to_a_newer_syn(ahead, stamp_ahead, reused):
    """RFC 6191: a later timestamp or a higher number."""
    script = closing()
    script.send("A", ack=2)
    script.poll()
    stamp = script.stamp()
    script.send("S", seq=2 + ahead, mss=1460, ts=(stamp + stamp_ahead, 0))
    assert [s.flags for s in script.poll()] == (["SA"] if reused else ["A"])


def test_time_wait_without_timestamps():
    script = Script()
    script.ts = False
    script.open()
    script.conn.close(script.now)
    script.poll()
    script.send("FA")
    script.poll()
    assert script.ended == ["FINISHED"]
    script.send("FA", seq=1)
    [answer] = script.poll()
    assert answer.ts is None
    script.send("S", seq=10, mss=1460)
    assert [s.flags for s in script.poll()] == ["SA"]


def test_fin_wait_2_is_not_for_ever():
    script = fin_wait_2()
    sent = script.wait(61_000)
    assert [s.flags for s in sent] == ["RA"]
    assert script.ended == ["TIMED_OUT"]


def test_a_second_fin_at_another_place_changes_nothing():
    script = established()
    script.send("FA", seq=101)  # beyond a gap
    script.send("FA", seq=51)
    script.poll()
    script.send("PA", b"x" * 100, seq=1)
    assert script.take() == b"x" * 100
    assert script.conn.eof


def test_a_fin_below_queued_text_is_not_believed():
    script = established()
    script.send("PA", b"y" * 10, seq=51)
    script.send("FA", seq=11)
    script.send("PA", b"x" * 50, seq=1)
    assert script.take() == b"x" * 50 + b"y" * 10
    assert not script.conn.eof


def test_text_running_over_the_fin_is_cut():
    script = established()
    script.send("FA", seq=6)
    script.send("PA", b"0123456789", seq=1)
    assert script.take() == b"01234"
    assert script.conn.eof


def test_text_running_over_the_window_is_cut():
    script = established()
    edge = 1 + 65535  # what the SYN-ACK offered; nothing wider was said yet
    script.send("PA", b"z" * 100, seq=edge - 40)
    script.poll()
    for at in range(1, edge - 40, 1000):
        script.send("PA", b"a" * min(1000, edge - 40 - at), seq=at)
    assert len(script.take()) == 65535


def test_challenges_are_limited_per_connection():
    """RFC 5961 section 7; each batch answers once at most."""
    script = established()
    answers = 0
    for _ in range(100):
        script.send("S", seq=1)
        answers += len(script.poll())
    assert answers == 10
    script.now += 1000 * MS
    script.send("S", seq=1)
    assert len(script.poll()) == 1


def test_paws_drops_old_text():
    """RFC 7323 section 5.3: an old duplicate from a former wrap of the number space."""
    script = established()
    script.now += 100 * MS
    script.send("PA", b"new")
    assert script.take() == b"new"
    script.poll()
    script.send("PA", b"old", ts=(script.stamp() - 50, 0))
    script.next -= 3
    assert [s.flags for s in script.poll()] == ["A"]
    assert script.drops(DropReason.TCP_PAWS) == 1
    assert script.take() == b""
    script.send("R", ts=(script.stamp() - 50, 0))
    assert script.poll() == []
    assert script.ended == ["RESET_BY_PEER"]


def test_a_bare_acknowledgement_overtaken_by_a_newer_one_still_counts():
    script = established()
    script.write(bytes(1000))
    script.poll()
    script.now += 10 * MS
    script.send("A", ack=501)
    script.send("A", ack=1001, ts=(script.stamp() - 5, script.ts_echo))
    assert script.conn.send_queued == 0
    assert script.drops(DropReason.TCP_PAWS) == 0


def test_a_segment_without_the_agreed_timestamps_is_dropped():
    script = established()
    script.send("PA", b"bare", ts=None)
    script.next -= 4
    assert script.poll() == []
    assert script.drops(DropReason.TCP_PAWS) == 1
    script.send("R", ts=None)
    script.poll()
    assert script.ended == ["RESET_BY_PEER"]


def test_the_echoed_timestamp_is_that_of_the_last_acknowledged_edge():
    """RFC 7323 section 4.3: with delayed acknowledgements the earliest segment not yet acknowledged counts."""
    script = established()
    script.quick_acks_over()
    first = script.stamp()
    script.send("PA", b"one")
    script.now += MS // 2
    script.ts_base += 7
    script.send("PA", b"two")
    [answer] = script.wait(2)
    assert answer.ts[1] == first


@pytest.mark.parametrize("cut", [4, 19])
def test_a_cut_segment_of_a_connection(cut):
    script = established()
    packet = build(Segment((script.irs + 1) & MASK, 0, "A"), script.address, script.port, SERVER, PORT)
    script.server.receive(packet[: 20 + cut], 0, 20, 20 + cut, 0, True, script.now)
    assert script.poll() == []
    assert script.drops(DropReason.BAD_TCP_HEADER) == 1


def test_a_wrong_data_offset_of_a_connection():
    script = established()
    for offset in (0x40, 0xF0):
        packet = bytearray(build(Segment(1001, 0, "A"), script.address, script.port, SERVER, PORT))
        packet[32] = offset
        script.server.receive(bytes(packet), 0, 20, len(packet), 0, True, script.now)
    assert script.drops(DropReason.BAD_TCP_HEADER) == 2


def test_padding_behind_the_packet_is_not_data():
    """A short frame is padded to 60 bytes; `end` says where the packet ends."""
    script = established()
    script.ts = False
    head = Segment((script.irs + 1) & MASK, (script.iss + 1) & MASK, "A", raw_options=b"")
    packet = build(head, script.address, script.port, SERVER, PORT)
    script.server.receive(packet + bytes(20), 0, 20, len(packet), 0, True, script.now)
    assert script.take() == b""


def test_padding_is_not_an_option_either():
    """A header that claims options where the packet has ended, with the options in the padding."""
    script = established()
    bare = Segment((script.irs + 1) & MASK, (script.iss + 1) & MASK, "A")
    packet = bytearray(build(bare, script.address, script.port, SERVER, PORT))
    packet[32] = 0x80
    whole = bytes(packet) + b"\1\1\x08\x0a" + script.stamp().to_bytes(4, "big") + bytes(4)
    script.server.receive(whole, 0, 20, len(packet), 0, True, script.now)
    assert script.drops(DropReason.BAD_TCP_HEADER) == 1


def test_a_segment_beyond_a_gap_does_not_set_the_echoed_timestamp():
    """RFC 7323 section 4.3 (2): only segments that cover the last acknowledged edge do."""
    script = established()
    first = script.stamp()
    script.ts_base += 500
    script.send("PA", b"later", seq=100)
    [answer] = script.poll()
    assert answer.ts[1] == first


@pytest.mark.parametrize("flags", ["R", "RA"])
def test_a_reset_into_a_closed_window(flags):
    script = Script(limits=TcpLimits(receive_buffer=4096))
    script.open()
    script.send("A", bytes(4096))
    assert script.poll()[0].window == 0
    script.send(flags)
    assert script.poll() == []
    assert script.ended == ["RESET_BY_PEER"]


def test_a_bare_acknowledgement_into_a_closed_window():
    script = Script(limits=TcpLimits(receive_buffer=4096))
    script.ts = False
    script.open()
    script.write(b"abc")
    script.send("A", bytes(4096))
    script.poll()
    script.send("A", ack=4)
    assert script.conn.send_queued == 0
    assert script.poll() == []


def test_a_timestamp_of_a_month_ago_says_nothing():
    """RFC 7323 section 5.5: after 24 days without a segment the clock of the peer may have gone half way round."""
    for days, taken in ((20, b""), (25, b"text")):
        script = established()
        script.send("PA", b"first")
        assert script.take() == b"first"
        script.poll()
        script.now += days * 24 * 3600 * 1000 * MS
        script.send("PA", b"text", ts=((script.ts_base - 5) & MASK, script.ts_echo))
        assert script.take() == taken


@pytest.mark.parametrize("passive", [True, False])
def test_what_ends_a_connection_is_not_answered_whatever_else_it_carries(passive):
    """LAST-ACK and CLOSING: the acknowledgement of our FIN, with the peer's last text again and more beyond its FIN."""
    script = established()
    script.send("PA", b"hello")
    script.take()
    script.poll()
    if not passive:
        script.conn.close(script.now)
        script.poll()
        script.seen = 1
    script.send("FA")
    script.take()
    script.poll()
    if passive:
        script.conn.close(script.now)
        script.poll()
    script.send("PA", b"lo?more", seq=script.next - 3, ack=2)
    assert script.ended == ["FINISHED"]
    assert script.poll() == []


@pytest.mark.parametrize("size", range(25))
def test_text_of_any_length_without_timestamps(size):
    """Header and text together may be as long as a header with timestamps, or a byte less."""
    script = Script()
    script.ts = False
    script.open()
    script.send("PA", bytes(range(size)))
    assert script.take() == bytes(range(size))
