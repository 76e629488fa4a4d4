"""The time of a run: shared out among its parts, and kept by them, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import pytest
from tests.explore import __main__ as explore
from tests.explore.processes import Ended, Part, run
from tests.explore.shares import shares
from tests.fuzz.targets import TARGETS

INFINITE = float("inf")
LEAST = 5.0  # what a part that begins late takes all the same


def test_the_stage_of_three_minutes() -> None:
    share = shares(180.0, 22, 2)
    assert share.per_target == pytest.approx(3.0)
    assert 70 <= share.properties <= 100
    assert 40 <= share.worlds - share.properties <= 60
    # Eleven targets for each process, three seconds each, and the time of its start.
    assert share.fuzz - share.worlds == pytest.approx(37)
    assert 170 <= share.fuzz <= 180
    assert share.factor == 1


def test_a_night_has_more_examples() -> None:
    share = shares(3600.0, 22, 2)
    assert share.properties < share.worlds < share.fuzz <= 3600
    assert 5 <= share.factor <= 20
    assert share.per_target >= 40


@pytest.mark.parametrize("seconds", [60.0, 90.0, 180.0, 600.0, 3600.0, 36_000.0])
@pytest.mark.parametrize("targets", [20, 22, 25, 30])
def test_every_part_has_some_of_any_time(seconds: float, targets: int) -> None:
    share = shares(seconds, targets, 2)
    assert 0 < share.properties < share.worlds < share.fuzz < seconds
    assert share.worlds + share.per_target * ceil(targets / 2) < share.fuzz


@dataclass
class Clock:
    """Time that passes when it is slept."""

    now: float = 5000.0
    running: int = 0
    most: int = 0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Fake:
    """A process that has work for so long and ends at its time; with work for ever it hangs."""

    def __init__(self, clock: Clock, part: Part, seconds: float, ends_with: int = 0) -> None:
        self.clock, self.ends_with, self.aborted = clock, ends_with, False
        words = part.command
        until = float(words[words.index("--until") + 1]) if "--until" in words else INFINITE
        self.end = INFINITE if seconds == INFINITE else min(clock.now + seconds, max(until, clock.now + LEAST))
        clock.running += 1
        clock.most = max(clock.most, clock.running)

    def status(self) -> int | None:
        if self.aborted:
            return -6
        if self.clock.now < self.end:
            return None
        self.clock.running -= 1
        return self.ends_with

    def abort(self) -> None:
        self.clock.running -= 1
        self.aborted = True

    def output(self) -> str:
        return "aborted" if self.aborted else "whole"


def played(seconds: float = 180.0, **took: float) -> tuple[Clock, list[Ended]]:
    """A run whose parts have work for so long; as much as they may have where nothing is said."""
    clock = Clock()
    share = shares(seconds, len(TARGETS), explore.PROCESSES)
    queues = [explore.queue(1, number, seconds, share, clock.now) for number in range(explore.PROCESSES)]

    def start(part: Part, _: int) -> Fake:
        return Fake(clock, part, took.get(part.name, seconds))

    return clock, list(run(queues, start, lambda: clock.now, clock.sleep))


def test_parts_follow_each_other_on_two_processes() -> None:
    clock, done = played()
    assert [ended.part.name for ended in done] == ["properties"] * 2 + ["worlds"] * 2 + ["fuzz"] * 2
    assert not any(ended.aborted for ended in done)
    assert clock.most == 2
    assert clock.now - 5000 == pytest.approx(175, abs=1)


def test_what_ends_early_makes_the_run_shorter() -> None:
    clock, _ = played(properties=60.0, worlds=10.0, fuzz=33.0)
    assert clock.now - 5000 == pytest.approx(103, abs=1)


@pytest.mark.parametrize("hangs", ["properties", "worlds", "fuzz"])
@pytest.mark.parametrize("seconds", [180.0, 3600.0])
def test_what_hangs_is_aborted_and_the_run_ends_in_time(hangs: str, seconds: float) -> None:
    clock, done = played(seconds, **{hangs: INFINITE})
    assert [ended.part.name for ended in done if ended.aborted] == [hangs, hangs]
    assert [ended.output for ended in done if ended.aborted] == ["aborted", "aborted"]
    assert len(done) == 6
    assert clock.now - 5000 <= 1.1 * seconds
    assert clock.running == 0


def test_what_fails_says_so_and_the_rest_still_runs() -> None:
    clock = Clock()
    queues = [[Part("one", (), 9.0), Part("two", (), 9.0)]]
    started: list[str] = []

    def start(part: Part, _: int) -> Fake:
        started.append(part.name)
        return Fake(clock, part, 1.0, ends_with=3 if part.name == "one" else 0)

    assert [(ended.part.name, ended.status) for ended in run(queues, start, lambda: clock.now, clock.sleep)] == [
        ("one", 3),
        ("two", 0),
    ]
    assert started == ["one", "two"]


def test_boots_have_a_time_of_their_own() -> None:
    """60 s, and 15 s for each boot of each of the two carriers: boots that hang do not take the night."""
    assert explore.boots(30).limit == pytest.approx(960)
    assert explore.boots(2).limit == pytest.approx(120)
    assert "HOGNOSE_BOOTS=2" in explore.boots(2).command
