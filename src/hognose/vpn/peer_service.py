"""The service for peers: from a connection's first byte over handshake and login to its end; records in, records out.

A step calls `deliver` with packets from outside, and then `run`, which returns what goes there. An exception in one
peer's work ends that peer only.
"""

from __future__ import annotations

from collections.abc import Callable

from hognose.base.containment import Failures, attempt
from hognose.base.journal import Journal
from hognose.drops import Counters, DropReason
from hognose.errors import PeerError
from hognose.events import EventKind
from hognose.limits import Limits
from hognose.link import Outgoing
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.session import Session
from hognose.units import MS, SECOND, Nanos, Random, UnixSeconds
from hognose.vpn.admission import Admissions
from hognose.vpn.arrivals import Arrivals
from hognose.vpn.authentication import Verdict
from hognose.vpn.client_policy import ClientPolicy
from hognose.vpn.closing import Closing
from hognose.vpn.downlink import Downlink
from hognose.vpn.handshake_scheduler import HandshakeScheduler
from hognose.vpn.narrow_paths import NarrowPaths
from hognose.vpn.packet_router import Router
from hognose.vpn.peer import FIRST_RECORD_NS, Peer
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.peer_timers import PeerTimers
from hognose.vpn.rejudging import Rejudging, objection
from hognose.vpn.roaming import Roaming
from hognose.vpn.stages import PeerEvent, Stage
from hognose.vpn.transport import Listener
from hognose.vpn.turns import Turns

QUIET_NS: Nanos = 50 * MS  # after the last bytes of clients, from which on handshakes have all processor time
_GAVE_UP = "the client gave up in the TLS handshake: its log says why (its ca, verify-x509-name, remote-cert-tls)"


class PeerService:
    """All peers and their sessions."""

    def __init__(
        self,
        *,
        profile: ServerProfile,
        connect_freq: tuple[int, int],
        limits: Limits,
        now: Nanos,
        listeners: tuple[Listener, ...],
        router: Router,
        table: PeerTable,
        admissions: Admissions,
        scheduler: HandshakeScheduler,
        journal: Journal,
        failures: Failures,
        random: Random,
        counters: Counters,
    ) -> None:
        """connect_freq: connections, seconds."""
        self._profiles = profile.by_proto()
        self._connect_freq = connect_freq
        self._router = router
        self.table = table
        self.admissions = admissions
        self.scheduler = scheduler
        self._journal = journal
        self._failures = failures
        self._random = random
        self._counters = counters
        self._handshake_records = limits.step.records_least
        self._verdict_time = limits.handshake.authenticating_s * SECOND
        self.turns = Turns(limits.step)
        self.rejudging = Rejudging(limits.rejudged_per_step)
        self.timers = PeerTimers()
        self.downlink = Downlink(table.clients, limits.client_queue, counters)
        self._closing = Closing(
            table=table, timers=self.timers, scheduler=scheduler, admissions=admissions, journal=journal,
            failures=failures, counters=counters,
        )  # fmt: skip
        self._arrivals = Arrivals(
            listeners=listeners, table=table, scheduler=scheduler, timers=self.timers, closing=self._closing,
            journal=journal, failures=failures, counters=counters,
        )  # fmt: skip
        self._roaming = Roaming(table, journal, counters)
        self._narrow_paths = NarrowPaths(table, router, self.downlink)
        self._to_link: list[Outgoing] = []  # what the peers of this step send out of the tunnel
        self._traffic_at: Nanos = now  # when a client sent something last

    # -- the gateway's side ------------------------------------------------------------------------------------------

    def run(self, now: Nanos, unix: UnixSeconds) -> list[Outgoing]:
        """Serve new, readable and closed connections, seal packets for clients; returns packets for the link."""
        if self.rejudging.waiting:
            for judged in self.rejudging.take(self.table.by_transport):  # before anything that they send
                self._contain(self._judge_again, judged, now, unix)
        peers = self.table.by_transport
        readable = self._arrivals.take(now, unix)
        if self.admissions.waiting:
            self._failures.attempt("verdicts", now, self._take_verdicts, now, unix)
        alone = peers.get(readable[0].id) if len(readable) == 1 else None
        if alone is not None and alone.address and not self.turns.queue and not self.downlink.dirty:
            self._traffic_at = now
            self.turns.give_all(alone)
            error = attempt(self._take_turn, alone, now, unix)
            if error is not None:
                self._fail(self._take_turn, alone, error, now)
        else:
            for pending in readable:
                peer = peers.get(pending.id)
                if peer is not None:
                    self._contain(self._on_readable, peer, now, unix)
            if self.turns.queue:
                self._run_clients(now, unix)
        if self.scheduler.turns:
            self._run_handshakes(now - self._traffic_at >= QUIET_NS, now, unix)
        while self.downlink.dirty:  # a second time for ICMP errors, about which there are no errors
            seal = self.downlink.seal
            for peer in self.downlink.take():
                if peer.transport.record_limit:
                    self._contain(self._fit, peer, now, unix)
                if peer.down and peer.stage < Stage.CLOSING:
                    error = attempt(seal, peer, now, unix)
                    if error is not None:
                        self._fail(seal, peer, error, now)
        self._arrivals.remove_closed(now)
        to_link = self._to_link
        if to_link:
            self._to_link = []
        return to_link

    def next_deadline(self) -> Nanos | None:
        """Time of the earliest timer, 0 when clients are to be judged again; None when none runs."""
        if self.rejudging.waiting:
            return 0
        earliest = self.timers.heap[0][0] if self.timers.heap else None
        if self.scheduler.turns:
            turn_at = self.scheduler.next_turn_at(self._traffic_at + QUIET_NS)
            earliest = turn_at if earliest is None else min(earliest, turn_at)
        if self.admissions.waiting and (verdict_at := self.admissions.next_deadline()) is not None:
            earliest = verdict_at if earliest is None else min(earliest, verdict_at)
        return earliest

    def handle_deadline(self, now: Nanos, unix: UnixSeconds) -> None:
        """Run the timers of peers that are due."""
        for peer in self.timers.take_due(self.table.by_transport, now):
            self._contain(self._peer_deadline, peer, now, unix)

    def apply(self, profile: ServerProfile, policy: ClientPolicy, connect_freq: tuple[int, int]) -> None:
        """Go by a new config from now on; connected clients are judged by it in the next steps."""
        self._profiles = profile.by_proto()
        self._connect_freq = connect_freq
        self.admissions.apply(policy)
        for peer in list(self.table.by_transport.values()):
            if peer.session is not None:
                peer.session.replace_profile(self._profiles[peer.transport.proto])
                self._arm(peer, peer.session)
        self.rejudging.restart(self.table.by_transport.values())

    def stop(self, now: Nanos, unix: UnixSeconds) -> None:
        """Begin an orderly end: every client gets RESTART, every connection is closed after that."""
        self.admissions.stopping = True
        self._arrivals.stop()
        for peer in list(self.table.by_transport.values()):
            self._contain(self._shut_down_peer, peer, now, unix)

    # -- fault containment -------------------------------------------------------------------------------------------

    def _contain(
        self, work: Callable[[Peer, Nanos, UnixSeconds], None], peer: Peer, now: Nanos, unix: UnixSeconds
    ) -> None:
        """Run one peer's work; a rule broken by the peer or a bug of ours ends that peer only."""
        error = attempt(work, peer, now, unix)
        if error is not None:
            self._fail(work, peer, error, now)

    def _fail(self, work: Callable[..., None], peer: Peer, error: Exception | None, now: Nanos) -> None:
        """End the peer whose work has failed."""
        if isinstance(error, PeerError):
            error = attempt(self._closing.reject, peer, error.reason, error.detail, now)
        if error is not None:
            self._failures.note(work.__name__.strip("_"), error, now, peer.transport.id)
            self._closing.abort(peer, DropReason.INTERNAL_ERROR, now)

    # -- turns -------------------------------------------------------------------------------------------------------

    def _on_readable(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        if not peer.address and self.scheduler.holds(peer):
            self._defer(peer, now, unix)
        else:
            self.turns.add(peer)

    def _run_clients(self, now: Nanos, unix: UnixSeconds) -> None:
        """The turns of clients in this step; one with more input than its share gets another in the next step."""
        self._traffic_at = now
        peers = self.table.by_transport
        for peer in self.turns.begin(self.downlink.dirty):
            if peers.get(peer.transport.id) is peer:
                self._contain(self._take_turn, peer, now, unix)

    def _take_turn(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        self._process_input(peer, now, unix)
        session = peer.session
        if peer.stage < Stage.CLOSING and (peer.transport.has_input or (session is not None and session.has_work)):
            self._on_readable(peer, now, unix)

    def _defer(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        """Leave input of an unauthenticated peer in its receive buffer, which the window bounds, until its turn."""
        transport = peer.transport
        if transport.finished and self.scheduler.is_queued(peer):
            transport.discard()
            if peer.session is None or not peer.session.has_work:  # TLS that is left waits for its turn
                self._process_input(peer, now, unix)
            return
        if peer.stage is Stage.MUTED:
            transport.discard()
            if not transport.finished:
                return
        transport.set_aside()
        self.scheduler.enqueue(peer)

    def _run_handshakes(self, idle: bool, now: Nanos, unix: UnixSeconds) -> None:
        """Run turns of unauthenticated peers; idle: no client has sent for QUIET_NS, so that one turn is free."""
        while (peer := self.scheduler.next_peer(now, idle)) is not None:
            if self.table.by_transport.get(peer.transport.id) is peer:
                peer.share = self._handshake_records
                self._contain(self._take_turn, peer, now, unix)
            self.scheduler.charge(idle)
            idle = False

    def _process_input(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        """Work on a peer's input: at most its share of records."""
        transport, session = peer.transport, peer.session
        records: list[bytes] = []
        left_over = session is not None and session.has_work
        if peer.stage >= Stage.CLOSING:
            transport.discard()
            return
        if peer.stage is Stage.MUTED:
            transport.discard()
        elif not left_over:
            records = transport.take(peer.share)
        if records or left_over:
            if session is None:
                session = peer.session = Session(
                    self._profiles[transport.proto],
                    random=self._random,
                    now=now,
                    unix=unix,
                    counters=self._counters,
                    proof=transport.proof,
                )
            packets = session.work(now, unix) if left_over else session.receive(records, now, unix)
            if peer.stage is Stage.CONNECTED and session.greeted:
                self._promote(peer, session, now)
            produced = self._forward(peer, packets, now) if packets else 0
            if self.turns.shared:
                self.turns.charge(peer, len(records), produced)
            if session.attention:  # data alone moves timers to later only; peer deadlines see to them
                self._run_session(peer, session, now, unix)
            if transport.broken and peer.stage < Stage.CLOSING:
                transport.take(1)  # raises
        if transport.roaming:
            packets = self._roaming.take(peer, now, unix)
            if packets:
                self._forward(peer, packets, now)
            if session is not None and session.attention:
                self._run_session(peer, session, now, unix)
        if transport.ended and peer.stage < Stage.CLOSING and not (peer.session and peer.session.has_work):
            if session is not None and session.in_tls:
                raise PeerError(DropReason.PEER_CLOSED, _GAVE_UP)
            self._closing.close(peer, DropReason.PEER_CLOSED, now)

    def _promote(self, peer: Peer, session: Session, now: Nanos) -> None:
        peer.advance(PeerEvent.GREETED)
        self.table.greet(peer, session.remote_id)
        crowded = self.scheduler.promote(peer, self._connect_freq, now)
        if crowded is not None:
            self._closing.abort(crowded, DropReason.HANDSHAKE_CROWDED, now)

    def _forward(self, peer: Peer, packets: list[bytes], now: Nanos) -> int:
        """Route a client's packets; returns how many went to clients, this one included, and to the link."""
        if not peer.address:
            self._counters.drop(DropReason.NO_DATA_KEY, len(packets))
            return 0
        routed = self._router.from_client(peer.address, packets, now)
        to_link = routed.to_link
        self._to_link += to_link
        produced = self._router.frames(to_link) if self.turns.shared else 0
        if routed.to_clients:
            return produced + self.downlink.deliver(routed.to_clients)
        return produced

    def _fit(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        if peer.down and peer.stage < Stage.CLOSING:
            self._to_link += self._narrow_paths.fit(peer, now)

    # -- sessions ----------------------------------------------------------------------------------------------------

    def _run_session(self, peer: Peer, session: Session, now: Nanos, unix: UnixSeconds) -> None:
        """Handle a session's output after input, a deadline or a verdict: events, records, its end."""
        self.admissions.handle_events(peer, session, now, unix)
        transport = peer.transport
        if peer.address and self.scheduler.holds(peer):
            self.scheduler.remove(peer)
            transport.trust(peer.peer_id)
        elif peer.stage is Stage.AUTHENTICATING and not peer.verdict_by:
            peer.verdict_by = now + self._verdict_time
            crowded = self.scheduler.await_verdict(peer)
            if crowded is not None:
                self._closing.abort(crowded, DropReason.HANDSHAKE_CROWDED, now)
        for older in self.admissions.take_replaced():  # the newcomer may have their address already
            self._closing.close(older, DropReason.REPLACED, now)
        records = session.poll(now, unix)
        if records and not transport.close_reason:  # a reset may have come with what it answers
            if not transport.fits(records):
                raise PeerError(DropReason.SEND_QUEUE_FULL, "the peer does not read")
            transport.send(records)
        if session.ended is not None:
            self._closing.session_ended(peer, session.ended, now)
        else:
            self._arm(peer, session)

    def _arm(self, peer: Peer, session: Session) -> None:
        deadline = session.next_deadline()
        if peer.stage is Stage.AUTHENTICATING and (deadline is None or peer.verdict_by < deadline):
            deadline = peer.verdict_by
        if deadline is not None:
            self.timers.arm(peer, deadline)

    def _take_verdicts(self, now: Nanos, unix: UnixSeconds) -> None:
        for peer, verdict in self.admissions.verdicts(now):
            error = attempt(self._settle, peer, verdict, now, unix)
            if error is not None:
                self._fail(self._take_verdicts, peer, error, now)

    def _settle(self, peer: Peer, verdict: Verdict, now: Nanos, unix: UnixSeconds) -> None:
        """Go by a late verdict, unless the config has come to exclude the client while it waited."""
        session = peer.session
        if session is not None:
            text, reason = objection(self.admissions.policy, self._profiles[peer.transport.proto], peer, session, unix)
            self.admissions.settle(peer, Verdict(text, reason) if text and not verdict.refusal else verdict, now)
            self._run_session(peer, session, now, unix)

    def _peer_deadline(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        if peer.stage >= Stage.CLOSING or peer.stage is Stage.MUTED:
            self._closing.handle_deadline(peer, now)
            return
        session = peer.session
        if session is None:
            if now - peer.accepted_at >= FIRST_RECORD_NS:
                raise PeerError(DropReason.HANDSHAKE_TIMEOUT, "no complete OpenVPN packet in time")
            self.timers.arm(peer, peer.accepted_at + FIRST_RECORD_NS)
            return
        if peer.stage is Stage.AUTHENTICATING and now >= peer.verdict_by:
            self.admissions.time_out(peer, now)
        deadline = session.next_deadline()
        if deadline is not None and deadline <= now:
            session.handle_deadline(now, unix)
        self._run_session(peer, session, now, unix)

    def _judge_again(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        """Cut a connected client that a new CRL or client-config-dir excludes."""
        session = peer.session
        if session is None or peer.stage >= Stage.CLOSING:
            return
        text, reason = objection(self.admissions.policy, self._profiles[peer.transport.proto], peer, session, unix)
        if not text:
            return
        self._journal.add(
            EventKind.CLIENT_CUT, now, conn=peer.transport.id, peer=peer.name, common_name=peer.common_name, reason=text
        )
        session.refuse(text, now, reason)
        self._run_session(peer, session, now, unix)
        self._closing.cut(peer, reason, now, text)

    def _shut_down_peer(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        session = peer.session
        if session is not None:
            session.shutdown(now)
            self._run_session(peer, session, now, unix)
            if session.control.leaving and peer.stage < Stage.CLOSING:
                return
        self._closing.close(peer, DropReason.SERVER_STOPPING, now)
