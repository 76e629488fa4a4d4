"""One peer of the VPN port: its TCP connection, the records in it, and its OpenVPN session once it speaks."""

from __future__ import annotations

from dataclasses import dataclass, field

from hognose.openvpn.framing import RecordSplitter
from hognose.openvpn.session import Session
from hognose.tcp.connection import TcpConnection
from hognose.units import SECOND, Ipv4Int, Nanos, UnixSeconds, ipv4_text

# A connection that sends nothing costs a TCB only, and only so long (facts/tcp-nat-security.md 4.2).
FIRST_RECORD_NS: Nanos = 10 * SECOND
# After the last record was queued, how long a closing connection may take to deliver it.
LINGER_NS: Nanos = 5 * SECOND


@dataclass(slots=True)
class Peer:
    """State of one connection; address is 0 until the session was admitted."""

    conn: TcpConnection
    splitter: RecordSplitter
    accepted_at: Nanos
    session: Session | None = None
    address: Ipv4Int = 0
    common_name: str = ""
    version: str = ""  # of the client's program, as it says
    authenticated_unix: UnixSeconds = 0
    armed: Nanos = 0  # earliest entry of this peer in the timer heap; 0 when none
    closing: bool = False
    established_at: Nanos = 0
    down: list[bytes] = field(default_factory=list)  # inner packets to seal in this step

    @property
    def name(self) -> str:
        """Outer address:port, for events."""
        address, port = self.conn.peer
        return f"{ipv4_text(address)}:{port}"
