"""A client host of the world simulation that speaks OpenVPN over UDP: it roams, and nothing under it repairs the link.

What is lost stays lost; what comes twice is passed over by its datagram, as the replay window of a real client does.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

from cryptography.exceptions import InvalidTag
from tests.sim.world_client import SimClient
from tests.sim.world_peer import StreamPeer, Tunnel, is_sound, udp_packet
from tests.unit.openvpn.client import ModelClient
from tests.world.impairment import Channel, Impairment

if TYPE_CHECKING:
    from tests.sim.world import SimWorld

SECOND = 1_000_000_000
MS = 1_000_000
GATEWAY, PORT = 0x0A000002, 1194
FIRST_HOST = 0xC6120000  # 198.18.0.0, a /24 for each
HOSTS = 8
LOST_AFTER = 20 * SECOND  # no link delays a packet so long
LINKS = (
    Impairment(duplicate=0.05, delay_ns=10 * MS),
    Impairment(loss=0.01, duplicate=0.05, reorder=0.05, delay_ns=20 * MS, jitter_ns=5 * MS),
    Impairment(loss=0.03, duplicate=0.05, reorder=0.1, corrupt=0.01, delay_ns=30 * MS, reorder_ns=60 * MS),
    Impairment(loss=0.1, duplicate=0.05, reorder=0.05, delay_ns=60 * MS, jitter_ns=40 * MS),
)
DATA = (6, 9)


def _no_stream(vpn: ModelClient) -> StreamPeer:
    """Stand-in for TCP; its only timer is that of the OpenVPN client."""

    def next_deadline() -> int | None:
        return min((entry[2] for n in vpn.negotiations.values() for entry in n.unacked.values()), default=None)

    nothing = SimpleNamespace(
        next_deadline=next_deadline, handle_deadline=lambda now: None, abort=lambda now: None, close=lambda now: None,
        finished=False, reset=False, peer_fin=False,
    )  # fmt: skip
    return cast(StreamPeer, nothing)


@dataclass
class DatagramTunnel(Tunnel):
    """One session over datagrams, from its hard reset on."""

    facts: Counter[str] = field(default_factory=Counter)
    arrived: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    seen: set[bytes] = field(default_factory=set)  # data records
    proved: bool = False  # it has sent what must be answered at the end

    @property
    def dead(self) -> bool:
        """It was told so."""
        return any(text.startswith(("AUTH_FAILED", "RESTART")) for text in self.vpn.messages)

    def exchange(self, now: int) -> list[bytes]:
        """Take what has arrived; the inner packets that came."""
        arrived, self.arrived = self.arrived, []
        for record in arrived:
            if not self._is_ours(record):
                self.facts["datagrams of other sessions"] += 1
            elif record in self.seen:
                self.facts["datagrams that came twice"] += 1
            else:
                self._take(record, now)
        self.flush(now)
        if not self.address and self.vpn.established:
            self.address = self._pushed_address()
        packets, self.vpn.packets = self.vpn.packets, []
        return packets

    def _take(self, record: bytes, now: int) -> None:
        if record[0] >> 3 in DATA:
            self.seen.add(record)
            try:
                self.vpn.receive(record, now)
            except (InvalidTag, KeyError):
                self.facts["datagrams of other keys"] += 1
                return
        else:
            self.vpn.receive(record, now)
        self.heard_at = now

    def _is_ours(self, record: bytes) -> bool:
        """A control packet names both session ids, and that of the server never changes."""
        if record[0] >> 3 in DATA:
            return bool(self.vpn.data_keys)
        after = 10 + 4 * record[9]  # opcode, session id, acknowledgements
        if record[9] and record[after : after + 8] != self.vpn.sid:
            return False
        return self.vpn.server_sid in (b"", record[1:9])

    def flush(self, now: int) -> None:
        """Records of the OpenVPN client to the link."""
        self.leaves += self.vpn.poll(now)


class SimRoamer(SimClient):
    """A host with one OpenVPN client over UDP; name: of its certificate, which a client over TCP may have too."""

    def __init__(self, world: SimWorld, number: int, name: str) -> None:
        super().__init__(world, number)
        self.name = name
        self.twin = name != f"client{number}"
        self.random = random.Random(f"{world.settings.seed}/roamer {number}")
        self.hosts = tuple(FIRST_HOST + (number << 8) + 1 + n for n in range(HOSTS))
        self.host = self.hosts[0]
        link = world.settings.link or self.random.choice(LINKS)
        self.up = Channel(link, 2 * number + 1000 * world.settings.seed)
        self.down = Channel(link, 2 * number + 1 + 1000 * world.settings.seed)
        self.same_port = False  # at the next start
        self.sent: list[bytes] = []  # datagrams that the gateway has had, for those who copy them
        self.roam_at = world.now + self._draw(world.settings.mean_roam)
        self.calm_at = 0

    # -- the link ----------------------------------------------------------------------------------------------------

    def intact(self, packet: bytes) -> bool:
        return is_sound(packet)

    def arrives(self, packet: bytes) -> None:
        if is_sound(packet):
            self.sent = [*self.sent[-40:], packet]
        super().arrives(packet)

    def hears(self, sport: int, dport: int, payload: bytes) -> None:
        """A datagram of the gateway to one of this client's hosts begins its way."""
        assert sport == PORT
        packet = udp_packet(GATEWAY, PORT, self.host, dport, payload)
        self.down.offer(packet, self.world.now)

    def _transmit(self, tunnel: Tunnel) -> None:
        assert isinstance(tunnel, DatagramTunnel)
        tunnel.flush(self.world.now)
        leaves, tunnel.leaves = tunnel.leaves, []
        for record in leaves:
            self.up.offer(udp_packet(self.host, tunnel.port, GATEWAY, PORT, record), self.world.now)

    def _receive(self, packet: bytes, now: int) -> None:
        port = int.from_bytes(packet[22:24], "big")
        for tunnel in (self.tunnel, self.closing):
            if isinstance(tunnel, DatagramTunnel) and tunnel.port == port:
                tunnel.arrived.append(packet[28:])
        if isinstance(self.closing, DatagramTunnel):
            self.closing.exchange(now)

    # -- the session -------------------------------------------------------------------------------------------------

    def next_time(self) -> int | None:
        times = [super().next_time()]
        if self.world.faulty:
            times.append(self.roam_at)
        if self.closing is not None:
            times.append(self.closing.sent_at + 61 * SECOND)
        if self.calm_at:
            times.append(self.calm_at)
        return min((at for at in times if at is not None), default=None)

    def wake(self, now: int) -> None:
        if self.world.faulty and self.roam_at <= now:
            self.roam_at = now + self._draw(self.world.settings.mean_roam)
            self._roam()
        if self.calm_at and self.calm_at <= now:
            self.calm_at = 0
            if self.tunnel is not None:
                self._prove(self.tunnel, now)
        super().wake(now)

    def _roam(self) -> None:
        """Another port, half the time another address too, in the middle of whatever there is."""
        if self.random.random() < 0.5:
            self.host = self.random.choice(self.hosts)
        if self.tunnel is not None:
            self.ports = 20_000 + (self.ports - 19_999) % 40_000
            self.tunnel.port = self.ports
        self.world.facts["roams"] += 1

    def _open(self, now: int) -> Tunnel:
        if not self.same_port:
            self.ports = 20_000 + (self.ports - 19_999) % 40_000
        else:
            self.world.facts["starts at the same port"] += 1
        self.same_port = False
        vpn = ModelClient(self.kit)
        tunnel = DatagramTunnel(
            self.world.facts["connects"], self.ports, _no_stream(vpn), vpn, now, heard_at=now, sent_at=now,
            facts=self.world.facts,
        )  # fmt: skip
        tunnel.vpn.start(now)
        tunnel.flush(now)
        return tunnel

    def serve(self, tunnel: Tunnel, now: int) -> None:
        if tunnel.address and now - tunnel.heard_at >= self.world.settings.keepalive[1] * SECOND:
            self.world.facts["clients over UDP that heard nothing more"] += 1
        if isinstance(tunnel, DatagramTunnel) and not tunnel.proved:
            for payload in [payload for payload, since in tunnel.waiting.items() if now - since > LOST_AFTER]:
                del tunnel.waiting[payload]
                self.world.facts["lost packets"] += 1
        super().serve(tunnel, now)

    def _prove(self, tunnel: Tunnel, now: int) -> None:
        """The link is good again: from now on every query is answered."""
        if tunnel.address and not self.twin:
            assert isinstance(tunnel, DatagramTunnel)
            tunnel.waiting.clear()
            tunnel.proved = True
            for _ in range(3):
                self._query(tunnel, now)
            tunnel.flush(now)

    def _leave(self, tunnel: Tunnel, now: int) -> None:
        """EXIT, silence, or a client that is killed and starts again at the same port."""
        how = self.random.choice(("EXIT", "silence", "restart", "restart", "again"))
        self.world.facts[f"ends over UDP: {how}"] += 1
        if how == "EXIT":
            tunnel.vpn.say("EXIT", now)
            tunnel.flush(now)
            self.closing, tunnel.sent_at = tunnel, now
        self.same_port = how == "restart"
        self._over(tunnel, now, 0.5 if how in ("restart", "again") else None)

    # -- the end -----------------------------------------------------------------------------------------------------

    def calm(self) -> None:
        super().calm()
        self.calm_at = self.world.now + 100 * SECOND

    def expect_all_answered(self) -> None:
        """Assert that packets over the good link have been answered."""
        if isinstance(self.tunnel, DatagramTunnel) and self.tunnel.proved:
            super().expect_all_answered()
            self.world.facts["sessions over UDP at the end"] += 1
