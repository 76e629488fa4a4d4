"""The log: one key=value line per event on standard output, filtered by level.

Lines are `level event key=value …`; a value with spaces, quotes or control characters is quoted and escaped, so
that a peer's words can neither break a line nor hide in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hognose.drops import Counters
from hognose.events import EVENTS, Event, EventKind
from hognose.host import clock as machine_clock
from hognose.host.log_queue import LogQueue
from hognose.host.output import Output
from hognose.limits import LogLimits
from hognose.units import Nanos

LEVELS = {"error": 0, "warning": 1, "info": 2, "debug": 3}


_LONGEST = 200
# What is said of the config ends with the line to write instead; a peer has no part in it.
_LONGEST_ADVICE = 1000
_ADVICE = (EventKind.CONFIG_ERROR, EventKind.CONFIG_WARNING)


def format_value(value: str | int, longest: int = _LONGEST) -> str:
    """Printable form of a field: bare when it is one plain word, else quoted; cut to `longest` characters."""
    text = str(value)
    if len(text) > longest:
        text = text[: longest - 3] + "..."
    if text and all(c.isascii() and c.isprintable() and c not in ' "\\=' for c in text):
        return text
    escaped = "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\' else "\\" + c if c in '"\\' else f"\\x{ord(c):02x}"
        for c in text
    )
    return f'"{escaped}"'


def format_event(event: Event) -> str:
    """The line of an event."""
    words = [EVENTS[event.kind].level, event.kind.value]
    longest = _LONGEST_ADVICE if event.kind in _ADVICE else _LONGEST
    words += [f"{name}={format_value(value, longest)}" for name, value in event.fields.items()]
    return " ".join(words)


def log_queue(
    output: Output, *, clock: Callable[[], Nanos] = machine_clock.monotonic, limits: LogLimits | None = None
) -> LogQueue:
    """A queue of lines before an output, whose notice of dropped lines is the event log_dropped."""
    return LogQueue(output, _dropped, limits=limits or LogLimits(), clock=clock)


def _dropped(count: int) -> bytes:
    return _encode(format_event(Event(EventKind.LOG_DROPPED, {"count": count})))


def _encode(text: str) -> bytes:
    return (text + "\n").encode("utf-8", "replace")


class Console:
    """Prints events at or above a level; never waits for the reader (host/log_queue.py), `end` apart.

    sources: (beginning of an event's name, its own level); the longest beginning that fits decides, of equal ones the
    last.
    """

    def __init__(self, level: str, queue: LogQueue, sources: Sequence[tuple[str, str]] = ()) -> None:
        by_length = sorted(sources, key=lambda source: len(source[0]))
        self._levels = dict.fromkeys(EventKind, LEVELS[level])
        for kind in EventKind:
            for beginning, own in by_length:
                if kind.value.startswith(beginning):
                    self._levels[kind] = LEVELS[own]
        self._queue = queue

    def log(self, event: Event) -> None:
        """Print one event, unless its level is below that of its source."""
        if LEVELS[EVENTS[event.kind].level] <= self._levels[event.kind]:
            self.line(format_event(event))

    def event(self, kind: EventKind, **fields: str | int) -> None:
        """Log an event of the shell's own."""
        self.log(Event(kind, fields))

    def line(self, text: str) -> None:
        """One raw line."""
        self._queue.put(_encode(text))

    def report(self, lines: Sequence[str]) -> None:
        """Raw lines of which all are printed or none."""
        if lines:
            self._queue.put_report([_encode(text) for text in lines])

    @property
    def next_flush(self) -> Nanos:
        """Time at which flush is to be called; far away when nothing waits."""
        return self._queue.next_flush

    def flush(self) -> None:
        """Go on with what the reader did not take at once."""
        self._queue.flush()

    def count_in(self, counters: Counters) -> None:
        """Count the lines that the reader did not take."""
        self._queue.count_in(counters)

    def end(self, last: Event, *lines: str) -> None:
        """Print these last words and everything that waits; a reader that takes nothing is given two seconds."""
        words = [format_event(last)] if LEVELS[EVENTS[last.kind].level] <= self._levels[last.kind] else []
        self._queue.end([_encode(text) for text in (*words, *lines)])
