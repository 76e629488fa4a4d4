"""The service for peers and one datagram port, without TCP, gateway or NAT.

Datagrams go over a link that loses, repeats and reorders by a seed. A client is at an endpoint; a test moves it.
"""

from __future__ import annotations

import heapq
import os
import random
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple, cast

from tests.unit.openvpn.client import ClientKit, ModelClient
from tests.unit.openvpn.link import SECOND, Quality, profile
from tests.world.today import UNIX

from hognose.address import Endpoint, parse_ipv4
from hognose.base.containment import Failures
from hognose.base.journal import Journal
from hognose.base.numbering import Numbering
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
from hognose.vpn.datagrams import DatagramPort
from hognose.vpn.handshake_scheduler import HandshakeScheduler
from hognose.vpn.initial_limits import InitialLimits
from hognose.vpn.initial_rate import InitialRate
from hognose.vpn.look_time import LookTime
from hognose.vpn.peer_service import PeerService
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.stateless_handshake import StatelessHandshake

START = 100 * SECOND
SERVER = bytes((10, 0, 0, 2))


class Answer(NamedTuple):
    to_clients: dict[bytes, list[bytes]]
    to_link: list[Outgoing]


class EchoRouter:
    """Sends every inner packet back to its client, but for those that a narrow path does not take.

    limits: sizes that were asked for.
    """

    def __init__(self) -> None:
        self.limits: set[int] = set()

    def fit(self, client: bytes, packets: list[bytes], most: int, now: int) -> Answer:
        self.limits.add(most)
        return Answer({client: [packet for packet in packets if len(packet) <= most]}, [])

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
        self.mtu: dict[Endpoint, int] = {}  # of the paths to clients, 1500 for others; their routers tell of it
        self.refused: list[int] = []  # lengths of datagrams that were too large for them
        self.router = EchoRouter()
        self._number = 0
        self.table = PeerTable(os.urandom)
        self.journal = Journal(limits.events_per_second, self.counters)
        settings = (server or profile()).over("udp")
        self.port = DatagramPort(
            address=SERVER,
            port=1194,
            mtu=1500,
            uso=False,
            table=self.table,
            handshake=StatelessHandshake(settings, os.urandom(32)),
            strangers=InitialLimits(
                resets=InitialRate(limits.datagrams.initial_per_second, SECOND, os.urandom(8), self.now),
                proofs=InitialRate(limits.datagrams.initial_per_second, SECOND, os.urandom(8), self.now),
                time=LookTime(100, lambda: 0, self.now),
            ),
            now=self.now,
            limits=limits.datagrams,
            numbering=Numbering(),
            journal=self.journal,
            random=os.urandom,
            counters=self.counters,
            broadcasts=frozenset(),
        )
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
            profile=settings,
            connect_freq=(0, 0),
            limits=limits,
            now=self.now,
            listeners=(self.port,),
            router=self.router,
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
                self.arrive(endpoint, record)
            elif endpoint in self.clients:
                self.clients[endpoint].receive(record, self.now)
        unix = UNIX + (self.now - START) // SECOND
        self.service.handle_deadline(self.now, unix)
        assert self.service.run(self.now, unix) == []
        for address, _, (head, record) in self.port.poll(self.now):
            endpoint = Endpoint(address, int.from_bytes(head[22:24], "big"))
            if len(head + record) <= (mtu := self.mtu.get(endpoint, 1500)) or not head[6] & 0x40:
                self._fly(endpoint, record, to_server=False)
                continue
            self.refused.append(len(head + record))
            if self._random.random() >= self._quality.loss:
                self.port.icmp_error(3, 4, mtu, head + record[:100], self.now)
        self.events += self.journal.take()

    def arrive(self, endpoint: Endpoint, record: bytes) -> None:
        """Take a datagram at the server now, from wherever it says."""
        rest = struct.pack(">HHHH", endpoint.port, 1194, 8 + len(record), 0) + record
        packet = bytes(12) + endpoint.address + SERVER + rest
        self.port.receive(packet, 0, 20, len(packet), 0, True, self.now)

    def move(self, client: ModelClient, endpoint: Endpoint) -> None:
        """Have a client at another endpoint from now on."""
        self.clients = {endpoint if one is client else at: one for at, one in self.clients.items()}

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
