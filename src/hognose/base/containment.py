"""Containment of bugs: work whose exception is returned, and the account of such failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

from hognose.base.journal import Journal
from hognose.drops import Counters, DropReason
from hognose.units import MS, Nanos

RETRY_NS: Nanos = 100 * MS  # after a bug of ours, until what it has kept from being done is tried again
P = ParamSpec("P")


def attempt(work: Callable[P, object], *arguments: P.args, **named: P.kwargs) -> Exception | None:
    """Run work; returns the exception that it raised, None when it came to its end."""
    try:
        work(*arguments, **named)
    except Exception as error:
        return error
    return None


class Failures:
    """Counts and reports bugs of ours; retry_at: what the first of them has left undone is tried again then."""

    def __init__(self, journal: Journal, counters: Counters, now: Nanos) -> None:
        self._journal = journal
        self._counters = counters
        self.retry_at: Nanos = now

    def note(self, where: str, error: Exception, now: Nanos, conn: int = 0) -> None:
        """Count and report one; where: the work that failed, conn: the id of the connection that it ends, 0 for none.

        The text of the exception is not reported: it could hold a peer's bytes.
        """
        self._counters.drop(DropReason.INTERNAL_ERROR)
        if self.retry_at <= now:
            self.retry_at = now + RETRY_NS
        self._journal.failure(where, error, now, conn)

    def attempt(self, where: str, now: Nanos, work: Callable[P, object], *arguments: P.args, **named: P.kwargs) -> None:
        """Run work that belongs to no session; a failure is noted."""
        try:
            work(*arguments, **named)
        except Exception as error:
            self.note(where, error, now)
