"""Whatever a peer sends: no exception, no number out of its place, no bound broken, nothing delivered twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.tcp.tcp_script import MASK, Script

from hognose.limits import TcpLimits

STREAM = bytes(range(256)) * 64
LIMITS = TcpLimits(receive_buffer=8192, send_buffer=8192, reassembly_ranges=4, sack_ranges=4, connections=2)

offsets = st.sampled_from((0, 0, 0, 0, 1, 10, 100, 1000, 4096, 8191, 8192, 9000, -1, -10, -5000, 1 << 31, 1 << 20))
segments = st.fixed_dictionaries(
    {
        "flags": st.sampled_from(("A", "A", "A", "PA", "PA", "FA", "R", "RA", "S", "SA", "F", ".", "PAU", "SFRPAU")),
        "at": offsets,
        "size": st.sampled_from((0, 0, 1, 10, 100, 536, 1448, 5000)),
        "ack": offsets,
        "window": st.sampled_from((0, 1, 100, 1000, 65535)),
        "blocks": st.lists(st.tuples(offsets, offsets), max_size=3),
        "stamp": st.sampled_from((0, 0, 0, 1, -1, 1000, 1 << 31, None)),
    }
)
steps = st.one_of(
    segments,
    st.tuples(st.just("write"), st.integers(1, 4000)),
    st.tuples(st.just("wait"), st.sampled_from((0, 1, 40, 300, 3_000, 70_000))),
    st.sampled_from((("take", 0), ("poll", 0), ("close", 0), ("abort", 0))),
)


def send(script: Script, expected: int, step: dict) -> None:
    """One segment around what is expected; its text is always the true part of the stream."""
    at = expected + step["at"]
    size = step["size"]
    text = bytes(STREAM[p - 1] if 1 <= p <= len(STREAM) else 0 for p in range(at, at + size))
    stamp = None if step["stamp"] is None else ((script.stamp() + step["stamp"]) & MASK, script.ts_echo)
    una = max(1, script.seen)
    blocks = tuple(((una + a) & MASK, (una + b) & MASK) for a, b in step["blocks"])
    script.send(
        step["flags"], text, seq=at, ack=(una - step["ack"]) & MASK, window=step["window"], sack=blocks, ts=stamp
    )


@pytest.mark.stress
@settings(max_examples=400, deadline=None)
@given(st.lists(steps, max_size=40), st.booleans(), st.sampled_from((1000, 0xFFFFFF00)))
def test_any_script(script_steps, timestamps, irs):
    script = Script(limits=LIMITS, irs=irs)
    script.ts = timestamps
    conn = script.open(scale=0)
    taken = bytearray()
    edge = 0
    for step in script_steps:
        if isinstance(step, dict):
            send(script, 1 + len(taken), step)
        elif step[0] == "write":
            conn.write([bytes(min(step[1], conn.send_space))])
        elif step[0] == "take":
            taken += b"".join(conn.take())
        elif step[0] == "close":
            conn.close(script.now)
        elif step[0] == "abort":
            conn.abort(script.now)
        else:
            sent = script.wait(step[1]) if step[0] == "wait" else script.poll()
            for segment in sent:
                if segment.has("A") and not segment.has("S"):
                    right = (segment.ack + segment.window) & MASK
                    if segment.window and right < 1 << 30:
                        assert right >= edge, "the window was taken back"
                        edge = right
            script.seen = min(script.seen, 1 << 30)
        assert 0 <= conn.send_space <= LIMITS.send_buffer
        assert conn.send_queued <= LIMITS.send_buffer
        assert len(script.server) <= 2
    taken += b"".join(conn.take())
    assert bytes(taken) == STREAM[: len(taken)]
    # Whatever it was, time ends it: no timer is left without answers.
    conn.abort(script.now)
    script.poll()
    script.wait(400_000)
    assert script.server.next_deadline() is None
    assert len(script.ended) <= 2


@pytest.mark.stress
@settings(max_examples=200, deadline=None)
@given(st.lists(segments, max_size=30))
def test_any_segments_to_a_listening_port(script_steps):
    script = Script(limits=TcpLimits(half_open=3, connections=2))
    for number, step in enumerate(script_steps):
        script.port = 40_000 + number % 5
        send(script, 0, step)
        script.poll()
    script.server.accepted()
    script.wait(700_000)
    assert len(script.server) <= 2
