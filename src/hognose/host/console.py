"""The log: one key=value line per event on standard output, filtered by level.

Lines are `level event key=value …`; a value with spaces, quotes or control characters is quoted and escaped, so
that a peer's words can neither break a line nor hide in it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from hognose.events import EVENTS, Event, EventKind

LEVELS = {"error": 0, "warning": 1, "info": 2, "debug": 3}


def format_value(value: str | int) -> str:
    """Printable form of a field: bare when it is one plain word, else quoted; at most 200 characters."""
    text = str(value)
    if len(text) > 200:
        text = text[:197] + "..."
    if text and all(c.isascii() and c.isprintable() and c not in ' "\\=' for c in text):
        return text
    escaped = "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\' else "\\" + c if c in '"\\' else f"\\x{ord(c):02x}"
        for c in text
    )
    return f'"{escaped}"'


class Console:
    """Prints events at or above a level.

    sources: (beginning of an event's name, its own level); the longest beginning that fits decides, of equal ones the
    last.
    """

    def __init__(
        self, level: str = "info", stream: TextIO | None = None, sources: Sequence[tuple[str, str]] = ()
    ) -> None:
        by_length = sorted(sources, key=lambda source: len(source[0]))
        self._levels = dict.fromkeys(EventKind, LEVELS[level])
        for kind in EventKind:
            for beginning, own in by_length:
                if kind.value.startswith(beginning):
                    self._levels[kind] = LEVELS[own]
        self._stream = stream or sys.stdout

    def log(self, event: Event) -> None:
        """Print one event; a console that cannot be written to is nobody's reason to stop."""
        spec = EVENTS[event.kind]
        if LEVELS[spec.level] > self._levels[event.kind]:
            return
        words = [spec.level, event.kind.value]
        words += [f"{name}={format_value(value)}" for name, value in event.fields.items()]
        self.line(" ".join(words))

    def event(self, kind: EventKind, **fields: str | int) -> None:
        """Shorthand for the shell's own events."""
        self.log(Event(kind, fields))

    def line(self, text: str) -> None:
        """One raw line."""
        try:
            os.write(self._stream.fileno(), (text + "\n").encode("utf-8", "replace"))
        except (OSError, ValueError):
            pass
