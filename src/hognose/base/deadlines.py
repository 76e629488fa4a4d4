"""Deadlines with reasons: the time at which something is due, and the part of the program that wants it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from hognose.units import Nanos


class Deadline(NamedTuple):
    """reason: a word for the log of a developer; no other part goes by it."""

    at: Nanos
    reason: str


class Waiting(Protocol):
    """A part of the program that wants to be run at some time."""

    def next_deadline(self) -> Nanos | None:
        """Time of the earliest timer, in the past when it is overdue; None when none runs."""
        ...


class Timed(Waiting, Protocol):
    """An engine with timers."""

    def handle_deadline(self, now: Nanos) -> None:
        """Run every timer that is due."""
        ...


NEVER = Deadline(1 << 63, "")


def earliest_of(parts: Iterable[tuple[str, Waiting]], earliest: Deadline = NEVER) -> Deadline:
    """The earliest deadline of all parts and of the given one; parts: with the reason that theirs has."""
    at, reason = earliest
    for name, engine in parts:
        due = engine.next_deadline()
        if due is not None and due < at:
            at, reason = due, name
    return Deadline(at, reason)


def run_due(engine: Timed, now: Nanos) -> None:
    """Run an engine's timers if one is due."""
    due = engine.next_deadline()
    if due is not None and due <= now:
        engine.handle_deadline(now)
