"""Packetdrill in Python: a scripted peer of a TcpServer in virtual time.

Numbers are relative: the peer's SYN is 0 and its first byte 1, and so are ours. `wait` counts milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.sim.segments import Segment, build, read

from hognose.base.fair_table import FairTable
from hognose.drops import Counters, DropReason, Stat
from hognose.limits import TcpLimits
from hognose.link import Outgoing
from hognose.tcp.connection import TcpConnection
from hognose.tcp.server import TcpServer

SERVER, PORT = 0x0A000002, 1194
CLIENT, CLIENT_PORT = 0x0A000009, 40_000
MS = 1_000_000
MASK = 0xFFFFFFFF


class Script:
    """One server and one scripted peer."""

    def __init__(
        self,
        *,
        start: int = 5_000 * MS,
        irs: int = 1000,
        limits: TcpLimits | None = None,
        mtu: int = 1500,
        secret: bytes = bytes(32),
        random: Callable[[int], bytes] = bytes,
        silent: FairTable[bytes] | None = None,
        local: int = SERVER,
        port: int = PORT,
    ) -> None:
        self.start = self.now = start
        self.local, self.local_port = local, port
        self.irs = irs
        self.iss = 0
        self.counters = Counters()
        self.server = TcpServer(
            address=local.to_bytes(4, "big"),
            port=port,
            mtu=mtu,
            limits=limits or TcpLimits(),
            secret=secret,
            now=start,
            random=random,
            counters=self.counters,
            silent=silent,
        )
        self.edge = 0  # relative right edge of the window that we have offered, as the wire says it
        self.scale = 0
        self.ts = True
        self._conn: TcpConnection | None = None
        self.next = 0  # what the peer sends next, relative
        self.seen = 0  # relative end of what we have sent: the default acknowledgement
        self.ts_base = 7_000_000
        self.ts_echo = 0
        self.raw: list[Outgoing] = []
        self.port = CLIENT_PORT
        self.address = CLIENT

    # -- the peer's side

    def send(
        self,
        flags: str = "A",
        payload: bytes = b"",
        *,
        seq: int | None = None,
        ack: int | None = None,
        window: int = 65535,
        sack: tuple[tuple[int, int], ...] = (),
        ts: tuple[int, int] | bool | None = True,
        ok: bool = True,
        gso_size: int = 0,
        **changes: object,
    ) -> None:
        """Deliver one segment without polling; seq None continues the stream, ack None acknowledges all seen."""
        at = self.next if seq is None else seq
        segment = Segment((self.irs + at) & MASK, 0, flags, window, payload)
        if "A" in flags:
            segment.ack = (self.iss + (self.seen if ack is None else ack)) & MASK
        segment.sack = [((self.iss + a) & MASK, (self.iss + b) & MASK) for a, b in sack]
        if ts is True and self.ts and "R" not in flags:
            segment.ts = (self.stamp(), self.ts_echo)
        elif isinstance(ts, tuple):
            segment.ts = ts
        for name, value in changes.items():
            setattr(segment, name, value)
        if seq is None:
            self.next += len(payload) + segment.has("S") + segment.has("F")
        packet = build(segment, self.address, self.port, self.local, self.local_port)
        self.server.receive(packet, 0, 20, len(packet), gso_size, ok, self.now)

    @property
    def conn(self) -> TcpConnection:
        """The connection that `open` has made."""
        assert self._conn is not None
        return self._conn

    def stamp(self) -> int:
        """The peer's timestamp clock."""
        return (self.ts_base + (self.now - self.start) // MS) & MASK

    def syn(self, **changes: object) -> list[Segment]:
        """Send a SYN with the usual options and return the answer; the script learns our ISN from it."""
        options: dict[str, Any] = {"mss": 1460, "scale": 7, "sack_ok": True}
        self.next = 0
        self.send("S", ts=(self.stamp(), 0) if self.ts else None, **(options | changes))
        answers = self.poll(relative=False)
        if answers and answers[0].flags == "SA":
            self.iss = answers[0].seq
            self.seen = 1
            self.scale = answers[0].scale or 0
            self.edge = 1 + answers[0].window
            self.ts_echo = answers[0].ts[0] if answers[0].ts else 0
        return answers

    def open(self, *, window: int = 65535, after: float = 0, **changes: object) -> TcpConnection:
        """The whole handshake; the third segment comes `after` milliseconds after our SYN-ACK left."""
        self.syn(**changes)
        self.now += int(after * MS)
        self.send("A", window=window)
        assert self.poll() == []
        return self.accept()

    def accept(self) -> TcpConnection:
        """The one connection that has become the user's."""
        [self._conn] = self.server.accepted()
        return self._conn

    # -- our side

    def poll(self, *, relative: bool = True) -> list[Segment]:
        """Everything that we send now, cut as a device with TSO would."""
        self.raw = self.server.poll(self.now)
        out: list[Segment] = []
        for outgoing in self.raw:
            for segment in read(outgoing):
                if relative:
                    segment.seq = (segment.seq - self.iss) & MASK
                    segment.ack = (segment.ack - self.irs) & MASK if segment.has("A") else 0
                    segment.sack = [((a - self.irs) & MASK, (b - self.irs) & MASK) for a, b in segment.sack]
                    if segment.has("A") and not segment.has("S"):
                        self.edge = max(self.edge, segment.ack + (segment.window << self.scale))
                    if not segment.has("R"):
                        self.seen = max(self.seen, segment.end)
                if segment.ts:
                    self.ts_echo = segment.ts[0]
                out.append(segment)
        return out

    def sizes(self) -> list[int]:
        """Payload sizes of the Outgoing values of a poll: super-segments count once."""
        self.poll()
        return [sum(map(len, pieces)) - 20 - (b"".join(pieces)[32] >> 4) * 4 for _, _, pieces in self.raw]

    def wait(self, milliseconds: float) -> list[Segment]:
        """Let time pass, with every deadline in it; returns all that was sent on the way."""
        end = self.now + int(milliseconds * MS)
        out: list[Segment] = []
        while True:
            deadline = self.server.next_deadline()
            if deadline is None or deadline > end:
                break
            self.now = max(self.now, deadline)
            self.server.handle_deadline(self.now)
            out += self.poll()
        self.now = end
        return out

    def take(self) -> bytes:
        """Data for the user of the connection."""
        return b"".join(part for conn in self.server.readable() for part in conn.take())

    def write(self, data: bytes, piece: int = 0) -> None:
        size = piece or max(1, len(data))
        self.conn.write([data[at : at + size] for at in range(0, len(data), size)])

    def quick_acks_over(self) -> None:
        """Spend the immediate acknowledgements of a young connection."""
        for _ in range(40):
            self.send("PA", b"q")
        self.poll()
        self.take()

    def drops(self, reason: DropReason) -> int:
        return self.counters.drops[reason]

    def stat(self, stat: Stat) -> int:
        return self.counters.stats[stat]

    @property
    def ended(self) -> list[str]:
        """Close reasons reported since the last look."""
        return [conn.close_reason.name for conn in self.server.closed() if conn.close_reason is not None]
