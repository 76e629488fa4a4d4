"""Inputs from a corpus by seeded mutation: the same corpus and seed give the same inputs in the same order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

MAX_STEPS = 6  # changes of one input
NEW = 0.02  # of the inputs are nothing but random bytes
# Limits of signed and unsigned fields, powers of two beside them, and sizes that protocols use.
INTERESTING = {
    1: (0, 1, 2, 4, 5, 7, 8, 15, 16, 20, 31, 32, 63, 64, 127, 128, 129, 254, 255),
    2: (0, 1, 19, 20, 28, 127, 128, 255, 256, 512, 536, 1000, 1024, 1460, 1500, 2048, 4096, 32767, 32768, 65534, 65535),
    4: (0, 1, 255, 256, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0x80000001, 0xFFFFFFFE, 0xFFFFFFFF),
}
NEAR = 35  # how much is added to or taken from a number


class Mutator:
    """Never ends; `next` gives the next input."""

    def __init__(self, corpus: Sequence[bytes], seed: int, max_size: int) -> None:
        self._corpus = [data[:max_size] for data in corpus] or [b""]
        self._random = random.Random(seed)
        self._max_size = max_size
        self._kinds: tuple[Callable[[bytearray], None], ...] = (
            self._flip, self._set, self._cut, self._shorten, self._insert, self._repeat, self._overwrite,
            self._interesting, self._interesting, self._near, self._near, self._splice, self._graft, self._swap,
        )  # fmt: skip

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield self.next()

    def next(self) -> bytes:
        """The next input, of at most the largest size."""
        rng = self._random
        if rng.random() < NEW:
            return rng.randbytes(rng.randrange(min(64, self._max_size) + 1))
        data = bytearray(rng.choice(self._corpus))
        # Mostly one or two changes: more of them seldom leave what an input of the corpus is there for.
        steps = min(1 + int(rng.expovariate(0.7)), MAX_STEPS)
        for _ in range(steps):
            rng.choice(self._kinds)(data)
            del data[self._max_size :]
        return bytes(data)

    # -- places ----------------------------------------------------------------------------------------------------

    def _piece(self, size: int) -> tuple[int, int]:
        """Begin and end of a piece; short ones are likelier."""
        rng = self._random
        first = rng.randrange(size)
        length = 1 + int(rng.expovariate(1 / 8)) if rng.random() < 0.8 else 1 + rng.randrange(size)
        return first, min(first + length, size)

    def _field(self, data: bytearray) -> tuple[int, int]:
        """Place and width of a number that fits."""
        width = self._random.choice([each for each in (1, 2, 4) if each <= len(data)])
        return self._random.randrange(len(data) - width + 1), width

    # -- changes ---------------------------------------------------------------------------------------------------

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def _set(self, data: bytearray) -> None:
        if data:
            data[self._random.randrange(len(data))] = self._random.randrange(256)

    def _cut(self, data: bytearray) -> None:
        if data:
            first, end = self._piece(len(data))
            del data[first:end]

    def _shorten(self, data: bytearray) -> None:
        if data:
            del data[self._random.randrange(len(data)) :]

    def _insert(self, data: bytearray) -> None:
        at, size = self._random.randrange(len(data) + 1), 1 + int(self._random.expovariate(1 / 6))
        filled = bytes((self._random.randrange(256),)) * size
        data[at:at] = filled if self._random.random() < 0.5 else self._random.randbytes(size)

    def _repeat(self, data: bytearray) -> None:
        if data:
            first, end = self._piece(len(data))
            times = 1 + int(self._random.expovariate(1 / 3))
            data[end:end] = bytes(data[first:end]) * min(times, 1 + self._max_size // (end - first))

    def _overwrite(self, data: bytearray) -> None:
        """A piece of the input again at another place of it."""
        if data:
            first, end = self._piece(len(data))
            at = self._random.randrange(len(data))
            data[at : at + end - first] = bytes(data[first:end])

    def _interesting(self, data: bytearray) -> None:
        if data:
            at, width = self._field(data)
            value = self._random.choice(INTERESTING[width])
            data[at : at + width] = value.to_bytes(width, self._random.choice(("big", "little")))

    def _near(self, data: bytearray) -> None:
        if data:
            at, width = self._field(data)
            order: Literal["big", "little"] = "big" if self._random.random() < 0.9 else "little"
            value = int.from_bytes(data[at : at + width], order)
            value = value + self._random.randint(-NEAR, NEAR) & (1 << 8 * width) - 1
            data[at : at + width] = value.to_bytes(width, order)

    def _splice(self, data: bytearray) -> None:
        """The beginning of one input and the end of another."""
        other = self._random.choice(self._corpus)
        del data[self._random.randrange(len(data) + 1) :]
        data += other[self._random.randrange(len(other) + 1) :]

    def _graft(self, data: bytearray) -> None:
        """A piece of another input inside."""
        other = self._random.choice(self._corpus)
        if other:
            first, end = self._piece(len(other))
            at = self._random.randrange(len(data) + 1)
            data[at : at + self._random.choice((0, end - first))] = other[first:end]

    def _swap(self, data: bytearray) -> None:
        if len(data) >= 2:
            first, end = self._piece(len(data))
            at = self._random.randrange(len(data))
            piece = bytes(data[first:end])
            del data[first:end]
            data[at:at] = piece
