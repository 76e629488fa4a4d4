# hot
"""One synchronised connection: segments in, segments out (RFC 9293 section 3.10.7.4 with RFC 5961 and RFC 7323).

Batch rule: `receive` is called for every segment of a batch and only notes what has to be said; `output` is called
once after it and says it.
"""

from __future__ import annotations

from hognose.drops import Counters, DropReason
from hognose.errors import LocalError
from hognose.limits import TcpLimits
from hognose.link import Outgoing
from hognose.tcp import seqnum
from hognose.tcp.path import Path
from hognose.tcp.receiver import Receiver
from hognose.tcp.sender import Sender
from hognose.tcp.state import ON_FIN_ACKED, ON_FIN_RECEIVED, ON_FIN_SENT, CloseReason, TcpState
from hognose.units import MS, SECOND, Ipv4Int, Nanos, Port
from hognose.wire import tcp as wire_tcp
from hognose.wire.tcp import ACK, FIN, PSH, RST, SYN

_MASK = seqnum.MASK
_HALF = 0x80000000
_UNPACK = wire_tcp.WITH_TIMESTAMPS.unpack_from
_TS_WORD = wire_tcp.TIMESTAMP_OPTION
_ESTABLISHED = int(TcpState.ESTABLISHED)
_CLOSED = int(TcpState.CLOSED)

CHALLENGE_ACKS_PER_SECOND = 10  # RFC 5961 section 7, per connection and so no shared side channel
FIN_WAIT_LIMIT: Nanos = 60 * SECOND  # FIN-WAIT-2 of a peer that never closes
SACK_BLOCKS = 3  # beside timestamps


class TcpConnection:
    """A connection after its handshake; owned by TcpServer.

    id is never reused. peer is the remote (address, port). eof: the peer has closed its direction and everything
    before that was taken. close_reason is set when the connection is over.
    """

    __slots__ = (
        "_aborting",
        "_challenges",
        "_challenges_from",
        "_counters",
        "_dirty",
        "_irs",
        "_iss",
        "_limits",
        "_rcv",
        "_rcv_scale",
        "_snd",
        "_snd_scale",
        "_state",
        "_ts_offset",
        "_ts_recent",
        "_wait_at",
        "_wl1",
        "armed",
        "close_reason",
        "has_pause",
        "id",
        "key",
        "lingers",
        "opened_at",
        "path",
        "peer",
        "touched",
    )  # fmt: skip

    def __init__(
        self,
        *,
        conn_id: int,
        key: bytes,
        path: Path,
        iss: int,
        irs: int,
        mss: int,
        window: int,
        snd_scale: int,
        rcv_scale: int,
        sack: bool,
        ts_offset: int,
        ts_recent: int,
        limits: TcpLimits,
        counters: Counters,
        dirty: list[TcpConnection],
    ) -> None:
        self.id = conn_id
        self.key = key
        self.path = path
        self.peer: tuple[Ipv4Int, Port] = (path.remote, path.remote_port)
        self.close_reason: CloseReason | None = None
        self.opened_at: Nanos = 0  # when the handshake was complete
        self.armed: Nanos = 0  # the server's timer heap entry
        self.has_pause = False  # is in the server's queue of delayed acknowledgements
        self.lingers = False  # closed first: leaves a TIME-WAIT entry behind
        self.touched = False  # is in the server's list of connections to poll
        self._iss = iss
        self._irs = irs
        self._snd = Sender(mss, window, sack, limits, counters)
        self._rcv = Receiver(mss, limits, counters)
        self._snd_scale = snd_scale
        self._rcv_scale = rcv_scale
        self._ts_offset = ts_offset
        self._ts_recent = ts_recent
        self._state = _ESTABLISHED
        self._wl1 = 0  # position of the segment that set the send window last
        self._wait_at: Nanos = 0  # FIN-WAIT-2 limit
        self._challenges = 0
        self._challenges_from: Nanos = 0
        self._limits = limits
        self._counters = counters
        self._dirty = dirty  # the server's list of connections to poll
        self._aborting = False

    # -- the user's side -------------------------------------------------------------------------------------------

    @property
    def eof(self) -> bool:
        """The peer has closed and everything it sent was taken, or the connection is over."""
        rcv = self._rcv
        return (rcv.fin_at >= 0 and rcv.nxt > rcv.fin_at and not rcv.ready) or self._state == _CLOSED

    @property
    def send_queued(self) -> int:
        """Bytes written and not yet acknowledged."""
        return self._snd.buffer.end - self._snd.buffer.start

    @property
    def send_space(self) -> int:
        """Bytes that write accepts now; 0 after close."""
        if self._snd.fin_queued or self._state == _CLOSED:
            return 0
        return max(0, self._limits.send_buffer - self.send_queued)

    def take(self) -> list[bytes]:
        """In-order bytes received; ownership passes to the caller."""
        taken = self._rcv.take()
        if self._rcv.ack_now:
            self.touch()
        return taken

    def write(self, pieces: list[bytes]) -> None:
        """Queue pieces; they are read-only from now on. LocalError when they exceed send_space."""
        if not all(pieces):
            pieces = [piece for piece in pieces if piece]
        if sum(map(len, pieces)) > self.send_space:
            raise LocalError("more written than the send queue takes")
        self._snd.buffer.append(pieces)
        self.touch()

    def close(self, now: Nanos) -> None:
        """Send a FIN behind what is queued; what the peer still sends is read and thrown away by nobody but take."""
        if not self._snd.fin_queued and self._state != _CLOSED:
            self._snd.fin_queued = True
            self.touch()

    def abort(self, now: Nanos) -> None:
        """Be over at once: a RST leaves with the next poll."""
        self._aborting = True
        self.touch()

    def touch(self) -> None:
        """Have the server poll this connection."""
        if not self.touched:
            self.touched = True
            self._dirty.append(self)

    # -- segments in -----------------------------------------------------------------------------------------------

    def receive(self, packet: bytes, l4: int, end: int, now: Nanos) -> None:
        """One segment of this connection; checksum already trusted or verified."""
        if end - l4 >= 32:
            _, _, seq, ack, offset, flags, window, _, _, word, tsval, tsecr = _UNPACK(packet, l4)
            rcv = self._rcv
            if (
                offset == 0x80
                and word == _TS_WORD
                and (flags & 0x37) == ACK
                and seq == (self._irs + rcv.nxt) & _MASK
                and self._state == _ESTABLISHED
                and self.path.timestamps
                and (tsval - self._ts_recent) & _MASK < _HALF
            ):
                start = l4 + 32
                size = end - start
                snd = self._snd
                acked = (ack - self._iss - snd.una) & _MASK
                if acked <= snd.nxt - snd.una and (
                    size == 0 or (size <= rcv.adv - rcv.nxt and not rcv.ooo.size and rcv.fin_at < 0)
                ):
                    if rcv.nxt == rcv.last_ack:
                        self._ts_recent = tsval  # RFC 7323 section 4.3
                    if size:
                        rcv.in_order(packet[start:end], now)
                    window <<= self._snd_scale
                    if acked and snd.calm:
                        self._wl1 = rcv.nxt - size
                        snd.advance(acked, window, now)
                    elif acked or window != snd.window or snd.nxt != snd.una:
                        self._acknowledged(seq, ack, window, wire_tcp.NO_OPTIONS, tsecr, size > 0, now)
                    return
        self._receive_slow(packet, l4, end, now)

    def _receive_slow(self, packet: bytes, l4: int, end: int, now: Nanos) -> None:
        """The whole of RFC 9293 3.10.7.4, in its order."""
        if end - l4 < wire_tcp.FIXED_LEN:
            self._counters.drop(DropReason.BAD_TCP_HEADER)
            return
        _, _, seq, ack, offset, flags, window, _, _ = wire_tcp.HEADER.unpack_from(packet, l4)
        start = l4 + (offset >> 4) * 4
        if start < l4 + wire_tcp.FIXED_LEN or start > end:
            self._counters.drop(DropReason.BAD_TCP_HEADER)
            return
        options = wire_tcp.parse_options(packet[l4 + wire_tcp.FIXED_LEN : start])
        rcv = self._rcv
        position = seqnum.position(self._irs, seq, rcv.nxt)
        data_end = position + end - start
        segment_end = data_end + (1 if flags & FIN else 0) + (1 if flags & SYN else 0)
        if self.path.timestamps and not self._timestamp_acceptable(options, flags, position, segment_end, now):
            return
        # First: sequence number (RFC 9293 3.4, table of four cases).
        edge = rcv.adv
        if segment_end == position:
            acceptable = position == rcv.nxt or rcv.nxt <= position < edge
        else:
            acceptable = position < edge and segment_end > rcv.nxt
        if not acceptable:
            self._counters.drop(DropReason.TCP_OUT_OF_WINDOW)
            if flags & (RST | SYN | ACK) == ACK and position == rcv.nxt:
                # A probe of our closed window: its acknowledgement counts nevertheless (RFC 9293 3.10.7.4).
                self._acknowledged(seq, ack, window << self._snd_scale, options, 0, True, now)
            if position < data_end <= rcv.nxt and not flags & (RST | SYN):
                rcv.repeated(position, data_end)
            elif not flags & RST:
                self._acknowledge_soon(now)
            return
        # Second: RST (RFC 5961 section 3.2). Fourth: SYN (section 4.2).
        if flags & RST:
            if position == rcv.nxt:
                self._finish(CloseReason.RESET_BY_PEER)
            else:
                self._acknowledge_soon(now)
            return
        if flags & SYN:
            self._acknowledge_soon(now)
            return
        # Fifth: ACK.
        if not flags & ACK:
            self._counters.drop(DropReason.TCP_BAD_ACK)
            return
        tsecr = options.timestamps[1] if options.timestamps is not None else 0
        if not self._acknowledged(seq, ack, window << self._snd_scale, options, tsecr, data_end > position, now):
            return
        if self._state == _CLOSED:
            return
        # Seventh: the text. Eighth: FIN.
        if data_end > position:
            self._text(position, packet[start:end], now)
        if flags & FIN and rcv.fin_at < 0 and max(rcv.nxt, rcv.ooo.end) <= data_end <= edge:
            rcv.fin_at = data_end
        if rcv.fin_at >= 0 and rcv.nxt == rcv.fin_at:
            self._fin_received(now)

    def _text(self, position: int, data: bytes, now: Nanos) -> None:
        rcv = self._rcv
        if rcv.fin_at >= 0 and position + len(data) > rcv.fin_at:
            data = data[: max(0, rcv.fin_at - position)]
        if position + len(data) > rcv.adv:
            data = data[: rcv.adv - position]
        if data:
            rcv.receive(position, data, now)

    def _fin_received(self, now: Nanos) -> None:
        rcv = self._rcv
        rcv.nxt += 1
        rcv.ack_now = True
        following = ON_FIN_RECEIVED.get(TcpState(self._state))
        if following is TcpState.CLOSED:
            # TIME-WAIT is the server's: it keeps what is needed to answer old segments.
            self._finish(CloseReason.FINISHED)
        elif following is not None:
            self._state = int(following)

    def _timestamp_acceptable(
        self, options: wire_tcp.Options, flags: int, position: int, segment_end: int, now: Nanos
    ) -> bool:
        """PAWS (RFC 7323 section 5.3) and TS.Recent (section 4.3)."""
        if options.timestamps is None:
            if flags & RST:
                return True
            self._counters.drop(DropReason.TCP_PAWS)  # section 3.2: a segment without the agreed option
            return False
        tsval = options.timestamps[0]
        if (tsval - self._ts_recent) & _MASK >= _HALF:
            if flags & RST or segment_end == position:
                # A bare acknowledgement overtaken by a newer one carries nothing that PAWS protects; Linux takes it too
                # (tcp_disordered_ack), RFC 7323 would drop it.
                return True
            self._counters.drop(DropReason.TCP_PAWS)
            self._acknowledge_soon(now)
            return False
        if position <= self._rcv.last_ack < max(segment_end, position + 1):
            self._ts_recent = tsval
        return True

    def _acknowledged(
        self,
        seq: int,
        ack: int,
        window: int,
        options: wire_tcp.Options,
        tsecr: int,
        has_data: bool,
        now: Nanos,
    ) -> bool:
        """The ACK field; False when the segment is to be dropped for it (RFC 5961 section 5.2)."""
        snd = self._snd
        position = seqnum.position(self._iss, ack, snd.una)
        if position > snd.nxt or position < snd.una - snd.max_window:
            self._counters.drop(DropReason.TCP_BAD_ACK)
            self._acknowledge_soon(now)
            return False
        if position < snd.una:
            return True  # an old acknowledgement; its text may still be new
        seq_position = seqnum.position(self._irs, seq, self._rcv.nxt)
        if seq_position < self._wl1 and position == snd.una:
            window = snd.window  # RFC 9293: an older segment does not set the window
        else:
            self._wl1 = seq_position
        blocks = [
            (seqnum.position(self._iss, left, snd.una), seqnum.position(self._iss, right, snd.una))
            for left, right in options.sack
        ]
        rtt = -1
        if tsecr and position > snd.una and self.path.timestamps:
            rtt = ((self._ts_now(now) - tsecr) & _MASK) * MS
            if rtt > 60 * SECOND:
                rtt = -1
        snd.acknowledge(position, window, blocks, has_data, rtt, now)
        if snd.fin_sent and position == snd.end:
            following = ON_FIN_ACKED.get(TcpState(self._state))
            if following is TcpState.CLOSED:
                self._finish(CloseReason.FINISHED)
            elif following is not None:
                self._state = int(following)
                self._wait_at = now + FIN_WAIT_LIMIT
        return True

    def _acknowledge_soon(self, now: Nanos) -> None:
        """A challenge or duplicate acknowledgement, limited per connection (RFC 5961 section 7)."""
        if now - self._challenges_from >= SECOND:
            self._challenges_from = now
            self._challenges = 0
        self._challenges += 1
        if self._challenges <= CHALLENGE_ACKS_PER_SECOND:
            self._rcv.ack_now = True

    # -- segments out ----------------------------------------------------------------------------------------------

    def output(self, now: Nanos, out: list[Outgoing]) -> None:
        """Append everything that may leave now: data, FIN, or a bare acknowledgement."""
        snd, rcv = self._snd, self._rcv
        if self._aborting:
            self.abort_now(CloseReason.ABORTED, now, out)
        if self._state != _CLOSED:
            if rcv.ack_now and (rcv.ooo.size or rcv.duplicate is not None):
                self._bare(ACK, snd.nxt, now, out)  # data segments carry no SACK
            if snd.nxt == snd.una and snd.buffer.end > snd.nxt:
                snd.restart_after_idle(now)
            while (segment := snd.next_segment(now)) is not None:
                self._emit(*segment, now, out)
            if snd.buffer.end > snd.nxt:
                snd.arm_persist(now)
        if rcv.ack_now:
            self._bare(ACK, snd.nxt, now, out)

    def handle_deadline(self, now: Nanos, out: list[Outgoing]) -> None:
        """Whatever timer is due."""
        snd, rcv = self._snd, self._rcv
        if rcv.ack_at and rcv.ack_at <= now:
            rcv.ack_now = True
        if snd.rto_at and snd.rto_at <= now and not snd.timed_out(now):
            self.abort_now(CloseReason.TIMED_OUT, now, out)
            return
        if snd.persist_at and snd.persist_at <= now:
            if not snd.probe(now):
                self.abort_now(CloseReason.TIMED_OUT, now, out)
                return
            if not snd.window:
                self._bare(ACK, snd.una - 1, now, out)  # an old number makes the peer answer with its window
        if self._wait_at and self._wait_at <= now and self._state == TcpState.FIN_WAIT_2:
            self.abort_now(CloseReason.TIMED_OUT, now, out)

    def next_deadline(self) -> Nanos:
        """Earliest timer besides pause_at; 0 when none runs."""
        snd = self._snd
        deadline = snd.rto_at
        if snd.persist_at and (not deadline or snd.persist_at < deadline):
            deadline = snd.persist_at
        if self._wait_at and self._state == TcpState.FIN_WAIT_2 and (not deadline or self._wait_at < deadline):
            deadline = self._wait_at
        return deadline if self._state != _CLOSED else 0

    @property
    def pause_at(self) -> Nanos:
        """When a delayed acknowledgement is due; 0 when none is pending."""
        return self._rcv.ack_at if self._state != _CLOSED else 0

    def abort_now(self, reason: CloseReason, now: Nanos, out: list[Outgoing]) -> None:
        """Send a RST and be over."""
        if self._state != _CLOSED:
            self._bare(RST | ACK, self._snd.nxt, now, out)
            self._finish(reason)

    def path_mtu(self, mss: int, quoted_seq: int) -> None:
        """A router asks for smaller packets; believed only for a segment in flight (RFC 5927 section 7)."""
        snd = self._snd
        position = seqnum.position(self._iss, quoted_seq, snd.una)
        if snd.una <= position < snd.nxt:
            snd.set_mss(mss - (12 if self.path.timestamps else 0))

    @property
    def has_input(self) -> bool:
        """There are bytes to take, or the end of the stream to notice."""
        return bool(self._rcv.ready) or self._rcv.fin_at >= 0 or self._state == _CLOSED

    @property
    def final_numbers(self) -> tuple[int, int, int, int]:
        """(SND.NXT, RCV.NXT, timestamp offset, TS.Recent) as wire numbers, for TIME-WAIT; -1, 0 without timestamps."""
        return (
            seqnum.wire(self._iss, self._snd.nxt),
            seqnum.wire(self._irs, self._rcv.nxt),
            *((self._ts_offset, self._ts_recent) if self.path.timestamps else (-1, 0)),
        )

    def _emit(self, position: int, size: int, now: Nanos, out: list[Outgoing]) -> None:
        """One data segment, super-segment or FIN."""
        snd, rcv = self._snd, self._rcv
        pieces = snd.buffer.cut(position, size) if size else []
        flags = ACK
        if position + size == snd.buffer.end:
            flags = ACK | PSH if size else ACK
            if snd.fin_queued:
                flags |= FIN
        window = self._window()
        out.append(
            self.path.segment(
                (self._iss + position) & _MASK,
                (self._irs + rcv.nxt) & _MASK,
                flags,
                window >> self._rcv_scale,
                (self._ts_now(now), self._ts_recent),
                pieces,
                size,
                snd.mss,
            )
        )
        was_sent = snd.fin_sent
        snd.sent(position, size, now)
        if snd.fin_sent and not was_sent:
            following = ON_FIN_SENT.get(TcpState(self._state))
            if following is not None:
                self._state = int(following)
        rcv.acknowledged(window)

    def _bare(self, flags: int, position: int, now: Nanos, out: list[Outgoing]) -> None:
        rcv = self._rcv
        options = b""
        if (rcv.ooo.size or rcv.duplicate is not None) and self._snd.sack:
            repeated = [rcv.duplicate] if rcv.duplicate is not None else []  # D-SACK comes first (RFC 2883 section 4)
            ranges = repeated + rcv.ooo.blocks(SACK_BLOCKS - len(repeated))
            options = wire_tcp.build_sack([(seqnum.wire(self._irs, a), seqnum.wire(self._irs, b)) for a, b in ranges])
        window = self._window()
        out.append(
            self.path.segment(
                (self._iss + position) & _MASK,
                (self._irs + rcv.nxt) & _MASK,
                flags,
                window >> self._rcv_scale,
                (self._ts_now(now), self._ts_recent),
                [],
                0,
                self._snd.mss,
                options,
            )
        )
        rcv.acknowledged(window)

    def _window(self) -> int:
        """The window to offer, rounded to what the scaled field can say."""
        window = self._rcv.window
        limit = 0xFFFF << self._rcv_scale
        return min(window, limit) >> self._rcv_scale << self._rcv_scale

    def _ts_now(self, now: Nanos) -> int:
        return (self._ts_offset + now // MS) & _MASK

    def _finish(self, reason: CloseReason) -> None:
        self.lingers = reason is CloseReason.FINISHED and self._state != TcpState.LAST_ACK
        self._state = _CLOSED
        if reason is CloseReason.RESET_BY_PEER:
            self._rcv.ack_now = False  # a RST is never answered
        if self.close_reason is None:
            self.close_reason = reason
