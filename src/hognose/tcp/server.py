# hot
"""One listening address and port, and all its connections: the only class of this package that others use.

Batch in, batch out: `receive` for every segment of a batch, then `readable`/`take`/`write` by the user, then one `poll`
that gives everything to send. Bounds: `connections` connections (a handshake beyond is reset), as many TIME-WAIT
entries (the oldest is dropped), ANSWERS_PER_SECOND answers per group of sources to segments of no connection.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import replace
from heapq import heappop, heappush

from hognose.address_scope import is_host
from hognose.base.fair_table import FairTable
from hognose.base.rate import KeyedWindow
from hognose.drops import Counters, DropReason, Stat
from hognose.limits import TcpLimits
from hognose.link import Outgoing
from hognose.tcp import seqnum
from hognose.tcp.connection import TcpConnection
from hognose.tcp.listener import HalfOpen, Listener
from hognose.tcp.path import IP_HEADER_LEN, Path
from hognose.tcp.silent import Silent, SilentPeer, Verdict
from hognose.tcp.state import CloseReason
from hognose.units import MS, SECOND, Buffer, Ipv4Int, Nanos, Port, Random, UnixSeconds
from hognose.wire import tcp as wire_tcp
from hognose.wire.checksum import ones_sum, pseudo_sum
from hognose.wire.tcp import ACK, FIN, RST, SYN

TIME_WAIT: Nanos = 60 * SECOND  # 2 MSL, as Linux has it
# RSTs toward segments of unknown connections and ACKs from TIME-WAIT are limited per group of sources, and the groups
# are drawn anew every second: with one limit for all, a host on the Internet could count the answers that are left and
# so learn which segments in another's name were answered (the class of CVE-2016-5696).
ANSWERS_PER_SECOND = 20
ANSWER_GROUPS = 64
_FRAGMENTATION_NEEDED = (3, 4)
_MIN_PATH_MTU = 552  # the smallest next-hop MTU that is believed (docs/dev/tcp.md T27), as Linux's min_pmtu


class TcpServer:
    """The server side of TCP on one port."""

    def __init__(
        self,
        *,
        address: Ipv4Int,
        port: Port,
        mtu: int,
        limits: TcpLimits,
        secret: bytes,
        now: Nanos,
        unix: UnixSeconds,
        random: Random,
        counters: Counters,
        silent: FairTable[bytes] | None = None,
        broadcasts: frozenset[Ipv4Int] = frozenset(),
    ) -> None:
        """broadcasts: of the link, no peer's addresses.

        silent: the table of connections that wait for a first byte; None: they are accepted and trusted at once.
        """
        if silent is None:
            limits = replace(limits, first_window=limits.receive_buffer, first_ranges=limits.reassembly_ranges)
        self._address = address
        self._port = port
        self._broadcasts = broadcasts
        self._limits = limits
        self._counters = counters
        self._silent = Silent(silent, address, port, limits, counters) if silent is not None else None
        self._listener = Listener(
            address=address, port=port, mtu=mtu, limits=limits, secret=secret[:32], counters=counters
        )
        self._connections: dict[bytes, TcpConnection] = {}
        self._by_id: dict[int, TcpConnection] = {}
        self._next_id = 1
        self._dirty: list[TcpConnection] = []
        self._unread: list[TcpConnection] = []  # polled before the user asked for readable ones
        self._received = False  # since the last call of readable
        self._accepted: list[TcpConnection] = []
        self._closed: list[TcpConnection] = []
        self._out: list[Outgoing] = []  # answers that belong to no connection, and those of timers
        self._timers: list[tuple[Nanos, int]] = []
        self._pauses: deque[tuple[Nanos, TcpConnection]] = deque()  # delayed acknowledgements, all of the same delay
        # expiry, SND.NXT, RCV.NXT, timestamp offset or -1, TS.Recent
        self._time_wait: OrderedDict[bytes, tuple[Nanos, int, int, int, int]] = OrderedDict()
        self._random = random
        self._answers = KeyedWindow(now - SECOND)  # per group of sources
        self._grouping = 1

    def __len__(self) -> int:
        """Connections, without half-open and TIME-WAIT entries."""
        return len(self._connections)

    @property
    def overflow_at(self) -> Nanos:
        """Time at which the half-open table was found full last; long ago when it never was."""
        return self._listener.overflow_at

    def receive(self, packet: bytes, l3: int, l4: int, end: int, gso_size: int, checksum_ok: bool, now: Nanos) -> None:
        """One TCP segment or super-segment inside `packet`, which is read-only and not kept.

        The IPv4 header is valid, the destination is ours; checksum_ok False: verify here (BAD_TCP_CHECKSUM).
        gso_size is not needed: everything is counted in bytes.
        """
        key = packet[l3 + 12 : l3 + 16] + packet[l4 : l4 + 2]
        if not checksum_ok:
            source = int.from_bytes(key[:4], "big")
            if ones_sum(packet[l4:end], pseudo_sum(source, self._address, 6, end - l4)):
                self._counters.drop(DropReason.BAD_TCP_CHECKSUM)
                return
        connection = self._connections.get(key)
        if connection is None:
            self._unknown(key, packet, l4, end, now)
            return
        connection.receive(packet, l4, end, now)
        if not connection.touched:
            connection.touched = True
            self._dirty.append(connection)
        self._received = True
        if connection.close_reason is not None:
            self._remove(connection, now)

    def poll(self, now: Nanos) -> list[Outgoing]:
        """Everything to send now.

        An exception is a bug of ours: it ends the one connection, and the next poll goes on after it.
        """
        out = self._out
        self._out = []
        dirty = self._dirty[:]
        self._dirty.clear()
        if self._received:
            self._unread += [connection for connection in dirty if connection.has_input]
            self._received = False
        connection = None
        try:
            while dirty:
                connection = dirty.pop()
                connection.touched = False
                connection.output(now, out)
                self._after(connection, now)
        except Exception:
            self._out = out
            self._dirty += dirty
            if connection is not None:
                connection.close_reason = CloseReason.ABORTED
                self._remove(connection, now)
            raise
        return out

    def readable(self) -> list[TcpConnection]:
        """Drained: connections with new in-order bytes or the end of their stream, each once."""
        unread, self._unread = self._unread, []
        if self._received:
            self._received = False
            unread += [connection for connection in self._dirty if connection.has_input]
        return list(dict.fromkeys(unread)) if len(unread) > 1 else unread

    def accepted(self) -> list[TcpConnection]:
        """Drained: connections whose handshake is complete."""
        if not self._accepted:
            return []
        accepted, self._accepted = self._accepted, []
        return accepted

    def closed(self) -> list[TcpConnection]:
        """Drained: connections that are over, each exactly once."""
        if not self._closed:
            return []
        closed, self._closed = self._closed, []
        return closed

    @property
    def has_closed(self) -> bool:
        """True when connections have ended that `closed` has not returned: those that poll has ended."""
        return bool(self._closed)

    def next_deadline(self) -> Nanos | None:
        """Earliest timer of any connection, half-open or TIME-WAIT entry; 0 while something waits for poll."""
        if self._out or self._dirty:
            return 0
        earliest = self._listener.next_deadline()
        if self._timers and (earliest is None or self._timers[0][0] < earliest):
            earliest = self._timers[0][0]
        if self._pauses and (earliest is None or self._pauses[0][0] < earliest):
            earliest = self._pauses[0][0]
        if self._silent:
            expiry = self._silent.next_deadline()
            if expiry is not None and (earliest is None or expiry < earliest):
                earliest = expiry
        if self._time_wait:
            expiry = next(iter(self._time_wait.values()))[0]
            if earliest is None or expiry < earliest:
                earliest = expiry
        return earliest

    def handle_deadline(self, now: Nanos) -> None:
        """Run every timer that is due; its segments leave with the next poll."""
        self._listener.handle_deadline(now, self._out)
        pauses = self._pauses
        while pauses and pauses[0][0] <= now:
            _, connection = pauses.popleft()
            connection.has_pause = False
            if 0 < connection.pause_at <= now:
                connection.handle_deadline(now, self._out)
                connection.touch()  # poll puts it into the queues again
            else:
                self._after(connection, now)
        timers = self._timers
        due: list[TcpConnection] = []
        while timers and timers[0][0] <= now:
            deadline, conn_id = heappop(timers)
            armed = self._by_id.get(conn_id)
            if armed is not None and armed.armed == deadline:
                armed.armed = 0
                due.append(armed)
        for connection in due:
            deadline = connection.next_deadline()
            if deadline and deadline <= now:
                connection.handle_deadline(now, self._out)
                connection.touch()
            self._after(connection, now)
        while self._time_wait and next(iter(self._time_wait.values()))[0] <= now:
            self._time_wait.popitem(last=False)
        if self._silent:
            for key, silent in self._silent.overdue(now):
                self._say(key, silent, RST | ACK, now)

    def icmp_error(self, icmp_type: int, code: int, mtu: int, quoted: Buffer, now: Nanos) -> None:
        """Take an ICMP error about a segment of ours; quoted = its IPv4 header and at least 8 bytes.

        Only "fragmentation needed" changes anything; all others are soft (RFC 5927 section 6).
        """
        header_len = (quoted[0] & 15) * 4 if quoted else 0
        if (icmp_type, code) != _FRAGMENTATION_NEEDED or len(quoted) < header_len + 8 or mtu < _MIN_PATH_MTU:
            return
        l4 = bytes(quoted[header_len : header_len + 8])
        connection = self._connections.get(bytes(quoted[16:20]) + l4[2:4])
        if connection is not None:
            connection.path_mtu(mtu - IP_HEADER_LEN - wire_tcp.FIXED_LEN, int.from_bytes(l4[4:8], "big"))
            connection.touch()

    def _after(self, connection: TcpConnection, now: Nanos) -> None:
        """Keep the timer heap and the tables in step with a connection that was worked on."""
        if connection.close_reason is not None:
            self._remove(connection, now)
            return
        if connection.pause_at and not connection.has_pause:
            connection.has_pause = True
            self._pauses.append((connection.pause_at, connection))
        deadline = connection.next_deadline()
        if deadline and (not connection.armed or deadline < connection.armed):
            connection.armed = deadline
            heappush(self._timers, (deadline, connection.id))

    def _remove(self, connection: TcpConnection, now: Nanos) -> None:
        if self._by_id.pop(connection.id, None) is None:
            return
        del self._connections[connection.key]
        self._listener.spend(connection.key, connection.irs, now)
        self._closed.append(connection)
        if connection.lingers:
            if len(self._time_wait) >= self._limits.connections:
                self._time_wait.popitem(last=False)
            self._time_wait[connection.key] = (now + TIME_WAIT, *connection.final_numbers)

    # -- segments of no connection ---------------------------------------------------------------------------------

    def _unknown(self, key: bytes, packet: bytes, l4: int, end: int, now: Nanos) -> None:
        """Take a segment in LISTEN, SYN-RECEIVED or TIME-WAIT (RFC 9293 section 3.10.7)."""
        if end - l4 < wire_tcp.FIXED_LEN:
            self._counters.drop(DropReason.BAD_TCP_HEADER)
            return
        _, _, seq, ack, offset, flags, window, _, _ = wire_tcp.HEADER.unpack_from(packet, l4)
        start = l4 + (offset >> 4) * 4
        if start < l4 + wire_tcp.FIXED_LEN or start > end or flags & (SYN | FIN) == SYN | FIN:
            self._counters.drop(DropReason.BAD_TCP_HEADER)
            return
        source = int.from_bytes(key[:4], "big")
        if source == self._address or not is_host(source, self._broadcasts):
            self._counters.drop(DropReason.MARTIAN)  # RFC 9293 MUST-63; LAND
            return
        options = wire_tcp.parse_options(packet[l4 + wire_tcp.FIXED_LEN : start])
        if key in self._time_wait and not self._leave_time_wait(key, seq, flags, options, now):
            return
        if self._silent and (silent := self._silent.get(key)) is not None:
            self._to_silent(key, silent, seq, ack, flags, window, packet, l4, start, end, now)
            return
        entry = self._listener.get(key)
        if flags & RST:
            if entry is not None and seq == (entry.irs + 1) & seqnum.MASK:  # RFC 5961 section 3.2
                self._listener.remove(key)
            self._listener.spend(key, (seq - 1) & seqnum.MASK, now)
            return
        if flags & SYN and not flags & ACK:
            self._out.append(self._listener.syn(key, seq, window, options, now))
            return
        if entry is None and flags & ACK and not flags & SYN:
            entry = self._listener.from_cookie(key, seq, ack, options, now)
        if entry is not None and flags & ACK and not flags & SYN:
            if self._completes(entry, seq, ack, end - start):
                entry.measure(options, now)
                if self._silent is not None and start == end and not flags & FIN:
                    self._listener.remove(key)
                    if (gone := self._silent.file(key, entry, window, now)) is not None:
                        self._say(*gone, RST | ACK, now)
                else:
                    self._accept(key, entry, packet, l4, end, window, now, now)
                return
            if seqnum.before(seq, entry.irs + 1):  # an old duplicate of the handshake
                return
        self._counters.drop(DropReason.TCP_NO_CONNECTION)
        if flags & ACK:  # nothing else is answered in LISTEN (RFC 9293 section 3.10.7.2, fourth)
            self._reset(key, ack, now)

    def _completes(self, entry: HalfOpen, seq: int, ack: int, size: int) -> bool:
        """True for the third segment: it acknowledges our SYN and lies in the window we offered."""
        ahead = (seq - entry.irs - 1) & seqnum.MASK
        return ack == (entry.iss + 1) & seqnum.MASK and ahead < self._limits.syn_window

    def _to_silent(
        self,
        key: bytes,
        silent: SilentPeer,
        seq: int,
        ack: int,
        flags: int,
        window: int,
        packet: bytes,
        l4: int,
        start: int,
        end: int,
        now: Nanos,
    ) -> None:
        assert self._silent is not None
        verdict = self._silent.judge(key, silent, seq, ack, flags, end - start)
        if verdict is Verdict.SPEAKS:
            self._silent.remove(key)
            self._accept(key, silent.entry, packet, l4, end, window, silent.since, now)
        elif verdict is Verdict.ANSWER and self._may_answer(key, now):
            self._say(key, silent, ACK, now)
        elif self._silent.get(key) is None:  # it was reset
            self._listener.spend(key, silent.entry.irs, now)

    def _say(self, key: bytes, silent: SilentPeer, flags: int, now: Nanos) -> None:
        """Send a segment without text to a silent connection."""
        entry = silent.entry
        stamps = ((entry.ts_offset + now // MS) & seqnum.MASK, entry.ts_recent) if entry.path.timestamps else None
        self._bare(key, entry.iss + 1, entry.irs + 1, flags, stamps)
        if flags & RST:
            self._listener.spend(key, entry.irs, now)

    def _accept(
        self,
        key: bytes,
        entry: HalfOpen,
        packet: bytes,
        l4: int,
        end: int,
        window: int,
        opened_at: Nanos,
        now: Nanos,
    ) -> None:
        self._listener.remove(key)
        if len(self._connections) >= self._limits.connections:
            self._counters.drop(DropReason.TCP_CONNECTIONS_FULL)
            self._reset(key, entry.iss + 1, now)
            return
        connection = TcpConnection(
            conn_id=self._next_id,
            key=key,
            path=entry.path,
            iss=entry.iss,
            irs=entry.irs,
            mss=entry.mss,
            window=window << entry.snd_scale,
            snd_scale=entry.snd_scale,
            rcv_scale=self._listener.scale if entry.scaling else 0,
            sack=entry.sack,
            ts_offset=entry.ts_offset,
            ts_recent=entry.ts_recent,
            rtt=entry.rtt_ms * MS,
            limits=self._limits,
            counters=self._counters,
            dirty=self._dirty,
        )
        connection.opened_at = opened_at
        self._next_id += 1
        self._connections[key] = connection
        self._by_id[connection.id] = connection
        self._accepted.append(connection)
        connection.receive(packet, l4, end, now)
        connection.touch()
        self._received = True
        if connection.close_reason is not None:
            self._remove(connection, now)

    def _leave_time_wait(self, key: bytes, seq: int, flags: int, options: wire_tcp.Options, now: Nanos) -> bool:
        """True when the segment may go on to LISTEN (RFC 6191); RSTs are ignored (RFC 1337)."""
        _, snd_nxt, rcv_nxt, ts_offset, ts_recent = self._time_wait[key]
        if flags & RST:
            return False
        if flags & SYN and not flags & ACK:
            newer_time = (
                ts_offset >= 0 and options.timestamps is not None and seqnum.before(ts_recent, options.timestamps[0])
            )
            if newer_time or seqnum.before(rcv_nxt, seq):
                del self._time_wait[key]
                return True
        if self._may_answer(key, now):
            stamps = ((ts_offset + now // MS) & seqnum.MASK, ts_recent) if ts_offset >= 0 else None
            self._bare(key, snd_nxt, rcv_nxt, ACK, stamps)
        return False

    def _may_answer(self, key: bytes, now: Nanos) -> bool:
        """Count an answer to a segment of no connection; False when the limit is reached."""
        if self._answers.begins(now):
            self._grouping = int.from_bytes(self._random(4), "big") | 1
        group = (int.from_bytes(key[:4], "big") * self._grouping & seqnum.MASK) * ANSWER_GROUPS >> 32
        return self._answers.count(group) <= ANSWERS_PER_SECOND

    def _reset(self, key: bytes, ack: int, now: Nanos) -> None:
        """Send a RST that the acknowledgement's sender believes (RFC 9293 3.5.2 group 1), limited per second."""
        if not self._may_answer(key, now):
            return
        self._counters.stats[Stat.TCP_RESETS_SENT] += 1
        self._bare(key, ack, 0, RST)

    def _bare(self, key: bytes, seq: int, ack: int, flags: int, stamps: tuple[int, int] | None = None) -> None:
        remote, remote_port = int.from_bytes(key[:4], "big"), int.from_bytes(key[4:6], "big")
        path = Path(self._address, self._port, remote, remote_port, timestamps=stamps is not None)
        self._out.append(
            path.segment(seq & seqnum.MASK, ack & seqnum.MASK, flags, 0, stamps or (0, 0), [], 0, wire_tcp.DEFAULT_MSS)
        )
