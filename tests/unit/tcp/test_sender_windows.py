"""The size of the next segment in every mixture of windows, against the rules of the RFCs, by themselves."""

from __future__ import annotations

from itertools import product

import pytest

from hognose.drops import Counters
from hognose.limits import TcpLimits
from hognose.link import GSO_MAX_BYTES
from hognose.tcp.sender import Sender

MSS = 100
LARGEST = GSO_MAX_BYTES - 20 - 40  # beside an IPv4 header and a TCP header with 20 bytes of options


def sender(flight: int, unsent: int, *, cwnd: int, window: int, largest_window: int, sack: bool = True) -> Sender:
    made = Sender(MSS, largest_window, sack, TcpLimits(), Counters())
    if flight:
        made.buffer.append([bytes(flight)])
        made.sent(1, flight, 0)
    if unsent:
        made.buffer.append([bytes(unsent)])
    made.cc.cwnd = cwnd
    made.window = window
    return made


def rule(flight: int, unsent: int, cwnd: int, window: int, largest_window: int, override: bool) -> int:
    """Bytes to send by RFC 9293 section 3.8.6.2.1, with D and U as there; Nagle's part of it is off, Fs is one half."""
    usable = min(window, cwnd) - flight
    if unsent <= usable:  # (2): all there is
        return unsent
    if min(unsent, usable) >= MSS:  # (1)
        return usable // MSS * MSS
    if flight or usable <= 0:
        return 0
    silly = window < cwnd  # the peer's window is the smaller one
    if 2 * usable >= largest_window or override or not silly:  # (3), (4)
        return usable
    return 0


SIZES = (1, 49, 50, 99, 100, 101, 199, 200, 250)


@pytest.mark.parametrize("override", [False, True])
@pytest.mark.parametrize("flight", [0, 1, 100, 150])
def test_the_next_segment_is_as_large_as_both_windows_allow(flight: int, override: bool) -> None:
    for unsent, cwnd, window, largest in product(SIZES, SIZES, SIZES, (100, 200, 250)):
        made = sender(flight, unsent, cwnd=cwnd, window=window, largest_window=largest)
        made.override = override
        size = rule(flight, unsent, cwnd, window, largest, override)
        found = made.next_segment(0)
        assert found == ((1 + flight, size) if size > 0 else None), (unsent, cwnd, window, largest)


@pytest.mark.parametrize(
    ("unsent", "size"), [(LARGEST - 1, LARGEST - 1), (LARGEST, LARGEST), (LARGEST + 1, LARGEST // MSS * MSS)]
)
def test_a_super_segment_is_as_large_as_the_link_takes(unsent: int, size: int) -> None:
    made = sender(0, unsent, cwnd=1 << 20, window=1 << 20, largest_window=1 << 20)
    assert made.next_segment(0) == (1, size)


@pytest.mark.parametrize("flight", [0, 1, 100])
@pytest.mark.parametrize("window", [0, 1, 100, 200])
def test_a_fin_by_itself_waits_for_no_window(flight: int, window: int) -> None:
    """It has no text; a window that has shrunk meanwhile does not hold it up either."""
    made = sender(flight, 0, cwnd=100, window=window, largest_window=200)
    assert made.next_segment(0) is None
    made.fin_queued = True
    assert made.next_segment(0) == (1 + flight, 0)
    made.sent(1 + flight, 0, 0)
    assert made.next_segment(0) is None


@pytest.mark.parametrize("urgent", [False, True])
def test_what_is_lost_goes_first_as_far_as_the_congestion_window_has_room(urgent: bool) -> None:
    """RFC 6675 section 5 (C), (4.3): whole segments; the first of a recovery, or where nothing is in flight, always."""
    for lost, other, cwnd in product(SIZES, (0, 1, 100, 1000), (1, 99, 100, 101, 200, 299, 300, 1000, 1100, 1199)):
        made = sender(lost + other, 500, cwnd=cwnd, window=1 << 20, largest_window=1 << 20)
        made.recovery.lost.add(1, 1 + lost)
        made.recovery.urgent = urgent
        room = cwnd - other
        if room < MSS and other and not urgent:
            assert made.next_segment(0) is None
        else:
            assert made.next_segment(0) == (1, min(lost, max(MSS, room // MSS * MSS))), (lost, other, cwnd)


def test_a_lost_super_segment_goes_again_in_the_largest_whole_ones() -> None:
    made = sender(3 * LARGEST, 0, cwnd=1 << 20, window=1 << 20, largest_window=1 << 20)
    made.recovery.lost.add(1, 1 + 3 * LARGEST)
    assert made.next_segment(0) == (1, LARGEST // MSS * MSS)


def test_a_lost_fin_has_no_bytes() -> None:
    made = sender(250, 0, cwnd=1 << 20, window=1 << 20, largest_window=1 << 20)
    made.fin_queued = True
    made.sent(251, 0, 0)
    made.recovery.lost.add(201, 252)
    assert made.next_segment(0) == (201, 50)
    made.recovery.lost.clear()
    made.recovery.lost.add(251, 252)
    assert made.next_segment(0) == (251, 0)
