"""The gateway: the only object that the shell knows. Frames in, frames out, events; pure.

It holds the order of a step and nothing else: the router takes frames apart, the service has the peers, TCP and the NAT
their timers. An exception in any of them ends one session or loses one packet and is reported; it never leaves `step`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hognose.base.containment import Failures
from hognose.base.deadlines import NEVER, Deadline, Timed, Waiting, earliest_of, run_due
from hognose.base.journal import Journal
from hognose.config.model import ServerConfig
from hognose.events import Event, EventKind
from hognose.gateway.live import LiveConfig, PeriodicTasks
from hognose.ip.neighbor import NeighborTable
from hognose.link import Outgoing
from hognose.nat.nat import Nat
from hognose.nat.saved_state import SavedNat
from hognose.router.egress import Egress
from hognose.router.forwarding import Forwarder
from hognose.router.ingress import Ingress
from hognose.router.local_endpoints import NO_ENDPOINTS, LocalEndpoints
from hognose.router.routed import Routed
from hognose.tcp.export import TcpServerState
from hognose.tcp.server import TcpServer
from hognose.units import Nanos, UnixSeconds
from hognose.vpn.client_list import status_lines
from hognose.vpn.client_view import client_views
from hognose.vpn.datagrams import DatagramPort
from hognose.vpn.peer_service import PeerService
from hognose.vpn.service_state import ServiceState, export_service


@dataclass(frozen=True, slots=True)
class GatewayState:
    """A running gateway as plain data, for `assemble` with the same config; it holds keys and is to be kept as one.

    Not part of it: peers that are not established, what the link's neighbors and fragments have waiting, counters,
    rates, events. Times in the clock of its caller.
    """

    tcp: tuple[TcpServerState, ...]
    nat: SavedNat
    service: ServiceState


class Gateway:
    """All engines of one running server."""

    def __init__(
        self,
        *,
        live: LiveConfig,
        now: Nanos,
        tcp: tuple[TcpServer, ...],
        datagrams: tuple[DatagramPort, ...],
        nat: Nat,
        neighbors: NeighborTable,
        ingress: Ingress,
        egress: Egress,
        forwarder: Forwarder,
        link_endpoints: LocalEndpoints,
        service: PeerService,
        journal: Journal,
        failures: Failures,
    ) -> None:
        self._live = live
        self._periodic_tasks = PeriodicTasks(live.config, now)
        self._tcp = tcp
        self._nat = nat
        self._ingress = ingress
        self._egress = egress
        self._forwarder = forwarder
        self._links = () if link_endpoints is NO_ENDPOINTS else (link_endpoints,)  # servers besides the VPN's
        self._datagrams = datagrams
        self._servers = (*tcp, *datagrams, *self._links)
        self._timed: tuple[tuple[str, Timed], ...] = (
            *(("tcp.timer", one) for one in tcp),
            ("nat.timer", nat),
            ("arp.timer", neighbors),
            *(("local.timer", one) for one in self._links),
        )
        self._waiting: tuple[tuple[str, Waiting], ...] = (("timers", service), *self._timed, ("ip.timer", forwarder))
        self.service = service
        self._journal = journal
        self._failures = failures
        self._wake_at: Nanos = 0  # no timer is due before; 0 from a step to the next call of next_deadline
        self._now: Nanos = now  # of the last step
        self._stopping = False
        self._journal.tls_warnings(self._live.profile.tls.warnings, now)

    # -- a step ------------------------------------------------------------------------------------------------------

    def step(self, frames: list[bytes], now: Nanos, unix: UnixSeconds) -> list[list[bytes]]:
        """Take received frames, do everything that is due, and return the frames to send (lists of pieces).

        frames are read-only, not kept, and passed the sieve where there is one. now never goes back; unix may.
        """
        self._now = now
        service, failures = self.service, self._failures
        out: list[Outgoing] = []
        if frames or self._ingress.held:
            try:
                routed = self._ingress.receive(frames, now)
                out = routed.to_link
                if routed.to_clients:
                    service.downlink.deliver(routed.to_clients)
                if routed.failures or routed.udp_clients:
                    self._report(routed, now)
            except Exception as error:
                failures.note("ingress", error, now)
        if now >= self._wake_at:
            try:
                self._run_timers(now, unix)
            except Exception as error:
                failures.note("timers", error, now)
        self._wake_at = 0
        try:
            out += service.run(now, unix)
        except Exception as error:
            failures.note("peers", error, now)
        for server in self._servers:
            try:
                out += server.poll(now)
            except Exception as error:
                failures.note("tcp.poll", error, now)
        try:
            if out:
                self._egress.send(out, now)
        except Exception as error:
            failures.note("egress", error, now)
        try:
            return self._egress.take()
        except Exception as error:
            failures.note("egress", error, now)
            return []

    def _report(self, routed: Routed, now: Nanos) -> None:
        for error in routed.failures:
            self._journal.failure("ingress", error, now)
        routed.failures.clear()  # their tracebacks lead to a frame that knows the list
        for source in routed.udp_clients:
            self._journal.udp_client(source, now)

    def _run_timers(self, now: Nanos, unix: UnixSeconds) -> None:
        failures = self._failures
        failures.attempt("timers", now, self.service.handle_deadline, now, unix)
        failures.attempt("routine", now, self._run_periodic_tasks, now, unix)
        for where, engine in self._timed:
            failures.attempt(where, now, run_due, engine, now)
        failures.attempt("ip.timer", now, self._expire_fragments, now)

    def _expire_fragments(self, now: Nanos) -> None:
        due = self._forwarder.next_deadline()
        if due is not None and due <= now:
            self.service.downlink.deliver(self._forwarder.expire(now).to_clients)

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
        clients = client_views(self.service.table.by_transport.values())
        self._journal.add_status(status_lines(clients, self._live.config.status.status_version, unix))

    # -- between steps -----------------------------------------------------------------------------------------------

    def sieve(self, now: Nanos) -> Callable[[list[bytes]], list[bytes]] | None:
        """Filter for the frames of the next step while SYNs flood, else None."""
        try:
            return self._ingress.sieve(now)
        except Exception as error:
            self._failures.note("sieve", error, now)
            return None

    def next_deadline(self) -> Nanos | None:
        """Earliest time at which step has to run without frames; None when there is nothing to wait for."""
        try:
            earliest = self._earliest()
        except Exception as error:
            self._failures.note("next_deadline", error, self._now)
            earliest = NEVER.at
        retry_at = self._failures.retry_at
        if retry_at > self._now:  # what was left undone is done soon, and not over and over until then
            earliest = min(earliest, retry_at) if earliest > self._now else retry_at
        self._wake_at = earliest
        if self.service.turns.queue or self._ingress.held:
            return self._now
        return earliest if earliest != NEVER.at else None

    def _earliest(self) -> Nanos:
        for server in self._tcp:
            if server.has_closed:
                return 0
        for port in self._datagrams:
            if port.waits:
                return 0
        earliest = self._periodic_tasks.next_deadline(self._live.config)
        for _, part in self._waiting:
            due = part.next_deadline()
            if due is not None and due < earliest:
                earliest = due
        return earliest

    @property
    def waits_for(self) -> Deadline:
        """The earliest timer with its reason, for a developer who asks why the server wakes up."""
        return earliest_of(
            self._waiting, Deadline(self._periodic_tasks.next_deadline(self._live.config), "periodic tasks")
        )

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

    # -- the administrator's side ------------------------------------------------------------------------------------

    def reconfigure(self, config: ServerConfig, now: Nanos, unix: UnixSeconds) -> None:
        """Put what can change of a new config in force; clients that may no longer be here are cut in the next steps.

        ConfigError when TLS refuses it; then everything stays as it was. The log names what needs a restart.
        """
        live = self._live
        needs_restart = live.change(config)
        self._journal.tls_warnings(live.profile.tls.warnings, now)
        if needs_restart:
            self._journal.add(EventKind.CONFIG_NEEDS_RESTART, now, directives=" ".join(needs_restart))
        self._forwarder.change_dns_servers(live.config.dns_servers)
        self.service.apply(live.profile, live.policy, live.config.admission.connect_freq)

    def stop(self, reason: str, now: Nanos, unix: UnixSeconds) -> None:
        """Begin an orderly end: clients get RESTART as from OpenVPN, connections are closed after that."""
        if self._live.config.status.status_interval_s:
            self._write_status(unix)
        self._stopping = True
        clients = sum(1 for peer in self.service.table.by_transport.values() if peer.established_at)
        self._journal.add(EventKind.STOPPING, now, reason=reason, clients=clients)
        self.service.stop(now, unix)

    def export(self) -> GatewayState:
        """The state as plain data while `next_deadline` is later than the step before, else LocalError.

        Nothing changes; this gateway is not to be used besides the one that goes on with the state.
        """
        return GatewayState(tuple(one.export() for one in self._tcp), self._nat.export(), export_service(self.service))

    @property
    def stopped(self) -> bool:
        """True when an orderly end was asked for and no connection is left."""
        return self._stopping and not self.service.table.by_transport

    @property
    def client_count(self) -> int:
        """Clients with an address."""
        return len(self.service.table.clients)
