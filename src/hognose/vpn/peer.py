"""One peer of the VPN port: its TCP connection, the records in it, and its OpenVPN session once it speaks."""

from __future__ import annotations

from dataclasses import dataclass, field

from hognose.openvpn.framing import RecordSplitter
from hognose.openvpn.session import Session
from hognose.tcp.connection import TcpConnection
from hognose.tcp.silent import SILENT_TIME
from hognose.units import SECOND, Ipv4Int, Nanos, UnixSeconds, ipv4_text

# From the handshake of TCP to a valid hard reset; as for a connection that sends nothing, and ended like it.
FIRST_RECORD_NS: Nanos = SILENT_TIME
# After the last record was queued, how long a closing connection may take to deliver it.
LINGER_NS: Nanos = 5 * SECOND


@dataclass(slots=True)
class Peer:
    """State of one connection; address is 0 until the session was admitted.

    accepted_at: when TCP's handshake was complete.
    """

    conn: TcpConnection
    splitter: RecordSplitter
    accepted_at: Nanos
    session: Session | None = None
    address: Ipv4Int = 0
    common_name: str = ""  # NO_NAME (certificates.py) also for a client without a certificate
    version: str = ""  # of the client's program, as it says; never "" once it is authenticated
    authenticated_unix: UnixSeconds = 0
    armed: Nanos = 0  # earliest entry of this peer in the timer heap; 0 when none
    closing: bool = False
    muted: bool = False  # failed before a valid hard reset: its input is discarded until FIRST_RECORD_NS are over
    greeted: bool = False  # its hard reset was valid
    waits: bool = False  # for its turn in HandshakeScheduler
    established_at: Nanos = 0
    share: int = 0  # records that it may have in its turn
    cost: int = 100  # of one of its records in percent of the least (vpn/turns.py)
    down: list[bytes] = field(default_factory=list)  # inner packets to seal in this step

    @property
    def authenticated(self) -> bool:
        """True once TLS and certificate checks have passed and the client has named its program."""
        return self.version != ""

    @property
    def has_input(self) -> bool:
        """True while received bytes wait to be processed."""
        if self.closing:
            return False
        return self.splitter.full or self.conn.waiting or (self.session is not None and self.session.has_work)

    @property
    def name(self) -> str:
        """Outer address:port, for events."""
        address, port = self.conn.peer
        return f"{ipv4_text(address)}:{port}"
