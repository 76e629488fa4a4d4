# hot
"""One synchronised connection: segments in (arrival.py), the user's side, segments out.

Batch rule: `receive` is called for every segment of a batch and only notes the answer that is due; `output` is called
once after it and sends it.
"""

from __future__ import annotations

from hognose.address import Endpoint
from hognose.errors import LocalError
from hognose.link import Outgoing
from hognose.tcp import seqnum
from hognose.tcp.arrival import Arrival
from hognose.tcp.info import ConnectionInfo
from hognose.tcp.receiver import UNLIMITED
from hognose.tcp.state import ON_FIN_SENT, CloseReason, TcpState
from hognose.tcp.time_wait import FinalNumbers
from hognose.units import Nanos
from hognose.wire import tcp as wire_tcp
from hognose.wire.tcp import ACK, FIN, PSH, RST

_MASK = seqnum.MASK
_CLOSED = int(TcpState.CLOSED)

SACK_BLOCKS = 3  # beside timestamps


class PollQueue:
    """Connections of a server that its next poll works on, each once."""

    __slots__ = ("connections",)

    def __init__(self) -> None:
        self.connections: list[TcpConnection] = []

    def add(self, connection: TcpConnection) -> None:
        """Add a connection that is not touched yet."""
        connection.touched = True
        self.connections.append(connection)


class TcpConnection(Arrival):
    """A connection after its handshake; owned by TcpServer.

    id is never reused. key is the remote address and port as on the wire. eof: the peer has closed its direction and
    everything before that was taken. close_reason is set when the connection is over.
    """

    __slots__ = ("poll_queue",)
    poll_queue: PollQueue  # the server's, which sets it

    # -- the user's side -------------------------------------------------------------------------------------------

    @property
    def peer(self) -> Endpoint:
        """The remote address and port."""
        return Endpoint(self.key[:-2], int.from_bytes(self.key[-2:], "big"))

    @property
    def waiting(self) -> bool:
        """True while in-order bytes wait for `take`."""
        return bool(self._rcv.ready)

    @property
    def eof(self) -> bool:
        """True when the peer has closed and all of its bytes were taken, or the connection is over."""
        return (self.finished and not self._rcv.ready) or self._state == _CLOSED

    @property
    def finished(self) -> bool:
        """True when the peer has closed, even while bytes wait for `take`, or the connection is over."""
        return (self._rcv.fin_at >= 0 and self._rcv.nxt > self._rcv.fin_at) or self._state == _CLOSED

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

    def info(self) -> ConnectionInfo:
        """The state of the connection for readers."""
        return ConnectionInfo.of(self._snd, self._rcv)

    def trust(self) -> None:
        """Offer the whole receive buffer to an authenticated peer; until then the window is small."""
        self._rcv.trust(self._limits)

    def compact(self) -> None:
        """Store bytes that `take` leaves for a while in little memory."""
        self._rcv.compact()

    def take(self, most: int = UNLIMITED) -> list[bytes]:
        """Up to `most` in-order bytes received; ownership passes to the caller."""
        taken = self._rcv.take(most)
        if self._rcv.ack_now and not self.touched:
            self.poll_queue.add(self)
        return taken

    def write(self, pieces: list[bytes]) -> None:
        """Queue pieces; they are read-only from now on. LocalError when they exceed send_space."""
        if not all(pieces):
            pieces = [piece for piece in pieces if piece]
        if sum(map(len, pieces)) > self.send_space:
            raise LocalError("more written than the send queue takes")
        self._snd.buffer.append(pieces)
        if not self.touched:
            self.poll_queue.add(self)

    def close(self, now: Nanos) -> None:
        """Queue a FIN after unsent data. Input still arrives; the caller keeps calling `take` and discards it."""
        if not self._snd.fin_queued and self._state != _CLOSED:
            self._snd.fin_queued = True
            if not self.touched:
                self.poll_queue.add(self)

    def abort(self, now: Nanos) -> None:
        """End the connection; a RST leaves with the next poll."""
        self._aborting = True
        if not self.touched:
            self.poll_queue.add(self)

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
            if snd.hole.due_at and (probe := snd.size_probe(now)) is not None:
                mss, snd.mss = snd.mss, probe[1]
                self._emit(*probe, now, out)
                snd.mss = mss
            while (segment := snd.next_segment(now)) is not None:
                self._emit(*segment, now, out)
            if snd.buffer.end > snd.nxt:
                snd.timers.arm_persist(now)
        if rcv.ack_now:
            self._bare(ACK, snd.nxt, now, out)

    def handle_deadline(self, now: Nanos, out: list[Outgoing]) -> None:
        """Run every timer that is due."""
        snd, rcv = self._snd, self._rcv
        timers, rack = snd.timers, snd.recovery.rack
        if rcv.ack_at and rcv.ack_at <= now:
            rcv.ack_now = True
        if timers.tail_at and (timers.tail_at <= now or timers.rto_at <= now):
            probe = snd.probe_tail(now)
            if probe is not None:
                self._emit(*probe, now, out)
        if timers.rto_at and timers.rto_at <= now and not snd.timed_out(now):
            self.abort_now(CloseReason.TIMED_OUT, now, out)
            return
        if rack.deadline and rack.deadline <= now:
            snd.reordering_over(now)
        if timers.persist_at and timers.persist_at <= now:
            if not snd.persist_over(now):
                self.abort_now(CloseReason.TIMED_OUT, now, out)
                return
            if not snd.window:
                self._bare(ACK, snd.una - 1, now, out)  # an old number makes the peer answer with its window
        if self._wait_at and self._wait_at <= now and self._state == TcpState.FIN_WAIT_2:
            self.abort_now(CloseReason.TIMED_OUT, now, out)

    def next_deadline(self) -> Nanos:
        """Earliest timer besides pause_at; 0 when none runs."""
        timers, rack = self._snd.timers, self._snd.recovery.rack
        deadline = timers.rto_at
        if timers.tail_at and timers.tail_at < deadline:
            deadline = timers.tail_at
        if rack.deadline and rack.deadline < deadline:
            deadline = rack.deadline
        if timers.persist_at and (not deadline or timers.persist_at < deadline):
            deadline = timers.persist_at
        if self._wait_at and self._state == TcpState.FIN_WAIT_2 and (not deadline or self._wait_at < deadline):
            deadline = self._wait_at
        return deadline if self._state != _CLOSED else 0

    @property
    def pause_at(self) -> Nanos:
        """Time at which a delayed acknowledgement is due; 0 when none is pending."""
        return self._rcv.ack_at if self._state != _CLOSED else 0

    def abort_now(self, reason: CloseReason, now: Nanos, out: list[Outgoing]) -> None:
        """Send a RST and end the connection."""
        if self._state != _CLOSED:
            self._bare(RST | ACK, self._snd.nxt, now, out)
            self._finish(reason)

    @property
    def has_input(self) -> bool:
        """True when bytes wait for `take` or the end of the stream was not noticed yet."""
        return bool(self._rcv.ready) or self._rcv.fin_at >= 0 or self._state == _CLOSED

    @property
    def final_numbers(self) -> FinalNumbers:
        """The numbers that TIME-WAIT keeps."""
        return FinalNumbers(
            seqnum.wire(self._iss, self._snd.nxt),
            seqnum.wire(self.irs, self._rcv.nxt),
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
                (self.irs + rcv.nxt) & _MASK,
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
        """Append a segment without text, with SACK blocks where there is something to report."""
        rcv = self._rcv
        options = b""
        if (rcv.ooo.size or rcv.duplicate is not None) and self._snd.sack:
            repeated = [rcv.duplicate] if rcv.duplicate is not None else []  # D-SACK comes first (RFC 2883 section 4)
            ranges = repeated + rcv.ooo.blocks(SACK_BLOCKS - len(repeated))
            options = wire_tcp.build_sack([(seqnum.wire(self.irs, a), seqnum.wire(self.irs, b)) for a, b in ranges])
        window = self._window()
        out.append(
            self.path.segment(
                (self._iss + position) & _MASK,
                (self.irs + rcv.nxt) & _MASK,
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
        return self._rcv.window >> self._rcv_scale << self._rcv_scale
