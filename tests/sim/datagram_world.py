"""The service for peers over datagrams, without TCP, gateway or NAT: what a UDP transport will have to be.

Datagrams go over a link that loses, repeats and reorders by a seed. A datagram finds its peer by peer id (data), by
endpoint and session id (control), or else by endpoint; one that finds none is a new peer's.
"""

from __future__ import annotations

import heapq
import os
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple, cast

from tests.unit.openvpn.client import ClientKit, ModelClient
from tests.unit.openvpn.link import SECOND, Quality, profile
from tests.world.today import UNIX

from hognose.address import Endpoint, parse_ipv4
from hognose.base.containment import Failures
from hognose.base.journal import Journal
from hognose.drops import Counters, DropReason
from hognose.events import Event
from hognose.limits import Limits
from hognose.link import Outgoing
from hognose.nat.nat import Nat
from hognose.openvpn.profile import ServerProfile
from hognose.vpn.addresses import AddressPool
from hognose.vpn.admission import Admissions
from hognose.vpn.authentication import Authenticator, CertificateOnly
from hognose.vpn.client_policy import ClientPolicy
from hognose.vpn.handshake_scheduler import HandshakeScheduler
from hognose.vpn.peer_service import PeerService
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.transport import Pending, Transport

START = 100 * SECOND
RECEIVE_QUEUE = 64  # datagrams of one peer that wait; further ones are lost, as in a socket's buffer
DATA_V2 = 9


class DatagramTransport:
    """One peer's datagrams. There is no end but our own, and no queue toward the peer: `send` is at once."""

    broken = False
    unfinished = b""

    def __init__(self, number: int, endpoint: Endpoint, now: int, send: Callable[[Endpoint, bytes], None]) -> None:
        self.id, self.endpoint, self.opened_at = number, endpoint, now
        self.key = endpoint.address + endpoint.port.to_bytes(2, "big")
        self.waiting: list[bytes] = []
        self.close_reason = ""
        self.trusted = False
        self._send = send

    def take(self, most: int) -> list[bytes]:
        records, self.waiting = self.waiting[:most], self.waiting[most:]
        return records

    def discard(self) -> None:
        self.waiting = []

    def set_aside(self) -> None:
        pass

    @property
    def has_input(self) -> bool:
        return bool(self.waiting)

    @property
    def ended(self) -> bool:
        return False

    @property
    def finished(self) -> bool:
        return False

    def room(self, queue: int) -> int:
        return queue

    def fits(self, records: list[bytes]) -> bool:
        return True

    def send(self, records: list[bytes]) -> None:
        for record in records:
            self._send(self.endpoint, record)

    def trust(self) -> None:
        self.trusted = True

    def close(self, now: int) -> None:
        self.close_reason = self.close_reason or "closed"

    def abort(self, now: int) -> None:
        self.close_reason = self.close_reason or "aborted"


class DatagramPort:
    """All peers of a port: the source and the maker of transports."""

    def __init__(self, table: PeerTable, send: Callable[[Endpoint, bytes], None]) -> None:
        self.transports: dict[Endpoint, DatagramTransport] = {}
        self.found = {"peer id": 0, "session": 0, "endpoint": 0, "new": 0, "lost": 0}
        self._table = table
        self._send = send
        self._number = 0
        self._accepted: list[DatagramTransport] = []
        self._readable: list[DatagramTransport] = []

    def receive(self, endpoint: Endpoint, datagram: bytes, now: int) -> None:
        transport = self._owner(endpoint, datagram)
        if transport is None:
            self._number += 1
            transport = self.transports[endpoint] = DatagramTransport(self._number, endpoint, now, self._send)
            self._accepted.append(transport)
            self.found["new"] += 1
        if len(transport.waiting) >= RECEIVE_QUEUE:
            self.found["lost"] += 1
            return
        transport.waiting.append(datagram)
        if transport not in self._readable:
            self._readable.append(transport)

    def _owner(self, endpoint: Endpoint, datagram: bytes) -> DatagramTransport | None:
        if datagram[0] >> 3 == DATA_V2:
            peer = self._table.with_peer_id(int.from_bytes(datagram[1:4], "big"))
            how = "peer id"
        else:
            peer = self._table.with_session(endpoint, datagram[1:9])
            how = "session"
        if peer is not None and peer.transport.endpoint == endpoint:
            self.found[how] += 1
            assert isinstance(peer.transport, DatagramTransport)
            return peer.transport
        found = self.transports.get(endpoint)
        if found is not None:
            self.found["endpoint"] += 1
        return found

    # -- Source and Opener -------------------------------------------------------------------------------------------

    def accepted(self) -> list[DatagramTransport]:
        accepted, self._accepted = self._accepted, []
        return accepted

    def readable(self) -> list[DatagramTransport]:
        readable, self._readable = self._readable, []
        return readable

    def closed(self) -> list[DatagramTransport]:
        gone = [one for one in self.transports.values() if one.close_reason]
        for one in gone:
            del self.transports[one.endpoint]
        return gone

    def open(self, pending: Pending, unfinished: bytes = b"") -> Transport:
        assert isinstance(pending, DatagramTransport)
        return pending


class Answer(NamedTuple):
    to_clients: dict[bytes, list[bytes]]
    to_link: list[Outgoing]


class EchoRouter:
    """Sends every inner packet back to its client."""

    def from_client(self, client: bytes, packets: list[bytes], now: int) -> Answer:
        return Answer({client: packets}, [])

    def frames(self, packets: list[Outgoing]) -> int:
        return len(packets)


class DatagramWorld:
    """A service, its clients by endpoint, and the air between them."""

    def __init__(
        self,
        server: ServerProfile | None = None,
        quality: Quality | None = None,
        seed: int = 1,
        *,
        limits: Limits | None = None,
        authenticator: Authenticator | None = None,
    ) -> None:
        limits = limits or Limits()
        self.now = START
        self.counters = Counters()
        self.events: list[Event] = []
        self.clients: dict[Endpoint, ModelClient] = {}
        self._quality = quality or Quality()
        self._random = random.Random(seed)
        self.air: list[tuple[int, int, bool, Endpoint, bytes]] = []
        self._number = 0
        self.table = PeerTable()
        self.port = DatagramPort(self.table, lambda endpoint, record: self._fly(endpoint, record, to_server=False))
        self.journal = Journal(limits.events_per_second, self.counters)
        failures = Failures(self.journal, self.counters, self.now)
        admissions = Admissions(
            table=self.table,
            authenticator=authenticator or CertificateOnly(),
            pool=AddressPool(parse_ipv4("10.8.0.2"), parse_ipv4("10.8.0.254")),
            netmask=parse_ipv4("255.255.255.0"),
            policy=ClientPolicy(duplicate_cn=True),
            nat=cast(Nat, SimpleNamespace(forget=lambda address: None)),
            journal=self.journal,
            counters=self.counters,
        )
        self.service = PeerService(
            profile=server or profile(),
            connect_freq=(0, 0),
            limits=limits,
            now=self.now,
            source=self.port,
            opener=self.port,
            router=EchoRouter(),
            table=self.table,
            admissions=admissions,
            scheduler=HandshakeScheduler(limits.handshake, self.counters, lambda: 0, self.now),
            journal=self.journal,
            failures=failures,
            random=os.urandom,
            counters=self.counters,
        )

    def client(self, kit: ClientKit, number: int = 1) -> ModelClient:
        """One that begins now."""
        client = self.clients[Endpoint(bytes((192, 0, 2, number)), 1000 + number)] = ModelClient(kit)
        client.start(self.now)
        return client

    def run(self, until: Callable[[], bool], seconds: float) -> None:
        """Virtual time goes on until the condition holds; AssertionError when it does not in time."""
        limit = self.now + int(seconds * SECOND)
        while not until():
            assert self.now < limit, f"not within {seconds} s: {self.events[-3:]} {self.counters.non_zero()}"
            self.step()
            self.now = self._next(limit)

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        limit = self.now + int(seconds * SECOND)
        while self.now < limit:
            self.step()
            self.now = self._next(limit)

    def events_of(self, kind: str) -> list[dict[str, str | int]]:
        return [event.fields for event in self.events if event.kind.value == kind]

    def dropped(self, reason: DropReason) -> int:
        return self.counters.drops[reason]

    def step(self) -> None:
        """Move datagrams, run timers and turns of this moment."""
        for endpoint, client in self.clients.items():
            for record in client.poll(self.now):
                self._fly(endpoint, record, to_server=True)
        while self.air and self.air[0][0] <= self.now:
            _, _, to_server, endpoint, record = heapq.heappop(self.air)
            if to_server:
                self.port.receive(endpoint, record, self.now)
            elif endpoint in self.clients:
                self.clients[endpoint].receive(record, self.now)
        unix = UNIX + (self.now - START) // SECOND
        self.service.handle_deadline(self.now, unix)
        assert self.service.run(self.now, unix) == []
        self.events += self.journal.take()

    def _next(self, limit: int) -> int:
        times = [limit]
        if (deadline := self.service.next_deadline()) is not None:
            times.append(deadline)
        if self.service.turns.queue:
            times.append(self.now)
        times += [self.air[0][0]] if self.air else []
        times += [
            cast(int, entry[2])
            for client in self.clients.values()
            for negotiation in client.negotiations.values()
            for entry in negotiation.unacked.values()
        ]
        return max(self.now + 1, min(times))

    def _fly(self, endpoint: Endpoint, record: bytes, *, to_server: bool) -> None:
        quality = self._quality
        for _ in range(2 if self._random.random() < quality.repeat else 1):
            if self._random.random() < quality.loss:
                continue
            late = 5 * quality.delay if self._random.random() < quality.reorder else 0
            self._number += 1
            heapq.heappush(self.air, (self.now + quality.delay + late, self._number, to_server, endpoint, record))
