"""Connections whose peer has completed the handshake and sent no byte yet, in a small table entry each.

The clients of OpenVPN speak first, so that a connection becomes a TcpConnection with its buffers and timers with the
first byte or FIN only. Bounds: those of FairTable; SILENT_TIME for the first byte, then a RST. Unlike SYN cookies this
holds the negotiated options (docs/security.md, "Before authentication").
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from struct import Struct

from hognose.base.fair_table import FairTable
from hognose.drops import Counters, DropReason
from hognose.limits import TcpLimits
from hognose.tcp import seqnum
from hognose.tcp.listener import HalfOpen
from hognose.tcp.path import Path
from hognose.units import SECOND, Nanos
from hognose.wire.tcp import ACK, FIN, RST, SYN

SILENT_TIME: Nanos = 10 * SECOND  # docs/security.md, "Before authentication"
AT_ONCE = 64  # entries that end in one step: the resets of thousands would need much memory for a moment
# ISN of the peer and ours, MSS, scale and options, timestamps' offset and TS.Recent, RTT, window, since. 31 bytes make
# an object of 64, and CPython takes memory in steps of 16.
_PACKED = Struct(">IIHBIIHHQ")
_SCALE, _SCALING, _SACK, _TIMESTAMPS = 0x0F, 0x10, 0x20, 0x40


class Verdict(Enum):
    """The answer that a segment for a silent connection asks for."""

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
    """The table of silent connections of one listening port; each is one bytes object."""

    def __init__(self, table: FairTable[bytes], local: bytes, limits: TcpLimits, counters: Counters) -> None:
        self.table = table
        self._local = local  # address and port as on the wire
        self._window = limits.syn_window
        self._counters = counters

    def __len__(self) -> int:
        return len(self.table)

    def get(self, key: bytes) -> SilentPeer | None:
        """The entry of a peer (4 bytes address, 2 bytes port)."""
        packed = self.table.get(key)
        return self._unpacked(key, packed) if packed is not None else None

    def file(self, key: bytes, entry: HalfOpen, window: int, now: Nanos) -> tuple[bytes, SilentPeer] | None:
        """File a connection after its handshake; returns the entry that made room (TCP_SILENT_CROWDED), to be reset."""
        options = entry.snd_scale
        if entry.scaling:
            options |= _SCALING
        if entry.sack:
            options |= _SACK
        if entry.path.timestamps:
            options |= _TIMESTAMPS
        packed = _PACKED.pack(
            entry.irs, entry.iss, entry.mss, options, entry.ts_offset, entry.ts_recent, entry.rtt_ms, window, now
        )
        gone = self.table.add(key, packed)
        if gone is None:
            return None
        self._counters.drop(DropReason.TCP_SILENT_CROWDED)
        return gone[0], self._unpacked(*gone)

    def _unpacked(self, key: bytes, packed: bytes) -> SilentPeer:
        irs, iss, mss, options, ts_offset, ts_recent, rtt_ms, window, since = _PACKED.unpack(packed)
        entry = HalfOpen(
            path=Path(self._local, key, options & _TIMESTAMPS != 0),
            irs=irs,
            iss=iss,
            mss=mss,
            snd_scale=options & _SCALE,
            scaling=options & _SCALING != 0,
            sack=options & _SACK != 0,
            ts_offset=ts_offset,
            ts_recent=ts_recent,
            deadline=0,
            rtt_ms=rtt_ms,
        )
        return SilentPeer(entry, window, since)

    def remove(self, key: bytes) -> None:
        """Remove the entry of a peer that sent its first byte or was reset."""
        self.table.remove(key)

    def judge(self, key: bytes, peer: SilentPeer, seq: int, ack: int, flags: int, size: int) -> Verdict:
        """Judge a segment with `size` bytes of text (RFC 9293 3.10.7.4, RFC 5961); a valid RST removes the entry."""
        entry = peer.entry
        ahead = (seq - entry.irs - 1) & seqnum.MASK
        if flags & RST:
            if ahead == 0:
                self.table.remove(key)
                return Verdict.NOTHING
            return Verdict.ANSWER if ahead < self._window else Verdict.NOTHING
        if flags & SYN:
            return Verdict.ANSWER
        if not flags & ACK:
            self._counters.drop(DropReason.TCP_BAD_ACK)
            return Verdict.NOTHING
        if ack != (entry.iss + 1) & seqnum.MASK:  # RFC 5961 section 5.2
            self._counters.drop(DropReason.TCP_BAD_ACK)
            return Verdict.ANSWER
        if ahead >= self._window:  # a keep-alive has the number before the first
            return Verdict.ANSWER
        return Verdict.SPEAKS if size or flags & FIN else Verdict.NOTHING

    def next_deadline(self) -> Nanos | None:
        """Time at which the oldest entry expires; None without entries."""
        oldest = self.table.oldest()
        return int(_PACKED.unpack(oldest[1])[-1]) + SILENT_TIME if oldest is not None else None

    def overdue(self, now: Nanos) -> list[tuple[bytes, SilentPeer]]:
        """Remove and return entries whose time is over (TCP_SILENT), to be reset; AT_ONCE at most."""
        found: list[tuple[bytes, SilentPeer]] = []
        while len(found) < AT_ONCE and (oldest := self.table.oldest()) is not None:
            peer = self._unpacked(*oldest)
            if peer.since + SILENT_TIME > now:
                break
            self.table.remove(oldest[0])
            found.append((oldest[0], peer))
        self._counters.drop(DropReason.TCP_SILENT, len(found))
        return found
