"""Handshakes at the edges of their times and bounds, and the answers of connections that have no state of their own."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.tcp.tcp_script import CLIENT_PORT, MASK, MS, Script

from hognose.base.fair_table import FairTable
from hognose.drops import DropReason, Stat
from hognose.limits import TcpLimits


def flooded(half_open: int = 1, **settings: Any) -> Script:
    """The half-open table is full: the next SYN is answered with a cookie."""
    script = Script(limits=TcpLimits(half_open=half_open), **settings)
    for number in range(half_open):
        script.address = 0x0B000000 + number
        script.syn()
    script.address = 0x0C000001
    return script


def test_at_time_zero_no_cookie_is_believed_either() -> None:
    """A server that has just begun has sent none."""
    script = flooded(start=0)
    script.syn()
    other = Script(start=0)
    other.address, other.iss, other.next = script.address, script.iss, 1
    other.send("A", ack=1)
    assert [s.flags for s in other.poll()] == ["R"]
    assert other.server.accepted() == []


@pytest.mark.parametrize(("after", "spent"), [(15_999, 2), (16_000, 2), (16_001, 0)])
def test_handshakes_are_remembered_as_spent_as_long_as_cookies_are_believed(after: int, spent: int) -> None:
    script = flooded(half_open=2)
    script.open()
    script.send("R")
    assert script.server.sizes().spent == 1
    script.now += after * MS
    script.port += 1
    script.send("R", seq=1)
    assert script.server.sizes().spent == spent


def test_without_an_overflow_nothing_is_remembered() -> None:
    script = Script()
    script.open()
    script.send("R")
    assert script.ended == ["RESET_BY_PEER"]
    assert script.server.sizes().spent == 0


def test_the_oldest_spent_handshake_is_forgotten_first() -> None:
    script = flooded(half_open=2)
    cookies = []
    for number in range(3):
        script.port = CLIENT_PORT + number
        script.open()
        cookies.append(script.iss)
        script.send("R")
    assert script.server.sizes().spent == 2
    made = []
    for number, cookie in enumerate(cookies):
        script.port, script.iss, script.next = CLIENT_PORT + number, cookie, 1
        script.send("A", ack=1)
        made.append(len(script.server.accepted()))
    assert made == [1, 0, 0]


@pytest.mark.parametrize(("half_open", "cookies"), [(0, 3), (1, 2), (2, 1), (3, 0)])
def test_the_bound_of_half_open_entries_is_exact(half_open: int, cookies: int) -> None:
    script = Script(limits=TcpLimits(half_open=half_open))
    for number in range(3):
        script.port = CLIENT_PORT + number
        script.syn()
    assert script.server.sizes().half_open == half_open
    assert script.stat(Stat.TCP_SYN_COOKIES_SENT) == cookies


def test_a_repeated_syn_in_a_full_table_keeps_its_entry() -> None:
    script = Script(limits=TcpLimits(half_open=1))
    [first] = script.syn()
    [again] = script.syn()
    assert (again.seq, script.stat(Stat.TCP_SYN_COOKIES_SENT)) == (first.seq, 0)
    script.irs += 5
    [other] = script.syn()
    assert other.ack == script.irs + 1
    assert script.stat(Stat.TCP_SYN_COOKIES_SENT) == 0, "it takes the place of its own entry"


def test_a_cookies_timestamps_are_those_of_an_entry() -> None:
    """The clock of the connection to come, and the peer's stamp."""
    one, other = flooded(), Script()
    other.address = one.address
    stamps = [script.syn()[0].ts for script in (one, other)]
    assert one.stat(Stat.TCP_SYN_COOKIES_SENT) == 1
    assert stamps[0] == stamps[1]
    for script in (one, other):
        script.now += 70 * MS
        script.send("PA", b"x")
    assert one.poll()[0].ts == other.poll()[0].ts


@pytest.mark.parametrize("changes", [{}, {"sack_ok": False}, {"scale": None}, {"sack_ok": False, "scale": None}])
@pytest.mark.parametrize("stamps", [True, False])
def test_syn_acks_of_cookies_and_entries_look_alike(changes: dict[str, object], stamps: bool) -> None:
    """Only the number differs; each has what the SYN offered."""
    answers = []
    for script in (flooded(), Script()):
        script.address, script.ts = 0x0C000001, stamps
        [answer] = script.syn(**changes)
        answers.append((answer.flags, answer.ack, answer.window, answer.mss, answer.scale, answer.sack_ok, answer.ts))
        assert answer.scale == (None if "scale" in changes else 5)
        assert answer.sack_ok is ("sack_ok" not in changes)
        assert (answer.ts is not None) is stamps
        if answer.ts is not None:
            assert answer.ts[1] == script.stamp()
    assert answers[0] == answers[1]


# -- answers without a connection --------------------------------------------------------------------------------------


def test_a_silent_connection_answers_as_one_with_state() -> None:
    """Challenges and keep-alives: the same numbers and the same clock; but the echo is that of the handshake."""
    segments: list[tuple[str, dict[str, Any]]]
    segments = [("A", {"seq": 0}), ("S", {"seq": 900}), ("R", {"seq": 2}), ("A", {"ack": 77})]
    for flags, changes in segments:
        answers = []
        for silent in (FairTable[bytes](8, 8, 8), None):
            script = Script(silent=silent)
            script.syn()
            script.send("A")
            script.poll()
            script.now += 3000 * MS
            script.send(flags, **changes)
            [answer] = script.poll()
            assert answer.ts is not None
            answers.append((answer.flags, answer.seq, answer.ack, answer.ts[0]))
            if silent is not None:
                assert answer.ts[1] == script.ts_base
        assert answers[0] == answers[1]


@pytest.mark.parametrize("timestamps", [True, False])
def test_the_reset_of_a_silent_connection_is_one_that_its_peer_believes(timestamps: bool) -> None:
    script = Script(silent=FairTable(8, 8, 8))
    script.ts = timestamps
    script.syn()
    script.send("A")
    first = script.stamp()
    [reset] = script.wait(10_000)
    assert (reset.flags, reset.seq, reset.ack, reset.window) == ("RA", 1, 1, 0)
    assert (reset.ts is not None) is timestamps
    if reset.ts is not None:
        assert reset.ts[1] == first


@pytest.mark.parametrize(("after", "left"), [(9_999, 1), (10_000, 0)])
def test_ten_seconds_are_ten_seconds(after: int, left: int) -> None:
    script = Script(silent=FairTable(8, 8, 8))
    script.syn()
    script.send("A")
    script.poll()
    script.wait(after)
    assert script.server.sizes().silent == left
    assert script.drops(DropReason.TCP_SILENT) == 1 - left


@pytest.mark.parametrize("timestamps", [True, False])
def test_time_wait_answers_with_the_last_numbers(timestamps: bool) -> None:
    script = Script()
    script.ts = timestamps
    script.open()
    script.write(b"bye")
    script.conn.close(script.now)
    script.poll()
    script.send("PFA", b"too")
    [last] = script.poll()
    assert script.ended == ["FINISHED"]
    assert (last.seq, last.ack) == (5, 5)
    script.now += 2000 * MS
    script.send("FA", seq=4)
    [again] = script.poll()
    assert (again.flags, again.seq, again.ack, again.window) == ("A", 5, 5, 0)
    if last.ts is not None:
        assert again.ts == ((last.ts[0] + 2000) & MASK, last.ts[1])
    else:
        assert again.ts is None


def test_answers_of_time_wait_are_limited_too() -> None:
    script = Script()
    script.open()
    script.conn.close(script.now)
    script.poll()
    script.send("FA")
    script.poll()
    for _ in range(30):
        script.send("FA", seq=1)
    assert len(script.poll()) == 20


@pytest.mark.parametrize(
    ("seq", "ack", "opens", "answer"),
    [
        (1, 1, True, None),
        (0xFFFF, 1, True, None),
        (0x10000, 1, False, "R"),  # beyond the window of the SYN-ACK, which is never scaled
        (1, 2, False, "R"),
        (1, 0, False, "R"),
        (0, 1, False, None),  # an old duplicate
        (0, 5, False, None),
        (-(1 << 30), 1, False, None),
    ],
)
def test_the_third_segment(seq: int, ack: int, opens: bool, answer: str | None) -> None:
    script = Script(limits=TcpLimits(first_window=1 << 20))
    script.syn()
    script.send("A", seq=seq, ack=ack)
    sent = script.poll()
    assert len(script.server.accepted()) == opens
    assert [s.flags for s in sent] == ([answer] if answer else [])
    assert script.server.sizes().half_open == (not opens)
    if answer:
        assert (sent[0].seq, sent[0].window) == (ack, 0)
