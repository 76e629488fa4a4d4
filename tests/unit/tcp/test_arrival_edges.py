"""The reaction to a segment at the very edges: of times, of the window, of the peer's FIN."""

from __future__ import annotations

import pytest
from tests.unit.tcp.tcp_script import MASK, MS, Script
from tests.unit.tcp.test_loss_recovery import WIDE, in_flight, opened

from hognose.drops import DropReason
from hognose.limits import TcpLimits

HALF = 1 << 31


@pytest.mark.parametrize(("flags", "answer"), [("FA", "A"), ("PA", "A"), ("S", "A"), ("SA", "A"), (".", None)])
def test_an_old_timestamp_takes_all_but_resets_and_bare_acknowledgements_away(flags: str, answer: str | None) -> None:
    """RFC 7323 section 5.3 R1: dropped and acknowledged; what has no length is looked at."""
    script = Script()
    script.open()
    script.send(flags, b"x" if "P" in flags else b"", ts=(script.stamp() - 1, 0))
    assert [s.flags for s in script.poll()] == ([answer] if answer else [])
    assert script.drops(DropReason.TCP_PAWS) == (1 if answer else 0)
    assert not script.conn.finished
    assert script.take() == b""


def test_a_reset_with_an_old_timestamp_is_a_reset() -> None:
    script = Script()
    script.open()
    script.send("R", ts=(script.stamp() - 1, 0))
    assert script.ended == ["RESET_BY_PEER"]


@pytest.mark.parametrize(("ahead", "taken"), [(-1, b""), (0, b"x"), (HALF - 1, b"x"), (HALF, b""), (HALF + 1, b"")])
def test_timestamps_are_compared_round_their_clock(ahead: int, taken: bytes) -> None:
    script = Script()
    script.open()
    script.send("PA", b"x", ts=((script.stamp() + ahead) & MASK, 0))
    assert script.take() == taken


DAYS_24 = 24 * 24 * 3600 * 1000 * MS


@pytest.mark.parametrize(("after", "taken"), [(DAYS_24 - 1, b""), (DAYS_24, b"text")])
def test_a_timestamp_is_forgotten_after_24_days(after: int, taken: bytes) -> None:
    """RFC 7323 section 5.5; counted from the latest text."""
    script = Script()
    script.open()
    script.now += 500 * MS
    script.send("PA", b"x")
    script.take()
    script.poll()
    first = script.stamp()
    script.now += after
    script.send("PA", b"text", ts=(first - 1, 0))
    assert script.take() == taken


@pytest.mark.parametrize(("beyond", "fin"), [(0, True), (1, False)])
def test_a_fin_after_text_that_fills_the_window_is_taken(beyond: int, fin: bool) -> None:
    script = Script(limits=TcpLimits(receive_buffer=4096))
    script.open()
    script.send("PFA", bytes(4096 + beyond))
    assert script.take() == bytes(4096)
    assert script.conn.eof is fin


@pytest.mark.parametrize(("at", "believed"), [(9, False), (10, True), (11, True)])
def test_a_fin_where_queued_text_ends_is_believed(at: int, believed: bool) -> None:
    """Text from 5 to 10 has come, and that before it not yet."""
    script = Script()
    script.open()
    script.send("A", b"56789", seq=5)
    script.send("FA", seq=at)
    script.send("A", b"1234", seq=1)
    assert script.take() == b"123456789"
    assert script.conn.finished is (at == 10)
    if believed and at == 11:
        script.send("A", b"a", seq=10)
        assert script.conn.finished
    assert not script.conn.eof or believed


def test_text_in_a_fin_that_waits_is_taken_up_to_it() -> None:
    script = Script()
    script.open()
    script.send("FA", b"67", seq=6)
    script.send("A", b"12345678", seq=1)
    assert script.take() == b"1234567"
    assert script.conn.eof
    assert [s.ack for s in script.poll()] == [9]


@pytest.mark.parametrize(("echo_ms", "measured"), [(59_999, True), (60_000, True), (60_001, False)])
def test_an_echo_in_a_recovery_measures_a_minute_at_most(echo_ms: int, measured: bool) -> None:
    script = opened()
    first = in_flight(script, 3)
    while not script.conn.info().backoff:
        script.wait(50)
    before = script.conn.info().srtt
    script.send("A", ack=first + 1, window=WIDE, ts=(script.stamp(), (script.ts_echo - echo_ms) & MASK))
    assert (script.conn.info().srtt != before) is measured
    assert script.conn.info().backoff == 0


def test_acknowledgements_while_our_window_is_shut_are_no_duplicates() -> None:
    """RFC 5681 section 2: what comes at our shut window is a probe; without SACK too it counts as text."""
    script = Script(limits=TcpLimits(receive_buffer=4096))
    script.open(sack_ok=False, window=WIDE)
    script.send("A", bytes(4096))
    script.write(bytes(20_000))
    script.poll()
    for _ in range(5):
        script.send("A", b"p", seq=4097, ack=1, window=WIDE)
        script.poll()
    assert not script.conn.info().recovering
    assert script.conn.info().calm


def test_the_challenges_of_one_second_do_not_touch_the_next() -> None:
    script = Script()
    script.open()
    answers = []
    for _ in range(3):
        script.now += 1000 * MS
        for _ in range(15):
            script.send("A", ack=100_000)
            answers.append(len(script.poll()))
    assert answers == ([1] * 10 + [0] * 5) * 3
