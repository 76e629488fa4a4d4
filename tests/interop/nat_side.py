"""A NAT under test, and how its two sides are asked: sockets in namespaces, ICMP errors, hops."""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from tests.world import lossy_bridge

INTERNET, INTERNET_2 = "198.51.100.7", "198.51.100.8"
NOBODY = "198.51.100.66"
TUN_MTU, NARROW_MTU = 1400, 1300
LISTENING_PORT = 1194
PATIENCE, SILENCE = 8.0, 0.8  # seconds: until an answer must have come; until there is none
SYN_SILENCE = 6.0  # RFC 5382 REQ-4
IP_RECVERR, IP_MTU_DISCOVER, PMTUDISC_DONT, PMTUDISC_PROBE = 11, 10, 0, 3
PORTS = itertools.count(20_000, 10)  # a probe takes ports that no other has touched


class VerdictError(Exception):
    """The NAT does something else."""


@dataclass(frozen=True)
class Side:
    """A NAT and who stands around it: two clients by namespace and address, and the hosts of the Internet.

    gateway: what traceroute sees first; outside: the NAT's own address; narrow sets the MTU of the way out.
    """

    name: str
    gateway: str
    outside: str
    clients: tuple[tuple[str, str], tuple[str, str]]
    internet: str
    narrow: Callable[[int], None]

    def udp(self, client: int | None = None, port: int = 0, address: str = INTERNET) -> socket.socket:
        """A socket of a client (0, 1) or of the Internet; it reports ICMP errors."""
        return self._socket(socket.SOCK_DGRAM, client, port, address)

    def tcp(self, client: int | None = None, port: int = 0, address: str = INTERNET) -> socket.socket:
        """The same for TCP; several may share a port."""
        return self._socket(socket.SOCK_STREAM, client, port, address)

    def raw(self, client: int | None, protocol: int) -> socket.socket:
        """A socket for whole packets."""
        with lossy_bridge.inside(self.internet if client is None else self.clients[client][0]):
            made = socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol)
        made.settimeout(PATIENCE)
        return made

    def run(self, client: int, *words: str) -> str:
        """Output of a program of a client's."""
        command = ["ip", "netns", "exec", self.clients[client][0], *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout

    def _socket(self, kind: int, client: int | None, port: int, address: str) -> socket.socket:
        with lossy_bridge.inside(self.internet if client is None else self.clients[client][0]):
            made = socket.socket(socket.AF_INET, kind)
        made.settimeout(PATIENCE)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((address if client is None else self.clients[client][1], port))
        return made


def must(condition: bool, otherwise: str) -> None:
    """VerdictError unless the condition holds."""
    if not condition:
        raise VerdictError(otherwise)


def mapped(inside: socket.socket, outside: socket.socket) -> int:
    """The outside port of a client's UDP socket, as a host sees it."""
    inside.sendto(b"who am I?", outside.getsockname())
    return int(outside.recvfrom(100)[1][1])


def silent(sock: socket.socket, seconds: float = SILENCE) -> bool:
    """True if nothing comes."""
    return not select.select([sock], [], [], seconds)[0]


def icmp_error(sock: socket.socket, seconds: float = PATIENCE) -> tuple[int, int, int, int, str] | None:
    """(errno, type, code, MTU, who says so) of the ICMP error that a socket with IP_RECVERR got."""
    poll = select.poll()
    poll.register(sock, 0)  # errors are always reported
    if not poll.poll(seconds * 1000):
        return None
    _, ancillary, _, _ = sock.recvmsg(4096, 512, socket.MSG_ERRQUEUE)
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_IP and kind == IP_RECVERR:
            number, _, icmp_type, code, _, info, _ = struct.unpack_from("IBBBBII", value)
            return number, icmp_type, code, info, socket.inet_ntoa(value[20:24])
    return None


def hops(sock: socket.socket, destination: tuple[str, int], receiver: socket.socket | None = None) -> list[str]:
    """Sources of the answers at each TTL until the destination is reached; receiver: its socket, where it has one."""
    sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    found: list[str] = []
    for ttl in range(1, 7):
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sock.sendto(b"trace", destination)
        if receiver is not None and not silent(receiver):
            return found
        error = icmp_error(sock, 3.0)
        found.append(error[4] if error else "*")
        if error and error[1] == 3:
            break
    return found


def connect_from(side: Side, client: int, port: int, address: str = INTERNET) -> int:
    """The outside port of a TCP port of a client's, by a connection that is closed again."""
    with side.tcp(address=address) as listener, side.tcp(client, port) as sock:
        listener.listen()
        sock.connect(listener.getsockname())
        conn, peer = listener.accept()
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.close()
        with contextlib.suppress(ConnectionError):
            sock.recv(1)
        return int(peer[1])
