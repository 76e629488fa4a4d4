# hot
"""State of a connection and its reaction to a segment (RFC 9293 section 3.10.7.4 with RFC 5961 and RFC 7323)."""

from __future__ import annotations

from hognose.base.rate import FixedWindow
from hognose.drops import Counters, DropReason
from hognose.limits import TcpLimits
from hognose.tcp import seqnum
from hognose.tcp.path import Path
from hognose.tcp.receiver import Receiver
from hognose.tcp.sender import Sender
from hognose.tcp.state import ON_FIN_ACKED, ON_FIN_RECEIVED, CloseReason, TcpState
from hognose.units import MS, SECOND, Nanos
from hognose.wire import tcp as wire_tcp
from hognose.wire.tcp import ACK, FIN, RST, SYN

_MASK = seqnum.MASK
_HALF = seqnum.HALF
_UNPACK = wire_tcp.WITH_TIMESTAMPS.unpack_from
_TS_WORD = wire_tcp.TIMESTAMP_OPTION
_ESTABLISHED = int(TcpState.ESTABLISHED)
_CLOSED = int(TcpState.CLOSED)

CHALLENGE_ACKS_PER_SECOND = 10  # RFC 5961 section 7, per connection and so no shared side channel
TS_RECENT_LIFE: Nanos = 24 * 24 * 3600 * SECOND  # RFC 7323 section 5.5: after 24 days its order says nothing
FIN_WAIT_LIMIT: Nanos = 60 * SECOND  # FIN-WAIT-2 of a peer that never closes


class Arrival:
    """State of one connection and its reaction to segments; the base of TcpConnection."""

    __slots__ = (
        "_aborting",
        "_challenges",
        "_counters",
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
        "irs",
        "key",
        "lingers",
        "opened_at",
        "path",
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
        rtt: Nanos,
        limits: TcpLimits,
        counters: Counters,
    ) -> None:
        self.id = conn_id
        self.key = key
        self.path = path
        self.close_reason: CloseReason | None = None
        self.opened_at: Nanos = 0  # time of the end of the handshake
        self.armed: Nanos = 0  # the server's timer heap entry
        self.has_pause = False  # it is in the server's queue of delayed acknowledgements
        self.lingers = False  # it closed first: a TIME-WAIT entry follows
        self.touched = False  # it is in the server's list of connections to poll
        self._iss = iss
        self.irs = irs
        self._snd = Sender(mss, window, sack, limits, counters)
        self._snd.timers.rtt.begin(rtt)
        self._rcv = Receiver(mss, 0xFFFF << rcv_scale, limits, counters)
        self._snd_scale = snd_scale
        self._rcv_scale = rcv_scale
        self._ts_offset = ts_offset
        self._ts_recent = ts_recent
        self._state = _ESTABLISHED
        self._wl1 = 0  # position of the latest segment that set the send window
        self._wait_at: Nanos = 0  # FIN-WAIT-2 limit
        self._challenges = FixedWindow(0)
        self._limits = limits
        self._counters = counters
        self._aborting = False

    # -- segments in -----------------------------------------------------------------------------------------------

    def receive(self, packet: bytes, l4: int, end: int, now: Nanos) -> None:
        """Take one segment of this connection; its checksum was trusted or verified before."""
        if end - l4 >= 32:
            _, _, seq, ack, offset, flags, window, _, _, word, tsval, tsecr = _UNPACK(packet, l4)
            rcv = self._rcv
            if (
                offset == 0x80
                and word == _TS_WORD
                and (flags & 0x37) == ACK
                and seq == (self.irs + rcv.nxt) & _MASK
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
                        self._acknowledged(rcv.nxt - size, ack, window, wire_tcp.NO_OPTIONS, tsecr, size > 0, now)
                    return
        self._receive_slow(packet, l4, end, now)

    def _receive_slow(self, packet: bytes, l4: int, end: int, now: Nanos) -> None:
        """Take any segment: RFC 9293 section 3.10.7.4 in its order."""
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
        position = seqnum.position(self.irs, seq, rcv.nxt)
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
                self._acknowledged(position, ack, window << self._snd_scale, options, 0, True, now)
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
        if not self._acknowledged(position, ack, window << self._snd_scale, options, tsecr, data_end > position, now):
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
        """Take text, as far as it lies in the window and before the FIN."""
        rcv = self._rcv
        if rcv.fin_at >= 0 and position + len(data) > rcv.fin_at:
            data = data[: max(0, rcv.fin_at - position)]
        if position + len(data) > rcv.adv:
            data = data[: rcv.adv - position]
        if data:
            rcv.receive(position, data, now)

    def _fin_received(self, now: Nanos) -> None:
        """Take the peer's FIN, which is next in order."""
        rcv = self._rcv
        rcv.nxt += 1
        rcv.ack_now = True
        following = ON_FIN_RECEIVED.get(TcpState(self._state))
        if following is TcpState.CLOSED:
            # TIME-WAIT is the server's: it keeps the numbers that answers to old segments need.
            self._finish(CloseReason.FINISHED)
        elif following is not None:
            self._state = int(following)

    def _timestamp_acceptable(
        self, options: wire_tcp.Options, flags: int, position: int, segment_end: int, now: Nanos
    ) -> bool:
        """Check PAWS (RFC 7323 section 5.3) and update TS.Recent (section 4.3)."""
        if options.timestamps is None:
            if flags & RST:
                return True
            self._counters.drop(DropReason.TCP_PAWS)  # section 3.2: a segment without the agreed option
            return False
        tsval = options.timestamps[0]
        if (tsval - self._ts_recent) & _MASK >= _HALF and now - self._rcv.arrived < TS_RECENT_LIFE:
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
        seq_position: int,
        ack: int,
        window: int,
        options: wire_tcp.Options,
        tsecr: int,
        has_data: bool,
        now: Nanos,
    ) -> bool:
        """Process the ACK field; False when the segment is to be dropped for it (RFC 5961 section 5.2)."""
        snd = self._snd
        position = seqnum.position(self._iss, ack, snd.una)
        if position > snd.nxt or position < snd.una - snd.max_window:
            self._counters.drop(DropReason.TCP_BAD_ACK)
            self._acknowledge_soon(now)
            return False
        if position < snd.una:
            return True  # an old acknowledgement; its text may still be new
        if seq_position < self._wl1 and position == snd.una:
            window = snd.window  # RFC 9293: an older segment does not set the window
        else:
            self._wl1 = seq_position
        blocks = seqnum.positions(self._iss, options.sack, snd.una) if options.sack else []
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
        """Send a challenge or duplicate acknowledgement, limited per connection (RFC 5961 section 7)."""
        if self._challenges.count(now) <= CHALLENGE_ACKS_PER_SECOND:
            self._rcv.ack_now = True

    def path_mtu(self, mss: int, quoted_seq: int, now: Nanos) -> None:
        """Lower the MSS as a router asks; believed only for a segment in flight (RFC 5927 section 7)."""
        snd = self._snd
        position = seqnum.position(self._iss, quoted_seq, snd.una)
        if snd.una <= position < snd.nxt:
            snd.set_mss(mss - (wire_tcp.TIMESTAMPS_LEN if self.path.timestamps else 0), now)

    def _ts_now(self, now: Nanos) -> int:
        return (self._ts_offset + now // MS) & _MASK

    def _finish(self, reason: CloseReason) -> None:
        """Enter CLOSED; the server removes the connection."""
        self.lingers = reason is CloseReason.FINISHED and self._state != TcpState.LAST_ACK
        self._state = _CLOSED
        if reason is CloseReason.RESET_BY_PEER:
            self._rcv.ack_now = False  # a RST is never answered
        if self.close_reason is None:
            self.close_reason = reason
