"""One peer of the VPN port: its stage, its transport, and its OpenVPN session once it speaks."""

from __future__ import annotations

from dataclasses import dataclass, field

from hognose.address import Address
from hognose.openvpn.session import Session
from hognose.units import SECOND, Nanos, UnixSeconds
from hognose.vpn.authentication import Ticket
from hognose.vpn.stages import PeerEvent, Stage, next_stage
from hognose.vpn.transport import Transport

# From the handshake of TCP to a valid hard reset; as for a connection that sends nothing (tcp/silent.py SILENT_TIME),
# and ended like it.
FIRST_RECORD_NS: Nanos = 10 * SECOND
# After the last record was queued, how long a closing connection may take to deliver it.
LINGER_NS: Nanos = 5 * SECOND
NO_PEER_ID = 0xFFFFFF  # all ones: undefined (OpenVPN openvpn.h MAX_PEER_ID)


@dataclass(slots=True)
class Peer:
    """State of one connection; address is b"" until the session was admitted.

    accepted_at: when the transport was there.
    """

    transport: Transport
    accepted_at: Nanos
    stage: Stage = Stage.CONNECTED
    session: Session | None = None
    session_id: bytes = b""  # the client's, of its valid hard reset
    address: Address = b""
    peer_id: int = NO_PEER_ID
    common_name: str = ""  # NO_NAME (certificates.py) also for a client without a certificate
    version: str = ""  # of the client's program, as it says; never "" once it is authenticated
    authenticated_unix: UnixSeconds = 0
    established_at: Nanos = 0  # 0 until then; stays when the session has ended
    ticket: Ticket | None = None  # of its login, while AUTHENTICATING
    verdict_by: Nanos = 0  # when a login without a verdict is refused
    moved_at: Nanos = 0  # to another outer address, last
    ends_at: Nanos = 0  # while MUTED or CLOSING: when its connection is aborted
    armed: Nanos = 0  # earliest entry of this peer in the timer heap; 0 when none
    share: int = 0  # records that it may have in its turn
    cost: int = 100  # of one of its records in percent of the least (vpn/turns.py)
    down: list[bytes] = field(default_factory=list)  # inner packets to seal in this step

    def advance(self, event: PeerEvent) -> None:
        """Go to the stage that an event leads to; StageError for an impossible one."""
        self.stage = next_stage(self.stage, event)

    @property
    def authenticated(self) -> bool:
        """True once TLS and certificate checks have passed and the client has named its program."""
        return self.version != ""

    @property
    def packet_limit(self) -> int:
        """Bytes of the largest inner packet that fits the path to it when it is sealed; 0 where nothing is known."""
        limit = self.transport.record_limit
        if not limit or self.session is None or not self.established_at:
            return 0
        return self.session.control.packet_len(limit)

    @property
    def name(self) -> str:
        """Outer address:port, for events."""
        return str(self.transport.endpoint)
