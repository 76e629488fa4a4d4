"""Admission of authenticated sessions: the answer, the client's address, and the log lines of its life."""

from __future__ import annotations

from hognose.base.journal import Journal
from hognose.drops import Counters, DropReason, Stat
from hognose.events import EventKind
from hognose.nat.nat import Nat
from hognose.openvpn.control.push import Admission
from hognose.openvpn.session import Session
from hognose.openvpn.session_events import Authenticated, Disagreed, Established, Renegotiated, RenegotiationFailed
from hognose.openvpn.tls.certificates import NO_NAME
from hognose.units import SECOND, Ipv4Int, Nanos, UnixSeconds, ipv4_text
from hognose.vpn.addresses import AddressPool
from hognose.vpn.client_policy import ClientPolicy
from hognose.vpn.peer import Peer

# Causes on the server's side: the client is asked to try again (IV_PROTO AUTH_FAIL_TEMP).
_TEMPORARY = (DropReason.SERVER_STOPPING, DropReason.CLIENTS_FULL, DropReason.POOL_EXHAUSTED)
PEER_ID_LIMIT = 0xFFFFFF  # 24 bits; all ones means undefined


class Admissions:
    """The table of clients by tunnel address and by name.

    Bounds: max_clients authenticated clients (the newcomer is refused), the pool's addresses (likewise). A client
    with the same certificate name replaces the older session unless duplicate-cn, as OpenVPN does; the names are those
    of the certificates, never mapped, and clients without one do not replace each other.
    """

    def __init__(
        self,
        *,
        pool: AddressPool,
        netmask: Ipv4Int,
        server: Ipv4Int,
        policy: ClientPolicy,
        nat: Nat,
        journal: Journal,
        counters: Counters,
    ) -> None:
        self._pool = pool
        self._netmask = netmask
        self._server = server
        self._nat = nat
        self._journal = journal
        self._counters = counters
        self.clients: dict[Ipv4Int, Peer] = {}
        self._replaced: list[Peer] = []  # older sessions of the same name, for the gateway to end
        self.stopping = False
        self.apply(policy)

    def apply(self, policy: ClientPolicy) -> None:
        """The policy for clients that come from now on."""
        self.policy = policy
        self._pool.reserve(policy.reservations, policy.fixed_addresses())

    def handle_events(self, peer: Peer, session: Session, now: Nanos, unix: UnixSeconds) -> None:
        """Drain a session's events: admit or refuse, and write the lines."""
        for event in session.take_events():
            if isinstance(event, Authenticated):
                self._authenticated(peer, session, event, now, unix)
            elif isinstance(event, Established):
                self._established(peer, event, now)
            elif isinstance(event, Renegotiated):
                self._counters.stats[Stat.RENEGOTIATIONS] += 1
                self._journal.add(
                    EventKind.CLIENT_RENEGOTIATED,
                    now,
                    conn=peer.conn.id,
                    common_name=peer.common_name,
                    key_id=event.key_id,
                    tls=event.tls,
                    wrap=event.wrap,
                )
            elif isinstance(event, Disagreed):
                self._journal.add(
                    EventKind.PEER_REJECTED,
                    now,
                    conn=peer.conn.id,
                    peer=peer.name,
                    common_name=event.common_name,
                    reason=event.reason.name.lower(),
                    detail=event.detail,
                )
            elif isinstance(event, RenegotiationFailed):
                self._journal.add(
                    EventKind.RENEGOTIATION_FAILED,
                    now,
                    conn=peer.conn.id,
                    common_name=peer.common_name,
                    detail=event.detail,
                )

    def leave(self, peer: Peer, reason: DropReason, now: Nanos, detail: str = "") -> None:
        """Free the address of a peer whose session is over, and write its line. Idempotent."""
        if peer.address == 0:
            return
        if self.clients.get(peer.address) is peer:
            self._pool.release(peer.address)
            del self.clients[peer.address]
        if peer.established_at:
            self._counters.stats[Stat.SESSIONS_ENDED] += 1
            session = peer.session
            self._journal.add(
                EventKind.CLIENT_ENDED,
                now,
                conn=peer.conn.id,
                peer=peer.name,
                common_name=peer.common_name,
                address=ipv4_text(peer.address),
                reason=reason.name.lower(),
                bytes_in=session.bytes_in if session is not None else 0,
                bytes_out=session.bytes_out if session is not None else 0,
                seconds=(now - peer.established_at) // SECOND,
                detail=detail,
            )
        peer.address = 0

    def take_replaced(self) -> list[Peer]:
        """Drained peers whose address went to a newer session of the same name."""
        replaced = self._replaced
        if replaced:
            self._replaced = []
        return replaced

    def _authenticated(self, peer: Peer, session: Session, event: Authenticated, now: Nanos, unix: UnixSeconds) -> None:
        peer.common_name = event.common_name
        peer.version = event.version
        peer.authenticated_unix = unix
        self._journal.add(
            EventKind.CLIENT_AUTHENTICATED,
            now,
            conn=peer.conn.id,
            peer=peer.name,
            common_name=event.common_name,
            version=event.version,
            client_key=event.client_key,
        )
        policy = self.policy
        unwelcome = policy.unwelcome(event.common_name)
        if unwelcome:
            return self._refuse(peer, session, unwelcome, DropReason.CLIENT_DISABLED, now)
        if self.stopping:
            return self._refuse(peer, session, "the server is stopping", DropReason.SERVER_STOPPING, now)
        mapped = policy.mapped_file(event.common_name)
        if mapped:
            self._journal.add(
                EventKind.CLIENT_FILE_MAPPED,
                now,
                conn=peer.conn.id,
                peer=peer.name,
                common_name=event.common_name,
                file=mapped,
            )
        if not policy.duplicate_cn and event.common_name != NO_NAME:
            self._replace(event.common_name, peer)
        if len(self.clients) >= policy.max_clients:
            return self._refuse(peer, session, "the server is full", DropReason.CLIENTS_FULL, now)
        settings = policy.settings(event.common_name)
        taken = self._pool.take(event.common_name, settings.address)
        if taken is None:
            text = "its fixed address is in use" if settings.address else "no address is free"
            return self._refuse(peer, session, text, DropReason.POOL_EXHAUSTED, now)
        address, same_holder = taken
        peer.address = address
        self.clients[address] = peer
        if not same_holder:
            self._nat.forget(address)
        session.admit(
            Admission(
                address=address,
                netmask=self._netmask,
                route_gateway=self._server,
                peer_id=peer.conn.id % PEER_ID_LIMIT,
                push=settings.push,
                push_reset=settings.push_reset,
                push_remove=settings.push_remove,
            ),
            now,
        )
        return None

    def _replace(self, common_name: str, newcomer: Peer) -> None:
        """OpenVPN multi.c multi_delete_dup: the newest session of a name wins; its address goes to the newcomer."""
        for address, older in list(self.clients.items()):
            if older.common_name == common_name and older is not newcomer:
                self._replaced.append(older)
                self._pool.release(address)
                del self.clients[address]

    def _refuse(self, peer: Peer, session: Session, text: str, reason: DropReason, now: Nanos) -> None:
        self._journal.add(
            EventKind.CLIENT_REFUSED,
            now,
            conn=peer.conn.id,
            peer=peer.name,
            common_name=peer.common_name,
            reason=text,
        )
        session.refuse(text, now, reason, temporary=reason in _TEMPORARY)

    def _established(self, peer: Peer, event: Established, now: Nanos) -> None:
        peer.established_at = now
        self._counters.stats[Stat.SESSIONS_ESTABLISHED] += 1
        self._journal.add(
            EventKind.CLIENT_ESTABLISHED,
            now,
            conn=peer.conn.id,
            peer=peer.name,
            common_name=peer.common_name,
            address=ipv4_text(peer.address),
            cipher=event.cipher,
            key_source=event.key_source,
            wrap=event.wrap,
            tls=event.tls,
            header=event.header,
        )
