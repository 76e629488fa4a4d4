"""Deadlines: the earliest one with its reason; timers run when they are due and not before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hognose.base.deadlines import NEVER, Deadline, earliest_of, run_due


class Engine:
    def __init__(self, due: int | None) -> None:
        self.due = due
        self.ran: list[int] = []

    def next_deadline(self) -> int | None:
        return self.due

    def handle_deadline(self, now: int) -> None:
        self.ran.append(now)


@given(st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=6), st.one_of(st.none(), st.integers(0, 9)))
def test_the_earliest_and_the_first_of_equal_ones(dues: list[int | None], given_one: int | None) -> None:
    engines = [(f"engine {number}", Engine(due)) for number, due in enumerate(dues)]
    start = NEVER if given_one is None else Deadline(given_one, "given")
    found = earliest_of(engines, start)
    candidates = [start] + [Deadline(due, f"engine {number}") for number, due in enumerate(dues) if due is not None]
    assert found == min(candidates, key=lambda one: one.at)


def test_without_any_there_is_none() -> None:
    assert earliest_of([("a", Engine(None))]) == NEVER == earliest_of([])


def test_timers_run_when_they_are_due() -> None:
    for due, ran in ((None, []), (6, []), (5, [5]), (0, [5])):
        engine = Engine(due)
        run_due(engine, 5)
        assert engine.ran == ran
