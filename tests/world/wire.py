"""Phantom hosts on a link: addresses and MACs that no kernel owns, played over one raw socket in a namespace.

A host's own frames leave through `Wire.send`; what comes for its address, or for its MAC, is in its `inbox`. ARP for it
is answered by the wire. Times are the kernel's, of arrival at the interface.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable

from . import frames
from .frames import Arp, Icmp, Segment
from .lossy_bridge import inside

SO_TIMESTAMPNS = 35  # also the kind of the ancillary message
ETH_P_ALL = 3
PACKET_OUTGOING = 4
SOL_PACKET, PACKET_STATISTICS = 263, 6  # linux/if_packet.h
Received = Arp | Segment | Icmp


class Host:
    """One phantom; off-link ones share the MAC of their router."""

    def __init__(self, address: str, mac: bytes) -> None:
        self.address = address
        self.mac = mac
        self.answers_arp = True
        self.inbox: list[Received] = []
        self.raw: list[bytes] = []
        self.arrived = threading.Condition()

    def put(self, what: Received, frame: bytes) -> None:
        """Of the wire's thread."""
        with self.arrived:
            self.inbox.append(what)
            self.raw.append(frame)
            self.arrived.notify_all()

    def take(self, wanted: Callable[[Received], bool], deadline: float) -> Received | None:
        """Out of the inbox: the first that is wanted, as soon as it is there."""
        with self.arrived:
            while True:
                for at, one in enumerate(self.inbox):
                    if wanted(one):
                        return self.inbox.pop(at)
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self.arrived.wait(left)

    def take_all(self, wanted: Callable[[Received], bool]) -> list[Received]:
        """Out of the inbox: all that are there and wanted."""
        with self.arrived:
            found = [one for one in self.inbox if wanted(one)]
            self.inbox = [one for one in self.inbox if not wanted(one)]
            return found


class Wire:
    """The raw socket, and the hosts on it; a context manager."""

    def __init__(self, namespace: str, interface: str) -> None:
        with inside(namespace):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self._socket.bind((interface, ETH_P_ALL))
        self._socket.settimeout(0.2)
        self._hosts: dict[str, Host] = {}
        self._running = True
        self.spoiled: list[str] = []  # exceptions of the thread
        self._thread = threading.Thread(target=self._receive, name="wire", daemon=True)

    def __enter__(self) -> Wire:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running = False
        self._thread.join()
        self._socket.close()

    def join(self, address: str, mac: bytes) -> Host:
        """The phantom of an address; the same one when it is there already."""
        return self._hosts.setdefault(address, Host(address, mac))

    def resolve(self, host: Host, address: str, patience: float = 10) -> bytes:
        """The MAC of a neighbour, asked for by one of the phantoms once a second."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            question = frames.arp(1, host.mac, host.address, bytes(6), address)
            self.send(frames.ethernet(frames.BROADCAST, host.mac, frames.TYPE_ARP, question))
            found = host.take(
                lambda one: isinstance(one, Arp) and one.operation == 2 and one.sender == address, time.monotonic() + 1
            )
            if isinstance(found, Arp):
                return found.sender_mac
        raise RuntimeError(f"nobody answers for {address}")

    def send(self, frame: bytes) -> None:
        """One frame, as it is."""
        self._socket.send(frame)

    def lost(self) -> int:
        """Frames that came while the socket's buffer was full, since it was asked last: what they said is not known."""
        return int(struct.unpack("II", self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1])

    def _receive(self) -> None:
        while self._running:
            try:
                frame, extra, _, sender = self._socket.recvmsg(70_000, 64)
            except TimeoutError:
                continue
            if sender[2] == PACKET_OUTGOING or len(frame) < 42:
                continue
            seconds, nanos = struct.unpack("qq", extra[0][2][:16])
            try:
                self._sort(frame, seconds + nanos / 1e9)
            except Exception as error:  # nothing else would tell of it
                self.spoiled.append(f"{type(error).__name__}: {error} at {frame[:64].hex()}")

    def _sort(self, frame: bytes, at: float) -> None:
        kind = int.from_bytes(frame[12:14], "big")
        if kind == frames.TYPE_ARP:
            request = frames.read_arp(frame, at)
            host = self._hosts.get(request.target)
            if host is None or (request.operation == 2 and host.mac != frame[:6]):
                host = next((one for one in self._hosts.values() if one.mac == frame[:6]), None)
            if host is None:
                return
            if request.operation == 1 and host.answers_arp and request.target == host.address:
                answer = frames.arp(2, host.mac, host.address, request.sender_mac, request.sender)
                self.send(frames.ethernet(request.sender_mac, host.mac, frames.TYPE_ARP, answer))
            host.put(request, frame)
        elif kind == frames.TYPE_IPV4:
            host = self._hosts.get(socket.inet_ntoa(frame[30:34]))
            if host is None:
                return
            packet = frames.read_ipv4(frame, at)
            if packet is not None:
                host.put(packet, frame)
