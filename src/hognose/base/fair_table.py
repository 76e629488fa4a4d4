"""A bounded table keyed by endpoints on the network, fair to sources under a flood.

Keys are an address and a port as on the wire, 6 or 18 bytes, or with a number of 8 bytes after that, which tells
entries of the same endpoint apart. Bounds: entries in all (`total`), per source, and per
prefix. A source is an IPv4 address, or the 64 bits of an IPv6 address that one link has; a prefix is 24 or 48 bits. The
newcomer is always taken; where a bound is passed an older entry goes: the oldest of the same source, else of the same
prefix, else of the prefix that has the most entries. A flooding source evicts its own entries; one entry always
suffices for a newcomer.
"""

from __future__ import annotations

from typing import Generic, TypeVar

_CUTS = {6: (3, 4), 14: (3, 4), 18: (6, 8), 26: (6, 8)}  # by the length of a key: bytes of its prefix, of its source
T = TypeVar("T")


def prefix_of(key: bytes) -> bytes:
    """The prefix that a key is counted with."""
    return key[: _CUTS[len(key)][0]]


class FairTable(Generic[T]):
    """Items by key, oldest first; an operation looks at `per_prefix` keys at most."""

    __slots__ = ("_fullest", "_items", "_per_address", "_per_prefix", "_prefixes", "_sizes", "_total")

    def __init__(self, total: int, per_address: int, per_prefix: int) -> None:
        self._total = total
        self._per_address = per_address
        self._per_prefix = per_prefix
        self._items: dict[bytes, T] = {}
        self._prefixes: dict[bytes, dict[bytes, None]] = {}  # prefix -> its keys, oldest first
        self._sizes: dict[int, dict[bytes, None]] = {}  # number of entries -> the prefixes that have that number
        self._fullest = 0  # the largest number in _sizes

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: bytes) -> T | None:
        """The item of a key."""
        return self._items.get(key)

    def oldest(self) -> tuple[bytes, T] | None:
        """The entry that was added first."""
        for entry in self._items.items():
            return entry
        return None

    def items(self) -> list[tuple[bytes, T]]:
        """All entries, oldest first."""
        return list(self._items.items())

    def add(self, key: bytes, item: T) -> tuple[bytes, T] | None:
        """File an item under a key that is not there yet; returns the entry that was evicted for it."""
        gone = self._crowded_out(key)
        removed = None
        if gone is not None:
            removed = gone, self._items[gone]
            self.remove(gone)
        prefix = key[: _CUTS[len(key)][0]]
        keys = self._prefixes.get(prefix, {})
        self._resize(prefix, len(keys), len(keys) + 1)
        self._items[key] = item
        self._prefixes[prefix] = keys
        keys[key] = None
        return removed

    def remove(self, key: bytes) -> T | None:
        """Take an item out; None when it is not there."""
        item = self._items.get(key)
        if item is None:
            return None
        prefix = key[: _CUTS[len(key)][0]]
        keys = self._prefixes[prefix]
        self._resize(prefix, len(keys), len(keys) - 1)
        del self._items[key]
        del keys[key]
        if not keys:
            del self._prefixes[prefix]
        if not self._items:
            self._items = {}  # an emptied dictionary keeps its size
        return item

    def _crowded_out(self, key: bytes) -> bytes | None:
        prefix_len, source_len = _CUTS[len(key)]
        keys = self._prefixes.get(key[:prefix_len], {})
        if len(keys) >= self._per_address:  # counted only where the bound can be reached: an entry is to cost little
            source = key[:source_len]
            same = [each for each in keys if each.startswith(source)]
            if len(same) >= self._per_address:
                return same[0]
        if len(keys) >= self._per_prefix:
            return next(iter(keys))
        if len(self._items) >= self._total:
            return next(iter(self._prefixes[next(iter(self._sizes[self._fullest]))]))
        return None

    def _resize(self, prefix: bytes, before: int, after: int) -> None:
        """Move a prefix whose number of entries changed by one."""
        if before:
            same = self._sizes[before]
            del same[prefix]
            if not same:
                del self._sizes[before]
        if after:
            self._sizes.setdefault(after, {})[prefix] = None
        if after > self._fullest or (before == self._fullest and before not in self._sizes):
            self._fullest = after
