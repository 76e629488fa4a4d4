"""The common segment, which goes a short way: in order, in ESTABLISHED, two NOPs and timestamps as its only options.

Timestamps in front of the NOPs say the same and go the long way: that is the oracle of the short one.
"""

from __future__ import annotations

import dataclasses
import random
import struct
from typing import Any

import pytest
from tests.unit.tcp.tcp_script import MS, Script
from tests.unit.tcp.test_loss_recovery import MSS, WIDE, in_flight, opened

from hognose.drops import Stat
from hognose.limits import TcpLimits
from hognose.wire import tcp as wire_tcp


class Reads:
    """Counts how often options are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._count = 0
        real = wire_tcp.parse_options

        def counted(data: bytes) -> wire_tcp.Options:
            self._count += 1
            return real(data)

        monkeypatch.setattr(wire_tcp, "parse_options", counted)

    @property
    def count(self) -> int:
        """Since the last look."""
        count, self._count = self._count, 0
        return count


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(monkeypatch)


def test_text_and_acknowledgements_cost_no_reading_of_options(reads: Reads) -> None:
    script = opened()
    in_flight(script, 10)
    una = script.seen - 9 * MSS
    assert reads.count > 0, "handshakes do"
    script.send("A", ack=una, window=WIDE)  # 32 bytes of header and nothing more
    script.send("A", ack=una + MSS, window=WIDE - 1)
    script.send("A", ack=una + MSS, window=WIDE)
    script.send("A", b"text", ack=una + MSS, window=WIDE)
    script.send("PA", b"x" * MSS, ack=una + 2 * MSS, window=WIDE)
    script.send("PA", b"x", window=WIDE, gso_size=MSS)
    for _ in range(3):
        script.poll()
        script.now += 20 * MS
        script.send("PA", b"again", window=WIDE)
    assert reads.count == 0
    assert script.conn.send_queued == 0
    assert script.take() == b"text" + b"x" * (MSS + 1) + b"again" * 3


@pytest.mark.parametrize(
    ("flags", "text", "changes"),
    [
        ("FA", b"", {}),
        ("PFA", b"text", {}),
        ("SA", b"", {}),
        ("S", b"", {}),
        ("R", b"", {"seq": 500}),
        ("RA", b"", {"seq": 500}),
        ("AU", b"text", {}),
        (".", b"", {}),
        ("A", b"text", {"seq": 2}),
        ("A", b"text", {"seq": -3}),
        ("A", b"text", {"ack": 20_000_000}),
        ("A", b"text", {"ack": -1}),
        ("A", b"text", {"ts": (6_999_999, 0)}),
        ("A", b"text", {"ts": None}),
        ("A", b"text", {"sack": ((1, 2),)}),
    ],
)
def test_all_else_is_read_whole(reads: Reads, flags: str, text: bytes, changes: dict[str, Any]) -> None:
    script = Script()
    script.open()
    script.write(b"in flight")
    script.poll()
    assert reads.count > 0
    script.send(flags, text, **({"ack": 1} | changes))
    assert reads.count == 1


@pytest.mark.parametrize(("size", "count"), [(4095, 0), (4096, 0), (4097, 1)])
def test_text_beyond_the_window_is_read_whole(reads: Reads, size: int, count: int) -> None:
    script = Script(limits=TcpLimits(receive_buffer=4096))
    script.open()
    assert reads.count > 0
    script.send("A", bytes(size))
    assert reads.count == count
    assert script.take() == bytes(min(size, 4096))


def test_text_beside_a_gap_is_read_whole(reads: Reads) -> None:
    script = Script()
    script.open()
    script.send("A", b"later", seq=6)
    assert reads.count > 0
    script.send("A", b"x", seq=1)
    assert reads.count == 1
    script.send("A", b"rest", seq=2)
    script.send("A", b"y", seq=11)
    assert reads.count == 1
    assert script.take() == b"xrestlatery"


def test_nothing_is_short_in_other_states(reads: Reads) -> None:
    script = Script()
    script.open()
    script.send("FA")
    script.poll()
    assert reads.count > 0
    script.write(b"x")
    script.poll()
    script.send("A")
    assert reads.count == 1
    assert script.conn.send_queued == 0


def elsewhere(script: Script) -> dict[str, Any]:
    """Timestamps, then the two NOPs: as good by RFC 7323, and not where they are looked for first."""
    stamps = struct.pack(">BBII", 8, 10, script.stamp(), script.ts_echo)
    return {"ts": None, "raw_options": stamps + b"\1\1"}


def life(seed: int, *, short: bool) -> list[object]:
    """Whatever is seen of one connection in which nothing is lost: every segment, every value, every deadline."""
    draw = random.Random(seed)
    script = Script(limits=TcpLimits(receive_buffer=60_000, send_buffer=200_000), irs=draw.getrandbits(32))
    script.open(window=draw.choice((300, 3000, WIDE)), after=40, sack_ok=draw.random() < 0.8)
    window = WIDE
    acked = 1
    seen: list[object] = []
    closed = False
    for _ in range(80):
        event = draw.choice(("write", "text", "text", "ack", "ack", "both", "window", "wait", "pause", "take", "poll"))
        options: dict[str, Any] = {} if short else elsewhere(script)
        if event == "write":
            script.write(bytes(min(script.conn.send_space, draw.choice((1, 700, 5000, 60_000)))))
        elif event in ("text", "both"):
            size = draw.choice((1, 10, 1448, 1448, 9000))
            size = min(size, max(0, script.edge - script.next))
            if event == "both":
                acked = draw.randint(acked, script.seen)
            script.send("PA", bytes(size), ack=acked, window=window, **options)
        elif event == "ack":
            acked = draw.choice((script.seen, draw.randint(acked, script.seen)))
            script.send("A", ack=acked, window=window, **options)
        elif event == "window":
            window = draw.choice((0, 5, 100, WIDE, WIDE))
            script.send("A", ack=acked, window=window, **options)
        elif event == "take":
            seen.append(script.take())
        elif event in ("wait", "pause"):
            if draw.random() < 0.9:
                acked = script.seen
                script.send("A", ack=acked, window=window, **options)
            seen += script.wait(draw.choice((1, 5)) if event == "pause" else draw.choice((30, 60, 150)))
        if draw.random() < 0.7:
            seen += script.poll()
        if draw.random() < 0.005 and not closed:
            closed = True
            script.conn.close(script.now)
        info = dataclasses.asdict(script.conn.info())
        del info["transmissions"], info["calm"]  # how much is still to be cleared
        seen += [info, script.server.next_deadline(), script.conn.send_queued, dict(script.counters.non_zero())]
        if script.conn.close_reason is not None or script.stat(Stat.TCP_TAIL_PROBES):
            break  # after a probe the long way takes any acknowledgement for an answer to it
    return seen


@pytest.mark.parametrize("seed", range(40))
def test_both_ways_lead_to_the_same(seed: int) -> None:
    one, other = life(seed, short=True), life(seed, short=False)
    for number, (a, b) in enumerate(zip(one, other, strict=True)):
        assert a == b, number
