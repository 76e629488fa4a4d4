"""A fuzzer's bytes as choices and pieces; it never runs out: after the end there are zeros and empty pieces."""

from __future__ import annotations

from collections.abc import Iterator


class Reader:
    """Takes an input apart from its beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        """One byte."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def number(self, size: int) -> int:
        """A big-endian number of `size` bytes."""
        return int.from_bytes(self.take(size).ljust(size, b"\0"), "big")

    def take(self, size: int) -> bytes:
        """At most `size` bytes."""
        piece = self._data[self._at : self._at + size]
        self._at += size
        return piece

    def piece(self) -> bytes:
        """Bytes after their length(2), or what is left of them."""
        return self.take(self.number(2))

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))

    def pieces(self, most: int) -> Iterator[bytes]:
        """Pieces up to the end, at most `most`."""
        while self and most:
            most -= 1
            yield self.piece()


def piece(data: bytes) -> bytes:
    """The bytes that Reader.piece reads as `data`; for seeds."""
    return len(data).to_bytes(2, "big") + data
