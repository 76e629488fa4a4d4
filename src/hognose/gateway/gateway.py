"""The gateway: the only object that the shell knows. Frames in, frames out, events; pure.

Composition only: TCP connections become peers, their records sessions, the sessions' packets go through the
forwarder to the NAT, to other clients or to ourselves, and the answers come back the same way. An exception in any
engine ends one session or loses one packet and is reported; it never leaves `step`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec

from hognose.base.journal import Journal
from hognose.config.model import ServerConfig
from hognose.drops import Counters, DropReason, Stat
from hognose.errors import PeerError
from hognose.events import Event, EventKind
from hognose.gateway.live import LiveConfig, PeriodicTasks
from hognose.ip.neighbor import NeighborTable
from hognose.limits import Limits
from hognose.nat.nat import Nat
from hognose.openvpn.framing import RecordSplitter, join
from hognose.openvpn.session import Session
from hognose.router.egress import Egress
from hognose.router.forwarding import Forwarder
from hognose.router.ingress import Ingress
from hognose.tcp.connection import TcpConnection
from hognose.tcp.server import TcpServer
from hognose.units import MS, Ipv4Int, Nanos, Random, UnixSeconds
from hognose.vpn.admission import Admissions
from hognose.vpn.client_list import status_lines
from hognose.vpn.handshake_scheduler import HandshakeScheduler
from hognose.vpn.peer import FIRST_RECORD_NS, LINGER_NS, Peer
from hognose.vpn.peer_timers import PeerTimers
from hognose.vpn.rejudging import Rejudging, objection
from hognose.vpn.turns import Turns

# Bytes that sealing and framing add to an inner packet, rounded up; for queue accounting.
RECORD_OVERHEAD = 32
QUIET_NS: Nanos = 50 * MS  # after the last bytes of clients, from which on handshakes have all processor time
RETRY_NS: Nanos = 100 * MS  # after a bug of ours, until what it has kept from being done is tried again
# Reasons of ends of clients whose log line has a detail besides the reason's name.
_TELLING = (DropReason.CERTIFICATE_REJECTED, DropReason.CLIENT_DISABLED, DropReason.TLS_ERROR)
_GAVE_UP = "the client gave up in the TLS handshake: its log says why (its ca, verify-x509-name, remote-cert-tls)"
_NEVER: Nanos = 1 << 63
P = ParamSpec("P")


class Gateway:
    """All engines of one running server, and the clients that use it."""

    def __init__(
        self,
        *,
        live: LiveConfig,
        limits: Limits,
        now: Nanos,
        tcp: TcpServer,
        nat: Nat,
        neighbors: NeighborTable,
        ingress: Ingress,
        egress: Egress,
        forwarder: Forwarder,
        admissions: Admissions,
        handshake_scheduler: HandshakeScheduler,
        journal: Journal,
        random: Random,
        counters: Counters,
    ) -> None:
        self._live = live
        self._periodic_tasks = PeriodicTasks(live.config, now)
        self._limits = limits
        self._tcp = tcp
        self._nat = nat
        self._neighbors = neighbors
        self._ingress = ingress
        self._egress = egress
        self._forwarder = forwarder
        self._admissions = admissions
        self._handshake_scheduler = handshake_scheduler
        self._journal = journal
        self._random = random
        self._counters = counters
        self._turns = Turns(limits.step)
        self._client_bytes = limits.step.client_bytes
        self._peers: dict[int, Peer] = {}
        self._rejudging = Rejudging(limits.rejudged_per_step)
        self._timers = PeerTimers()
        self._wake_at: Nanos = 0  # no timer is due before; 0 from a step to the next call of next_deadline
        self._dirty: list[Peer] = []  # peers with packets in `down`
        self._now: Nanos = now  # of the last step
        self._retry_at: Nanos = now  # something has failed and is tried again then, if that is not over
        self._traffic_at: Nanos = now  # when a client sent something last
        self._stopping = False
        self._journal.tls_warnings(self._live.profile.tls.warnings, now)

    # -- the shell's side ------------------------------------------------------------------------------------------

    def step(self, frames: list[bytes], now: Nanos, unix: UnixSeconds) -> list[list[bytes]]:
        """Take received frames, do everything that is due, and return the frames to send (lists of pieces).

        frames are read-only, not kept, and passed the sieve where there is one. now never goes back; unix may.
        """
        self._now = now
        if frames or self._ingress.held:
            self._attempt("ingress", now, self._receive, frames, now)
        if now >= self._wake_at:
            self._attempt("timers", now, self._run_timers, now, unix)
        self._wake_at = 0
        self._attempt("peers", now, self._run_peers, now, unix)
        self._attempt("tcp.poll", now, self._poll_tcp, now)
        try:
            return self._egress.take()
        except Exception as error:
            self._failed("egress", error, now)
            return []

    def sieve(self, now: Nanos) -> Callable[[list[bytes]], list[bytes]] | None:
        """Filter for the frames of the next step while SYNs flood, else None."""
        try:
            return self._ingress.sieve(now)
        except Exception as error:
            self._failed("sieve", error, now)
            return None

    def next_deadline(self) -> Nanos | None:
        """Earliest time at which step has to run without frames; None when there is nothing to wait for."""
        try:
            earliest = self._earliest()
        except Exception as error:
            self._failed("next_deadline", error, self._now)
            earliest = _NEVER
        if self._retry_at > self._now:  # what was left undone is done soon, and not over and over until then
            earliest = min(earliest, self._retry_at) if earliest > self._now else self._retry_at
        self._wake_at = earliest
        if self._turns.queue or self._ingress.held:
            return self._now
        return earliest if earliest != _NEVER else None

    def _earliest(self) -> Nanos:
        earliest = self._periodic_tasks.next_deadline(self._live.config)
        if (heap := self._timers.heap) and heap[0][0] < earliest:
            earliest = heap[0][0]
        for engine in (self._tcp, self._nat, self._neighbors, self._forwarder):
            deadline = engine.next_deadline()
            if deadline is not None and deadline < earliest:
                earliest = deadline
        if self._handshake_scheduler.busy:
            earliest = min(earliest, self._handshake_scheduler.next_turn_at(self._traffic_at + QUIET_NS))
        return 0 if self._tcp.has_closed or self._rejudging.waiting else earliest

    @property
    def wants_frames(self) -> bool:
        """False while frames of an earlier step wait: new ones are left in the device until then."""
        return not self._ingress.held

    def take_events(self) -> list[Event]:
        """Drained events, oldest first."""
        return self._journal.take()

    def take_status(self) -> list[str]:
        """Drained status lines of the directive `status`: a list at each of its intervals and one at the end."""
        return self._journal.take_status()

    def reconfigure(self, config: ServerConfig, now: Nanos, unix: UnixSeconds) -> None:
        """Put what can change of a new config in force; clients that may no longer be here are cut in the next steps.

        ConfigError when TLS refuses it; then everything stays as it was. The log names what needs a restart.
        """
        needs_restart = self._live.change(config)
        self._journal.tls_warnings(self._live.profile.tls.warnings, now)
        if needs_restart:
            self._journal.add(EventKind.CONFIG_NEEDS_RESTART, now, directives=" ".join(needs_restart))
        self._admissions.apply(self._live.policy)
        self._forwarder.change_dns_servers(self._live.config.dns_servers)
        for peer in list(self._peers.values()):
            if peer.session is not None:
                peer.session.replace_profile(self._live.profile)
                deadline = peer.session.next_deadline()
                if deadline is not None:
                    self._timers.arm(peer, deadline)
        self._rejudging.restart(self._peers.values())

    def stop(self, reason: str, now: Nanos, unix: UnixSeconds) -> None:
        """Begin an orderly end: clients get RESTART as from OpenVPN, connections are closed after that."""
        if self._live.config.status_interval:
            self._write_status(unix)
        self._stopping = True
        self._admissions.stopping = True
        clients = sum(1 for peer in self._peers.values() if peer.established_at)
        self._journal.add(EventKind.STOPPING, now, reason=reason, clients=clients)
        for peer in list(self._peers.values()):
            self._contained(self._shut_down_peer, peer, now, unix)

    @property
    def stopped(self) -> bool:
        """True when an orderly end was asked for and no connection is left."""
        return self._stopping and not self._peers

    @property
    def client_count(self) -> int:
        """Clients with an address."""
        return len(self._admissions.clients)

    # -- fault containment -----------------------------------------------------------------------------------------

    def _contained(
        self, work: Callable[[Peer, Nanos, UnixSeconds], None], peer: Peer, now: Nanos, unix: UnixSeconds
    ) -> None:
        """Run one peer's work; a rule broken by the peer or a bug of ours ends that peer only."""
        try:
            try:
                work(peer, now, unix)
            except PeerError as error:
                self._reject(peer, error.reason, error.detail, now)
        except Exception as error:
            self._failed(work.__name__.strip("_"), error, now, peer)
            self._abort(peer, DropReason.INTERNAL_ERROR, now)

    def _attempt(self, where: str, now: Nanos, work: Callable[P, None], *arguments: P.args, **named: P.kwargs) -> None:
        """Run work that belongs to no session; a bug of ours is counted and reported."""
        try:
            work(*arguments, **named)
        except Exception as error:
            self._failed(where, error, now)

    def _failed(self, where: str, error: Exception, now: Nanos, peer: Peer | None = None) -> None:
        self._counters.drop(DropReason.INTERNAL_ERROR)
        self._retry_at = self._retry_at if self._retry_at > now else now + RETRY_NS
        self._journal.failure(where, error, now, peer.conn.id if peer is not None else 0)

    def _receive(self, frames: list[bytes], now: Nanos) -> None:
        routed = self._ingress.receive(frames, now)
        for address, packets in routed.to_clients.items():
            self._queue(address, packets)
        for error in routed.failures:
            self._journal.failure("ingress", error, now)
        for source, port in routed.udp_clients:
            self._journal.udp_client(source, port, now)
        if routed.to_link:
            self._egress.send(routed.to_link, now)

    def _run_peers(self, now: Nanos, unix: UnixSeconds) -> None:
        """Serve new, readable and closed connections, and send what was queued for clients."""
        if self._rejudging.waiting:
            for judged in self._rejudging.take(self._peers):  # before anything that they send
                self._contained(self._judge_again, judged, now, unix)
        for conn in self._tcp.accepted():
            self._attempt("accept", now, self._accept, conn, now)
            if conn.id not in self._peers:
                self._attempt("accept", now, conn.abort, now)
        readable = self._tcp.readable()
        alone = self._peers.get(readable[0].id) if len(readable) == 1 else None
        if alone is not None and alone.address and not self._turns.queue and not self._dirty:
            self._traffic_at = now
            self._turns.give_all(alone)
            self._contained(self._take_turn, alone, now, unix)
        else:
            for conn in readable:
                peer = self._peers.get(conn.id)
                if peer is not None:
                    self._contained(self._on_readable, peer, now, unix)
            if self._turns.queue:
                self._run_clients(now, unix)
        if self._handshake_scheduler.busy:
            self._run_handshakes(now - self._traffic_at >= QUIET_NS, now, unix)
        self._flush_down(now, unix)
        for conn in self._tcp.closed():
            self._attempt("gone", now, self._on_closed, conn, now)
            if conn.id in self._peers:  # it was interrupted
                self._attempt("gone", now, self._on_closed, conn, now)

    def _on_readable(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        if not peer.address and self._handshake_scheduler.holds(peer):
            self._defer(peer, now, unix)
        else:
            self._turns.add(peer)

    def _run_clients(self, now: Nanos, unix: UnixSeconds) -> None:
        """The turns of clients in this step; one with more input than its share gets another in the next step."""
        self._traffic_at = now
        for peer in self._turns.begin(self._dirty):
            if self._peers.get(peer.conn.id) is peer:
                self._contained(self._take_turn, peer, now, unix)

    def _take_turn(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        self._process_input(peer, now, unix)
        if peer.has_input:
            self._on_readable(peer, now, unix)

    def _accept(self, conn: TcpConnection, now: Nanos) -> None:
        self._counters.stats[Stat.TCP_ACCEPTED] += 1
        peer = Peer(conn, RecordSplitter(self._limits.openvpn.record_len), conn.opened_at)
        crowded = self._handshake_scheduler.add_stranger(peer)
        self._peers[conn.id] = peer
        self._timers.arm(peer, peer.accepted_at + FIRST_RECORD_NS)
        if crowded is not None:
            self._abort(crowded, DropReason.STRANGER_CROWDED, now)
        self._journal.add(EventKind.PEER_CONNECTED, now, conn=conn.id, peer=peer.name)

    def _defer(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        """Leave input of an unauthenticated peer in its receive buffer, which the window bounds, until its turn."""
        conn = peer.conn
        if conn.finished and peer.waits:  # it closed while it waited: its turn goes to other peers
            conn.take()
            self._process_input(peer, now, unix)
            return
        if peer.muted:
            conn.take()
            if not conn.finished:
                return
        conn.compact()
        self._handshake_scheduler.enqueue(peer)

    def _run_handshakes(self, idle: bool, now: Nanos, unix: UnixSeconds) -> None:
        """Run turns of unauthenticated peers; idle: no client has sent for QUIET_NS, so that one turn is free."""
        while (peer := self._handshake_scheduler.next_peer(now, idle)) is not None:
            if self._peers.get(peer.conn.id) is peer:
                peer.share = self._limits.step.records_least
                self._contained(self._take_turn, peer, now, unix)
            self._handshake_scheduler.charge(idle)
            idle = False

    def _process_input(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        """Work on a peer's input: at most its share of records."""
        conn, session, splitter = peer.conn, peer.session, peer.splitter
        records: list[bytes] = []
        left_over = session is not None and session.has_work
        if peer.closing or peer.muted:
            conn.take()
            if peer.closing:
                return
        elif not left_over:
            records = splitter.feed([] if splitter.full else conn.take(self._client_bytes), peer.share)
        if records or left_over:
            if session is None:
                session = peer.session = Session(
                    self._live.profile, random=self._random, now=now, unix=unix, counters=self._counters
                )
            packets = session.work(now, unix) if left_over else session.receive(records, now, unix)
            if not peer.greeted and session.greeted:
                self._promote(peer, now)
            if self._turns.shared:
                queued = self._egress.queued
                delivered = self._forward(peer, packets, now) if packets else 0
                self._turns.charge(peer, len(records), self._egress.queued - queued + delivered)
            elif packets:
                self._forward(peer, packets, now)
            if session.attention:  # data alone moves timers to later only; peer deadlines see to them
                self._run_session(peer, session, now, unix)
            if peer.splitter.broken and not peer.closing:  # one that was muted has a new splitter
                peer.splitter.feed([])  # raises
        if conn.eof and not peer.has_input and not peer.closing:
            if session is not None and session.in_tls:
                raise PeerError(DropReason.PEER_CLOSED, _GAVE_UP)
            self._end(peer, DropReason.PEER_CLOSED, now)
            conn.close(now)

    def _promote(self, peer: Peer, now: Nanos) -> None:
        peer.greeted = True
        crowded = self._handshake_scheduler.promote(peer, self._live.config.connect_freq, now)
        if crowded is not None:
            self._abort(crowded, DropReason.HANDSHAKE_CROWDED, now)

    def _forward(self, peer: Peer, packets: list[bytes], now: Nanos) -> int:
        """Route a client's packets; returns how many went to clients, this one included."""
        if peer.address == 0:
            self._counters.drop(DropReason.NO_DATA_KEY, len(packets))
            return 0
        routed = self._forwarder.from_client(peer.address, packets, now)
        if routed.to_link:
            self._egress.send(routed.to_link, now)
        for address, inner in routed.to_clients.items():
            self._queue(address, inner)
        return sum(map(len, routed.to_clients.values()))

    def _end_replaced(self, now: Nanos) -> None:
        """End older sessions of a name that connected again; the newcomer may have their address already."""
        for older in self._admissions.take_replaced():
            self._end(older, DropReason.REPLACED, now)
            older.conn.close(now)

    def _run_session(self, peer: Peer, session: Session, now: Nanos, unix: UnixSeconds) -> None:
        """Handle a session's output after input or a deadline: events, records, its end."""
        self._admissions.handle_events(peer, session, now, unix)
        if peer.address and self._handshake_scheduler.holds(peer):
            self._handshake_scheduler.remove(peer)
            peer.conn.trust()
        self._end_replaced(now)
        records = session.poll(now, unix)
        if records and peer.conn.close_reason is None:  # a reset may have come with what it answers
            pieces = join(records)
            if sum(map(len, pieces)) <= peer.conn.send_space:
                peer.conn.write(pieces)
            else:
                raise PeerError(DropReason.SEND_QUEUE_FULL, "the peer does not read")
        if session.ended is not None:
            self._session_ended(peer, session, now)
            return
        deadline = session.next_deadline()
        if deadline is not None:
            self._timers.arm(peer, deadline)

    def _session_ended(self, peer: Peer, session: Session, now: Nanos) -> None:
        ended = session.ended
        assert ended is not None
        if peer.established_at or ended.told:
            self._end(peer, ended.reason, now, ended.detail if ended.reason in _TELLING else "")
        else:
            self._reject(peer, ended.reason, ended.detail, now)
            return
        peer.conn.close(now)

    def _reject(self, peer: Peer, reason: DropReason, detail: str, now: Nanos) -> None:
        """End a connection whose peer broke a rule; the log names the rule when it was not yet a client.

        A peer without a valid hard reset learns nothing, not even by the time: it is ended like one that is silent.
        """
        if not peer.established_at:
            self._counters.drop(reason)
            self._journal.add(
                EventKind.PEER_REJECTED,
                now,
                conn=peer.conn.id,
                peer=peer.name,
                reason=reason.name.lower(),
                detail=detail,
            )
        if not peer.greeted:
            if now < peer.accepted_at + FIRST_RECORD_NS:
                self._mute(peer)
            else:
                self._abort(peer, reason, now)
            return
        self._end(peer, reason, now)
        peer.conn.close(now)

    def _mute(self, peer: Peer) -> None:
        peer.muted = True
        peer.session = None
        peer.splitter = RecordSplitter(0)
        self._timers.arm(peer, peer.accepted_at + FIRST_RECORD_NS)

    def _abort(self, peer: Peer, reason: DropReason, now: Nanos) -> None:
        self._handshake_scheduler.remove(peer)
        self._end(peer, reason, now)
        try:
            peer.conn.abort(now)
        except Exception as error:
            self._failed("abort", error, now, peer)
            self._timers.arm(peer, now + LINGER_NS)  # and again
            return
        self._peers.pop(peer.conn.id, None)

    def _end(self, peer: Peer, reason: DropReason, now: Nanos, detail: str = "") -> None:
        """Forget the session; the connection may still deliver what was queued, for LINGER_NS.

        Until then an unauthenticated peer keeps its entry in the scheduler's tables, because it costs memory.
        """
        if not peer.closing:
            peer.closing = True
            self._timers.arm(peer, now + LINGER_NS)
        self._admissions.leave(peer, reason, now, detail)  # idempotent: a second call makes up for a failure
        peer.session = None
        peer.down = []

    def _on_closed(self, conn: TcpConnection, now: Nanos) -> None:
        peer = self._peers.get(conn.id)
        if peer is None:
            self._counters.stats[Stat.TCP_CLOSED] += 1
            return
        self._handshake_scheduler.remove(peer)
        why = conn.close_reason.name.lower() if conn.close_reason is not None else "closed"
        if not peer.established_at:
            self._journal.add(EventKind.PEER_CLOSED, now, conn=conn.id, peer=peer.name, reason=why)
        self._end(peer, DropReason.PEER_CLOSED, now)
        del self._peers[conn.id]
        self._counters.stats[Stat.TCP_CLOSED] += 1

    def _judge_again(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        """Cut a connected client that a new CRL or client-config-dir excludes."""
        session = peer.session
        if session is None or peer.closing:
            return
        text, reason = objection(self._live.policy, self._live.profile, peer, session, unix)
        if not text:
            return
        self._journal.add(
            EventKind.CLIENT_CUT, now, conn=peer.conn.id, peer=peer.name, common_name=peer.common_name, reason=text
        )
        session.refuse(text, now, reason)
        self._run_session(peer, session, now, unix)
        self._end(peer, reason, now, text)
        peer.conn.close(now)

    def _shut_down_peer(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        session = peer.session
        if session is not None:
            session.shutdown(now)
            self._run_session(peer, session, now, unix)
        self._end(peer, DropReason.SERVER_STOPPING, now)
        peer.conn.close(now)

    # -- toward clients --------------------------------------------------------------------------------------------

    def _queue(self, address: Ipv4Int, packets: list[bytes]) -> None:
        peer = self._admissions.clients.get(address)
        if peer is None:
            self._counters.drop(DropReason.CLIENT_GONE, len(packets))
            return
        if not peer.down:
            self._dirty.append(peer)
        peer.down += packets

    def _flush_down(self, now: Nanos, unix: UnixSeconds) -> None:
        dirty = self._dirty
        if dirty:
            self._dirty = []
            for peer in dirty:
                if peer.down and not peer.closing:
                    self._contained(self._seal, peer, now, unix)

    def _seal(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        """Seal and send what fits the client's queue; the rest is dropped as a full router queue would (tail drop)."""
        packets = peer.down
        peer.down = []
        conn, session = peer.conn, peer.session
        if session is None:
            return
        space = min(conn.send_space, self._limits.client_queue - conn.send_queued)
        needed = sum(map(len, packets)) + RECORD_OVERHEAD * len(packets)
        if needed > space:
            fitting = 0
            for packet in packets:
                space -= len(packet) + RECORD_OVERHEAD
                if space < 0:
                    break
                fitting += 1
            self._counters.drop(DropReason.SEND_QUEUE_FULL, len(packets) - fitting)
            packets = packets[:fitting]
            if not packets:
                return
        records = session.seal(packets, now)
        if records:
            conn.write(join(records))

    def _run_timers(self, now: Nanos, unix: UnixSeconds) -> None:
        for peer in self._timers.take_due(self._peers, now):
            self._contained(self._peer_deadline, peer, now, unix)
        self._attempt("routine", now, self._run_periodic_tasks, now, unix)
        for where, next_deadline, work in (
            ("tcp.timer", self._tcp.next_deadline, self._tcp.handle_deadline),
            ("nat.timer", self._nat.next_deadline, self._nat.handle_deadline),
            ("arp.timer", self._neighbors.next_deadline, self._neighbors.handle_deadline),
            ("ip.timer", self._forwarder.next_deadline, self._expire_fragments),
        ):
            self._attempt(where, now, self._when_due, next_deadline, work, now)

    def _when_due(self, next_deadline: Callable[[], Nanos | None], work: Callable[[Nanos], None], now: Nanos) -> None:
        due = next_deadline()
        if due is not None and due <= now:
            work(now)

    def _peer_deadline(self, peer: Peer, now: Nanos, unix: UnixSeconds) -> None:
        if peer.closing:
            self._abort(peer, DropReason.PEER_CLOSED, now)
            return
        if peer.muted:
            self._abort(peer, DropReason.HANDSHAKE_TIMEOUT, now)
            return
        session = peer.session
        if session is None:
            if now - peer.accepted_at >= FIRST_RECORD_NS:
                raise PeerError(DropReason.HANDSHAKE_TIMEOUT, "no complete OpenVPN packet in time")
            self._timers.arm(peer, peer.accepted_at + FIRST_RECORD_NS)
            return
        deadline = session.next_deadline()
        if deadline is not None and deadline <= now:
            session.handle_deadline(now, unix)
        self._run_session(peer, session, now, unix)

    def _run_periodic_tasks(self, now: Nanos, unix: UnixSeconds) -> None:
        live = self._live
        if self._periodic_tasks.next_deadline(live.config) > now:
            return
        if self._periodic_tasks.status_due(live.config, now):
            self._write_status(unix)
        warning = self._periodic_tasks.crl_warning(live.profile.tls.crl_next_update, now, unix)
        if warning:
            self._journal.add(EventKind.CRL_EXPIRES, now, text=warning)

    def _write_status(self, unix: UnixSeconds) -> None:
        self._journal.add_status(status_lines(self._peers.values(), self._live.config.status_version, unix))

    def _expire_fragments(self, now: Nanos) -> None:
        for address, packets in self._forwarder.expire(now).to_clients.items():
            self._queue(address, packets)

    def _poll_tcp(self, now: Nanos) -> None:
        self._egress.send(self._tcp.poll(now), now)
