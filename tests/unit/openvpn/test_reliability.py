"""The reliability layer: order, windows, acknowledgements, repetition, and what a hostile peer can make of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hognose.limits import OpenvpnLimits
from hognose.openvpn.control.reliability import MESSAGE_COST, Reliability

SECOND = 1_000_000_000
LIMITS = OpenvpnLimits()


def engine() -> Reliability:
    return Reliability(OpenvpnLimits(), 2 * SECOND)


def test_at_most_four_in_flight_and_doubling_repeats() -> None:
    reliability = engine()
    for n in range(6):
        reliability.queue(4, bytes((n,)))
    assert [packet[1] for packet in reliability.poll(0)] == [0, 1, 2, 3]
    assert reliability.poll(SECOND) == []
    assert reliability.next_deadline() == 2 * SECOND
    assert len(reliability.poll(2 * SECOND)) == 4
    assert reliability.next_deadline() == 6 * SECOND
    reliability.acknowledged((0, 1, 2))
    assert [packet[1] for packet in reliability.poll(2 * SECOND)] == [4, 5]
    reliability.acknowledged(())
    reliability.acknowledged((3, 4, 5))
    assert reliability.idle
    assert reliability.next_deadline() is None


def test_a_message_overtaken_three_times_goes_at_once() -> None:
    reliability = engine()
    for n in range(4):
        reliability.queue(4, bytes((n,)))
    reliability.poll(0)
    for n in (1, 2, 3):
        reliability.acknowledged((n,))
    assert [packet[1] for packet in reliability.poll(1)] == [0]
    assert reliability.poll(1) == [], "once for these three"


def test_order_duplicates_and_the_window() -> None:
    reliability = engine()
    assert reliability.receive(1, 4, b"b")
    assert not reliability.ready
    assert reliability.take() is None
    assert reliability.receive(0, 4, b"a")
    assert reliability.receive(0, 4, b"again")
    assert reliability.ready
    assert [reliability.take() for _ in range(3)] == [(4, b"a"), (4, b"b"), None]
    assert not reliability.receive(14, 4, b"x")
    assert reliability.receive(13, 4, b"x")
    packets = reliability.poll(0)
    assert packets == [(0, -1, b"", (1, 0, 13))]
    assert reliability.receive(1, 4, b"old")
    [(_, _, _, acks)] = reliability.poll(0)
    assert acks[0] == 1  # again, and earlier ones while there is room
    assert set(acks) == {0, 1, 13}


def test_acks_ride_on_control_four_at_a_time() -> None:
    reliability = engine()
    for n in range(6):
        reliability.receive(n, 4, b"")
    reliability.queue(4, b"data")
    first, second = reliability.poll(0)
    assert first == (4, 0, b"data", (0, 1, 2, 3))
    assert second[1] == -1
    assert second[3][:2] == (4, 5)
    assert len(second[3]) == 6  # the others once more: there is room


# -- acknowledgements that we owe --------------------------------------------------------------------------------------


def test_at_most_eight_acknowledgements_wait_and_none_is_lost() -> None:
    """Room for 8, as OpenVPN's (reliable.h RELIABLE_ACK_SIZE): a message without one is filed; the peer repeats it."""
    reliability = engine()
    for n in range(12):
        assert reliability.receive(n, 4, bytes((n,)))
    assert [packet[3] for packet in reliability.poll(0)] == [(0, 1, 2, 3, 4, 5, 6, 7)]
    assert [reliability.take() for _ in range(13)] == [*[(4, bytes((n,))) for n in range(12)], None]
    for n in (8, 9, 10, 11):
        assert reliability.receive(n, 4, b"again")  # the peer's repetition
    [(_, _, _, acks)] = reliability.poll(0)
    assert acks[:4] == (8, 9, 10, 11)
    assert not reliability.ready


def test_a_megabyte_of_repeated_ids_makes_one_acknowledgement() -> None:
    """The waiting entries, and so those that each message is compared with, stay at eight."""
    reliability = engine()
    for n in range(LIMITS.control_window):
        reliability.receive(n, 4, b"")
        reliability.take()
    reliability.poll(0)
    longest = 0
    for n in range(1 << 16):  # 16 bytes each without a wrap
        assert reliability.receive(n % LIMITS.control_window, 4, b"")
        longest = max(longest, len(reliability._acks), len(reliability._early), len(reliability._recent))
    assert longest == LIMITS.control_acks == 8
    packets = reliability.poll(0)
    assert len(packets) == 1
    assert len(packets[0][3]) == 8


# -- acknowledgements that the peer sends ------------------------------------------------------------------------------


def flight(count: int = 4) -> Reliability:
    reliability = engine()
    for n in range(count):
        reliability.queue(4, bytes((n,)))
    reliability.poll(0)
    return reliability


@pytest.mark.parametrize("ids", [(4,), (5,), (0xFFFFFFFF,), (4, 5, 6, 7, 8, 9, 10, 11)])
def test_cve_2026_84732_acknowledgements_of_what_was_never_sent_mean_nothing(ids: tuple[int, ...]) -> None:
    """CVE-2026-84732: they made retransmissions and intervals without end."""
    reliability = flight(6)  # four fly, two wait: neither 4 nor 5 was sent
    for _ in range(30):
        assert reliability.acknowledged(ids) == len(ids)
        assert reliability.poll(1) == []
    assert reliability.next_deadline() == 2 * SECOND
    assert len(reliability.poll(2 * SECOND)) == 4
    assert reliability.next_deadline() == 6 * SECOND


def test_cve_2026_84732_repeated_acknowledgements_count_once() -> None:
    """CVE-2026-84732: OpenVPN 2.6 repeats the ids that it has acknowledged; they are old, not unknown, and no news."""
    reliability = flight()
    assert reliability.acknowledged((2, 3)) == 0
    for _ in range(30):
        assert reliability.acknowledged((2, 3)) == 0
        assert reliability.poll(1) == []
    assert reliability.acknowledged((1, 2, 3)) == 0  # the third message after it
    assert [packet[1] for packet in reliability.poll(1)] == [0]


def test_unsent_ids_beside_a_good_one_overtake_nothing() -> None:
    reliability = flight()
    assert reliability.acknowledged((2, 2, 2, 4, 5, 6, 7, 8)) == 5
    assert reliability.poll(1) == []
    assert reliability.acknowledged((1, 3)) == 0
    assert [packet[1] for packet in reliability.poll(1)] == [0]


@pytest.mark.parametrize("most", [0, 1, 2])
def test_early_repetitions_have_a_bound_of_their_own(most: int) -> None:
    reliability = Reliability(replace(LIMITS, control_early_repeats=most), 2 * SECOND)
    for n in range(12):
        reliability.queue(4, bytes((n,)))
    reliability.poll(0)
    sent = 0
    for n in range(1, 12):
        reliability.acknowledged((n,))
        sent += sum(packet[1] == 0 for packet in reliability.poll(1))
    assert sent == most


def test_early_repetitions_are_few_and_leave_the_interval() -> None:
    reliability = flight(60)
    sent = 0
    for n in range(1, 60):
        reliability.acknowledged((n,))
        sent += sum(packet[1] == 0 for packet in reliability.poll(SECOND))
    assert sent == LIMITS.control_early_repeats == 3
    assert len(reliability._queue) == 60 - LIMITS.control_window  # no more fly than the peer has room for
    assert reliability.next_deadline() == 3 * SECOND  # two seconds after the last
    reliability.acknowledged((0,))
    assert [packet[1] for packet in reliability.poll(SECOND)] == [12, 13, 14, 15]


def test_the_interval_of_repetition_has_an_end() -> None:
    reliability = flight(1)
    times = []
    for _ in range(6):
        due = reliability.next_deadline()
        assert due is not None
        times.append(due // SECOND)
        assert len(reliability.poll(due)) == 1
    assert times == [2, 6, 14, 22, 30, 38]
    assert reliability.unacknowledged_since == 0
    slow = Reliability(LIMITS, 20 * SECOND)  # the administrator's tls-timeout
    slow.queue(4, b"")
    slow.poll(0)
    slow.poll(20 * SECOND)
    assert slow.next_deadline() == 40 * SECOND


def test_the_bytes_that_wait_are_counted() -> None:
    reliability = flight(6)
    assert reliability.waiting_bytes == 6 * (1 + MESSAGE_COST)
    reliability.acknowledged((0, 1, 9))
    reliability.acknowledged((0, 1))
    assert reliability.waiting_bytes == 4 * (1 + MESSAGE_COST)
    reliability.poll(0)
    reliability.acknowledged((2, 3, 4, 5))
    assert reliability.waiting_bytes == 0
    assert reliability.idle
    assert reliability.unacknowledged_since is None


def test_another_one_goes_on_with_what_was_not_acknowledged() -> None:
    reliability = flight(6)
    reliability.acknowledged((0, 2))
    reliability.receive(0, 4, b"a")
    reliability.receive(2, 4, b"c")  # it came too early, and comes again
    reliability.take()
    other = engine()
    other.restore(reliability.export())
    assert other.waiting_bytes == reliability.waiting_bytes == 4 * (1 + MESSAGE_COST)
    assert not other.idle
    packets = other.poll(0)
    assert [(packet[0], packet[1], packet[2]) for packet in packets[:4]] == [(4, n, bytes((n,))) for n in (1, 3, 4, 5)]
    assert packets[0][3] == (0, 2)
    assert other.receive(1, 4, b"b")
    assert other.take() == (4, b"b")
    assert other.take() is None
    other.queue(4, b"next")
    other.acknowledged((1, 3, 4, 5))
    assert [packet[1] for packet in other.poll(0)] == [6]
    other.acknowledged((6,))
    assert (other.idle, other.waiting_bytes) == (True, 0)


# -- probes ------------------------------------------------------------------------------------------------------------


def probing() -> Reliability:
    return Reliability(OpenvpnLimits(), 2 * SECOND, probes=True)


def sent(reliability: Reliability, now: int) -> list[int]:
    return [packet[1] for packet in reliability.poll(now)]


def test_the_newest_message_is_sent_again_once_after_two_round_trips() -> None:
    reliability = probing()
    reliability.queue(4, b"a")
    assert sent(reliability, 0) == [0]
    reliability.acknowledged((0,), SECOND * 4 // 10)  # a round trip of 0.4 s
    for _ in range(3):
        reliability.queue(4, b"b")
    begin = SECOND
    assert sent(reliability, begin) == [1, 2, 3]
    assert reliability.next_deadline() == begin + SECOND * 8 // 10
    assert sent(reliability, begin + SECOND * 8 // 10 - 1) == []
    assert sent(reliability, begin + SECOND * 8 // 10) == [3]
    assert sent(reliability, begin + SECOND * 19 // 10) == []
    assert sent(reliability, begin + 2 * SECOND) == [1, 2, 3]
    assert reliability.next_deadline() == begin + 6 * SECOND
    assert sent(reliability, begin + 5 * SECOND) == []


def test_a_probe_waits_for_200_ms_at_least() -> None:
    reliability = probing()
    reliability.queue(4, b"a")
    assert sent(reliability, 0) == [0]
    assert reliability.next_deadline() == SECOND // 5
    assert sent(reliability, SECOND // 5 - 1) == []
    assert sent(reliability, SECOND // 5) == [0]
    assert reliability.next_deadline() == 2 * SECOND


def test_a_repeated_message_measures_no_round_trip() -> None:
    """RFC 6298 section 3: its acknowledgement may be that of the first one."""
    reliability = probing()
    reliability.queue(4, b"a")
    sent(reliability, 0)
    sent(reliability, SECOND // 5)
    reliability.acknowledged((0,), SECOND)
    reliability.queue(4, b"b")
    sent(reliability, SECOND)
    assert reliability.next_deadline() == SECOND + SECOND // 5


def test_without_probes_nothing_is_sent_early() -> None:
    reliability = engine()
    reliability.queue(4, b"a")
    sent(reliability, 0)
    assert reliability.next_deadline() == 2 * SECOND
    assert sent(reliability, SECOND) == []
