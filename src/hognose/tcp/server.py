# hot
"""One listening address and port, and all its connections: the only class of this package that others use.

Batch in, batch out: `receive` for every segment of a batch, then `readable`/`take`/`write` by the user, then one `poll`
that gives everything to send. Bounds: `connections` connections (a handshake beyond is reset); no_connection.py has
those of everything else. Several servers, each of its address and port, do not know each other.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from hognose.address import Address
from hognose.base.fair_table import FairTable
from hognose.base.numbering import Numbering
from hognose.drops import Counters, DropReason
from hognose.errors import LocalError
from hognose.limits import TcpLimits
from hognose.link import Outgoing
from hognose.tcp.connection import PollQueue, TcpConnection
from hognose.tcp.export import TcpServerState, made_of, part_of
from hognose.tcp.listener import HalfOpen
from hognose.tcp.no_connection import NoConnection, Opening
from hognose.tcp.state import CloseReason
from hognose.units import MS, Buffer, Nanos, Port, Random
from hognose.wire import ipv4
from hognose.wire import tcp as wire_tcp
from hognose.wire.checksum import ones_sum, pseudo_sum

_FRAGMENTATION_NEEDED = (3, 4)
_MIN_PATH_MTU = 552  # the smallest next-hop MTU that is believed (docs/dev/tcp.md T27), as Linux's min_pmtu


@dataclass(frozen=True, slots=True)
class TcpSizes:
    """Numbers of entries in the tables of a server."""

    connections: int
    half_open: int
    spent: int  # handshakes whose cookies are no longer good
    silent: int
    time_wait: int
    timers: int  # entries of the heap, those of closed connections too
    pauses: int  # delayed acknowledgements


class TcpServer:
    """The server side of TCP on one port."""

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
        silent: FairTable[bytes] | None = None,
        broadcasts: frozenset[Address] = frozenset(),
        numbering: Numbering | None = None,
    ) -> None:
        """broadcasts: of the link, no peer's addresses. numbering: of the ids of connections; None: of its own.

        silent: the table of connections that wait for a first byte; None: they are accepted and trusted at once.
        """
        if silent is None:
            limits = replace(limits, first_window=limits.receive_buffer, first_ranges=limits.reassembly_ranges)
        self._pseudo = pseudo_sum(b"", address, ipv4.TCP, 0)  # without source and length
        self._limits = limits
        self._secret = secret[:32]
        self._counters = counters
        self._no_connection = NoConnection(
            address=address,
            port=port,
            mtu=mtu,
            limits=limits,
            secret=self._secret,
            now=now,
            random=random,
            counters=counters,
            silent=silent,
            broadcasts=broadcasts,
        )
        self._connections: dict[bytes, TcpConnection] = {}
        self._by_id: dict[int, TcpConnection] = {}
        self._numbering = numbering or Numbering()
        self._poll_queue = PollQueue()
        self._unread: list[TcpConnection] = []  # polled before the user asked for readable ones
        self._received = False  # since the last call of readable
        self._accepted: list[TcpConnection] = []
        self._closed: list[TcpConnection] = []
        self._out: list[Outgoing] = []  # answers that belong to no connection, and those of timers
        self._timers: list[tuple[Nanos, int]] = []
        self._pauses: deque[tuple[Nanos, TcpConnection]] = deque()  # delayed acknowledgements, all of the same delay

    def __len__(self) -> int:
        """Connections, without half-open and TIME-WAIT entries."""
        return len(self._connections)

    @property
    def connections(self) -> list[TcpConnection]:
        """All connections, in the order in which they were made."""
        return list(self._by_id.values())

    def find(self, key: bytes) -> TcpConnection | None:
        """The connection of a peer's address and port as on the wire, 6 bytes."""
        return self._connections.get(key)

    def sizes(self) -> TcpSizes:
        """Numbers of entries."""
        unconnected = self._no_connection
        return TcpSizes(
            connections=len(self._connections),
            half_open=len(unconnected.listener),
            spent=len(unconnected.listener.spent),
            silent=len(unconnected.silent.table) if unconnected.silent is not None else 0,
            time_wait=len(unconnected.time_wait),
            timers=len(self._timers),
            pauses=len(self._pauses),
        )

    @property
    def overflow_at(self) -> Nanos:
        """Time at which the half-open table was found full last; long ago when it never was."""
        return self._no_connection.listener.overflow_at

    def receive(self, packet: bytes, l3: int, l4: int, end: int, gso_size: int, checksum_ok: bool, now: Nanos) -> None:
        """One TCP segment or super-segment inside `packet`, which is read-only and not kept.

        The IPv4 header is valid, the destination is ours; checksum_ok False: verify here (BAD_TCP_CHECKSUM).
        gso_size is not needed: everything is counted in bytes.
        """
        key = packet[l3 + 12 : l3 + 16] + packet[l4 : l4 + 2]
        if not checksum_ok and ones_sum(packet[l4:end], self._pseudo + int.from_bytes(key[:-2], "big") + end - l4):
            self._counters.drop(DropReason.BAD_TCP_CHECKSUM)
            return
        connection = self._connections.get(key)
        if connection is None:
            opening = self._no_connection.receive(key, packet, l4, end, now, self._out)
            if opening is not None:
                self._accept(key, opening, packet, l4, end, now)
            return
        connection.receive(packet, l4, end, now)
        if not connection.touched:
            connection.touched = True
            self._poll_queue.connections.append(connection)
        self._received = True
        if connection.close_reason is not None:
            self._remove(connection, now)

    def poll(self, now: Nanos) -> list[Outgoing]:
        """Everything to send now.

        An exception is a bug of ours: it ends the one connection, and the next poll goes on after it.
        """
        out = self._out
        self._out = []
        dirty = self._poll_queue.connections
        self._poll_queue.connections = []
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
            self._poll_queue.connections += dirty
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
            unread += [connection for connection in self._poll_queue.connections if connection.has_input]
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
        if self._out or self._poll_queue.connections:
            return 0
        no_connection = self._no_connection
        earliest = no_connection.listener.next_deadline()
        if self._timers and (earliest is None or self._timers[0][0] < earliest):
            earliest = self._timers[0][0]
        if self._pauses and (earliest is None or self._pauses[0][0] < earliest):
            earliest = self._pauses[0][0]
        if no_connection.silent is not None:
            expiry = no_connection.silent.next_deadline()
            if expiry is not None and (earliest is None or expiry < earliest):
                earliest = expiry
        if no_connection.time_wait.entries:
            expiry = next(iter(no_connection.time_wait.entries.values()))[0]
            if earliest is None or expiry < earliest:
                earliest = expiry
        return earliest

    def handle_deadline(self, now: Nanos) -> None:
        """Run every timer that is due; its segments leave with the next poll."""
        self._no_connection.listener.handle_deadline(now, self._out)
        pauses = self._pauses
        while pauses and pauses[0][0] <= now:
            _, connection = pauses.popleft()
            connection.has_pause = False
            if 0 < connection.pause_at <= now:
                connection.handle_deadline(now, self._out)
                if not connection.touched:
                    self._poll_queue.add(connection)  # poll puts it into the queues again
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
                if not connection.touched:
                    self._poll_queue.add(connection)
            self._after(connection, now)
        self._no_connection.handle_deadline(now, self._out)

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
            connection.path_mtu(mtu - ipv4.HEADER_LEN - wire_tcp.FIXED_LEN, int.from_bytes(l4[4:8], "big"), now)
            if not connection.touched:
                self._poll_queue.add(connection)

    # -- state -----------------------------------------------------------------------------------------------------

    def export(self) -> TcpServerState:
        """The state between two steps: after `poll`, with `accepted` and `closed` drained, else LocalError.

        Counts of answers per second are left out; they begin anew.
        """
        if self._out or self._accepted or self._closed or self._poll_queue.connections:
            raise LocalError("the state of TCP was asked for in the middle of a step")
        unconnected = self._no_connection
        return TcpServerState(
            secret=self._secret,
            last_id=self._numbering.last,
            connections=tuple(part_of(connection) for connection in self._by_id.values()),
            half_open=tuple(
                tuple((key, part_of(entry)) for key, entry in level) for level in unconnected.listener.entries()
            ),
            overflow_at=unconnected.listener.overflow_at,
            spent=unconnected.listener.spent,
            silent=tuple(unconnected.silent.table.items()) if unconnected.silent is not None else (),
            time_wait=unconnected.time_wait.export(),
        )

    def restore(self, state: TcpServerState) -> None:
        """Take a state over. The server is new, with the same address, port, secret and limits.

        Every connection is polled once and is readable if it has input. ValueError for another version's state, or
        another secret's.
        """
        if state.secret != self._secret:
            raise ValueError("the state of TCP is of another secret")
        unconnected = self._no_connection
        levels = [[(key, made_of(HalfOpen, part)) for key, part in level] for level in state.half_open]
        unconnected.listener.restore(levels, state.spent, state.overflow_at)
        for key, packed in state.silent:
            if unconnected.silent is not None:
                unconnected.silent.table.add(key, packed)
        unconnected.time_wait.restore(state.time_wait)
        for part in state.connections:
            connection = made_of(TcpConnection, part, self._counters, self._limits, self._poll_queue)
            connection.armed = 0
            connection.has_pause = False
            self._connections[connection.key] = self._by_id[connection.id] = connection
            self._poll_queue.add(connection)
        self._numbering.last = max(self._numbering.last, state.last_id)
        self._received = True

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

    def _accept(self, key: bytes, opening: Opening, packet: bytes, l4: int, end: int, now: Nanos) -> None:
        """Make the connection of a complete handshake and give it the segment that opens it."""
        entry, window, opened_at = opening
        if len(self._connections) >= self._limits.connections:
            self._counters.drop(DropReason.TCP_CONNECTIONS_FULL)
            self._no_connection.reset(key, entry.iss + 1, now, self._out)
            return
        connection = TcpConnection(
            conn_id=self._numbering.take(),
            key=key,
            path=entry.path,
            iss=entry.iss,
            irs=entry.irs,
            mss=entry.mss,
            window=window << entry.snd_scale,
            snd_scale=entry.snd_scale,
            rcv_scale=self._no_connection.listener.scale if entry.scaling else 0,
            sack=entry.sack,
            ts_offset=entry.ts_offset,
            ts_recent=entry.ts_recent,
            rtt=entry.rtt_ms * MS,
            limits=self._limits,
            counters=self._counters,
        )
        connection.poll_queue = self._poll_queue
        connection.opened_at = opened_at
        self._connections[key] = connection
        self._by_id[connection.id] = connection
        self._accepted.append(connection)
        connection.receive(packet, l4, end, now)
        if not connection.touched:
            self._poll_queue.add(connection)
        self._received = True
        if connection.close_reason is not None:
            self._remove(connection, now)

    def _remove(self, connection: TcpConnection, now: Nanos) -> None:
        """Take a closed connection out of the tables. Idempotent."""
        if self._by_id.pop(connection.id, None) is None:
            return
        del self._connections[connection.key]
        self._no_connection.listener.spend(connection.key, connection.irs, now)
        self._closed.append(connection)
        if connection.lingers:
            self._no_connection.time_wait.add(connection.key, connection.final_numbers, now)
