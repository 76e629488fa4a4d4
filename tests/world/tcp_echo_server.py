"""hognose.tcp at a real frame device, without the rest of the gateway: the other end for Linux's TCP in tests.

    tcp_echo_server.py --device /dev/tapN [--address 10.99.0.1] [--port 7] [--no-offload] [--mac 02:...]

Speaks, per connection, one command line: `E\\n` echoes until the peer's FIN, `U\\n` counts until the peer's FIN and
answers with the SHA-256 of what came, `D BYTES SEED\\n` sends BYTES bytes of `payload(SEED, BYTES)` and closes,
`R\\n` resets the connection. Prints `ready`, works until SIGTERM, then prints its counters as one line of JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import select
import signal
import struct
import sys
import time
from collections import deque

from hognose.address import parse_ipv4
from hognose.device.tap import TapDevice, open_tap
from hognose.drops import Counters, DropReason
from hognose.ip.offload import lower
from hognose.limits import Limits
from hognose.link import L3_OFFSET
from hognose.tcp.connection import TcpConnection
from hognose.tcp.server import TcpServer
from hognose.wire import ethernet, ipv4

CHUNK = 60_000  # bytes per piece written
LONGEST_COMMAND = 64
TRUSTED = 3  # vnet flags NEEDS_CSUM, DATA_VALID


def payload(seed: int, size: int) -> bytes:
    """The bytes that `D` sends; also for the tests that check them."""
    return random.Random(seed).randbytes(size)


class Service:
    """One connection's command and what is left to send."""

    def __init__(self) -> None:
        self.command = b""
        self.digest = hashlib.sha256()
        self.backlog: deque[bytes] = deque()
        self.closing = False
        self.closed = False

    def feed(self, conn: TcpConnection, now: int) -> None:
        """Take what has come in and act on it."""
        data = b"".join(conn.take())
        if not self.command.endswith(b"\n"):
            line, newline, rest = (self.command + data).partition(b"\n")
            self.command, data = line + newline, rest
            if not newline:
                if conn.eof or len(line) > LONGEST_COMMAND:
                    conn.abort(now)
                return
            self._begin(conn, now)
        if self.command == b"E\n":
            self.backlog.append(data)
            self.closing = conn.eof
        elif self.command == b"U\n":
            self.digest.update(data)
            if conn.eof and not self.closing:
                self.backlog.append(self.digest.digest())
                self.closing = True
        self.pump(conn, now)

    def pump(self, conn: TcpConnection, now: int) -> None:
        """Write what the send queue takes; FIN after the last byte."""
        while self.backlog and conn.send_space > 0:
            piece = self.backlog.popleft()
            room = min(conn.send_space, CHUNK)
            if len(piece) > room:
                self.backlog.appendleft(piece[room:])
                piece = piece[:room]
            conn.write([piece])
        if self.closing and not self.backlog and not self.closed:
            self.closed = True
            conn.close(now)

    def _begin(self, conn: TcpConnection, now: int) -> None:
        if self.command.startswith(b"D "):
            _, size, seed = self.command.split()
            data = payload(int(seed), int(size))
            self.backlog.extend(data[at : at + CHUNK] for at in range(0, len(data), CHUNK))
            self.closing = True
        elif self.command == b"R\n":
            conn.abort(now)


class EchoServer:
    """ARP in ten lines, IPv4 by hognose.wire, the TCP under test, and the services on it."""

    def __init__(self, device: TapDevice, address: bytes, port: int, counters: Counters) -> None:
        self._device, self._address, self._port, self._counters = device, address, port, counters
        self._macs: dict[bytes, bytes] = {}
        self._services: dict[int, tuple[TcpConnection, Service]] = {}
        self.running = True
        self.largest = {"in": 0, "out": 0}
        self._tcp = TcpServer(
            address=address,
            port=port,
            mtu=device.caps.mtu,
            limits=Limits().tcp,
            secret=os.urandom(32),
            now=time.monotonic_ns(),
            random=os.urandom,
            counters=counters,
        )

    @property
    def left(self) -> dict[str, int]:
        """Objects that the TCP under test and the services hold at this moment."""
        return {"connections": len(self._tcp), "services": len(self._services)}

    def run(self) -> None:
        """Serve until `running` is false."""
        poller = select.poll()
        while self.running:
            poller.register(self._device.fd, select.POLLIN | (select.POLLOUT if self._device.blocked else 0))
            deadline = self._tcp.next_deadline()
            wait = 200.0 if deadline is None else max(0.0, min(200.0, (deadline - time.monotonic_ns()) / 1e6))
            poller.poll(wait)
            self.step(time.monotonic_ns())
        self.step(time.monotonic_ns())  # what the last round has sent may have ended a connection

    def step(self, now: int) -> None:
        """One round, as the gateway does it: drain, process, poll once, write."""
        for frame in self._device.read_batch():
            self._receive(frame, now)
        deadline = self._tcp.next_deadline()
        if deadline is not None and deadline <= now:
            self._tcp.handle_deadline(now)
        for conn in self._tcp.accepted():
            self._services[conn.id] = (conn, Service())
        for conn in self._tcp.readable():
            if conn.id in self._services:
                self._services[conn.id][1].feed(conn, now)
        for conn, service in self._services.values():
            if service.backlog:
                service.pump(conn, now)
        for conn in self._tcp.closed():
            self._services.pop(conn.id, None)
        frames = []
        for next_hop, vnet, pieces in lower(self._tcp.poll(now), self._device.caps):
            mac = self._macs.get(next_hop)
            if mac is not None:
                self.largest["out"] = max(self.largest["out"], sum(map(len, pieces)))
                frames.append([vnet + ethernet.build(mac, self._device.caps.mac, ethernet.TYPE_IPV4), *pieces])
        self._device.write_batch(frames)

    def _receive(self, frame: bytes, now: int) -> None:
        ethertype = frame[L3_OFFSET - 2 : L3_OFFSET]
        if ethertype == b"\x08\x06":
            self._answer_arp(frame)
            return
        if ethertype != b"\x08\x00" or frame[12:18] != self._device.caps.mac:
            return
        parsed = ipv4.parse(frame, L3_OFFSET, len(frame))
        if isinstance(parsed, DropReason):
            self._counters.drop(parsed)
            return
        l4, end, protocol, fragment, source, destination = parsed
        if destination != self._address or fragment & ipv4.FRAGMENTED:
            return
        self._macs[source] = frame[18:24]
        if protocol == ipv4.ICMP and end - l4 >= 36:
            icmp_type, code, mtu = struct.unpack_from(">BB4xH", frame, l4)
            self._tcp.icmp_error(icmp_type, code, mtu, frame[l4 + 8 : end], now)
        self.largest["in"] = max(self.largest["in"], end - L3_OFFSET)
        if protocol == ipv4.TCP and end - l4 >= 20 and struct.unpack_from(">H", frame, l4 + 2)[0] == self._port:
            gso_size = struct.unpack_from("<H", frame, 4)[0] if frame[1] else 0
            self._tcp.receive(frame, L3_OFFSET, l4, end, gso_size, frame[0] & TRUSTED != 0, now)

    def _answer_arp(self, frame: bytes) -> None:
        sender_mac, sender, target = struct.unpack_from(">8x6s4s6x4s", frame, L3_OFFSET)
        if frame[L3_OFFSET + 6 : L3_OFFSET + 8] != b"\0\1" or target != self._address:
            return
        mac = self._device.caps.mac
        answer = b"\0\1\x08\0\x06\4\0\2" + mac + target + sender_mac + sender
        self._device.write_batch([[bytes(12), ethernet.build(sender_mac, mac, ethernet.TYPE_ARP), answer]])


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", required=True)
    parser.add_argument("--mac", type=lambda text: bytes.fromhex(text.replace(":", "")))
    parser.add_argument("--address", default="10.99.0.1")
    parser.add_argument("--port", type=int, default=7)
    parser.add_argument("--no-offload", action="store_true")
    arguments = parser.parse_args(argv)
    counters = Counters()
    device = open_tap(arguments.device, counters, mac=arguments.mac, offloads=not arguments.no_offload)
    server = EchoServer(device, parse_ipv4(arguments.address), arguments.port, counters)

    def stop(*_: object) -> None:
        server.running = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print("ready", flush=True)
    server.run()
    print(json.dumps({"largest": server.largest, "left": server.left, **counters.non_zero()}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
