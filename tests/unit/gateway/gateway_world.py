"""A whole gateway in virtual time: its link, its router, clients that speak TCP and OpenVPN, hosts outside.

The clients' TCP is as plain as the loss-free link allows (tests/sim has the bad links), their OpenVPN is the model
client's; neither shares code with hognose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet
from tests.sim.segments import Segment, build, ipv4_int, read
from tests.unit.openvpn.client import ModelClient
from tests.unit.openvpn.link import authority, client_identity, kit, server_identity
from tests.world.server import ServerSettings
from tests.world.today import UNIX

from hognose.address import Address, address_text, parse_ipv4
from hognose.config.parser import parse
from hognose.drops import Counters, DropReason, Stat
from hognose.events import Event
from hognose.gateway.assemble import Uplink, assemble
from hognose.limits import Limits
from hognose.link import LinkCaps
from hognose.router.local_endpoints import NO_ENDPOINTS, LocalEndpoints
from hognose.units import SECOND
from hognose.vpn.authentication import Authenticator

MAC = bytes.fromhex("020000000002")
ROUTER_MAC = "02:00:00:00:00:01"
ADDRESS, ROUTER = "10.0.0.2", "10.0.0.1"
GATEWAY = "10.8.0.1"
OUTSIDE = "198.51.100.7"
START = 1000 * SECOND
PLAIN = bytes(12)


class GatewayWorld:
    """Frames go in by `frames`, time passes by `run` and `rest`; what left for the Internet is in `outside`."""

    def __init__(
        self,
        *lines: str,
        caps: LinkCaps | None = None,
        limits: Limits | None = None,
        network: str = "10.8.0.0 255.255.255.0",
        router: str | None = ROUTER,
        no_authentication: bool = False,
        link_endpoints: LocalEndpoints = NO_ENDPOINTS,
        tunnel_endpoints: LocalEndpoints = NO_ENDPOINTS,
        authenticator: Authenticator | None = None,
    ) -> None:
        text = ServerSettings(authority(), server_identity(), "none", extra=list(lines)).text()
        text = text.replace("10.8.0.0 255.255.255.0", network)
        config, _ = parse(text, "server.conf", allow_no_authentication=no_authentication)
        self.config = config
        self.now = START
        self.counters = Counters()
        # Names get addresses in the order in which they come, as a test's reader expects them.
        self._addresses: dict[str, Address] = {}
        self._pool = config.network.pool
        self.gateway = assemble(
            config,
            caps=caps or LinkCaps(mac=MAC),
            uplink=Uplink(parse_ipv4(ADDRESS), 24, parse_ipv4(router) if router else None),
            limits=limits or Limits(),
            random=_random(),
            now=self.now,
            unix=UNIX,
            counters=self.counters,
            link_endpoints=link_endpoints,
            tunnel_endpoints=tunnel_endpoints,
            authenticator=authenticator,
        )
        if not config.admission.reservations:
            admissions = self.gateway.service.admissions
            admissions.apply(replace(admissions.policy, reservations=self._addresses))
        self.remotes: dict[tuple[str, int], Remote] = {}
        self.outside: list[Packet] = []  # IP packets that went to the router and are no TCP of ours
        self.super_frames: list[tuple[bytes, bytes]] = []  # (vnet header, packet) of those with GSO
        self.arp: list[Packet] = []
        self.events: list[Event] = []
        self.answers_arp = True
        self.remote_type = Remote
        self.one_by_one = False  # True: a step for each frame
        self.frames()

    # -- the link --------------------------------------------------------------------------------------------------

    def frames(self, *frames: bytes) -> None:
        """One step with these frames, and everything that follows from it at this moment."""
        queue: list[bytes] = list(frames)
        for _ in range(200):
            if sieve := self.gateway.sieve(self.now):
                queue = sieve(queue)
            out = []
            for batch in [[frame] for frame in queue] if self.one_by_one and queue else [queue]:
                out += self.gateway.step(batch, self.now, UNIX + (self.now - START) // SECOND)
            self.events += self.gateway.take_events()
            queue = []
            for pieces in out:
                queue += self.sent(b"".join(pieces))
            for remote in list(self.remotes.values()):
                queue += remote.poll()
            if not queue and self.gateway.wants_frames:
                return
        raise AssertionError("the exchange does not come to rest")

    def ip(self, packet: Packet, vnet: bytes = PLAIN) -> None:
        """A packet of the router's for us."""
        self.frames(vnet + bytes(Ether(src=ROUTER_MAC, dst=MAC.hex(":")) / packet))

    def run(self, until: Callable[[], bool], seconds: float = 60) -> None:
        """Virtual time goes on until the condition holds; AssertionError when it does not in time."""
        limit = self.now + int(seconds * SECOND)
        self.frames()
        while not until():
            self.now = self._next_time(limit)
            assert self.now < limit, (
                f"not within {seconds} s: {self.events[-3:]} {self.gateway.waits_for} {self.counters.non_zero()}"
            )
            self.frames()

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        limit = self.now + int(seconds * SECOND)
        while self.now < limit:
            self.now = self._next_time(limit)
            self.frames()

    def _next_time(self, limit: int) -> int:
        times = [limit]
        deadline = self.gateway.next_deadline()
        if deadline is not None:
            times.append(deadline)
        times += [time for remote in self.remotes.values() for time in remote.deadlines()]
        return max(self.now + 1, min(times))

    def sent(self, frame: bytes) -> list[bytes]:
        """One frame of the gateway's; what the world answers at once."""
        vnet = frame[:12]
        assert frame[18:24] == MAC
        if frame[24:26] == b"\x08\x06":
            ethernet = Ether(frame[12:])
            self.arp.append(ethernet)
            asked = ethernet[ARP]
            if asked.op == 1 and asked.pdst == ROUTER and self.answers_arp:
                return [arp_reply()]
            return []
        packet = frame[26:]
        if packet[9] == 6 and packet[20:22] == (1194).to_bytes(2, "big"):
            remote = self.remotes.get((address_text(packet[16:20]), int.from_bytes(packet[22:24])))
            if remote is not None:
                for segment in read((packet[16:20], vnet, [packet])):
                    remote.receive(segment)
                return []
        assert frame[12:18].hex(":") == ROUTER_MAC
        if vnet[1]:
            self.super_frames.append((vnet, packet))
        self.outside.append(IP(packet))
        return []

    # -- what tests ask --------------------------------------------------------------------------------------------

    def dropped(self, reason: DropReason) -> int:
        return self.counters.drops[reason]

    def stat(self, stat: Stat) -> int:
        return self.counters.stats[stat]

    def events_of(self, kind: str) -> list[dict[str, str | int]]:
        return [event.fields for event in self.events if event.kind.value == kind]

    def remote(self, address: str = "192.0.2.11", port: int = 40_000) -> Remote:
        """A TCP client that has completed its handshake."""
        remote = self.remotes[address, port] = self.remote_type(self, address, port)
        remote.connect()
        self.frames()
        assert remote.connected
        return remote

    def client(self, name: str = "alice", address: str = "192.0.2.11", port: int = 40_000, **changes: Any) -> Remote:
        """An OpenVPN client that has its address."""
        remote = self.start(name, address, port, **changes)
        self.run(lambda: remote.vpn is not None and remote.vpn.established)
        return remote

    def start(self, name: str = "alice", address: str = "192.0.2.11", port: int = 40_000, **changes: Any) -> Remote:
        """An OpenVPN client that has begun."""
        first, last = (int.from_bytes(each, "big") for each in self._pool)
        if len(self._addresses) <= last - first:
            self._addresses.setdefault(name, (first + len(self._addresses)).to_bytes(4, "big"))
        remote = self.remote(address, port)
        identity = client_identity(name)
        fields: dict[str, Any] = {"cert": identity.cert, "key": identity.key, **changes}
        remote.vpn = ModelClient(replace(kit(), **fields))
        remote.vpn.start(self.now)
        return remote


class Remote:
    """One TCP connection to the VPN port, with an OpenVPN client on it if the test wants one."""

    def __init__(self, world: GatewayWorld, address: str, port: int) -> None:
        self.world = world
        self.vpn: ModelClient | None = None
        self.stream = b""  # bytes received and not yet cut into records
        self.connected = self.reset = self.closed = False
        self.reads = True  # False: the window is shut and nothing is acknowledged
        self.silent = False  # True: as a cable that was pulled
        self.size = 1460  # bytes in a segment
        self.source, self.port = ipv4_int(address), port
        self.out: list[Segment] = []
        self.seq, self.ack = 5000, 0
        self._dirty = False

    @property
    def tunnel_address(self) -> str:
        """Options pushed to the client."""
        assert self.vpn is not None
        [reply] = [message for message in self.vpn.messages if message.startswith("PUSH_REPLY")]
        return next(word.split(" ")[1] for word in reply.split(",") if word.startswith("ifconfig "))

    def connect(self) -> None:
        self.emit("S", mss=1460)
        self.seq += 1

    def send(self, data: bytes, size: int = 0) -> None:
        """Bytes of the stream, in segments of `size` bytes."""
        size = size or self.size
        for at in range(0, len(data), size):
            part = data[at : at + size]
            self.emit("PA", part)
            self.seq += len(part)

    def records(self, *records: bytes) -> None:
        """OpenVPN records."""
        self.send(b"".join(len(record).to_bytes(2, "big") + record for record in records))

    def inner(self, *packets: Packet) -> list[Packet]:
        """Send inner packets now; returns what came back inside the tunnel."""
        assert self.vpn is not None
        for packet in packets:
            self.vpn.send(bytes(packet))
        self.world.frames()
        return self.take()

    def take(self) -> list[Packet]:
        """Inner packets that came since the last call."""
        assert self.vpn is not None
        packets, self.vpn.packets = self.vpn.packets, []
        return [IP(packet) for packet in packets]

    def fin(self) -> None:
        self.emit("FA")
        self.seq += 1

    def abort(self) -> None:
        self.emit("RA")

    def deadlines(self) -> Iterator[int]:
        if self.vpn is not None and not (self.silent or self.closed or self.reset):
            for negotiation in self.vpn.negotiations.values():
                for entry in negotiation.unacked.values():
                    yield entry[2]

    def poll(self) -> list[bytes]:
        """Frames to send now."""
        if self.vpn is not None and not self.silent and not self.closed and not self.reset:
            records = self.vpn.poll(self.world.now)
            if records:
                self.records(*records)
        if self._dirty and self.reads and not self.silent:
            self._dirty = False
            self.emit("A")
        out, self.out = self.out, []
        if self.silent:
            return []
        head = PLAIN + MAC + bytes.fromhex(ROUTER_MAC.replace(":", "")) + b"\x08\0"
        return [
            head + build(segment, self.source, self.port, ipv4_int(ADDRESS), 1194) for segment in out
        ]  # fmt: skip

    def receive(self, segment: Segment) -> None:
        """One segment of the gateway's."""
        if segment.has("R"):
            self.reset = True
            return
        if segment.has("S"):
            self.ack = (segment.seq + 1) & 0xFFFFFFFF
            self.connected = self._dirty = True
            return
        if not self.reads or self.silent:
            return
        if segment.seq != self.ack:
            if segment.payload or segment.has("F"):
                self._dirty = True
            return
        self.ack = segment.end
        self._dirty |= bool(segment.payload) or segment.has("F")
        self.stream += segment.payload
        self.closed |= segment.has("F")
        if self.vpn is not None:
            while len(self.stream) >= 2 and len(self.stream) >= 2 + int.from_bytes(self.stream[:2]):
                end = 2 + int.from_bytes(self.stream[:2])
                record, self.stream = self.stream[2:end], self.stream[end:]
                self.vpn.receive(record, self.world.now)

    def emit(self, flags: str, payload: bytes = b"", mss: int | None = None) -> None:
        """A segment with the next poll."""
        window = 65535 if self.reads else 0
        ack = 0 if flags == "S" else self.ack
        self.out.append(Segment(self.seq & 0xFFFFFFFF, ack, flags, window, payload, mss=mss))


def arp_reply() -> bytes:
    """The router's answer."""
    answer = ARP(op=2, hwsrc=ROUTER_MAC, psrc=ROUTER, hwdst=MAC.hex(":"), pdst=ADDRESS)
    return PLAIN + bytes(Ether(src=ROUTER_MAC, dst=MAC.hex(":")) / answer)


def query(source: str, sport: int = 5000, payload: bytes = b"question") -> Packet:
    """A UDP packet to a host outside."""
    return IP(src=source, dst=OUTSIDE, ttl=64) / UDP(sport=sport, dport=53) / payload


def _random() -> Callable[[int], bytes]:
    """Different bytes at every call, the same in every run."""
    state = 0

    def take(size: int) -> bytes:
        nonlocal state
        state += 1
        return (b"%08d" % state * (size // 8 + 1))[:size]

    return take
