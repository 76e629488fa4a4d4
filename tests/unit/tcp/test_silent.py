"""Connections without a byte yet: what each segment does to one, what it costs, when it ends."""

from __future__ import annotations

import tracemalloc

import pytest
from tests.unit.tcp.tcp_script import MS, Script

from hognose.base.fair_table import FairTable
from hognose.drops import DropReason
from hognose.tcp.silent import SILENT_TIME


def quiet(total: int = 8192, per_address: int = 256, per_prefix: int = 1024) -> Script:
    """A script whose server keeps connections aside until their first byte."""
    return Script(silent=FairTable(total, per_address, per_prefix))


def opened() -> Script:
    script = quiet()
    script.syn()
    script.send("A")
    assert script.poll() == []
    assert len(script.server) == 0
    return script


def held(script: Script) -> int:
    return script.server.sizes().silent


def test_the_first_byte_makes_a_connection() -> None:
    script = opened()
    assert held(script) == 1
    assert script.server.accepted() == []
    script.now += 3000 * MS
    script.send("PA", b"hello")
    [answer] = script.poll()
    assert (answer.flags, answer.ack) == ("A", 6)
    [connection] = script.server.accepted()
    assert connection.take() == [b"hello"]
    assert script.now - connection.opened_at == 3000 * MS
    assert held(script) == 0


def test_a_fin_makes_a_connection_too() -> None:
    script = opened()
    script.send("FA")
    [answer] = script.poll()
    assert answer.ack == 2
    [connection] = script.server.accepted()
    assert connection.eof


def test_text_with_the_third_segment_is_no_silence() -> None:
    script = quiet()
    script.syn()
    script.send("PA", b"hello")
    script.poll()
    [connection] = script.server.accepted()
    assert connection.take() == [b"hello"]


@pytest.mark.parametrize(
    ("flags", "seq", "ack", "answer"),
    [
        ("A", 1, 1, None),  # the third segment again
        ("A", 0, 1, "A"),  # keep-alive: the number before the first
        ("S", 0, 0, "A"),  # RFC 5961 section 4.2
        ("S", 5000, 0, "A"),
        ("R", 2, 0, "A"),  # section 3.2: in the window, not exact
        ("R", 100_000, 0, None),
        ("A", 1, 77, "A"),  # acknowledges what was not sent (RFC 5961 section 5.2)
        ("PA", 1, 77, "A"),
        ("P", 1, 0, None),
        ("PA", 100_000, 1, "A"),  # beyond the window
        ("PA", 16_385, 1, "A"),  # of 16 KiB, at its end
        ("R", 16_384, 0, "A"),
        ("R", 16_385, 0, None),
        ("FA", 1, 2, "A"),
        ("FA", 16_385, 1, "A"),
    ],
)
def test_other_segments_change_nothing(flags: str, seq: int, ack: int, answer: str | None) -> None:
    script = opened()
    script.send(flags, b"x" if "P" in flags else b"", seq=seq, ack=ack)
    answers = script.poll()
    assert [(each.flags, each.seq, each.ack) for each in answers] == ([] if answer is None else [(answer, 1, 1)])
    assert held(script) == 1
    script.send("PA", b"x", seq=1)
    script.poll()
    assert len(script.server.accepted()) == 1


@pytest.mark.parametrize("ts", [True, False])
@pytest.mark.parametrize("changes", [{}, {"scale": None}, {"sack_ok": False}, {"mss": 536, "scale": 14}])
def test_what_was_negotiated_is_kept(ts: bool, changes: dict[str, object]) -> None:
    """The connection is the same as one that was made at once."""
    states = []
    for waits in (True, False):
        script = quiet() if waits else Script()
        script.ts = ts
        script.syn(**changes)
        script.send("A", window=500)
        script.poll()
        script.send("PA", b"hello", window=500)
        script.poll()
        [connection] = script.server.accepted()
        states.append(
            [getattr(connection, name) for name in ("_snd_scale", "_rcv_scale", "_ts_offset", "_ts_recent", "peer")]
            + [connection.path.timestamps, connection.info().mss, connection.info().sack, connection.info().send_window]
        )
    assert states[0] == states[1]


def test_text_anywhere_in_the_window_makes_a_connection() -> None:
    for seq in (1, 2, 16_384):
        script = opened()
        script.send("PA", b"x", seq=seq)
        assert len(script.server.accepted()) == 1
        assert [each.ack for each in script.poll()] == [2 if seq == 1 else 1]


def test_an_exact_rst_ends_it() -> None:
    script = opened()
    script.send("R", seq=1)
    assert script.poll() == []
    assert held(script) == 0


def test_its_time_is_limited() -> None:
    script = opened()
    deadline = script.server.next_deadline()
    assert deadline == script.now + SILENT_TIME
    script.now = deadline - 1
    script.server.handle_deadline(script.now)
    assert script.poll() == []
    script.now = deadline
    script.server.handle_deadline(script.now)
    [reset] = script.poll()
    assert (reset.flags, reset.seq) == ("RA", 1)
    assert held(script) == 0
    assert script.drops(DropReason.TCP_SILENT) == 1
    assert script.server.next_deadline() is None


def test_the_crowded_out_is_reset() -> None:
    script = quiet(per_address=2)
    for port in range(3):
        script.port = 40_000 + port
        script.syn()
        script.send("A")
        answers = script.poll(relative=False)
    assert held(script) == 2
    assert [answer.flags for answer in answers] == ["RA"]
    assert script.drops(DropReason.TCP_SILENT_CROWDED) == 1


def test_a_crowd_ends_in_portions() -> None:
    """Each within the time, but not all in one step, whose memory would stay."""
    script = quiet()
    for number in range(150):
        script.port = 10_000 + number
        script.syn()
        script.send("A")
    script.now += SILENT_TIME
    ended = []
    while held(script):
        deadline = script.server.next_deadline()
        assert deadline is not None
        assert deadline <= script.now
        script.server.handle_deadline(script.now)
        ended.append(len(script.poll(relative=False)))
    assert ended == [64, 64, 22]


def test_one_costs_a_quarter_of_a_kilobyte() -> None:
    script = quiet(per_address=100_000, per_prefix=100_000)
    script.syn()
    script.send("A")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(1000):
        script.port = 10_000 + number
        script.syn()
        script.send("A")
        script.poll()
        script.raw.clear()
    each = (tracemalloc.get_traced_memory()[0] - before) / 1000
    tracemalloc.stop()
    assert held(script) == 1001
    assert each < 256, each
