"""Transports of all ports of the VPN on their way to the service: new ones, those with input, those that are over."""

from __future__ import annotations

from collections.abc import Sequence

from hognose.base.containment import Failures, attempt
from hognose.base.journal import Journal
from hognose.drops import Counters, DropReason, Stat
from hognose.events import EventKind
from hognose.units import Nanos, UnixSeconds
from hognose.vocabulary import Proto
from hognose.vpn.closing import Closing
from hognose.vpn.handshake_scheduler import HandshakeScheduler
from hognose.vpn.peer import FIRST_RECORD_NS, Peer
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.peer_timers import PeerTimers
from hognose.vpn.transport import Listener, Pending

_ACCEPTED: dict[Proto, Stat] = {"tcp": Stat.TCP_ACCEPTED, "udp": Stat.UDP_ACCEPTED}


class Arrivals:
    """All listeners as one: a peer comes from any of them, its number tells its transport from all others."""

    def __init__(
        self,
        *,
        listeners: tuple[Listener, ...],
        table: PeerTable,
        scheduler: HandshakeScheduler,
        timers: PeerTimers,
        closing: Closing,
        journal: Journal,
        failures: Failures,
        counters: Counters,
    ) -> None:
        self._listeners = listeners
        self._table = table
        self._scheduler = scheduler
        self._timers = timers
        self._closing = closing
        self._journal = journal
        self._failures = failures
        self._counters = counters
        self._stopping = False

    def take(self, now: Nanos, unix: UnixSeconds) -> Sequence[Pending]:
        """Make peers of new transports; drained: those with input."""
        readable: Sequence[Pending] = ()
        for listener in self._listeners:
            for pending in listener.accepted(now, unix):
                error = attempt(self._accept, listener, pending, now)
                if error is not None:
                    self._failures.note("accept", error, now)
                    self._failures.attempt("accept", now, self._closing.refuse, pending, now)
            found = listener.readable()
            readable = [*readable, *found] if readable else found
        return readable

    def stop(self) -> None:
        """Let no more peers come: a client that comes back at once would be refused, and wait or give up."""
        self._stopping = True
        for listener in self._listeners:
            listener.stop()

    def remove_closed(self, now: Nanos) -> None:
        """End the peers whose transport is over."""
        for listener in self._listeners:
            for pending in listener.closed():
                self._failures.attempt("gone", now, self._closing.closed, pending.id, listener.proto, now)
                if pending.id in self._table.by_transport:  # it was interrupted
                    self._failures.attempt("gone", now, self._closing.closed, pending.id, listener.proto, now)

    def _accept(self, listener: Listener, pending: Pending, now: Nanos) -> None:
        self._counters.stats[_ACCEPTED[listener.proto]] += 1
        if self._stopping:
            self._counters.drop(DropReason.SERVER_STOPPING)
            pending.abort(now)
            return
        transport = listener.open(pending)
        peer = Peer(transport, transport.opened_at)
        self._table.add(peer)
        crowded = self._scheduler.add_stranger(peer)
        self._timers.arm(peer, peer.accepted_at + FIRST_RECORD_NS)
        if crowded is not None:
            self._closing.abort(crowded, DropReason.STRANGER_CROWDED, now)
        self._journal.add(EventKind.PEER_CONNECTED, now, conn=transport.id, peer=peer.name)
