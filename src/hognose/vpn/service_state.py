"""Established clients as plain data: out of one service, into another that goes on with them.

Peers that are not established are no part of it: their connections are ended, and their clients connect again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hognose.address import Address
from hognose.errors import LocalError
from hognose.openvpn.session import Session, SessionState
from hognose.units import Nanos, UnixSeconds
from hognose.vpn.addresses import AddressPool, PoolState
from hognose.vpn.peer import Peer
from hognose.vpn.peer_service import PeerService
from hognose.vpn.stages import Stage
from hognose.vpn.transport import Listener, Pending


@dataclass(frozen=True, slots=True)
class PeerState:
    """One established client. transport: its id; unfinished: the beginning of a record that has not come whole."""

    transport: int
    unfinished: bytes
    accepted_at: Nanos
    session: SessionState
    session_id: bytes
    address: Address
    peer_id: int
    common_name: str
    version: str
    authenticated_unix: UnixSeconds
    established_at: Nanos


@dataclass(frozen=True, slots=True)
class ServiceState:
    """All established clients, and what the service keeps of those before them; times in the clock of its caller."""

    peers: tuple[PeerState, ...]
    pool: PoolState


def export_service(service: PeerService) -> ServiceState:
    """The state between two steps, while no input and no packet waits, else LocalError; nothing changes."""
    if service.turns.queue or service.downlink.dirty or service.rejudging.waiting:
        raise LocalError("the state of the peers was asked for in the middle of a step")
    peers = (_exported(peer) for peer in service.table.by_transport.values())
    established = tuple(peer for peer in peers if peer is not None)
    return ServiceState(established, service.admissions.pool.export())


def restore_service(
    service: PeerService,
    state: ServiceState,
    connections: Iterable[tuple[Listener, Pending]],
    *,
    restored: Callable[[SessionState], Session],
    now: Nanos,
) -> None:
    """Give a new service the clients of another one; connections without one of them are aborted.

    connections: each with the listener that makes its transport. Clients over datagrams are not among them: they
    connect again.
    restored: the session of a state. Every client is served in the next step, in which it begins a renegotiation.
    LocalError when a client has no connection, or two have the same name; the service is not to be used then.
    """
    table, pool = service.table, service.admissions.pool
    pool.restore(state.pool)
    by_id = {pending.id: (listener, pending) for listener, pending in connections}
    for one in state.peers:
        found = by_id.pop(one.transport, None)
        if found is None:
            raise LocalError("a client without a connection")
        listener, pending = found
        peer = Peer(
            listener.open(pending, one.unfinished),
            one.accepted_at,
            stage=Stage.ESTABLISHED,
            session=restored(one.session),
            session_id=one.session_id,
            address=one.address,
            peer_id=one.peer_id,
            common_name=one.common_name,
            version=one.version,
            authenticated_unix=one.authenticated_unix,
            established_at=one.established_at,
        )
        table.adopt(peer)
        if peer.session is not None:
            table.mss[peer.address] = peer.session.control.inner_mss
        service.timers.arm(peer, now)
    _release_all_but(pool, state)
    for _, pending in by_id.values():
        pending.abort(now)


def _release_all_but(pool: AddressPool, state: ServiceState) -> None:
    """Give back the addresses of clients that were admitted and had no keys yet."""
    kept = {peer.address for peer in state.peers}
    for address, _ in state.pool.taken:
        if address not in kept:
            pool.release(address)


def _exported(peer: Peer) -> PeerState | None:
    session = peer.session.export() if peer.session is not None and peer.stage is Stage.ESTABLISHED else None
    if session is None or peer.transport.proto != "tcp":
        return None
    return PeerState(
        transport=peer.transport.id,
        unfinished=peer.transport.unfinished,
        accepted_at=peer.accepted_at,
        session=session,
        session_id=peer.session_id,
        address=peer.address,
        peer_id=peer.peer_id,
        common_name=peer.common_name,
        version=peer.version,
        authenticated_unix=peer.authenticated_unix,
        established_at=peer.established_at,
    )
