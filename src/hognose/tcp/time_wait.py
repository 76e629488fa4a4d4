"""Connections in TIME-WAIT: the numbers that answers to old segments need, for 2 MSL (RFC 9293 section 3.6.1)."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from hognose.tcp import seqnum
from hognose.units import SECOND, Nanos
from hognose.wire import tcp as wire_tcp
from hognose.wire.tcp import ACK, RST, SYN

TIME_WAIT: Nanos = 60 * SECOND  # 2 MSL, as Linux has it


class FinalNumbers(NamedTuple):
    """Numbers of the wire at the end of a connection; ts_offset -1: it had no timestamps."""

    snd_nxt: int
    rcv_nxt: int
    ts_offset: int
    ts_recent: int


class TimeWait:
    """The TIME-WAIT entries of one listening port. Bound: `most`; the oldest is dropped for a new one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.entries: OrderedDict[bytes, tuple[Nanos, FinalNumbers]] = OrderedDict()  # expiry first; the oldest first

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, key: bytes, numbers: FinalNumbers, now: Nanos) -> None:
        """File a connection that has closed first."""
        if len(self.entries) >= self._most:
            self.entries.popitem(last=False)
        self.entries[key] = (now + TIME_WAIT, numbers)

    def reopens(self, key: bytes, seq: int, flags: int, options: wire_tcp.Options) -> bool:
        """True for a SYN that is newer than the connection of an entry, which is then removed (RFC 6191)."""
        if flags & (SYN | ACK | RST) != SYN:
            return False
        _, numbers = self.entries[key]
        stamps = options.timestamps
        newer_time = numbers.ts_offset >= 0 and stamps is not None and seqnum.before(numbers.ts_recent, stamps[0])
        if newer_time or seqnum.before(numbers.rcv_nxt, seq):
            del self.entries[key]
            return True
        return False

    def export(self) -> tuple[tuple[bytes, Nanos, tuple[int, int, int, int]], ...]:
        """Key, expiry and numbers of each entry, the oldest first."""
        return tuple((key, expiry, (*numbers,)) for key, (expiry, numbers) in self.entries.items())

    def restore(self, state: tuple[tuple[bytes, Nanos, tuple[int, int, int, int]], ...]) -> None:
        """Take over what `export` of another table gave."""
        for key, expiry, numbers in state:
            self.entries[key] = (expiry, FinalNumbers(*numbers))

    def handle_deadline(self, now: Nanos) -> None:
        """Remove the entries whose time is over."""
        entries = self.entries
        while entries and next(iter(entries.values()))[0] <= now:
            entries.popitem(last=False)
