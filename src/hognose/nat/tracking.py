"""State of a flow: from the flags of TCP's packets (RFC 5382 section 5, RFC 7857 section 2), and from the first answer.

SYN, FIN, RST and the first answer change it. A reset from outside counts when its sequence number is in the window that
the client has announced last (RFC 7857 section 2.2); to a SYN, when it acknowledges it (RFC 9293 section 3.10.7.3). The
client gets every reset and judges by itself.
"""

from __future__ import annotations

from struct import Struct

from hognose.nat.flow import ANSWERED, FIN_IN, FIN_OUT, NO_WINDOW, RESET, Flow
from hognose.units import Buffer, Nanos
from hognose.wire.tcp import ACK, FIN, FIXED_LEN, RST, SYN, parse_options

_SEQ_TO_WINDOW = Struct(">IIBBH")  # sequence number, acknowledgement, offset, flags, window
_AT = 4  # in the TCP header
_MODULUS = 0xFFFFFFFF


def track_outbound(flow: Flow, packet: Buffer, l4: int, end: int, now: Nanos) -> bool:
    """Note a TCP packet from inside; True when the time at which the flow ends may have come forward.

    Packets without SYN, FIN and RST tell their acknowledgement and window only; nat.outbound notes those by itself.
    """
    seq, ack, _, flags, window = _SEQ_TO_WINDOW.unpack_from(packet, l4 + _AT)
    if flags & ACK:
        flow.acked, flow.window = ack, window
    elif flags & SYN:
        flow.acked, flow.window = (seq + 1) & _MODULUS, NO_WINDOW
    if flags & RST:
        flow.state |= RESET
    elif flags & SYN:
        flow.state = 0  # a new connection on the same ports
        flow.shift = _window_scale(packet, l4, end) or 0
    elif flags & FIN:
        flow.state |= FIN_OUT
    else:
        return False
    flow.changed = now
    return True


def track_inbound(flow: Flow, packet: Buffer, l4: int, end: int, now: Nanos) -> bool:
    """Note a TCP packet from outside; True when the time at which the flow ends may have come forward."""
    before, flags = flow.state, packet[l4 + 13]
    if flags & RST:
        if not _is_acceptable(flow, packet, l4):
            return False
        flow.state |= RESET
    else:
        if flags & SYN and not before & ANSWERED and _window_scale(packet, l4, end) is None:
            flow.shift = 0  # both sides must have sent the option (RFC 7323 section 2.2)
        flow.state |= ANSWERED | (FIN_IN if flags & FIN else 0)
    if flow.state == before:
        return False
    flow.changed = now
    return True


def note_answer(flow: Flow, now: Nanos) -> None:
    """Note the first packet from outside of a flow of another protocol than TCP."""
    flow.state = ANSWERED
    flow.changed = now


def _is_acceptable(flow: Flow, packet: Buffer, l4: int) -> bool:
    """True for a reset that the client would have to believe, or to challenge (RFC 5961 section 3)."""
    seq: int
    seq, ack, _, flags, _ = _SEQ_TO_WINDOW.unpack_from(packet, l4 + _AT)
    if flow.window == NO_WINDOW:
        return bool(flags & ACK) and ack == flow.acked
    return (seq - flow.acked) & _MODULUS < max(1, (flow.window & 0xFFFF) << flow.shift)


def _window_scale(packet: Buffer, l4: int, end: int) -> int | None:
    offset = (packet[l4 + 12] >> 4) * 4
    return parse_options(packet[l4 + FIXED_LEN : min(end, l4 + offset)]).window_scale
