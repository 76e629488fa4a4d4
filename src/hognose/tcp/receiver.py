# hot
"""The receiving half of a connection: in-order bytes, the queue beyond gaps, the window, the acknowledgements due.

Works on stream positions (seqnum.py); knows nothing of sending.
"""

from __future__ import annotations

from hognose.drops import Counters, DropReason
from hognose.limits import TcpLimits
from hognose.tcp.reassembly import Reassembly
from hognose.units import MS, Nanos

# Acknowledgements are stretched (docs/dev/tcp.md): the first of a connection, those after a gap and those after
# a pause are sent at once, so that the sender's window grows; then one per STRETCH_BYTES, or when PAUSE has passed.
# A sender whose window is smaller than the stretch is never held up longer than that (RFC 5681 section 4.2: 500 ms).
# To be prompt after a pause costs nothing: the timer would have run anyway, with a wake-up of its own.
QUICK_ACKS = 40
STRETCH_BYTES = 24 * 1024
PAUSE: Nanos = 1 * MS
CHUNKS = 16  # more in-order chunks than this that wait are joined
CHUNK_BYTES = 64 * 1024  # of one joined chunk at most; twice this many hold CHUNK_BYTES at least
UNLIMITED = 1 << 62


class Receiver:
    """Receive state of one connection."""

    __slots__ = (
        "_buffer", "_counters", "_most", "ack_at", "ack_now", "adv", "arrived", "duplicate", "fin_at",
        "last_ack", "mss", "nxt", "ooo", "quick", "ready", "ready_bytes",
    )  # fmt: skip

    def __init__(self, mss: int, most: int, limits: TcpLimits, counters: Counters) -> None:
        """Begin after the SYN; most: bytes that the window field can express."""
        self.mss = mss
        self.nxt = 1  # the SYN at position 0 was received
        self.adv = 1 + limits.syn_window  # right edge of the window the peer knows
        self.last_ack = 1  # the position last acknowledged
        self.fin_at = -1  # position of the peer's FIN once seen
        self.duplicate: tuple[int, int] | None = None  # bytes that came twice, for the next acknowledgement (RFC 2883)
        self.ready: list[bytes] = []
        self.ooo = Reassembly(limits.first_ranges)
        self.ack_now = False
        self.ack_at: Nanos = 0  # 0 = no delayed acknowledgement pending
        self.quick = QUICK_ACKS
        self.arrived: Nanos = 0  # time of the latest text
        self.ready_bytes = 0
        self._most = most
        self._buffer = min(limits.first_window, limits.receive_buffer, most)
        self._counters = counters

    def trust(self, limits: TcpLimits) -> None:
        """Offer the whole receive buffer from now on; the next acknowledgement says so."""
        self._buffer = min(limits.receive_buffer, self._most)
        self.ooo.allow(limits.reassembly_ranges)

    @property
    def window(self) -> int:
        """Bytes to offer beyond nxt: never takes back what was offered (RFC 9293 SHLD-14).

        The right edge moves by an MSS at least (section 3.8.6.2.2, silly windows).
        """
        free = self._buffer - self.ready_bytes
        offered = self.adv - self.nxt
        return free if free - offered >= min(self.mss, self._buffer // 2) else max(offered, 0)

    def in_order(self, data: bytes, now: Nanos) -> None:
        """Take bytes exactly at nxt, inside the window, with nothing queued beyond: the common case."""
        size = len(data)
        self.ready.append(data)
        self.ready_bytes += size
        self.nxt += size
        if self.quick > 0:
            self.quick -= 1
            self.ack_now = True
        elif self.nxt - self.last_ack >= STRETCH_BYTES:
            self.ack_now = True
        elif not self.ack_at:
            if now - self.arrived > PAUSE:
                self.ack_now = True
            else:
                self.ack_at = now + PAUSE
        self.arrived = now

    def receive(self, position: int, data: bytes, now: Nanos) -> None:
        """Take bytes anywhere inside the window; the caller has cut them to it."""
        if position + len(data) <= self.nxt:
            self.repeated(position, position + len(data))
            return
        if position > self.nxt:
            # RFC 5681 section 4.2: data out of order is acknowledged at once, and data that fills a gap too.
            self.ack_now = True
            self.quick = QUICK_ACKS
            if not self.ooo.insert(position, data):
                self._counters.drop(DropReason.TCP_REASSEMBLY_FULL)
            return
        if position < self.nxt:
            self.repeated(position, self.nxt)
            data = data[self.nxt - position :]
        self.in_order(data, now)
        if self.ooo:
            self.ack_now = True
            for chunk in self.ooo.take(self.nxt):
                self.ready.append(chunk)
                self.ready_bytes += len(chunk)
                self.nxt += len(chunk)

    def repeated(self, start: int, end: int) -> None:
        """Note bytes below nxt that came again: our acknowledgement was lost, or the peer sent again too early."""
        self.ack_now = True
        self.duplicate = (start, end)

    def compact(self) -> None:
        """Join small chunks that wait for `take`, so that they cost no more memory than their bytes."""
        ready = self.ready
        if len(ready) <= CHUNKS:
            return
        joined: list[bytes] = []
        group: list[bytes] = []
        size = 0
        for chunk in ready:
            if group and size + len(chunk) > CHUNK_BYTES:
                joined.append(b"".join(group) if len(group) > 1 else group[0])
                group, size = [], 0
            group.append(chunk)
            size += len(chunk)
        joined.append(b"".join(group))
        self.ready = joined

    def take(self, most: int = UNLIMITED) -> list[bytes]:
        """Up to `most` in-order bytes; ownership passes. Reopens the window by the bytes taken."""
        ready = self.ready
        if ready:
            if self.ready_bytes <= most:
                self.ready = []
                self.ready_bytes = 0
            else:
                ready = self._split(most)
            # RFC 9293 3.8.6.2.2: tell the peer of a window that opened by half.
            if self.nxt + self._buffer - self.ready_bytes - self.adv >= self._buffer // 2:
                self.ack_now = True
        return ready

    def _split(self, most: int) -> list[bytes]:
        """Take the first `most` bytes, fewer than there are, and keep the rest in few chunks."""
        self.compact()
        ready = self.ready
        self.ready_bytes -= most
        index = 0
        while len(ready[index]) <= most:
            most -= len(ready[index])
            index += 1
        taken = ready[:index]
        del ready[:index]
        if most:
            taken.append(ready[0][:most])
            ready[0] = ready[0][most:]
        return taken

    def acknowledged(self, window: int) -> None:
        """Note that an acknowledgement with this window leaves now."""
        self.last_ack = self.nxt
        self.ack_now = False
        self.ack_at = 0
        self.duplicate = None
        if self.nxt + window > self.adv:
            self.adv = self.nxt + window
