"""Connections whose peer has completed the handshake and sent nothing yet: what is kept of them is small.

The clients of OpenVPN speak first, so that a connection becomes a TcpConnection with its buffers and timers with the
first byte or FIN only. Bounds: those of Sources; SILENT_TIME for the first byte, then a RST. Unlike SYN cookies this
holds what was negotiated (facts/tcp-nat-security.md 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from hognose.drops import Counters, DropReason
from hognose.tcp import seqnum
from hognose.tcp.listener import HalfOpen
from hognose.tcp.sources import Sources
from hognose.units import SECOND, Nanos
from hognose.wire.tcp import ACK, FIN, RST, SYN

SILENT_TIME: Nanos = 10 * SECOND  # facts/tcp-nat-security.md 4.2
_WINDOW = 0xFFFF  # what the SYN-ACK offered at most


class Verdict(Enum):
    """What a segment for a silent connection asks for."""

    NOTHING = auto()
    ANSWER = auto()  # a bare acknowledgement: challenge (RFC 5961) or keep-alive
    SPEAKS = auto()  # the first byte or FIN is here


@dataclass(slots=True, frozen=True)
class SilentPeer:
    """One connection that waits for its first byte; window as in the segment, not scaled."""

    entry: HalfOpen
    window: int
    since: Nanos


class Silent:
    """The table of silent connections of one listening port."""

    def __init__(self, sources: Sources[SilentPeer], counters: Counters) -> None:
        self._sources = sources
        self._counters = counters

    def __len__(self) -> int:
        return len(self._sources)

    def get(self, key: bytes) -> SilentPeer | None:
        """The entry of a peer (4 bytes address, 2 bytes port)."""
        return self._sources.get(key)

    def file(self, key: bytes, entry: HalfOpen, window: int, now: Nanos) -> tuple[bytes, SilentPeer] | None:
        """A handshake is complete; returns who had to make room (TCP_SILENT_CROWDED), to be reset."""
        gone = self._sources.add(key, SilentPeer(entry, window, now))
        if gone is not None:
            self._counters.drop(DropReason.TCP_SILENT_CROWDED)
        return gone

    def remove(self, key: bytes) -> None:
        """It spoke, or was reset."""
        self._sources.remove(key)

    def judge(self, key: bytes, peer: SilentPeer, seq: int, ack: int, flags: int, size: int) -> Verdict:
        """A segment with so many bytes of text (RFC 9293 3.10.7.4, RFC 5961); a valid RST removes the entry."""
        entry = peer.entry
        ahead = (seq - entry.irs - 1) & seqnum.MASK
        if flags & RST:
            if ahead == 0:
                self._sources.remove(key)
                return Verdict.NOTHING
            return Verdict.ANSWER if ahead < _WINDOW else Verdict.NOTHING
        if flags & SYN:
            return Verdict.ANSWER
        if not flags & ACK or ack != (entry.iss + 1) & seqnum.MASK:
            self._counters.drop(DropReason.TCP_BAD_ACK)
            return Verdict.NOTHING
        if ahead >= _WINDOW:  # a keep-alive has the number before the first
            return Verdict.ANSWER
        return Verdict.SPEAKS if size or flags & FIN else Verdict.NOTHING

    def next_deadline(self) -> Nanos | None:
        """When the oldest entry's time is over."""
        oldest = self._sources.oldest()
        return oldest[1].since + SILENT_TIME if oldest is not None else None

    def overdue(self, now: Nanos) -> list[tuple[bytes, SilentPeer]]:
        """Removed: those whose time is over (TCP_SILENT), to be reset."""
        found = []
        while (oldest := self._sources.oldest()) is not None and oldest[1].since + SILENT_TIME <= now:
            self._sources.remove(oldest[0])
            found.append(oldest)
        self._counters.drop(DropReason.TCP_SILENT, len(found))
        return found
