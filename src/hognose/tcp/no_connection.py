"""Segments that belong to no connection: LISTEN, SYN-RECEIVED, TIME-WAIT, and connections that wait for a first byte.

RFC 9293 section 3.10.7, with SYN cookies (cookies.py) and the table of silent connections (silent.py). Bound of what is
sent: ANSWERS_PER_SECOND answers per group of sources; SYN-ACKs are the listener's.
"""

from __future__ import annotations

from typing import NamedTuple

from hognose.address import Address
from hognose.address_scope import is_host
from hognose.base.fair_table import FairTable
from hognose.base.rate import KeyedWindow
from hognose.drops import Counters, DropReason, Stat
from hognose.limits import TcpLimits
from hognose.link import Outgoing
from hognose.tcp import seqnum
from hognose.tcp.listener import HalfOpen, Listener
from hognose.tcp.path import Path
from hognose.tcp.silent import Silent, SilentPeer, Verdict
from hognose.tcp.time_wait import TimeWait
from hognose.units import MS, SECOND, Nanos, Port, Random
from hognose.wire import tcp as wire_tcp
from hognose.wire.tcp import ACK, FIN, RST, SYN

# RSTs toward segments of unknown connections and ACKs from TIME-WAIT are limited per group of sources, and the groups
# are drawn anew every second: with one limit for all, a host on the Internet could count the answers that are left and
# so learn which segments in another's name were answered (the class of CVE-2016-5696).
ANSWERS_PER_SECOND = 20
ANSWER_GROUPS = 64


class Segment(NamedTuple):
    """Fields of a segment that are needed here; window not scaled, size: bytes of text."""

    seq: int
    ack: int
    flags: int
    window: int
    options: wire_tcp.Options
    size: int


class Opening(NamedTuple):
    """A handshake that is complete and whose connection is to be made; window as in the segment, not scaled."""

    entry: HalfOpen
    window: int
    opened_at: Nanos


class NoConnection:
    """Reactions of one listening port to segments for which it has no connection."""

    def __init__(
        self,
        *,
        address: Address,
        port: Port,
        mtu: int,
        limits: TcpLimits,
        secret: bytes,
        now: Nanos,
        random: Random,
        counters: Counters,
        silent: FairTable[bytes] | None,
        broadcasts: frozenset[Address],
    ) -> None:
        """Arguments are those of TcpServer."""
        self._address = address
        self._local = address + port.to_bytes(2, "big")
        self._limits = limits
        self._broadcasts = broadcasts
        self._random = random
        self._counters = counters
        self.listener = Listener(local=self._local, mtu=mtu, limits=limits, secret=secret, counters=counters)
        self.silent = Silent(silent, self._local, limits, counters) if silent is not None else None
        self.time_wait = TimeWait(limits.connections)
        self._answers = KeyedWindow(now - SECOND)  # per group of sources
        self._grouping = 1

    def receive(self, key: bytes, packet: bytes, l4: int, end: int, now: Nanos, out: list[Outgoing]) -> Opening | None:
        """Take a segment; its answer is appended to `out`. Returns the connection that it opens, or None.

        key: the source's address and port as on the wire. Drops: BAD_TCP_HEADER, MARTIAN, TCP_NO_CONNECTION, and those
        of Silent.
        """
        if end - l4 < wire_tcp.FIXED_LEN:
            self._counters.drop(DropReason.BAD_TCP_HEADER)
            return None
        _, _, seq, ack, offset, flags, window, _, _ = wire_tcp.HEADER.unpack_from(packet, l4)
        start = l4 + (offset >> 4) * 4
        if start < l4 + wire_tcp.FIXED_LEN or start > end or flags & (SYN | FIN) == SYN | FIN:
            self._counters.drop(DropReason.BAD_TCP_HEADER)
            return None
        source = key[:-2]
        if source == self._address or not is_host(source, self._broadcasts):
            self._counters.drop(DropReason.MARTIAN)  # RFC 9293 MUST-63; LAND
            return None
        options = wire_tcp.parse_options(packet[l4 + wire_tcp.FIXED_LEN : start])
        if key in self.time_wait.entries and not self.time_wait.reopens(key, seq, flags, options):
            if not flags & RST:  # RFC 1337
                self._answer_time_wait(key, now, out)
            return None
        if self.silent is not None and (silent := self.silent.get(key)) is not None:
            return self._to_silent(key, silent, Segment(seq, ack, flags, window, options, end - start), now, out)
        entry = self.listener.get(key)
        if flags & RST:
            if entry is not None and seq == (entry.irs + 1) & seqnum.MASK:  # RFC 5961 section 3.2
                self.listener.remove(key)
            self.listener.spend(key, (seq - 1) & seqnum.MASK, now)
            return None
        if flags & SYN and not flags & ACK:
            out.append(self.listener.syn(key, seq, options, entry, now))
            return None
        if flags & SYN or not flags & ACK:  # nothing else is answered in LISTEN but an ACK (section 3.10.7.2)
            self._counters.drop(DropReason.TCP_NO_CONNECTION)
            if flags & ACK:
                self.reset(key, ack, now, out)
            return None
        return self._third(key, entry, Segment(seq, ack, flags, window, options, end - start), now, out)

    def _third(
        self, key: bytes, entry: HalfOpen | None, segment: Segment, now: Nanos, out: list[Outgoing]
    ) -> Opening | None:
        """Take an ACK: the third segment of a handshake, or one of no connection, which is reset."""
        seq, ack, flags, window, options, size = segment
        if entry is None:
            entry = self.listener.from_cookie(key, seq, ack, options, now)
        if entry is not None:
            ahead = (seq - entry.irs - 1) & seqnum.MASK
            if ack == (entry.iss + 1) & seqnum.MASK and ahead < self._limits.syn_window:
                entry.measure(options, now)
                self.listener.remove(key)
                if self.silent is None or size or flags & FIN:
                    return Opening(entry, window, now)
                if (gone := self.silent.file(key, entry, window, now)) is not None:
                    self._say(*gone, RST | ACK, now, out)
                return None
            if seqnum.before(seq, entry.irs + 1):  # an old duplicate of the handshake
                return None
        self._counters.drop(DropReason.TCP_NO_CONNECTION)
        self.reset(key, ack, now, out)
        return None

    def reset(self, key: bytes, ack: int, now: Nanos, out: list[Outgoing]) -> None:
        """Send a RST that the acknowledgement's sender believes (RFC 9293 3.5.2 group 1), limited per second."""
        if not self._may_answer(key, now):
            return
        self._counters.stats[Stat.TCP_RESETS_SENT] += 1
        out.append(self._bare(key, ack, 0, RST))

    def handle_deadline(self, now: Nanos, out: list[Outgoing]) -> None:
        """End TIME-WAIT entries and silent connections whose time is over; the listener has its own."""
        if self.time_wait.entries:
            self.time_wait.handle_deadline(now)
        if self.silent is not None and self.silent.table:
            for key, silent in self.silent.overdue(now):
                self._say(key, silent, RST | ACK, now, out)

    def _to_silent(
        self, key: bytes, silent: SilentPeer, segment: Segment, now: Nanos, out: list[Outgoing]
    ) -> Opening | None:
        """Take a segment of a silent connection."""
        assert self.silent is not None
        verdict = self.silent.judge(key, silent, segment.seq, segment.ack, segment.flags, segment.size)
        if verdict is Verdict.SPEAKS:
            self.silent.remove(key)
            self.listener.remove(key)
            return Opening(silent.entry, segment.window, silent.since)
        if verdict is Verdict.ANSWER and self._may_answer(key, now):
            self._say(key, silent, ACK, now, out)
        elif self.silent.get(key) is None:  # it was reset
            self.listener.spend(key, silent.entry.irs, now)
        return None

    def _say(self, key: bytes, silent: SilentPeer, flags: int, now: Nanos, out: list[Outgoing]) -> None:
        """Send a segment without text to a silent connection."""
        entry = silent.entry
        stamps = ((entry.ts_offset + now // MS) & seqnum.MASK, entry.ts_recent) if entry.path.timestamps else None
        out.append(self._bare(key, entry.iss + 1, entry.irs + 1, flags, stamps))
        if flags & RST:
            self.listener.spend(key, entry.irs, now)

    def _answer_time_wait(self, key: bytes, now: Nanos, out: list[Outgoing]) -> None:
        """Acknowledge an old segment (RFC 9293 section 3.10.7.4)."""
        _, (snd_nxt, rcv_nxt, ts_offset, ts_recent) = self.time_wait.entries[key]
        if self._may_answer(key, now):
            stamps = ((ts_offset + now // MS) & seqnum.MASK, ts_recent) if ts_offset >= 0 else None
            out.append(self._bare(key, snd_nxt, rcv_nxt, ACK, stamps))

    def _may_answer(self, key: bytes, now: Nanos) -> bool:
        """Count an answer to a segment of no connection; False when the limit is reached."""
        if self._answers.begins(now):
            self._grouping = int.from_bytes(self._random(4), "big") | 1
        group = (int.from_bytes(key[:-2], "big") * self._grouping & seqnum.MASK) * ANSWER_GROUPS >> 32
        return self._answers.count(group) <= ANSWERS_PER_SECOND

    def _bare(self, key: bytes, seq: int, ack: int, flags: int, stamps: tuple[int, int] | None = None) -> Outgoing:
        """A segment without text and without window."""
        path = Path(self._local, key, timestamps=stamps is not None)
        seq, ack = seq & seqnum.MASK, ack & seqnum.MASK
        return path.segment(seq, ack, flags, 0, stamps or (0, 0), [], 0, wire_tcp.DEFAULT_MSS)
