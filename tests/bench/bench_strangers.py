"""Microseconds of the processor that a datagram of no session costs while 20,000 of them come in a second.

Reading is part of it; the device is a socket in place of the tap, a system call for each frame, and `read` is that
alone. The first virtual second is not counted: budgets are full then, and no filter stands before the step.
"""

from __future__ import annotations

import os
import socket
import sys
import time

from tests.world.datagram_flood import KINDS, packet
from tests.world.pki import SERVER, Authority, static_key, tls_crypt_v2_keys
from tests.world.server import ServerSettings
from tests.world.today import UNIX

from hognose.config.parser import parse
from hognose.device.tap import TapDevice
from hognose.drops import Counters
from hognose.gateway.assemble import Uplink, assemble
from hognose.gateway.gateway import Gateway
from hognose.limits import Limits
from hognose.link import LinkCaps
from hognose.units import SECOND

RATE, BATCH = 20_000, 64
MAC, ROUTER_MAC = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")
HEAD = bytes(12) + MAC + ROUTER_MAC + b"\x08\0"
OWN, ROUTER, ADDRESS = bytes((10, 0, 0, 2)), bytes((10, 0, 0, 1)), "10.0.0.2"
SO_SNDBUFFORCE = 32
WRAPS = {"tls-auth": "tls-auth", "tls-crypt-v2": "tls-crypt-v2"}


def server(wrap: str, counters: Counters) -> tuple[Gateway, LinkCaps]:
    """A gateway with a port of UDP."""
    authority = Authority()
    key = tls_crypt_v2_keys()[0] if wrap == "tls-crypt-v2" else static_key()
    text = ServerSettings(authority, authority.issue("server", SERVER), wrap, key, proto="udp").text()
    caps = LinkCaps(mac=MAC)
    gateway = assemble(
        parse(text, "server.conf")[0], caps=caps, uplink=Uplink(OWN, 24, ROUTER), limits=Limits(), random=os.urandom,
        now=1000 * SECOND, unix=UNIX, counters=counters, clock=time.perf_counter_ns,
    )  # fmt: skip
    return gateway, caps


def cost(kind: str, seconds: int = 4) -> tuple[float, dict[str, int]]:
    """Microseconds of a packet, and what was counted."""
    counters = Counters()
    gateway, caps = server(WRAPS.get(kind, "none"), counters)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20)
    device = TapDevice(ours.fileno(), caps, counters)
    frames = [HEAD + packet(kind, number, ADDRESS) for number in range(RATE * seconds)]
    now, used, counted = 1000 * SECOND, 0, 0
    for at in range(0, len(frames), BATCH):
        batch = frames[at : at + BATCH]
        for frame in batch:
            theirs.send(frame)
        now += len(batch) * SECOND // RATE
        began = time.process_time_ns()
        read = device.read_batch(gateway.sieve(now))
        gateway.step(read, now, UNIX)
        gateway.next_deadline()
        if at >= RATE:
            used += time.process_time_ns() - began
            counted += len(batch)
        gateway.take_events()
    return used / counted / 1000, counters.non_zero()


def reading() -> float:
    """Microseconds of a read alone."""
    counters = Counters()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 8 << 20)
    device = TapDevice(ours.fileno(), LinkCaps(mac=MAC), counters)
    frame = HEAD + packet("reset", 1, ADDRESS)
    used = 0
    for _ in range(200):
        for _ in range(BATCH):
            theirs.send(frame)
        began = time.process_time_ns()
        device.read_batch()
        used += time.process_time_ns() - began
    return used / 200 / BATCH / 1000


def main() -> None:
    print(f"read         {reading():6.2f} us")
    for kind in sys.argv[1:] or KINDS:
        each, counted = cost(kind)
        drops = {name: count for name, count in counted.items() if name.startswith(("drop", "udp"))}
        print(f"{kind:12} {each:6.2f} us  {drops}")


if __name__ == "__main__":
    main()
