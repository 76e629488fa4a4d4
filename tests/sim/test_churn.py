"""Ten thousand clients that come and go through one gateway and leave nothing there.

2,000 of them complete a real TLS 1.3 handshake with EC certificates (some two, for a renegotiation), 1,000 more begin
one and fail or stop inside it; the other 7,000 end before TLS: that keeps the test within a minute of CPU time.
"""

from __future__ import annotations

import gc
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.gateway.gateway_world import GatewayWorld, Remote, query
from tests.unit.openvpn.client import ClientKit, ModelClient
from tests.unit.openvpn.link import KEY, authority, kit
from tests.world.pki import Authority, Identity

from hognose.drops import DropReason, Stat
from hognose.units import SECOND

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = 0.03  # seconds from one client to the next
# How a client ends -> how many of the ten thousand do.
ENDS = {
    "EXIT": 400, "FIN": 400, "RST": 400, "renegotiation, EXIT": 200, "renegotiation, RST": 100, "silence": 150,
    "replaced": 350,
    "bad certificate": 400, "half a handshake": 200, "half a handshake, RST": 400,
    "wrong key": 1500, "garbage": 1000, "nothing": 200, "FIN at once": 1200, "RST at once": 1200, "reset, FIN": 1000,
    "reset, RST": 500, "SYN only": 400,
}  # fmt: skip
MUTE = ("SYN only", "nothing", "RST at once")  # not a byte of theirs, and so no connection of the gateway's
FULL = ("EXIT", "FIN", "RST", "renegotiation, EXIT", "renegotiation, RST", "silence", "replaced")
STATIC_KEY = "\n".join(
    ["-----BEGIN OpenVPN Static key V1-----"]
    + [KEY.hex()[at : at + 32] for at in range(0, 512, 32)]
    + ["-----END OpenVPN Static key V1-----"]
)


class Visitor:
    """One client and what it is about to do."""

    def __init__(self, world: GatewayWorld, remote: Remote, end: str, number: int) -> None:
        self.world = world
        self.remote = remote
        self.end = end
        self.number = number
        self.step = 0

    @property
    def gone(self) -> bool:
        return self.remote.reset or self.remote.closed or self.step == 9

    def act(self) -> None:
        """One step of its life; 9 is the last."""
        remote, end = self.remote, self.end
        vpn = remote.vpn
        if end in FULL:
            assert vpn is not None
            self._inside(vpn)
        elif end == "half a handshake, RST":
            remote.abort()
            self.step = 9

    def _inside(self, vpn: ModelClient) -> None:
        remote, world = self.remote, self.world
        if not vpn.established or self.end == "replaced":
            return
        if self.step == 0:
            vpn.send(bytes(query(remote.tunnel_address, sport=4000 + self.number)))
            self.step = 1
            if self.end == "silence":
                remote.silent = True
        elif self.step == 1 and self.end.startswith("renegotiation"):
            vpn.renegotiate(world.now)
            self.step = 2
        elif self.step == 2 and len(vpn.data_keys) < 2:
            return
        elif self.end.endswith("EXIT"):
            vpn.say("EXIT", world.now)
            self.step = 3
        elif self.end == "FIN":
            remote.fin()
            self.step = 3
        elif self.end.endswith("RST"):
            remote.abort()
            self.step = 9


class Churn:
    """Arrivals in a mixed, fixed order; every table is looked at when all have gone."""

    def __init__(self) -> None:
        lines = ("keepalive 5 10", "hand-window 10", "<tls-crypt>", *STATIC_KEY.split("\n"), "</tls-crypt>")
        self.world = GatewayWorld(*lines, network="10.8.0.0 255.255.255.0")
        self.identities = {f"client{n}": authority().issue(f"client{n}", start_days=-400, days=4000) for n in range(40)}
        self.stranger = Authority("Other").issue("mallory", start_days=-400, days=4000)
        self.visitors: list[Visitor] = []
        self.ends: Counter[str] = Counter()
        self.most_peers = 0
        self.number = 0
        self.log: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def arrive(self, end: str) -> None:
        number = self.number = self.number + 1
        world = self.world
        address, port = f"203.{number >> 16 & 3}.{number >> 8 & 255}.{number & 255}", 20_000 + number % 40_000
        remote = world.remotes[address, port] = Remote(world, address, port)
        remote.connect()
        if end == "SYN only":
            del world.remotes[address, port]
            world.frames(*remote.poll())
            return
        world.frames()
        assert remote.connected
        if end == "garbage":
            remote.send(bytes((0xF0 | number & 15, number & 255)) + b"\x38GET /" * 3)
        elif end == "FIN at once":
            remote.fin()
        elif end == "RST at once":
            remote.abort()
        elif end != "nothing":
            remote.vpn = ModelClient(self.kit(end, number))
            remote.vpn.start(world.now)
            if end.startswith("reset"):
                remote.records(*remote.vpn.poll(world.now))
                remote.vpn = None
                remote.fin() if end.endswith("FIN") else remote.abort()
            elif end.startswith("half"):
                self._half(remote)
        visitor = Visitor(world, remote, end, number)
        if (end.endswith("RST") and end.startswith("reset")) or end == "RST at once":
            visitor.step = 9
        world.frames()
        self.visitors.append(visitor)

    def _half(self, remote: Remote) -> None:
        """The reset and the ClientHello go out, the answers come, then nothing more."""
        vpn, world = remote.vpn, self.world
        assert vpn is not None
        remote.vpn = None
        remote.records(*vpn.poll(world.now))
        world.frames()
        answer = remote.stream
        vpn.receive(answer[2 : 2 + int.from_bytes(answer[:2], "big")], world.now)
        remote.records(*vpn.poll(world.now))
        world.frames()
        assert len(remote.stream) > len(answer) + 500  # the server's flight is here

    def kit(self, end: str, number: int) -> ClientKit:
        name = f"client{number % 40}"
        identity: Identity = self.stranger if end == "bad certificate" else self.identities[name]
        base = replace(kit("tls-crypt"), cert=identity.cert, key=identity.key)
        return replace(base, static_key=KEY[::-1]) if end == "wrong key" else base

    def pass_time(self, seconds: float) -> None:
        world = self.world
        world.rest(seconds)
        for visitor in self.visitors:
            visitor.act()
        world.frames()
        self.most_peers = max(self.most_peers, len(world.gateway.service.table.by_transport))
        left = []
        for visitor in self.visitors:
            if not visitor.gone:
                left.append(visitor)
                continue
            if visitor.remote.closed and not visitor.remote.reset and visitor.end != "FIN":
                visitor.remote.fin()
                world.frames()
            self._forget(visitor)
        self.visitors = left
        self._clear()

    def _forget(self, visitor: Visitor) -> None:
        self.ends[visitor.end] += 1
        self.world.remotes = {k: r for k, r in self.world.remotes.items() if r is not visitor.remote}

    def _clear(self) -> None:
        self.log.update(event.kind.value for event in self.world.events)
        self.reasons.update(str(fields["reason"]) for fields in self.world.events_of("client_ended"))
        self.world.events.clear()
        self.world.outside.clear()
        self.world.arp.clear()
        self.world.super_frames.clear()

    def drain(self) -> None:
        """Everybody goes, every timer runs out."""
        for _ in range(60):
            self.pass_time(1)
        for visitor in self.visitors:  # the cable was pulled long ago
            assert visitor.remote.silent
            self._forget(visitor)
        self.visitors = []
        self.world.rest(600)
        self._clear()


def tables(world: GatewayWorld) -> dict[str, int]:
    gateway = world.gateway
    tcp, nat, admissions = gateway._tcp[0], gateway.service.admissions._nat, gateway.service.admissions
    return {
        "peers": len(gateway.service.table.by_transport),
        "timers": len(gateway.service.timers),
        "dirty": len(gateway.service.downlink.dirty),
        "clients": len(gateway.service.table.clients),
        "replaced": len(admissions._replaced),
        "pool": len(admissions.pool),
        "NAT flows": nat.flows,
        "connections": len(tcp),
        "by id": len(tcp.connections),
        "TCP timers": tcp.sizes().timers,
        "pauses": tcp.sizes().pauses,
        "TIME-WAIT": tcp.sizes().time_wait,
        "silent": tcp.sizes().silent,
        "before authentication": sum(gateway.service.scheduler.sizes) + gateway.service.scheduler.logins,
        "peer ids": len(gateway.service.table._by_peer_id),
        "sessions": len(gateway.service.table._by_session),
        "logins": len(admissions.waiting),
        "half open": tcp.sizes().half_open,
    }


def mixed(ends: dict[str, int]) -> list[str]:
    """All of them, each kind spread evenly over the whole."""
    total = sum(ends.values())
    places = [((index + 0.5) * total / count, end) for end, count in ends.items() for index in range(count)]
    return [end for _, end in sorted(places)]


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.mark.timeout(600)
def test_ten_thousand_clients_come_and_go() -> None:
    assert sum(ENDS.values()) == 10_000
    assert sum(ENDS[end] for end in FULL) == 2_000
    churn = Churn()
    world = churn.world
    sizes: list[tuple[int, int]] = []
    for index, end in enumerate(mixed(ENDS), 1):
        churn.arrive(end)
        churn.pass_time(TICK)
        if index % 2_500 == 0:
            churn.drain()
            assert set(tables(world).values()) == {0}, tables(world)
            sizes.append((resident(), len(gc.get_objects())))
    # Memory: from the first quarter to the end.
    assert sizes[-1][0] - sizes[0][0] < 6 * MIB, sizes
    assert sizes[-1][1] - sizes[0][1] < 500, sizes
    # Everything happened that was to happen.
    assert world.stat(Stat.SESSIONS_ESTABLISHED) == world.stat(Stat.SESSIONS_ENDED) == 2_000
    assert world.stat(Stat.TCP_ACCEPTED) == world.stat(Stat.TCP_CLOSED) == 10_000 - sum(ENDS[end] for end in MUTE)
    assert world.stat(Stat.RENEGOTIATIONS) == 300
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0
    assert world.dropped(DropReason.SEND_QUEUE_FULL) == 0
    assert world.dropped(DropReason.BAD_HMAC) == ENDS["wrong key"]
    assert world.dropped(DropReason.CERTIFICATE_REJECTED) == ENDS["bad certificate"]
    assert world.dropped(DropReason.BAD_FRAME_LENGTH) == ENDS["garbage"]
    assert world.dropped(DropReason.HANDSHAKE_TIMEOUT) == ENDS["half a handshake"]
    assert world.dropped(DropReason.TCP_SILENT) == ENDS["nothing"]
    assert world.stat(Stat.NAT_FLOWS_OPENED) == world.stat(Stat.NAT_FLOWS_EXPIRED) == 1_500
    assert churn.log["client_ended"] == 2_000
    assert churn.reasons["peer_exit"] == ENDS["EXIT"] + ENDS["renegotiation, EXIT"]
    assert churn.reasons["replaced"] > 100
    assert set(churn.reasons) == {"peer_exit", "peer_closed", "peer_timeout", "replaced"}
    assert churn.ends == Counter({end: count for end, count in ENDS.items() if end != "SYN only"})
    assert churn.most_peers > 20  # they were there at the same time
    # And the gateway is as good as new.
    last = ModelClient(churn.kit("EXIT", 1))
    remote = world.remotes["203.0.113.9", 40_000] = Remote(world, "203.0.113.9", 40_000)
    remote.connect()
    world.frames()
    remote.vpn = last
    last.start(world.now)
    world.run(lambda: last.established, 5)
    assert world.now > 500 * SECOND
