"""Strangers of the world simulation: they send whatever might hurt, and learn nothing that a stranger could not."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.sim.segments import Segment, build, parse
from tests.sim.world_peer import udp_packet

if TYPE_CHECKING:
    from tests.sim.world import SimWorld

SECOND = 1_000_000_000
GATEWAY = 0x0A000002
FIRST = 0xCB007101  # 203.0.113.1
RESET = b"\x38" + bytes(range(1, 9)) + b"\0" + bytes(4)


class Hostile:
    """All strangers together."""

    def __init__(self, world: SimWorld) -> None:
        self.world = world
        self.random = random.Random(f"hostile {world.settings.seed}")
        self.due = world.now
        self.mapped_ports: list[int] = []
        self.said = self.told = 0  # bytes of IP packets of UDP, to the gateway and from it
        self._connections: dict[tuple[int, int], tuple[int, int]] = {}  # host, port -> next number, to acknowledge

    def act(self, now: int) -> None:
        """One attack, and when the next will be."""
        self.due = now + int(self.random.expovariate(1 / self.world.settings.mean_hostile) * SECOND) + 1
        attacks = (
            self._connect,
            self._say,
            self._say,
            self._floods,
            self._blind,
            self._frames,
            self._unasked,
            self._leave,
        )
        attack = self.random.choice(attacks + (self._resets, self._noise, self._copies) * bool(self.world.roamers))
        attack()
        self.world.facts["attacks"] += 1
        del self.mapped_ports[:-50]

    def hears(self, packet: bytes) -> None:
        """An answer to a stranger: its SYN-ACK completes the handshake."""
        key = (int.from_bytes(packet[16:20], "big"), int.from_bytes(packet[22:24], "big"))
        segment = parse(packet)
        if key not in self._connections or segment.has("R"):
            self._connections.pop(key, None)
            return
        number, _ = self._connections[key]
        self._connections[key] = (number, segment.end)
        if segment.has("S"):
            self._segment(key, Segment(number, segment.end))

    def _segment(self, key: tuple[int, int], segment: Segment) -> None:
        self.world.frame(build(segment, key[0], key[1], GATEWAY, 1194))

    def _connect(self) -> None:
        key = (FIRST + self.random.randrange(60), self.random.randrange(1024, 65536))
        self._connections[key] = (5001, 0)
        self._segment(key, Segment(5000, 0, "S", mss=1460))
        if len(self._connections) > 40:
            self._connections.pop(next(iter(self._connections)))

    def _say(self) -> None:
        """Records of no protocol, a hard reset, half a record."""
        if not self._connections:
            return
        key = self.random.choice(list(self._connections))
        number, ack = self._connections[key]
        size = self.random.randrange(1, 1400)
        data = self.random.choice(
            (
                self.random.randbytes(size),
                size.to_bytes(2, "big") + self.random.randbytes(size),
                len(RESET).to_bytes(2, "big") + RESET,
                b"\0\x0e" + RESET[: self.random.randrange(14)],
                b"\0\x40\x20" + self.random.randbytes(63),
                b"GET / HTTP/1.1\r\n\r\n",
            )
        )
        self._connections[key] = (number + len(data), ack)
        self._segment(key, Segment(number, ack, "PA", payload=data))

    def _leave(self) -> None:
        if self._connections:
            key = self.random.choice(list(self._connections))
            number, ack = self._connections.pop(key)
            self._segment(key, Segment(number, ack, self.random.choice(("FA", "RA"))))

    def _floods(self) -> None:
        """SYNs from everywhere."""
        for _ in range(self.random.randrange(1, 40)):
            key = (FIRST + self.random.randrange(200), self.random.randrange(1024, 65536))
            self._segment(key, Segment(self.random.getrandbits(32), 0, "S", mss=1460))

    def _blind(self) -> None:
        """Segments under a client's address and port, with numbers that are guessed."""
        client = self.random.choice(self.world.streams)
        if client.tunnel is None:
            return
        for _ in range(8):
            flags = self.random.choice(("R", "RA", "S", "SA", "PA", "FA", "A"))
            payload = self.random.randbytes(self.random.choice((0, 50))) if "P" in flags else b""
            # Half the numbers are far from the window: those in it are one in thousands.
            segment = Segment(self.random.getrandbits(32), self.random.getrandbits(32), flags, payload=payload)
            if self._outside_the_window(client.tunnel.peer, segment):
                self._segment((client.host, client.tunnel.port), segment)

    @staticmethod
    def _outside_the_window(peer: object, segment: Segment) -> bool:
        """A guess that hits the window would be an attack on TCP itself, which no server withstands."""
        expected = peer.settings.iss + peer.nxt  # type: ignore[attr-defined]  # of this kind only
        return (segment.seq - expected + (1 << 23)) & 0xFFFFFFFF > 1 << 24

    def _frames(self) -> None:
        """Frames of noise, some with a header that fits."""
        noise = self.random.randbytes(self.random.randrange(0, 200))
        self.world.raw_frame(noise)
        self.world.raw_frame(bytes(12) + bytes.fromhex("020000000002020000000001") + b"\x08\0\x45" + noise)

    def _unasked(self) -> None:
        """UDP from a stranger to the ports of clients' mappings and to others."""
        port = self.random.choice(self.mapped_ports or [5000])
        for destination in (port, self.random.randrange(1, 65536)):
            self.world.frame(udp_packet(FIRST, 53, GATEWAY, destination, b"unasked"))

    # -- over UDP ----------------------------------------------------------------------------------------------------

    def _datagram(self, source: int, sport: int, payload: bytes) -> None:
        packet = udp_packet(source, sport, GATEWAY, 1194, payload)
        if source >> 8 == FIRST >> 8:
            self.said += len(packet)
        self.world.frame(packet)

    def _anyone(self) -> tuple[int, int]:
        """An address and port of a stranger, or of a client."""
        client = self.random.choice(self.world.roamers)
        if client.tunnel is not None and self.random.random() < 0.5:
            return client.host, client.tunnel.port
        return FIRST + self.random.randrange(60), self.random.randrange(1, 65536)

    def _resets(self) -> None:
        """Hard resets from everywhere, from the addresses of clients too."""
        for _ in range(self.random.randrange(1, 40)):
            self._datagram(*self._anyone(), self.random.choice((RESET, RESET[:13], b"\x50" + RESET[1:])))

    def _noise(self) -> None:
        """Data of no session, control packets of none, empty datagrams."""
        for _ in range(4):
            first = self.random.choice((b"", b"\x48", b"\x30", b"\x20", b"\x28", self.random.randbytes(1)))
            noise = self.random.randbytes(self.random.choice((0, 3, 12, 40, 1300)))
            self._datagram(*self._anyone(), first + noise)

    def _copies(self) -> None:
        """Copies of datagrams of a client, from its own address and from others."""
        client = self.random.choice(self.world.roamers)
        for packet in self.random.sample(client.sent, min(4, len(client.sent))):
            self._datagram(*self._anyone(), packet[28:])
            self._datagram(int.from_bytes(packet[12:16], "big"), int.from_bytes(packet[20:22], "big"), packet[28:])
