"""Every state x flags x position of RFC 9293 section 3.10.7 (with RFC 5961 and RFC 1337), against the rules in short.

The oracle is written from the RFCs' text, in numbers relative to what is expected next, and shares no code with the
stack: what is answered, whether text is delivered, whether the connection is over.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from tests.unit.tcp.tcp_script import Script
from tests.unit.tcp.test_segment_arrival import STATES

EDGE = 1 << 24  # stands for the right edge of the window that was offered
TEXT = b"text"
FLAGS = {
    "ack": ("A", b""),
    "text": ("PA", TEXT),
    "fin": ("FA", b""),
    "text+fin": ("FPA", TEXT),
    "syn": ("S", b""),
    "syn+ack": ("SA", b""),
    "rst": ("R", b""),
    "rst+ack": ("RA", b""),
    "none": (".", b""),
    "text without ack": ("P", TEXT),
}
# Offsets of the segment's first number from RCV.NXT.
POSITIONS = {
    "next": 0,
    "in the window": 1000,
    "last of the window": EDGE - 1,
    "behind the window": EDGE,
    "just before": -1,
    "old": -5000,
}
LISTENING = ("LISTEN", "SYN-RECEIVED", "TIME-WAIT")


@dataclass(frozen=True)
class Verdict:
    """The visible results; answers as the flags of the segments."""

    answers: tuple[str, ...]
    delivered: bytes = b""
    ended: tuple[str, ...] = ()


def text_counts(state: str) -> bool:
    return state in ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2")


def expected(state: str, kind: str, offset: int) -> Verdict:
    """RFC 9293 section 3.10.7.4 in its order, for the synchronised states."""
    flags, text = FLAGS[kind]
    length = len(text) + ("S" in flags) + ("F" in flags)
    closed_by_peer = state in ("CLOSE-WAIT", "CLOSING", "LAST-ACK")
    # First, acceptability: the table of section 3.4; the window ends at EDGE.
    inside = offset < EDGE and (offset + length > 0 if length else offset >= 0)
    if not inside:
        return Verdict(() if "R" in flags else ("A",))
    if "R" in flags:  # second; RFC 5961 section 3.2: exactly RCV.NXT, or a challenge
        return Verdict((), ended=("RESET_BY_PEER",)) if offset == 0 else Verdict(("A",))
    if "S" in flags:  # fourth; RFC 5961 section 4.2
        return Verdict(("A",))
    if "A" not in flags:  # fifth
        return Verdict(())
    if closed_by_peer:  # seventh, eighth: text and FIN are ignored where a FIN has come, what is old is told so
        return Verdict(())
    fin = "F" in flags
    if offset > 0:
        return Verdict(("A",)) if text else Verdict(())  # beyond a gap: a duplicate acknowledgement
    start = max(0, -offset)
    new = text[start:] if text_counts(state) else b""
    ended = ("FINISHED",) if fin and state == "FIN-WAIT-2" else ()
    return Verdict(("A",) if new or fin else (), new, ended)


def place(script: Script, offset: int) -> int:
    """The relative number that an offset of the table means."""
    return script.edge + offset - EDGE if offset > EDGE // 2 else script.next + offset


def run(state: str, kind: str, offset: int) -> tuple[Verdict, Script]:
    script = STATES[state]()
    script.take()
    flags, text = FLAGS[kind]
    script.send(flags, text, seq=place(script, offset))
    delivered = b"".join(script.conn.take())
    answers = tuple(segment.flags for segment in script.poll())
    return Verdict(answers, delivered, tuple(script.ended)), script


@pytest.mark.parametrize(
    ("state", "kind", "position"), [(s, k, p) for s, k, p in itertools.product(STATES, FLAGS, POSITIONS)]
)
def test_a_segment_in_a_synchronised_state(state, kind, position):
    found, _ = run(state, kind, POSITIONS[position])
    assert found == expected(state, kind, POSITIONS[position])


ACKS = {"impossible": 10_000, "far in the past": -(1 << 24), "of the first half": 1 << 31}


@pytest.mark.parametrize(("state", "kind", "ack"), list(itertools.product(STATES, ("ack", "text", "fin"), ACKS)))
def test_an_acknowledgement_out_of_range(state, kind, ack):
    """RFC 5961 section 5.2: nothing of such a segment counts; it is answered."""
    script = STATES[state]()
    flags, text = FLAGS[kind]
    script.send(flags, text, ack=script.seen + ACKS[ack])
    assert script.conn.take() == []
    assert [segment.flags for segment in script.poll()] == ["A"]
    assert script.ended == []


def unsynchronised(state: str) -> Script:
    if state == "LISTEN":
        script = Script()
        script.ts = False
        return script
    if state == "SYN-RECEIVED":
        script = Script()
        script.ts = False
        script.syn()
        script.next = 1
        return script
    script = STATES["FIN-WAIT-2"]()
    script.send("FA")
    script.poll()
    assert script.ended == ["FINISHED"]
    return script


def expected_unsynchronised(state: str, kind: str, offset: int) -> tuple[str, ...]:
    """Sections 3.10.7.2 (LISTEN), 3.10.7.4 (SYN-RECEIVED of a passive open), TIME-WAIT with RFC 1337 and RFC 6191."""
    flags, text = FLAGS[kind]
    if "R" in flags:
        return ()
    if state == "TIME-WAIT":
        return ("SA",) if kind == "syn" and offset > 0 else ("A",)
    if kind == "syn":
        return ("SA",)
    if state == "SYN-RECEIVED" and "A" in flags and "S" not in flags:
        if 0 <= offset < 0xFFFF:
            gap = offset > 0 and bool(text)
            return ("A",) if gap or (offset == 0 and (text or "F" in flags)) else ()
        return () if offset < 0 else ("R",)
    return ("R",) if "A" in flags else ()  # section 3.10.7.2, fourth


@pytest.mark.parametrize(("state", "kind", "position"), list(itertools.product(LISTENING, FLAGS, POSITIONS)))
def test_a_segment_in_an_unsynchronised_state(state, kind, position):
    offset = POSITIONS[position]
    script = unsynchronised(state)
    flags, text = FLAGS[kind]
    script.send(flags, text, seq=script.next + offset)
    answers = tuple(segment.flags for segment in script.poll())
    assert answers == expected_unsynchronised(state, kind, offset)
    made = script.server.accepted()
    complete = state == "SYN-RECEIVED" and "A" in flags and not {"S", "R"} & set(flags) and 0 <= offset < 0xFFFF
    assert len(made) == (1 if complete else 0)
    if state == "SYN-RECEIVED" and "R" in flags:
        assert script.server.sizes().half_open == (0 if offset == 0 else 1), "RFC 5961 section 3.2"


def test_the_table_is_as_large_as_promised():
    assert len(STATES) * len(FLAGS) * len(POSITIONS) >= 320
