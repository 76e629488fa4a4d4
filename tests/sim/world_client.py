"""One client of the world simulation: when it connects, what it sends, how it leaves, and what must come back."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.sim.segments import Segment, build, parse
from tests.sim.tcp_world import intact
from tests.sim.world_peer import ECHO_PORT, Tunnel, echo_request, is_sound, open_tunnel, udp_packet
from tests.unit.openvpn.client import ClientKit
from tests.world.impairment import Channel, Impairment

if TYPE_CHECKING:
    from tests.sim.world import SimWorld

SECOND = 1_000_000_000
MS = 1_000_000
TUNNEL_GATEWAY = 0x0A080001
FIRST_HOST = 0xC0000201  # 192.0.2.1
LINKS = (
    Impairment(delay_ns=10 * MS),
    Impairment(loss=0.01, delay_ns=20 * MS, jitter_ns=5 * MS),
    Impairment(loss=0.02, duplicate=0.02, reorder=0.05, corrupt=0.01, delay_ns=30 * MS, reorder_ns=8 * MS),
    Impairment(loss=0.05, delay_ns=80 * MS, jitter_ns=40 * MS),
    Impairment(loss=0.1, duplicate=0.05, corrupt=0.02, delay_ns=15 * MS),
)
STUCK = 400 * SECOND  # no session that is alive waits so long for an answer while its link is whole


class SimClient:
    """A host with one OpenVPN client that connects again and again under the same name."""

    def __init__(self, world: SimWorld, number: int) -> None:
        self.world = world
        self.number = number
        self.name = f"client{number}"
        self.host = FIRST_HOST + number
        self.hosts: tuple[int, ...] = (self.host,)
        self.random = random.Random(f"{world.settings.seed}/{number}")
        link = world.settings.link or self.random.choice(LINKS)
        self.up = Channel(link, 2 * number + 1000 * world.settings.seed)
        self.down = Channel(link, 2 * number + 1 + 1000 * world.settings.seed)
        self.tunnel: Tunnel | None = None
        self.closing: Tunnel | None = None  # said goodbye; its TCP finishes
        self.wake_at = 0
        self.sequence = 0
        self.ports = 20_000
        self.gone = False
        now = world.now
        self.connect_at = now + self._draw(world.settings.mean_away)
        self.act_at = self.leave_at = 0
        self.partition_at = now + self._draw(world.settings.mean_partition)
        self.partition_ends = 0
        self._cuts: list[tuple[int, int]] = []  # begin and end of each partition

    def _draw(self, mean: float) -> int:
        return int(self.random.expovariate(1 / mean) * SECOND) + 1

    # -- time ------------------------------------------------------------------------------------------------------

    def next_time(self) -> int | None:
        """Time of the next work."""
        times = [self.up.next_due(), self.down.next_due(), self.partition_ends or None]
        if self.world.faulty:
            times.append(self.partition_at)
        for tunnel in (self.tunnel, self.closing):
            if tunnel is not None:
                times.append(tunnel.peer.next_deadline())
        tunnel = self.tunnel
        if tunnel is None:
            times.append(None if self.gone else self.connect_at)
        else:
            ping, restart = self.world.settings.keepalive
            times.append(tunnel.next_resend())
            times.append(tunnel.heard_at + restart * SECOND)
            if tunnel.address:
                times.append(tunnel.sent_at + ping * SECOND)
                times += [self.act_at, self.leave_at] if self.world.faulty else []
        return min((at for at in times if at is not None), default=None)

    def wake(self, now: int) -> None:
        """Do all that is due."""
        self._partition(now)
        for packet in self.up.due(now):
            if not self.partition_ends:
                self.arrives(packet)
        for packet in self.down.due(now):
            if not self.partition_ends and self.intact(packet):
                self._receive(packet, now)
        for tunnel in (self.tunnel, self.closing):
            if tunnel is not None:
                deadline = tunnel.peer.next_deadline()
                if deadline is not None and deadline <= now:
                    tunnel.peer.handle_deadline(now)
        if self.tunnel is not None:
            self.serve(self.tunnel, now)
        elif not self.gone and self.connect_at <= now:
            self._connect(now)
        if self.closing is not None and (self.closing.dead or now - self.closing.sent_at > 60 * SECOND):
            self.world.facts["FINs exchanged"] += self.closing.peer.finished
            self._transmit(self.closing)
            self.closing = None
        for tunnel in (self.tunnel, self.closing):
            if tunnel is not None:
                self._transmit(tunnel)

    def intact(self, packet: bytes) -> bool:
        """True when this host takes a packet of the link."""
        return intact(packet)

    def arrives(self, packet: bytes) -> None:
        """A packet of this host has come to the gateway."""
        self.world.frame(packet)

    def _partition(self, now: int) -> None:
        if self.partition_ends and self.partition_ends <= now:
            self.partition_ends = 0
            self.partition_at = now + self._draw(self.world.settings.mean_partition)
        elif self.world.faulty and not self.partition_ends and self.partition_at <= now:
            restart = self.world.settings.keepalive[1]
            self.partition_ends = now + int(self.random.uniform(1, 2.5 * restart) * SECOND)
            self.partition_at = self.partition_ends
            self._cuts.append((now, self.partition_ends))
            self.world.facts["partitions"] += 1

    def _cut_since(self, start: int, now: int) -> int:
        """Time from `start` on in which the link was cut."""
        return sum(max(0, min(end, now) - max(begin, start)) for begin, end in self._cuts[-8:])

    def _transmit(self, tunnel: Tunnel) -> None:
        out, tunnel.peer.out = tunnel.peer.out, []
        for segment in out:
            self.up.offer(build(segment, self.host, tunnel.port, 0x0A000002, 1194), self.world.now)

    def _receive(self, packet: bytes, now: int) -> None:
        segment, port = parse(packet), int.from_bytes(packet[22:24], "big")
        for tunnel in (self.tunnel, self.closing):
            if tunnel is not None and tunnel.port == port:
                tunnel.peer.receive(segment, now)
                return
        if not segment.has("R"):  # of a connection that this host knows nothing of
            answer = Segment(segment.ack, 0, "R", 0) if segment.has("A") else Segment(0, segment.end, "RA", 0)
            self.up.offer(build(answer, self.host, port, 0x0A000002, 1194), now)

    def hears_of_gaps(self, port: int, segment: Segment) -> None:
        """The gateway reports text beyond a gap, which is not sent again; later it acknowledges that with the rest."""
        for tunnel in (self.tunnel, self.closing):
            if tunnel is None or tunnel.port != port or segment.has("S"):
                continue
            acked = (segment.ack - tunnel.peer.settings.iss) & 0xFFFFFFFF
            if tunnel.held_beyond and acked >= tunnel.held_beyond:
                self.world.facts["gaps filled"] += 1
                tunnel.held_beyond = 0
            ends = [(right - tunnel.peer.settings.iss) & 0xFFFFFFFF for _, right in segment.sack]
            tunnel.held_beyond = max(tunnel.held_beyond, *(end for end in ends if end > acked), 0)

    # -- the session -----------------------------------------------------------------------------------------------

    @property
    def kit(self) -> ClientKit:
        """Its certificate."""
        from tests.sim.world import client_kit

        return client_kit(self.name)

    def _connect(self, now: int) -> None:
        self.world.facts["connects"] += 1
        self.tunnel = self._open(now)
        self.leave_at = self.act_at = 0

    def _open(self, now: int) -> Tunnel:
        self.ports = 20_000 + (self.ports - 19_999) % 40_000
        return open_tunnel(self.world.facts["connects"], self.ports, self.random.getrandbits(32), self.kit, now)

    def serve(self, tunnel: Tunnel, now: int) -> None:
        settings, was = self.world.settings, tunnel.address
        for packet in tunnel.exchange(now):
            self._inner(tunnel, packet)
        if tunnel.address and not was:
            self.world.facts["sessions established"] += 1
            self.act_at = now + self._draw(settings.mean_act)
            self.leave_at = now + self._draw(settings.mean_life)
        if tunnel.dead or now - tunnel.heard_at >= settings.keepalive[1] * SECOND:
            self.world.facts["sessions lost"] += 1
            assert tunnel.vpn.alerts == [], tunnel.vpn.alerts
            if not tunnel.dead:
                tunnel.peer.abort(now)
            self._over(tunnel, now)
            return
        if not tunnel.address:
            return
        oldest = next(iter(tunnel.waiting.values()), now)
        waited = now - oldest - self._cut_since(oldest, now)
        assert waited < STUCK, f"client {self.number} waits for an answer and nothing is wrong with its session"
        if now - tunnel.sent_at >= settings.keepalive[0] * SECOND:
            tunnel.ping(now)
        if self.world.faulty and self.act_at <= now:
            self.act_at = now + self._draw(settings.mean_act)
            self._act(tunnel, now)
        tunnel.flush(now)
        if self.world.faulty and self.leave_at <= now:
            self._leave(tunnel, now)

    def _over(self, tunnel: Tunnel, now: int, away: float | None = None) -> None:
        self._transmit(tunnel)
        if tunnel.address:
            self.world.facts["connected seconds"] += (now - tunnel.began) // SECOND
        self.tunnel = None
        self.connect_at = now + self._draw(away or self.world.settings.mean_away)

    def _act(self, tunnel: Tunnel, now: int) -> None:
        """One of the things that clients do."""
        what = self.random.random()
        if what < 0.80:
            for _ in range(self.random.choice((1, 1, 1, 3, 10))):
                self._query(tunnel, now)
        elif what < 0.88:
            self._ping_gateway(tunnel, now)
        elif what < 0.94:
            self._spoof(tunnel, now)
        elif len(tunnel.vpn.negotiations) == 1 or all(n.done for n in tunnel.vpn.negotiations.values()):
            tunnel.vpn.renegotiate(now)
            self.world.facts["renegotiations begun by clients"] += 1

    def _payload(self, kind: bytes) -> bytes:
        self.sequence += 1
        return kind + self.number.to_bytes(2, "big") + self.sequence.to_bytes(4, "big") + self.random.randbytes(
            self.random.choice((0, 40, 400, 1200))
        )  # fmt: skip

    def _query(self, tunnel: Tunnel, now: int) -> None:
        payload = self._payload(b"Q")
        sport = 5000 + self.random.randrange(20)
        tunnel.waiting[b"A" + payload[1:]] = now
        tunnel.send(udp_packet(tunnel.address, sport, 0xC6336407, ECHO_PORT, payload), now)
        self.world.facts["queries"] += 1

    def _ping_gateway(self, tunnel: Tunnel, now: int) -> None:
        payload = self._payload(b"P")
        tunnel.waiting[payload] = now
        tunnel.send(echo_request(tunnel.address, TUNNEL_GATEWAY, payload), now)
        self.world.facts["queries"] += 1

    def _spoof(self, tunnel: Tunnel, now: int) -> None:
        """A packet under another client's address, to outside or to another client."""
        payload = self._payload(b"S")
        source = self.random.choice((tunnel.address + 1, tunnel.address ^ 3, TUNNEL_GATEWAY, 0xC6336407))
        tunnel.send(udp_packet(source, 5000, 0xC6336407, ECHO_PORT, payload), now)
        self.world.facts["spoofed"] += 1
        if self.world.roamers:
            self._across(tunnel, now)
        else:
            tunnel.send(udp_packet(tunnel.address, 5000, tunnel.address ^ 1, ECHO_PORT, payload), now)

    def _across(self, tunnel: Tunnel, now: int) -> None:
        """A packet to each other client, over whichever transport that has come."""
        there = {one.tunnel.address for one in self.world.clients if one.tunnel is not None and one.tunnel.address}
        for address in sorted(there - {tunnel.address}):
            payload = self._payload(b"C")
            self.world.across[payload] = address
            tunnel.send(udp_packet(tunnel.address, 5000, address, ECHO_PORT, payload), now)

    def _inner(self, tunnel: Tunnel, packet: bytes) -> None:
        """Whatever comes out of the tunnel belongs to this session and has not come before."""
        assert is_sound(packet), "a damaged packet came out of the tunnel"
        assert int.from_bytes(packet[16:20], "big") == tunnel.address, "another client's packet"
        if packet[9] == 1 and packet[20] != 0:  # an ICMP error: about a packet to another client
            assert packet[20] == 3
            self.world.facts["errors inside"] += 1
            return
        payload = packet[28:]
        if payload[:1] == b"C":
            assert self.world.across.pop(payload, None) == tunnel.address, "it came twice, or to another client"
            self.world.facts["packets across"] += 1
            return
        assert tunnel.waiting.pop(payload, None) is not None, f"nobody waits for {payload[:7].hex()}"
        tunnel.answered += 1
        self.world.facts["answers"] += 1

    def _leave(self, tunnel: Tunnel, now: int) -> None:
        """EXIT and FIN, FIN, RST, a cable that is pulled, or a new connection beside the old one."""
        how = self.random.choice(("EXIT", "FIN", "RST", "silence", "again"))
        self.world.facts[f"ends: {how}"] += 1

        def exit_and_fin() -> None:
            tunnel.vpn.say("EXIT", now)
            tunnel.flush(now)
            tunnel.peer.close(now)

        ways: dict[str, Callable[[], None]] = {
            "EXIT": exit_and_fin,
            "FIN": lambda: tunnel.peer.close(now),
            "RST": lambda: tunnel.peer.abort(now),
        }
        if how in ways:
            ways[how]()
        if how in ("EXIT", "FIN"):
            if self.closing is not None:
                self.closing.peer.abort(now)
                self._transmit(self.closing)
            self.closing = tunnel
            tunnel.sent_at = now
        self._over(tunnel, now, 0.5 if how == "again" else None)

    # -- the end ---------------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """No faults from now on."""
        quiet = Impairment(delay_ns=10 * MS)
        for channel in (self.up, self.down):
            channel.impairment = quiet
        self.partition_ends = 0
        self.gone = self.tunnel is None

    def expect_all_answered(self) -> None:
        """Packets of a surviving session have arrived."""
        tunnel = self.tunnel
        if tunnel is not None and tunnel.address:
            assert not tunnel.waiting, f"client {self.number}: {len(tunnel.waiting)} queries were never answered"

    def leave_for_good(self) -> None:
        """EXIT and FIN."""
        tunnel, now = self.tunnel, self.world.now
        self.gone = True
        if tunnel is None:
            return
        if tunnel.address:
            tunnel.vpn.say("EXIT", now)
            tunnel.flush(now)
        tunnel.peer.close(now)
        self.closing, tunnel.sent_at = tunnel, now
        self._over(tunnel, now)
