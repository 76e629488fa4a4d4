"""Connection states and the reasons for which connections end.

LISTEN and SYN-RECEIVED live in the listener's half-open table, TIME-WAIT in the server's own small table.
"""

from __future__ import annotations

from enum import Enum, IntEnum


class TcpState(IntEnum):
    """The states of RFC 9293 section 3.3.2 that a connection object passes through."""

    ESTABLISHED = 0
    CLOSE_WAIT = 1
    FIN_WAIT_1 = 2
    FIN_WAIT_2 = 3
    CLOSING = 4
    LAST_ACK = 5
    CLOSED = 6


class CloseReason(Enum):
    """The reason for which a connection is over."""

    FINISHED = "finished"  # both sides closed
    RESET_BY_PEER = "reset_by_peer"
    ABORTED = "aborted"  # by us
    TIMED_OUT = "timed_out"  # no acknowledgement for the give-up time (RFC 9293 R2)


# (state, peer's FIN received) -> next; absent means the FIN is an old one.
ON_FIN_RECEIVED = {
    TcpState.ESTABLISHED: TcpState.CLOSE_WAIT,
    TcpState.FIN_WAIT_1: TcpState.CLOSING,
    TcpState.FIN_WAIT_2: TcpState.CLOSED,
}
# (state, our FIN sent) -> next
ON_FIN_SENT = {TcpState.ESTABLISHED: TcpState.FIN_WAIT_1, TcpState.CLOSE_WAIT: TcpState.LAST_ACK}
# (state, our FIN acknowledged) -> next
ON_FIN_ACKED = {
    TcpState.FIN_WAIT_1: TcpState.FIN_WAIT_2,
    TcpState.CLOSING: TcpState.CLOSED,
    TcpState.LAST_ACK: TcpState.CLOSED,
}
