"""Bounds of TcpLimits as numbers: what a peer may make us hold, and what happens to the rest."""

from __future__ import annotations

import pytest
from tests.unit.tcp.tcp_script import MS, Script
from tests.unit.tcp.test_loss_recovery import WIDE

from hognose.base.fair_table import FairTable
from hognose.limits import TcpLimits
from hognose.tcp.connection import TcpConnection

MSS = 1460  # without timestamps: a segment has room for four blocks
KIB = 1024


def stranger(limits: TcpLimits | None = None) -> Script:
    """The server keeps connections aside until they say something, and trusts them when it is told to."""
    return Script(limits=limits, silent=FairTable(8, 8, 8))


def filled(script: Script) -> TcpConnection:
    """The peer sends as much as it is allowed, in segments, and a little more; nothing is taken."""
    script.syn()
    while script.next < script.edge and script.next < 4 << 20:
        script.send("A", bytes(min(1000, script.edge - script.next)))
        script.poll()
    script.send("A", b"one byte too many")
    script.poll()
    [conn] = script.server.accepted()
    return conn


@pytest.mark.parametrize("bound", [None, 5000, 65_535])
def test_a_stranger_is_offered_its_first_window_and_no_more(bound: int | None) -> None:
    """16 KiB unless said otherwise, from the SYN-ACK on, however much is sent and not taken."""
    first = 16 * KIB if bound is None else bound
    script = stranger(TcpLimits() if bound is None else TcpLimits(first_window=bound))
    [answer] = script.syn()
    assert answer.window == first
    conn = filled(script)
    assert sum(map(len, conn.take())) <= first
    assert script.edge <= 1 + first


def test_who_is_trusted_has_the_whole_buffer() -> None:
    script = stranger()
    conn = filled(script)
    conn.trust()
    assert sum(map(len, conn.take())) == 16 * KIB
    script.poll()
    assert script.edge == 1 + 16 * KIB + 1024 * KIB


def test_a_first_window_beyond_the_field_is_what_the_field_can_say() -> None:
    """RFC 7323 section 2.2: the window of a SYN-ACK is not scaled."""
    [answer] = stranger(TcpLimits(first_window=1 << 20)).syn()
    assert answer.window == 65_535


def reported(ranges: int, **limits: int) -> Script:
    """Separate segments are reported, the last one first, each with a hole before it; nothing was sent again yet."""
    script = Script(limits=TcpLimits(**limits))
    script.ts = False
    script.open(window=WIDE, after=100)
    for _ in range(8):  # a wide window
        script.write(bytes(script.conn.send_space))
        script.poll()
        script.now += 100 * MS
        script.send("A", window=WIDE)
    while script.poll() or script.conn.send_queued:
        script.now += 100 * MS
        script.send("A", window=WIDE)
    first = script.seen
    script.write(bytes((2 * ranges + 1) * MSS))
    assert len(script.poll()) == 2 * ranges + 1
    script.now += 100 * MS
    blocks = [(first + (2 * n + 1) * MSS, first + (2 * n + 2) * MSS) for n in range(ranges)]
    for at in range(ranges, 0, -4):
        script.send("A", ack=first, sack=tuple(blocks[max(0, at - 4) : at]), window=WIDE)
    return script


@pytest.mark.parametrize(("bound", "ranges"), [(4, 4), (4, 12), (256, 256), (256, 300)])
def test_the_scoreboard_holds_so_many_ranges(bound: int, ranges: int) -> None:
    """CVE-2019-11477 class; 256 unless said otherwise. What is reported beyond goes again, and nothing else is lost."""
    script = reported(ranges, **({} if bound == 256 else {"sack_ranges": bound}))
    assert script.conn.info().sacked_ranges == min(bound, ranges)
    assert script.conn.info().sacked == min(bound, ranges) * MSS
    again = 0
    for _ in range(40):
        again += sum(len(s.payload) for s in script.poll())
        script.now += 100 * MS
        script.send("A", window=WIDE)
    assert script.conn.send_queued == 0
    assert again > 0
