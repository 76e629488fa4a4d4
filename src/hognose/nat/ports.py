"""Choice of outside ports (and ICMP identifiers).

RFC 4787 REQ-3 (no overloading; the ranges 1-1023 and 1024-65535 are kept), REQ-4 (parity is kept), RFC 6056 (a port
that is not preserved is unpredictable), RFC 6888 REQ-8 (a port rests before another subscriber gets it; only when no
other was found, the one that has rested longest is given away earlier).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from math import gcd

from hognose.address import Address
from hognose.nat.saved_state import RestingPort
from hognose.units import SECOND, Nanos, Port, Random
from hognose.wire import ipv4

FIRST_USER_PORT = 1024
HOLD_DOWN: Nanos = 120 * SECOND
PROBES = 512  # ports tried per parity: the bound on the work for one mapping


class Ports:
    """Outside ports of one transport protocol: the taken ones, and the ones at rest with their last user."""

    __slots__ = ("_held", "_protocol", "_random", "_reserved", "_taken")

    def __init__(self, protocol: int, reserved: frozenset[Port], random: Random) -> None:
        self._protocol = protocol
        self._reserved = reserved
        self._random = random
        self._taken: set[Port] = set()
        # Ports at rest -> (client, inside address, until), oldest first; at most one entry per port.
        self._held: OrderedDict[Port, tuple[Address, Address, Nanos]] = OrderedDict()

    def take(self, wanted: Port, client: Address, inside: Address, now: Nanos) -> Port | None:
        """A free port, `wanted` itself when that is possible; None when none was found within the bound."""
        self._release_held(now)
        port = self._choose(wanted, client, inside)
        if port is None and self._held:
            port = next(
                iter(self._held)
            )  # a client that keeps ports at rest by opening and closing must not shut others out
        if port is not None:
            self._taken.add(port)
            self._held.pop(port, None)
        return port

    def give_back(self, port: Port, client: Address, inside: Address, now: Nanos | None) -> None:
        """Free a port; for HOLD_DOWN from now only the same user gets it again, or any without `now`."""
        self._taken.discard(port)
        if now is not None:
            self._held[port] = (client, inside, now + HOLD_DOWN)

    def occupy(self, port: Port) -> None:
        """Take this port and no other; ValueError when it is taken or reserved."""
        if port in self._taken or port in self._reserved:
            raise ValueError(f"protocol {self._protocol}: port {port} is not free")
        self._taken.add(port)

    def resting(self) -> list[RestingPort]:
        """Ports at rest, the one that was given back first before the others."""
        return [RestingPort(self._protocol, port, *held) for port, held in self._held.items()]

    def restore_resting(self, ports: Iterable[RestingPort]) -> None:
        """Let these ports rest, in the order of `resting`."""
        for one in ports:
            self._held[one.port] = (one.client, one.inside, one.until)

    def _release_held(self, now: Nanos) -> None:
        held = self._held
        while held:
            port = next(iter(held))
            if held[port][2] > now:
                break
            del held[port]

    def _is_free(self, port: Port, client: Address, inside: Address) -> bool:
        if port in self._taken or port in self._reserved:
            return False
        held = self._held.get(port)
        return held is None or (held[0] == client and held[1] == inside)

    def _choose(self, wanted: Port, client: Address, inside: Address) -> Port | None:
        if self._protocol == ipv4.ICMP:
            # An identifier is any 16-bit number; there are no ranges and no parity.
            return wanted if self._is_free(wanted, client, inside) else self._probe(0, 65536, 1, client, inside)
        if wanted and self._is_free(wanted, client, inside):
            return wanted
        parity = wanted & 1
        if 0 < wanted < FIRST_USER_PORT:
            port = self._probe(2 - parity, 511 + parity, 2, client, inside)
            if port is not None:
                return port
        for side in (parity, parity ^ 1):
            port = self._probe(FIRST_USER_PORT + side, 32256, 2, client, inside)
            if port is not None:
                return port
        return None

    def _probe(self, first: int, count: int, step: int, client: Address, inside: Address) -> Port | None:
        """The first free one of at most PROBES ports first + k * step, 0 <= k < count, in an unpredictable order.

        Ports are taken in clusters, because clients' own ranges are preserved: a walk to the next port would fail in
        them. A random stride without a common divisor visits every port and knows no clusters (double hashing).
        """
        random = int.from_bytes(self._random(8), "big")
        start, stride = random % count, (random >> 32) % count
        while gcd(stride, count) != 1:
            stride += 1
        for index in range(min(count, PROBES)):
            port = first + (start + index * stride) % count * step
            if self._is_free(port, client, inside):
                return port
        return None
