"""A segment outside the window changes nothing on our side of the stream (RFC 9293 section 3.10.7.4, RFC 5961).

Its ACK field, its window and its SACK blocks are not looked at: who is off the path can guess such a segment. One kind
is excepted: what comes at RCV.NXT while our window is shut.
"""

from __future__ import annotations

import pytest
from tests.unit.tcp.tcp_script import MS, Script
from tests.unit.tcp.test_loss_recovery import MSS, WIDE, in_flight, opened

from hognose.drops import DropReason, Stat
from hognose.limits import TcpLimits

# Distance from RCV.NXT, flags, text: not one byte of it is in the window.
OUTSIDE = {
    "old text": (-10, "PA", b"12345"),
    "old text up to the edge": (-5, "PA", b"12345"),
    "an old bare one": (-1, "A", b""),
    "a very old bare one": (-100_000, "A", b""),
    "a FIN that came already": (-1, "FA", b""),
    "text beyond the window": (1 << 21, "PA", b"12345"),
    "a bare one beyond the window": (1 << 21, "A", b""),
    "a FIN beyond the window": (1 << 21, "FA", b""),
    "text half way round": (1 << 31, "PA", b"12345"),
}
outside = pytest.mark.parametrize(("at", "flags", "text"), OUTSIDE.values(), ids=OUTSIDE)


@outside
def test_it_acknowledges_nothing(at: int, flags: str, text: bytes) -> None:
    script = opened()
    first = in_flight(script, 10)
    queued = script.conn.send_queued
    assert queued > 10 * MSS
    script.send(flags, text, seq=script.next + at, window=WIDE)
    assert [(s.flags, s.ack, s.payload) for s in script.poll()] == [("A", script.next, b"")]
    assert script.conn.send_queued == queued
    assert script.drops(DropReason.TCP_OUT_OF_WINDOW) == 1
    # Nor is it a measurement, nor progress: the last segment is probed for in time.
    assert script.wait(120)[-1].seq > first
    assert script.stat(Stat.TCP_TAIL_PROBES) == 1


@outside
@pytest.mark.parametrize("window", [0, 60_000])
def test_it_says_nothing_about_the_window(at: int, flags: str, text: bytes, window: int) -> None:
    script = Script()
    script.open(scale=None, window=4 * MSS)
    script.write(bytes(20 * MSS))
    assert script.sizes() == [4 * MSS]
    script.send(flags, text, seq=script.next + at, ack=1, window=window)
    assert script.sizes() == [0]
    script.send("A", window=4 * MSS)
    assert script.sizes() == [4 * MSS]
    script.send(flags, text, seq=script.next + at, window=window)
    assert script.sizes() == [0]


@outside
def test_its_sack_blocks_tell_nothing(at: int, flags: str, text: bytes) -> None:
    """Neither loss nor reordering is seen in them: a forged one would make us send everything again."""
    script = opened()
    first = in_flight(script, 10)
    for count in (4, 8):
        block = (first + MSS, first + count * MSS)
        script.send(flags, text, seq=script.next + at, ack=first, sack=(block,), window=WIDE)
        assert all(s.payload == b"" for s in script.poll())
    assert script.wait(40) == []
    assert script.stat(Stat.TCP_RECOVERIES) == 0
    script.send("A", ack=first, sack=((first + MSS, first + 4 * MSS),), window=WIDE)
    assert script.poll()[0].seq == first, "from an acceptable one it is"


@pytest.mark.parametrize("text", [b"", b"stale"])
def test_an_old_timestamp_makes_text_unacceptable_too(text: bytes) -> None:
    """PAWS (RFC 7323 section 5.3): only a bare acknowledgement that was overtaken still counts."""
    script = opened()
    in_flight(script, 10)
    queued = script.conn.send_queued
    script.send("A", ack=script.seen - queued, window=WIDE)
    script.send("PA", text, seq=script.next, ts=(script.stamp() - 1000, script.ts_echo), window=WIDE)
    assert script.conn.send_queued == (queued if text else 0)
    assert script.drops(DropReason.TCP_PAWS) == bool(text)


@pytest.mark.parametrize(("older", "taken"), [(0, b"text"), (1, b"")])
def test_text_with_an_old_acknowledgement_is_taken_down_to_the_largest_window(older: int, taken: bytes) -> None:
    """RFC 5961 section 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK; what is older is a guess."""
    script = Script()
    script.open(scale=None, window=4000)
    script.write(bytes(1000))
    script.poll()
    script.send("A", window=5000)
    script.send("A", window=3000)
    script.poll()
    script.send("PA", b"text", ack=1001 - 5000 - older)
    assert script.take() == taken
    assert script.drops(DropReason.TCP_BAD_ACK) == older


@pytest.mark.parametrize(("newer", "taken"), [(0, b"text"), (1, b"")])
def test_text_with_an_acknowledgement_of_what_was_never_sent_is_not(newer: int, taken: bytes) -> None:
    script = Script()
    script.open()
    script.write(bytes(1000))
    script.poll()
    script.send("PA", b"text", ack=1001 + newer)
    assert script.take() == taken
    assert script.conn.send_queued == 1000 * newer
    assert script.drops(DropReason.TCP_BAD_ACK) == newer


def test_nothing_answers_a_reset() -> None:
    """RFC 9293 section 3.10.7.4: not even what came with it is acknowledged."""
    script = opened()
    script.send("PA", b"text")
    script.send("PA", b"beyond a gap", seq=script.next + 5)
    script.send("R")
    assert script.poll() == []
    assert script.wait(1000) == []
    assert script.ended == ["RESET_BY_PEER"]


def shut() -> Script:
    """Our window is shut, and three bytes of ours are under way."""
    script = Script(limits=TcpLimits(receive_buffer=4096))
    script.open()
    script.write(b"abc")
    script.send("A", bytes(4096), ack=1)
    assert script.poll()[-1].window == 0
    script.now += 10 * MS
    return script


def test_a_probe_of_our_shut_window_acknowledges() -> None:
    """RFC 9293 section 3.10.7.4: special allowance is made for valid ACKs; its byte is not taken."""
    script = shut()
    script.send("A", b"x", seq=script.next, ack=4)
    assert script.conn.send_queued == 0
    assert [(s.flags, s.ack) for s in script.poll()] == [("A", script.next)]
    assert script.take() == bytes(4096)


@pytest.mark.parametrize(
    ("at", "flags", "ack"),
    [(0, "SA", 4), (0, "P", 4), (1, "A", 4), (-1, "A", 4), (0, "A", 5), (0, "A", -(1 << 24))],
    ids=["SYN", "without ACK", "ahead", "before", "of what was never sent", "out of a former life"],
)
def test_what_else_comes_at_a_shut_window_does_not(at: int, flags: str, ack: int) -> None:
    script = shut()
    script.send(flags, b"x", seq=script.next + at, ack=ack)
    assert script.conn.send_queued == 3
    script.poll()
    assert script.ended == []
