"""The processor's time for packets of no session."""

from __future__ import annotations

import pytest

from hognose.units import MS, SECOND
from hognose.vpn.initial_rate import InitialRate
from hognose.vpn.look_time import SAVED, LookTime

START = 100 * SECOND


class Looks:
    """Packets whose work costs what the test says."""

    def __init__(self, percent: int = 5) -> None:
        self.clock = 7 * SECOND
        self.time = LookTime(percent, lambda: self.clock, START)
        self.rate = InitialRate(10**6, SECOND, bytes(8), START)
        self.number = 0

    def work(self, now: int, cost: int, count: int, *, repeated: bool) -> int:
        """Number of packets for which there is time."""
        done = 0
        for _ in range(count):
            self.number += 1
            key = (0x0B000000 + 256 * self.number).to_bytes(4, "big") + bytes(2)
            if repeated:  # it has passed the filter before the step
                self.rate.begin(now - SECOND)
                self.rate.passes(key + bytes(8))
                self.rate.begin(now)
                assert self.rate.passes(key + bytes(8))
            if self.time.admits(self.rate, key, bytes(8), now):
                assert self.time.spend_on(self.take, cost, and_say="done") == "done"
                done += 1
        return done

    def take(self, cost: int, and_say: str) -> str:
        self.clock += cost
        return and_say


def test_first_packets_leave_half_of_what_is_saved_up_to_repeated_ones() -> None:
    looks = Looks()
    assert looks.work(START, MS, 99, repeated=False) == SAVED // 2 // MS == 5
    assert looks.work(START, MS, 99, repeated=True) == 5
    assert looks.work(START, MS, 99, repeated=False) == 0


def test_a_twentieth_of_the_time() -> None:
    looks = Looks()
    done = sum(looks.work(START + step * 10 * MS, MS // 2, 9, repeated=step % 2 == 0) for step in range(1001))
    assert done == (SAVED + 10 * SECOND // 20) // (MS // 2)


def test_work_that_costs_nothing_has_no_limit() -> None:
    assert Looks().work(START, 0, 500, repeated=False) == 500


def test_work_that_fails_is_paid_too() -> None:
    looks = Looks()

    def fail() -> None:
        looks.clock += 11 * MS
        raise RuntimeError

    with pytest.raises(RuntimeError):
        looks.time.spend_on(fail)
    assert looks.work(START, 0, 9, repeated=True) == 0


def test_what_took_too_long_is_paid_later() -> None:
    looks = Looks()
    assert looks.work(START, 110 * MS, 9, repeated=True) == 1
    assert looks.work(START + 2000 * MS, MS, 9, repeated=True) == 0
    assert looks.work(START + 2020 * MS, MS, 9, repeated=True) == 1
