"""Admission of authenticated sessions: the answer, the client's address, and the log lines of its life."""

from __future__ import annotations

from hognose.address import Address, address_text
from hognose.base.journal import Journal
from hognose.drops import Counters, DropReason, Stat
from hognose.events import EventKind
from hognose.nat.nat import Nat
from hognose.openvpn.control.push import Admission
from hognose.openvpn.session import Session
from hognose.openvpn.session_events import (
    Authenticated,
    Disagreed,
    Established,
    Renegotiated,
    RenegotiationFailed,
    SessionEvent,
)
from hognose.openvpn.tls.certificates import NO_NAME
from hognose.units import SECOND, Nanos, UnixSeconds
from hognose.vpn.addresses import AddressPool
from hognose.vpn.authentication import Authenticator, AuthRequest, Ticket, Verdict
from hognose.vpn.client_policy import ClientPolicy
from hognose.vpn.peer import Peer
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.stages import PeerEvent

# Causes on the server's side: the client is asked to try again (IV_PROTO AUTH_FAIL_TEMP).
_TEMPORARY = (DropReason.SERVER_STOPPING, DropReason.CLIENTS_FULL, DropReason.POOL_EXHAUSTED)
_NO_VERDICT = Verdict("no answer to the login in time", DropReason.HANDSHAKE_TIMEOUT, temporary=True)


class Admissions:
    """Admission of authenticated peers as clients.

    Bounds: max_clients authenticated clients (the newcomer is refused), the pool's addresses (likewise). A client
    with the same certificate name replaces the older session unless duplicate-cn, as OpenVPN does; the names are those
    of the certificates, never mapped, and clients without one do not replace each other.
    """

    def __init__(
        self,
        *,
        table: PeerTable,
        authenticator: Authenticator,
        pool: AddressPool,
        netmask: Address,
        policy: ClientPolicy,
        nat: Nat,
        journal: Journal,
        counters: Counters,
    ) -> None:
        self._table = table
        self._authenticator = authenticator
        self.pool = pool
        self._netmask = netmask
        self._nat = nat
        self._journal = journal
        self._counters = counters
        self.waiting: dict[Ticket, Peer] = {}  # logins without a verdict; bound: HandshakeLimits.authenticating
        self._replaced: list[Peer] = []  # older sessions of the same name, for the gateway to end
        self.stopping = False
        self.apply(policy)

    def apply(self, policy: ClientPolicy) -> None:
        """The policy for clients that come from now on."""
        self.policy = policy
        self.pool.reserve(policy.reservations, policy.fixed_addresses())

    def handle_events(self, peer: Peer, session: Session, now: Nanos, unix: UnixSeconds) -> None:
        """Drain a session's events, those that an admission leads to as well: admit or refuse, and write the lines."""
        while events := session.take_events():
            for event in events:
                self._handle(peer, session, event, now, unix)

    def _handle(self, peer: Peer, session: Session, event: SessionEvent, now: Nanos, unix: UnixSeconds) -> None:
        if isinstance(event, Authenticated):
            self._authenticated(peer, session, event, now, unix)
        elif isinstance(event, Established):
            self._established(peer, event, now)
        elif isinstance(event, Renegotiated):
            self._counters.stats[Stat.RENEGOTIATIONS] += 1
            self._journal.add(
                EventKind.CLIENT_RENEGOTIATED,
                now,
                conn=peer.transport.id,
                common_name=peer.common_name,
                key_id=event.key_id,
                tls=event.tls,
                wrap=event.wrap,
            )
        elif isinstance(event, Disagreed):
            peer.advance(PeerEvent.REFUSED)
            self._journal.add(
                EventKind.PEER_REJECTED,
                now,
                conn=peer.transport.id,
                peer=peer.name,
                common_name=event.common_name,
                reason=event.reason.name.lower(),
                detail=event.detail,
            )
        elif isinstance(event, RenegotiationFailed):
            self._journal.add(
                EventKind.RENEGOTIATION_FAILED,
                now,
                conn=peer.transport.id,
                common_name=peer.common_name,
                detail=event.detail,
            )

    def _tell(self, kind: EventKind, peer: Peer, now: Nanos, **fields: str | int) -> None:
        """Write a client's line, which begins with its connection, outer endpoint and name."""
        self._journal.add(kind, now, conn=peer.transport.id, peer=peer.name, common_name=peer.common_name, **fields)

    def leave(self, peer: Peer, reason: DropReason, now: Nanos, detail: str = "") -> None:
        """Free the address of a peer whose session is over, and write its line. Idempotent."""
        self._forget_login(peer)
        if not peer.address:
            return
        if self._table.clients.get(peer.address) is peer:
            self.pool.release(peer.address)
            self._table.vacate(peer)
        if peer.established_at:
            self._counters.stats[Stat.SESSIONS_ENDED] += 1
            session = peer.session
            self._tell(
                EventKind.CLIENT_ENDED,
                peer,
                now,
                address=address_text(peer.address),
                reason=reason.name.lower(),
                bytes_in=session.bytes_in if session is not None else 0,
                bytes_out=session.bytes_out if session is not None else 0,
                seconds=(now - peer.established_at) // SECOND,
                detail=detail,
            )
        self._table.leave(peer)

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
        self._tell(
            EventKind.CLIENT_AUTHENTICATED,
            peer,
            now,
            version=event.version,
            client_key=event.client_key,
        )
        policy = self.policy
        unwelcome = policy.unwelcome(event.common_name)
        if unwelcome:
            return self._refuse(peer, session, unwelcome, DropReason.CLIENT_DISABLED, now)
        if self.stopping:
            return self._refuse(peer, session, "the server is stopping", DropReason.SERVER_STOPPING, now)
        request = AuthRequest(event.common_name, peer.transport.endpoint, event.peer_info)
        answer = self._authenticator.decide(request, now)
        if isinstance(answer, Verdict):
            return self.settle(peer, answer, now)
        peer.ticket = answer
        self.waiting[answer] = peer
        peer.advance(PeerEvent.ASKED)
        return None

    # -- logins ------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> Nanos | None:
        """Time at which the authenticator may have a verdict; None when no login waits."""
        return self._authenticator.next_deadline() if self.waiting else None

    def verdicts(self, now: Nanos) -> list[tuple[Peer, Verdict]]:
        """Drained: verdicts that have come for logins that still wait; `settle` is to be called with each."""
        found = []
        for ticket, verdict in self._authenticator.poll(now):
            peer = self.waiting.pop(ticket, None)
            if peer is not None:
                peer.ticket = None
                found.append((peer, verdict))
        return found

    def time_out(self, peer: Peer, now: Nanos) -> None:
        """Refuse a login that has waited for too long."""
        self._forget_login(peer)
        self.settle(peer, _NO_VERDICT, now)

    def _forget_login(self, peer: Peer) -> None:
        if peer.ticket is not None:
            ticket, peer.ticket = peer.ticket, None
            self.waiting.pop(ticket, None)
            self._authenticator.cancel(ticket)

    def settle(self, peer: Peer, verdict: Verdict, now: Nanos) -> None:
        """Admit or refuse a peer whose login has its verdict; the caller runs the session after that."""
        policy, common_name, session = self.policy, peer.common_name, peer.session
        if session is None:
            return None
        if verdict.refusal:
            return self._refuse(peer, session, verdict.refusal, verdict.reason, now, temporary=verdict.temporary)
        if self.stopping:
            return self._refuse(peer, session, "the server is stopping", DropReason.SERVER_STOPPING, now)
        mapped = policy.mapped_file(common_name)
        if mapped:
            self._tell(
                EventKind.CLIENT_FILE_MAPPED,
                peer,
                now,
                file=mapped,
            )
        if not policy.duplicate_cn and common_name != NO_NAME:
            self._replace(common_name, peer)
        if len(self._table.clients) >= policy.max_clients:
            return self._refuse(peer, session, "the server is full", DropReason.CLIENTS_FULL, now)
        settings = policy.settings(common_name)
        fixed = settings.address
        taken = self.pool.take(common_name, fixed)
        if taken is None:
            text = "its fixed address is in use" if fixed else "no address is free"
            return self._refuse(peer, session, text, DropReason.POOL_EXHAUSTED, now)
        address, same_holder = taken
        try:
            self._table.admit(peer, address)
        except Exception:
            self.pool.release(address)
            raise
        peer.advance(PeerEvent.ADMITTED)
        if not same_holder:
            self._nat.forget(address)
        session.admit(
            Admission(
                address=address,
                netmask=self._netmask,
                peer_id=peer.peer_id,
                push=settings.push,
                push_reset=settings.push_reset,
                push_remove=settings.push_remove,
            ),
            now,
        )
        return None

    def _replace(self, common_name: str, newcomer: Peer) -> None:
        """OpenVPN multi.c multi_delete_dup: the newest session of a name wins; its address goes to the newcomer."""
        for address, older in list(self._table.clients.items()):
            if older.common_name == common_name and older is not newcomer:
                self._replaced.append(older)
                self.pool.release(address)
                self._table.vacate(older)

    def _refuse(
        self, peer: Peer, session: Session, text: str, reason: DropReason, now: Nanos, *, temporary: bool = False
    ) -> None:
        self._tell(
            EventKind.CLIENT_REFUSED,
            peer,
            now,
            reason=text,
        )
        peer.advance(PeerEvent.REFUSED)
        session.refuse(text, now, reason, temporary=temporary or reason in _TEMPORARY)

    def _established(self, peer: Peer, event: Established, now: Nanos) -> None:
        peer.advance(PeerEvent.ESTABLISHED)
        peer.established_at = now
        self._table.refit(peer)
        self._counters.stats[Stat.SESSIONS_ESTABLISHED] += 1
        self._tell(
            EventKind.CLIENT_ESTABLISHED,
            peer,
            now,
            address=address_text(peer.address),
            cipher=event.cipher,
            key_source=event.key_source,
            wrap=event.wrap,
            tls=event.tls,
            header=event.header,
        )
