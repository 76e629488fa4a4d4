"""Numbers of connections, each given out once, that several ports share."""

from __future__ import annotations


class Numbering:
    """Numbers from 1 on; last: the newest that was given out, 0 before the first."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0

    def take(self) -> int:
        """The next number."""
        self.last += 1
        return self.last
