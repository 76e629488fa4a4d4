"""The ends of peers: a broken rule, the end of a session, of a connection, of the server, a bug."""

from __future__ import annotations

from hognose.base.containment import Failures
from hognose.base.journal import Journal
from hognose.drops import Counters, DropReason, Stat
from hognose.events import EventKind
from hognose.openvpn.session_events import EndReason
from hognose.units import Nanos
from hognose.vocabulary import Proto
from hognose.vpn.admission import Admissions
from hognose.vpn.handshake_scheduler import HandshakeScheduler
from hognose.vpn.peer import FIRST_RECORD_NS, LINGER_NS, Peer
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.peer_timers import PeerTimers
from hognose.vpn.stages import PeerEvent, Stage
from hognose.vpn.transport import Pending

# Reasons of ends of clients whose log line has a detail besides the reason's name.
_TELLING = (DropReason.CERTIFICATE_REJECTED, DropReason.CLIENT_DISABLED, DropReason.TLS_ERROR)
_CLOSED: dict[Proto, Stat] = {"tcp": Stat.TCP_CLOSED, "udp": Stat.UDP_CLOSED}


class Closing:
    """Ends peers and takes them out of the tables."""

    def __init__(
        self,
        *,
        table: PeerTable,
        timers: PeerTimers,
        scheduler: HandshakeScheduler,
        admissions: Admissions,
        journal: Journal,
        failures: Failures,
        counters: Counters,
    ) -> None:
        self._table = table
        self._timers = timers
        self._scheduler = scheduler
        self._admissions = admissions
        self._journal = journal
        self._failures = failures
        self._counters = counters

    def reject(self, peer: Peer, reason: DropReason, detail: str, now: Nanos) -> None:
        """End a connection whose peer broke a rule; the log names the rule when it was not yet a client.

        A peer without a valid hard reset learns nothing, not even by the time: it is ended like one that is silent.
        """
        if not peer.established_at:
            self._counters.drop(reason)
            self._journal.add(
                EventKind.PEER_REJECTED,
                now,
                conn=peer.transport.id,
                peer=peer.name,
                reason=reason.name.lower(),
                detail=detail,
            )
        if peer.stage is Stage.CONNECTED and now < peer.accepted_at + FIRST_RECORD_NS:
            self._mute(peer)
        elif peer.stage <= Stage.MUTED:
            self.abort(peer, reason, now)
        else:
            self.close(peer, reason, now)

    def session_ended(self, peer: Peer, ended: EndReason, now: Nanos) -> None:
        """End a peer whose session is over by itself."""
        if peer.established_at or ended.told:
            self.close(peer, ended.reason, now, ended.detail if ended.reason in _TELLING else "")
        else:
            self.reject(peer, ended.reason, ended.detail, now)

    def cut(self, peer: Peer, reason: DropReason, now: Nanos, text: str) -> None:
        """End a client that was told AUTH_FAILED: over datagrams the session stays until it can have been repeated."""
        if peer.transport.proto == "udp" and peer.stage < Stage.CLOSING:
            self._admissions.leave(peer, reason, now, text)
        else:
            self.close(peer, reason, now, text)

    def close(self, peer: Peer, reason: DropReason, now: Nanos, detail: str = "") -> None:
        """End a session, and its connection after what is queued."""
        self.end(peer, reason, now, detail)
        peer.transport.close(now)

    def end(self, peer: Peer, reason: DropReason, now: Nanos, detail: str = "") -> None:
        """Forget the session; the connection may still deliver what was queued, for LINGER_NS.

        Until then an unauthenticated peer keeps its entry in the scheduler's tables, because it costs memory.
        """
        if peer.stage < Stage.CLOSING:
            peer.advance(PeerEvent.ENDED)
            peer.ends_at = now + LINGER_NS
            self._timers.arm(peer, peer.ends_at)
        self._admissions.leave(peer, reason, now, detail)  # idempotent: a second call makes up for a failure
        peer.session = None
        peer.down = []

    def abort(self, peer: Peer, reason: DropReason, now: Nanos) -> None:
        """End a peer and its connection at once."""
        self._scheduler.remove(peer)
        self.end(peer, reason, now)
        try:
            peer.transport.abort(now)
        except Exception as error:
            self._failures.note("abort", error, now, peer.transport.id)
            peer.ends_at = now + LINGER_NS
            self._timers.arm(peer, peer.ends_at)  # and again
            return
        self._remove(peer)

    def handle_deadline(self, peer: Peer, now: Nanos) -> None:
        """Abort a muted or closing peer when its time is over; a timer from before may have come earlier."""
        if now < peer.ends_at:
            self._timers.arm(peer, peer.ends_at)
        elif peer.stage is Stage.MUTED:
            self.abort(peer, DropReason.HANDSHAKE_TIMEOUT, now)
        else:
            self.abort(peer, DropReason.PEER_CLOSED, now)

    def refuse(self, pending: Pending, now: Nanos) -> None:
        """Abort a connection whose acceptance has failed, before or after it became a peer."""
        peer = self._table.by_transport.get(pending.id)
        if peer is None:
            pending.abort(now)
        else:
            self.abort(peer, DropReason.INTERNAL_ERROR, now)

    def closed(self, conn_id: int, proto: Proto, now: Nanos) -> None:
        """Take note of a connection's end; its peer may be gone before."""
        peer = self._table.by_transport.get(conn_id)
        if peer is None:
            self._counters.stats[_CLOSED[proto]] += 1
            return
        self._scheduler.remove(peer)
        if not peer.established_at:
            self._journal.add(
                EventKind.PEER_CLOSED,
                now,
                conn=conn_id,
                peer=peer.name,
                reason=peer.transport.close_reason or "closed",
            )
        self.end(peer, DropReason.PEER_CLOSED, now)
        self._remove(peer)
        self._counters.stats[_CLOSED[proto]] += 1

    def _mute(self, peer: Peer) -> None:
        peer.advance(PeerEvent.MUTED)
        peer.session = None
        peer.transport.discard()
        peer.ends_at = peer.accepted_at + FIRST_RECORD_NS
        self._timers.arm(peer, peer.ends_at)

    def _remove(self, peer: Peer) -> None:
        self._table.remove(peer)
        peer.advance(PeerEvent.LEFT)
