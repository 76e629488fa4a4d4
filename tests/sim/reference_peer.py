"""A TCP client made to be obviously right, not fast: the other end in simulations of hognose.tcp.

Unlimited reassembly, a window of fixed size, retransmission of the first missing segment after three duplicate
acknowledgements and of everything missing after a time-out. Positions are plain ints from 0 at the SYN.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.sim.segments import Segment

MS = 1_000_000
MASK = 0xFFFFFFFF


@dataclass(frozen=True)
class PeerSettings:
    """Offers and behaviour of the client."""

    iss: int = 1000
    mss: int = 1460
    scale: int | None = 7
    sack: bool = True
    timestamps: bool = True
    window: int = 1 << 20
    send_window: int = 256 * 1024
    delayed_ack: bool = True  # every second segment or 40 ms, else every segment
    read_rate: int = 0  # bytes per millisecond that the client's program reads; 0 = at once


class ReferencePeer:
    """One client connection."""

    def __init__(self, settings: PeerSettings, to_send: bytes) -> None:
        self.settings = settings
        self.out: list[Segment] = []
        self.received = bytearray()
        self.peer_fin = False
        self.reset = False
        self._data = to_send
        self._una = self.nxt = 0
        self._end = 1 + len(to_send)  # position of our FIN
        self._held: set[tuple[int, int]] = set()  # SACKed ranges
        self._peer_window = 0
        self._peer_scale = 0
        self._peer_sack = self._peer_ts = False
        self._dupacks = 0
        self._recover = 0
        self._rto = 250 * MS
        self._rto_at = 0
        self.irs = 0
        self.rcv_nxt = 0
        self._pending: dict[int, bytes] = {}
        self._fin_at = -1
        self._unacked = 0
        self._ack_at = 0
        self.ts_recent = 0
        self._unread = 0
        self._read_at = 0
        self._offered = 0
        self.established = False

    @property
    def finished(self) -> bool:
        """Everything sent was acknowledged and the peer's FIN has come."""
        return self._una > self._end and self.peer_fin

    def connect(self, now: int) -> None:
        self._rto_at = now + self._rto
        self.nxt = 1
        self._emit(0, b"", "S", now)

    def next_deadline(self) -> int | None:
        times = [at for at in (self._rto_at, self._ack_at, self._read_at) if at]
        return min(times) if times else None

    def handle_deadline(self, now: int) -> None:
        if self._ack_at and self._ack_at <= now:
            self._acknowledge(now)
        if self._read_at and self._read_at <= now:
            self._read(now)
        if self._rto_at and self._rto_at <= now:
            self._rto = min(self._rto * 2, 4_000 * MS)
            self._rto_at = now + self._rto
            self._dupacks = 0
            if not self.established:
                self._emit(0, b"", "S", now)
            elif self._peer_window == 0 and self._una == self.nxt:
                self._send_one(self._una, 1, now)
            else:
                self._recover = self.nxt
                self.fill(self._una, min(self.nxt, self._una + 8 * self._mss), now)

    def receive(self, segment: Segment, now: int) -> None:
        if segment.has("R"):
            self.reset = True
            self._rto_at = self._ack_at = self._read_at = 0
            return
        if segment.has("S"):
            self._on_syn(segment, now)
            return
        if not self.established:
            return
        if self._peer_ts and segment.ts is not None:
            self.ts_recent = max(self.ts_recent, segment.ts[0])
        self._on_ack(segment, now)
        self._on_text(segment, now)
        self._push(now)

    @property
    def _mss(self) -> int:
        return self._send_mss - (12 if self._peer_ts else 0)

    def _on_syn(self, segment: Segment, now: int) -> None:
        assert segment.has("A")
        if not self.established:
            assert segment.ack == (self.settings.iss + 1) & MASK
            self.irs, self.rcv_nxt, self._una = segment.seq, 1, 1
            self._peer_window = segment.window
            self._peer_scale = segment.scale if segment.scale is not None and self.settings.scale is not None else 0
            self._peer_sack = segment.sack_ok and self.settings.sack
            self._peer_ts = segment.ts is not None
            assert self._peer_ts == self.settings.timestamps
            assert segment.sack_ok == self.settings.sack
            self._send_mss = min(segment.mss or 536, 1460)
            self.ts_recent = segment.ts[0] if segment.ts else 0
            self.established = True
            self._rto, self._rto_at = 250 * MS, 0
        self._acknowledge(now)
        self._push(now)

    def _on_ack(self, segment: Segment, now: int) -> None:
        position = self._una + ((segment.ack - self.settings.iss - self._una + (1 << 31)) & MASK) - (1 << 31)
        assert position <= self.nxt, "acknowledged what was never sent"
        window = segment.window << self._peer_scale
        for left, right in segment.sack:
            a, b = ((edge - self.settings.iss - self._una) & MASK for edge in (left, right))
            if a < b <= self.nxt - self._una:
                self._held.add((self._una + a, self._una + b))
        if position > self._una:
            self._una = position
            self._held = {block for block in self._held if block[1] > position}
            self._dupacks, self._rto = 0, 250 * MS
            self._rto_at = now + self._rto if self.nxt > position else 0
            if position < self._recover:
                self.fill(position, min(self._recover, position + 4 * self._mss), now)
        elif position == self._una and not segment.payload and window == self._peer_window and self.nxt > self._una:
            self._dupacks += 1
            if self._dupacks == 3:
                self._recover = self.nxt
                self.fill(self._una, self._una + self._mss, now)
        self._peer_window = window
        if not window and not self._rto_at and self._una <= self._end:
            self._rto_at = now + self._rto

    def _on_text(self, segment: Segment, now: int) -> None:
        at = self.rcv_nxt + ((segment.seq - self.irs - self.rcv_nxt + (1 << 31)) & MASK) - (1 << 31)
        if not segment.payload and not segment.has("F"):
            if at < self.rcv_nxt:
                self._acknowledge(now)  # an old number asks for our state (RFC 9293 section 3.10.7.4)
            return
        end = at + len(segment.payload)
        assert end <= self._offered + (1 if segment.has("F") else 0) or end <= self.rcv_nxt + 1, "beyond our window"
        if segment.has("F"):
            self._fin_at = end
        in_order = at <= self.rcv_nxt and not self._pending
        if segment.payload and end > self.rcv_nxt:
            if len(segment.payload) > len(self._pending.get(at, b"")):
                self._pending[at] = segment.payload
            for start in sorted(self._pending):
                if start > self.rcv_nxt:
                    break
                data = self._pending.pop(start)
                fresh = data[self.rcv_nxt - start :]
                self.received += fresh
                self._unread += len(fresh)
                self.rcv_nxt += len(fresh)
        if self._fin_at >= 0 and self.rcv_nxt == self._fin_at:
            self.rcv_nxt += 1
            self.peer_fin = True
            in_order = False
        self._unacked += 1
        if not self.settings.read_rate:
            self._unread = 0
        elif self._unread and not self._read_at:
            self._read_at = now + MS
        if self.settings.delayed_ack and in_order and self._unacked < 2:
            self._ack_at = self._ack_at or now + 40 * MS
        else:
            self._acknowledge(now)

    def _read(self, now: int) -> None:
        before = self._window()
        self._unread = max(0, self._unread - self.settings.read_rate)
        self._read_at = now + MS if self._unread else 0
        if before < 2920 <= self._window():
            self._acknowledge(now)

    def _window(self) -> int:
        return max(0, self.settings.window - self._unread)

    def _push(self, now: int) -> None:
        """New data, as far as both windows go; then the FIN."""
        limit = self._una + min(self._peer_window, self.settings.send_window)
        while self.nxt < self._end and self.nxt < limit:
            self._send_one(self.nxt, min(self._mss, limit - self.nxt), now)
        if self.nxt == self._end:
            self._send_one(self._end, 0, now)
            self.nxt += 1

    def fill(self, start: int, end: int, now: int) -> None:
        """Send again what the peer does not hold of [start, end)."""
        at = start
        while at < end and at <= self._end:
            block = next((b for b in self._held if b[0] <= at < b[1]), None)
            if block is not None:
                at = block[1]
                continue
            if at == self._end:
                self._send_one(at, 0, now)
                return
            at += self._send_one(at, min(self._mss, self._end - at), now)

    def _send_one(self, position: int, size: int, now: int) -> int:
        data = self._data[position - 1 : position - 1 + size]
        fin = position + len(data) == self._end and position == self._end
        self._emit(position, data, "FA" if fin else "PA", now)
        self.nxt = max(self.nxt, position + len(data))  # a probe of a closed window goes beyond
        self._rto_at = self._rto_at or now + self._rto
        return len(data)

    def _acknowledge(self, now: int) -> None:
        self._emit(self.nxt, b"", "A", now)

    def _emit(self, position: int, payload: bytes, flags: str, now: int) -> None:
        settings = self.settings
        segment = Segment((settings.iss + position) & MASK, (self.irs + self.rcv_nxt) & MASK, flags, 0, payload)
        stamp = (now // MS + 77) & MASK
        if "S" in flags:
            segment.ack = 0
            segment.mss, segment.scale, segment.sack_ok = settings.mss, settings.scale, settings.sack
            segment.ts = (stamp, 0) if settings.timestamps else None
            segment.window = min(65535, settings.window)
            self._offered = 1 + segment.window
        else:
            scale = settings.scale or 0
            segment.window = min(65535, self._window() >> scale)
            self._offered = max(self._offered, self.rcv_nxt + (segment.window << scale))
            if self._peer_ts:
                segment.ts = (stamp, self.ts_recent)
            if self._pending and self._peer_sack:
                segment.sack = self._blocks()
            self._unacked, self._ack_at = 0, 0
        self.out.append(segment)

    def _blocks(self) -> list[tuple[int, int]]:
        ranges: list[list[int]] = []
        for start in sorted(self._pending):
            end = start + len(self._pending[start])
            if ranges and start <= ranges[-1][1]:
                ranges[-1][1] = max(ranges[-1][1], end)
            else:
                ranges.append([start, end])
        return [((self.irs + a) & MASK, (self.irs + b) & MASK) for a, b in ranges[-3:][::-1]]
