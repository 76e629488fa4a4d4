"""Many peers at one server against each of them at a server of its own: the same packets, the same deadlines."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any, cast

import pytest
from tests.unit.tcp.tcp_script import MS, Script

from hognose.base.fair_table import FairTable
from hognose.tcp.connection import TcpConnection
from hognose.tcp.server import TcpServer


class Both:
    """The server of one peer; what it is given the server of all is given too."""

    def __init__(self, own: TcpServer, crowd: Crowd) -> None:
        self._own = own
        self._crowd = crowd

    def receive(self, packet: bytes, *rest: Any) -> None:
        self._own.receive(packet, *rest)
        self._crowd.server.receive(packet, *rest)

    def __len__(self) -> int:
        return len(self._own)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


class Peer(Script):
    """A peer of both, with a port of its own."""

    def __init__(self, crowd: Crowd, port: int) -> None:
        super().__init__(silent=crowd.silent())
        self.port = port
        self.irs = 1000 * port
        self.stage = "new"
        self.both: list[TcpConnection] = []  # the connection at its own server and that at the server of all
        self.server = cast(TcpServer, Both(self.server, crowd))


class Crowd:
    """The peers, the server of all, and time."""

    def __init__(self, seed: int, *, waits: bool) -> None:
        self.draw = random.Random(seed)
        self.waits = waits
        script = Script(silent=self.silent())
        self.server, self.now = script.server, script.now
        self.peers = [Peer(self, 40_000 + number) for number in range(8)]

    def silent(self) -> FairTable[bytes] | None:
        return FairTable(64, 64, 64) if self.waits else None

    def exchange(self) -> None:
        """Poll all servers, and compare."""
        apart: dict[int, list[bytes]] = defaultdict(list)
        for peer in self.peers:
            peer.now = self.now
            answers = peer.poll(relative=peer.iss != 0)
            if answers and answers[-1].flags == "SA":
                peer.iss, peer.seen = answers[-1].seq, 1
            apart[peer.port] += [b"".join(pieces) for _, _, pieces in peer.raw]
        together: dict[int, list[bytes]] = defaultdict(list)
        for _, _, pieces in self.server.poll(self.now):
            packet = b"".join(pieces)
            together[int.from_bytes(packet[22:24], "big")].append(packet)
        for peer in self.peers:
            assert together[peer.port] == apart[peer.port]
        self.drain()
        deadlines = [deadline for peer in self.peers if (deadline := peer.server.next_deadline()) is not None]
        assert self.server.next_deadline() == min(deadlines, default=None)

    def drain(self) -> None:
        """Compare the reports of the servers, and empty them."""
        found = {connection.key: connection for connection in self.server.accepted()}
        over = sorted(connection.key for connection in self.server.closed())
        readable = sorted(connection.key for connection in self.server.readable())
        own: dict[str, list[bytes]] = {"accepted": [], "closed": [], "readable": []}
        for peer in self.peers:
            for connection in peer.server.accepted():
                own["accepted"].append(connection.key)
                peer.both = [connection, found[connection.key]]
            own["closed"] += [connection.key for connection in peer.server.closed()]
            own["readable"] += [connection.key for connection in peer.server.readable()]
        assert (sorted(found), over) == (own["accepted"], own["closed"])
        assert set(own["readable"]) <= set(readable), "one that was written to may be among them"
        assert len(self.server) == sum(len(peer.server) for peer in self.peers)

    def wait(self, milliseconds: float) -> None:
        end = self.now + int(milliseconds * MS)
        while (deadline := self.server.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.server.handle_deadline(self.now)
            for peer in self.peers:
                peer.server.handle_deadline(self.now)
            self.exchange()
        self.now = end
        for peer in self.peers:
            peer.now = end

    def step(self) -> None:
        """Something of one peer, or some time."""
        peer = self.draw.choice(self.peers)
        open_ = bool(peer.both) and peer.both[0].close_reason is None
        event = self.draw.choice(
            ("syn", "third", "third", "text", "text", "write", "write", "ack", "fin", "close", "reset", "time", "time")
        )
        if event == "time":
            self.wait(self.draw.choice((0.3, 1, 5, 60, 240, 700, 4000, 11_000)))
        elif event == "syn" and not open_:
            peer.irs += 100_000
            peer.next, peer.iss, peer.both = 0, 0, []
            peer.send("S", mss=1460, scale=7, sack_ok=True, ts=(peer.stamp(), 0))
        elif peer.iss and event == "third":
            peer.send("A")
        elif peer.iss and event == "text":
            peer.send("PA", bytes(self.draw.choice((1, 1000, 5000))))
        elif peer.iss and event == "ack":
            peer.send("A", ack=self.draw.randint(1, max(1, peer.seen)))
        elif peer.iss and event == "fin" and self.draw.random() < 0.3:
            peer.send("FA")
        elif peer.iss and event == "reset" and self.draw.random() < 0.3:
            peer.send("R")
        elif open_ and event == "write":
            for connection in peer.both:
                connection.write([bytes(min(connection.send_space, 3000))])
        elif open_ and event == "close" and self.draw.random() < 0.3:
            for connection in peer.both:
                connection.close(self.now)
        if self.draw.random() < 0.3 and peer.both:
            one, other = peer.both
            assert one.take() == other.take()
        if self.draw.random() < 0.8:
            self.exchange()


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_many_peers_are_as_each_by_itself(seed: int, waits: bool) -> None:
    crowd = Crowd(seed, waits=waits)
    for _ in range(130):
        crowd.step()
    crowd.wait(200_000)
    assert len(crowd.server) == 0 or crowd.server.next_deadline() is None
