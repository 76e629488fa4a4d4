"""The way in by itself: an Ingress between engines that note what they are given, and frames for it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from hognose.address import parse_ipv4
from hognose.drops import Counters, DropReason, Stat
from hognose.ip.fragments import Reassembler
from hognose.ip.icmp_errors import IcmpRates
from hognose.limits import IpLimits, StepLimits
from hognose.link import LinkCaps, Outgoing
from hognose.router.classify import Classifier
from hognose.router.icmp import LinkIcmp
from hognose.router.ingress import FrameSieve, Ingress
from hognose.router.local_endpoints import LocalEndpoints
from hognose.router.routed import Routed
from hognose.units import SECOND

MAC = bytes.fromhex("020000000002")
ROUTER_MAC = "02:00:00:00:00:01"
US, HOST = "10.0.0.2", "198.51.100.7"
CLIENT, OTHER = parse_ipv4("10.8.0.2"), parse_ipv4("10.8.0.3")
PORT = 1194
NOW = 100 * SECOND
PLAIN = bytes(12)
TUN_MTU, MSS = 1400, 1360


class Everyone(dict[bytes, int]):
    """One value for any client."""

    def __init__(self, value: int) -> None:
        self._value = value

    def get(self, key: bytes, default: int = 0) -> int:  # type: ignore[override]  # narrower than a dictionary's
        return self._value


@dataclass
class Engines:
    """All that an Ingress hands frames to. inbound: what the NAT answers, one after the other."""

    inbound_answers: list[object] = field(default_factory=list)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    overflow_at: int = 0
    kept: int | None = None

    def receive(self, *given: object) -> object:
        """The TCP server's seven, or the neighbor table's three."""
        if len(given) == 3:
            self.calls.append(("arp", given[1]))
            return []
        self.calls.append(("tcp", *given[1:6]))
        return None

    def icmp_error(self, kind: int, code: int, rest: int, quoted: bytes, now: int) -> None:
        self.calls.append(("tcp error", kind, code, rest))

    def inbound(self, data: bytes, l3: int, end: int, gso_size: int, partial: bool, now: int) -> object:
        self.calls.append(("nat", l3, end, gso_size, partial))
        if not self.inbound_answers:
            return DropReason.NAT_NO_MAPPING
        found = self.inbound_answers.pop(0)
        return (found[0], list(found[1])) if isinstance(found, tuple) else found

    def inbound_error(self, data: bytes, l3: int, end: int, now: int) -> object:
        self.calls.append(("nat error", l3, end))
        found = self.inbound_answers.pop(0) if self.inbound_answers else DropReason.NAT_FILTERED
        return (found[0], found[1]) if isinstance(found, tuple) else found

    @property
    def sifts(self) -> bool:
        return self.overflow_at > 0

    def begin(self, overflow_at: int, now: int) -> bool:
        return self.sifts

    def sift(self, frames: list[bytes]) -> list[bytes]:
        if self.kept is None:
            raise RuntimeError("a bug")
        return frames[: self.kept]


@dataclass
class Server:
    """A server of a port, which notes what it is given. due: its timer; unsent: what it has to send.

    keeps: each call is a datagram that waits.
    """

    calls: list[tuple[object, ...]] = field(default_factory=list)
    due: int | None = None
    unsent: list[Outgoing] = field(default_factory=list)
    keeps: bool = False
    waiting: int = 0

    def receive(self, *given: object) -> None:
        """Offsets, size of segments, trust, and time; the first value is the data."""
        self.calls.append(given[1:])
        end, gso_size = given[3], given[4]
        assert isinstance(end, int)
        assert isinstance(gso_size, int)
        self.waiting += self.keeps and max(1, -(-(end - 54) // (gso_size or end)))

    def icmp_error(self, *given: object) -> None:
        """Type, code, rest, quoted packet, time."""
        self.calls.append(("error", *given[:3]))

    def knows(self, source: bytes) -> bool:
        return False

    @property
    def waits(self) -> bool:
        return bool(self.unsent)

    def next_deadline(self) -> int | None:
        return self.due

    def handle_deadline(self, now: int) -> None:
        self.calls.append(("timer", now))

    def poll(self, now: int) -> list[Outgoing]:
        sent, self.unsent = self.unsent, []
        return sent


class LoneIngress:
    """An ingress, its engines, its counters. tcp, udp: more servers by port."""

    def __init__(
        self,
        split_packets: int = 100,
        *answers: object,
        tcp: dict[int, Server] | None = None,
        udp: dict[int, Server] | None = None,
        sieves: tuple[FrameSieve, ...] = (),
        **limits_of_a_step: int,
    ) -> None:
        self.engines = engines = Engines(list(answers))
        self.counters = Counters()
        self.sent: list[Packet] = []
        limits = IpLimits(icmp_errors_per_second=3)
        step = StepLimits(split_packets=split_packets, **limits_of_a_step)
        us, counters = parse_ipv4(US), self.counters
        endpoints = LocalEndpoints(tcp={PORT: engines, **(tcp or {})}, udp=udp or {})  # type: ignore[dict-item]  # stand-ins
        icmp = LinkIcmp(
            address=us, broadcasts=frozenset((parse_ipv4("10.0.0.255"),)), endpoints=endpoints, nat=engines,  # type: ignore[arg-type]  # stand-ins
            rates=IcmpRates(limits), counters=counters,
        )  # fmt: skip
        classifier = Classifier(
            mac=MAC,
            address=us,
            ports=frozenset((PORT,)),
            mss=Everyone(MSS),
            tun_mtu=TUN_MTU,
            endpoints=endpoints,
            icmp=icmp,
            counters=counters,
            syn_sieve=engines,  # type: ignore[arg-type]  # stand-ins
            nat=engines,  # type: ignore[arg-type]  # likewise
            neighbors=engines,  # type: ignore[arg-type]  # likewise
            reassembler=Reassembler(limits, self.counters),
        )
        self.ingress = Ingress(
            caps=LinkCaps(MAC), address=us, vpn=(engines,), endpoints=endpoints, classifier=classifier,  # type: ignore[arg-type]  # stand-ins
            syn_sieve=engines, limits=step, counters=counters,  # type: ignore[arg-type]  # stand-ins
            datagram_sieves=sieves,
        )  # fmt: skip

    def take(self, *frames: bytes) -> Routed:
        """The answer to a batch; its packets for the link are noted in `sent` besides."""
        routed = self.ingress.receive(list(frames), NOW)
        for to, vnet, pieces in routed.to_link:
            assert vnet == PLAIN
            self.sent.append(IP(b"".join(pieces)))
            assert parse_ipv4(self.sent[-1].dst) == to
        return routed

    @property
    def drops(self) -> dict[str, int]:
        return {reason.name: self.counters.drops[reason] for reason in DropReason if self.counters.drops[reason]}

    @property
    def came(self) -> tuple[int, int, int]:
        stats = self.counters.stats
        return stats[Stat.FRAMES_IN], stats[Stat.BYTES_IN], stats[Stat.SUPER_FRAMES_IN]


def frame(packet: Packet | bytes, vnet: bytes = PLAIN, to: str = MAC.hex(":"), ethertype: int = 0x0800) -> bytes:
    return vnet + bytes(Ether(src=ROUTER_MAC, dst=to, type=ethertype)) + bytes(packet)


def vnet(flags: int = 0, gso: int = 0, size: int = 0) -> bytes:
    return struct.pack("<BBHHHHH", flags, gso, 54, size, 34, 16, 0)


def ip(**fields: Any) -> Packet:
    return IP(**{"src": HOST, "dst": US, **fields})


def segment(payload: bytes = b"", flags: str = "PA", port: int = PORT, **fields: object) -> Packet:
    return ip(**fields) / TCP(sport=40_000, dport=port, flags=flags) / Raw(payload)


def answer(size: int = 60, to: bytes = CLIENT, count: int = 1, **fields: Any) -> tuple[bytes, list[bytes]]:
    """Results of the NAT for a packet: `count` of them for a client."""
    packet = bytes(IP(src=HOST, dst="10.8.0.2", **fields) / UDP(sport=53, dport=5000) / Raw(bytes(size - 28)))
    return to, [packet] * count
