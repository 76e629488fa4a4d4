"""The pipe of RFC 6675 against a count of every byte."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hognose.drops import Counters
from hognose.limits import TcpLimits
from hognose.tcp.sender import Sender

MSS = 100
SEGMENTS = 40
RTT = 40_000_000


def sender() -> Sender:
    """40 segments of 100 bytes in flight."""
    made = Sender(MSS, 1 << 20, True, TcpLimits(), Counters())
    made.cc.cwnd = SEGMENTS * MSS
    made.buffer.append([bytes(MSS)] * SEGMENTS)
    while (segment := made.next_segment(0)) is not None:
        made.sent(*segment, 0)
    assert made.in_flight() == SEGMENTS * MSS
    return made


@given(st.sets(st.integers(1, SEGMENTS - 1), max_size=30), st.integers(0, 5))
def test_pipe(sacked, retransmissions):
    """SetPipe(): one count if not lost, one if sent again, none if the peer holds it.

    Lost is what RACK says where no reordering was seen: with enough reported, all that was sent before what arrived.
    """
    made = sender()
    blocks = [(1 + n * MSS, 1 + (n + 1) * MSS) for n in sorted(sacked)]
    made.acknowledge(1, 1 << 20, blocks, False, -1, RTT)
    again: set[int] = set()
    made.cc.cwnd = 1 << 20
    for _ in range(retransmissions):
        segment = made.next_segment(0)
        if segment is None or segment[0] >= made.nxt:
            break
        start, size = segment
        size = min(size, MSS)
        made.sent(start, size, 0)
        again.update(range(start, start + size))

    def is_lost(number: int) -> bool:
        runs = [n for n in sacked if n - 1 not in sacked]
        return (len(sacked) > 2 or len(runs) >= 3) and number < max(sacked)

    pipe = len(again)
    for number in range(SEGMENTS):
        if number not in sacked and not is_lost(number):
            pipe += MSS
    assert made.in_flight() == pipe


def test_recovery_never_sends_what_is_held():
    made = sender()
    made.acknowledge(1, 1 << 20, [(101, 1001), (2001, 4001)], False, -1, RTT)
    made.cc.cwnd = 1 << 20
    sent = []
    while (segment := made.next_segment(0)) is not None and segment[0] < 4001:
        sent.append(segment)
        made.sent(*segment, 0)
    assert sent == [(1, 100), (1001, 1000)]
