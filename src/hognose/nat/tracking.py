"""State of a flow's TCP connection, from the flags of its packets (RFC 5382 section 5, RFC 7857 section 2).

Only SYN, FIN, RST and the first answer change it. Sequence numbers are not followed: a forged reset costs nothing as
long as the connection is used (flow_timeouts).
"""

from __future__ import annotations

from hognose.nat.flow import ANSWERED, FIN_IN, FIN_OUT, RESET, Flow
from hognose.units import Nanos
from hognose.wire.tcp import FIN, RST, SYN


def track_outbound(flow: Flow, flags: int, now: Nanos) -> bool:
    """Note a packet from inside with these flags; True when the time at which the flow ends may have come forward."""
    if flags & RST:
        flow.state |= RESET
    elif flags & SYN:
        flow.state = 0  # a new connection on the same ports
    elif flags & FIN:
        flow.state |= FIN_OUT
    else:
        return False
    flow.changed = now
    return True


def track_inbound(flow: Flow, flags: int, now: Nanos) -> bool:
    """Note a packet from outside with these flags; True when the time at which the flow ends may have come forward."""
    before = flow.state
    if flags & RST:
        flow.state |= RESET
    else:
        flow.state |= ANSWERED | (FIN_IN if flags & FIN else 0)
    if flow.state == before:
        return False
    flow.changed = now
    return True
