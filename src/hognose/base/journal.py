"""Events on their way to the log: collected, and limited where strangers can cause them.

Bound: `events_per_second` lines of each kind about peers in any second, so that a kind that the log level leaves
out takes no room from another; lines over the bound are counted and reported as one line.
"""

from __future__ import annotations

from collections.abc import Iterable

from hognose.address import Endpoint
from hognose.base.rate import KeyedWindow
from hognose.drops import Counters, DropReason, Stat
from hognose.events import Event, EventKind
from hognose.units import Nanos

# Events that a peer without a certificate of ours can cause at will.
LIMITED = frozenset(
    {EventKind.PEER_CONNECTED, EventKind.PEER_CLOSED, EventKind.PEER_REJECTED, EventKind.INTERNAL_ERROR}
)

STATUS_BACKLOG = 10_000  # status lines that wait to be printed; a list is left out when they do


class Journal:
    """The event queue of the gateway."""

    def __init__(self, per_second: int, counters: Counters) -> None:
        self._per_second = per_second
        self._counters = counters
        self._events: list[Event] = []
        self._limited = KeyedWindow(0)  # events of LIMITED, per kind
        self._suppressed = 0
        self._status: list[str] = []

    def add(self, kind: EventKind, now: Nanos, **fields: str | int) -> None:
        """Queue an event without its empty fields; those that strangers can cause may be counted instead."""
        if kind in LIMITED:
            if self._limited.begins(now):
                self._report()
            if self._limited.count(kind) > self._per_second:
                self._suppressed += 1
                self._counters.stats[Stat.EVENTS_SUPPRESSED] += 1
                return
        self._events.append(Event(kind, {name: value for name, value in fields.items() if value != ""}))

    def failure(self, where: str, error: Exception, now: Nanos, conn: int = 0) -> None:
        """Queue INTERNAL_ERROR, a bug of ours; conn: id of the connection that it concerns, 0 for none."""
        text = f"{type(error).__name__} at {place_of(error)}"
        self.add(EventKind.INTERNAL_ERROR, now, where=where, error=text, conn=conn)

    def tls_warnings(self, warnings: Iterable[str], now: Nanos) -> None:
        """Queue CONFIG_WARNING for each text `directive: words` that the TLS library's set-up has given."""
        for text in warnings:
            directive, _, words = text.partition(": ")
            self.add(EventKind.CONFIG_WARNING, now, where="TLS", directive=directive, text=words)

    def udp_client(self, source: Endpoint, now: Nanos) -> None:
        """Queue PEER_REJECTED for an OpenVPN client that speaks UDP to us."""
        self.add(
            EventKind.PEER_REJECTED,
            now,
            conn=0,
            peer=str(source),
            reason=DropReason.PORT_CLOSED.name.lower(),
            detail="an OpenVPN client speaks UDP, this port TCP; write `proto tcp` in its config",
        )

    def take(self) -> list[Event]:
        """Drained events, oldest first."""
        if not self._events:
            return []
        events = self._events
        self._events = []
        return events

    def add_status(self, lines: list[str]) -> None:
        """Queue a list of clients, or leave it out while STATUS_BACKLOG lines wait."""
        if len(self._status) < STATUS_BACKLOG:
            self._status += lines

    def take_status(self) -> list[str]:
        """Drained status lines."""
        lines, self._status = self._status, []
        return lines

    def _report(self) -> None:
        if self._suppressed:
            self._events.append(Event(EventKind.EVENTS_SUPPRESSED, {"count": self._suppressed}))
            self._suppressed = 0


def place_of(error: Exception) -> str:
    """Function and line that raised: they tell a developer enough, where the text could hold a peer's bytes."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return f"{place.tb_frame.f_code.co_name}:{place.tb_lineno}" if place is not None else "unknown"
