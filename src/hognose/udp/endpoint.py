# hot
"""One UDP port of one address of ours: the datagrams that came, until its user takes them, and those to send.

Batch in, batch out, as tcp/server.py: `receive` for every packet of a batch, then `take` and `send` by the user, then
one `poll`. Bounds: UdpLimits.received and UdpLimits.unsent datagrams; beyond them the newest is
dropped (UDP_QUEUE_FULL).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from hognose.address import Address, Endpoint
from hognose.address_scope import is_host
from hognose.drops import Counters, DropReason
from hognose.limits import UdpLimits
from hognose.link import Outgoing
from hognose.units import Buffer, Nanos, Port, Random
from hognose.wire import ipv4, udp, virtio_net
from hognose.wire.checksum import ones_sum, pseudo_sum


class Datagram(NamedTuple):
    """Payload of one datagram, and the other end: its source when it came, its destination when it is to leave."""

    remote: Endpoint
    payload: bytes


class DatagramServer(Protocol):
    """The user of one UDP port: a UdpEndpoint, or a port of the VPN."""

    def receive(self, data: bytes, l3: int, l4: int, end: int, gso_size: int, checksum_ok: bool, now: Nanos) -> None:
        """Take one packet, or a super-frame of datagrams of gso_size bytes; its IPv4 header is valid."""

    def icmp_error(self, icmp_type: int, code: int, mtu: int, quoted: bytes, now: Nanos) -> None:
        """Take an ICMP error; quoted: a packet from this port, 28 bytes of it at least, mtu: of the next hop."""

    def knows(self, source: bytes) -> bool:
        """True for a peer, by address and port as on the wire, whose datagrams may come in fragments at any rate."""

    @property
    def waiting(self) -> int:
        """Number of datagrams that came and were not taken."""

    @property
    def waits(self) -> bool:
        """True while something waits for `poll`."""

    def poll(self, now: Nanos) -> list[Outgoing]:
        """Everything to send now."""


class UdpEndpoint:
    """The receiving and sending half of a port. It has no timers."""

    def __init__(
        self,
        *,
        address: Address,
        port: Port,
        limits: UdpLimits,
        random: Random,
        counters: Counters,
        broadcasts: frozenset[Address] = frozenset(),
    ) -> None:
        """broadcasts: directed broadcasts of the link, which are no sources."""
        self._address = address
        self._broadcasts = broadcasts
        self._port = port
        self._limits = limits
        self._counters = counters
        self._ident = int.from_bytes(random(2), "big")  # of packets that may be cut on their way (RFC 6864)
        self._received: list[Datagram] = []
        self._unsent: list[Outgoing] = []

    def receive(self, data: Buffer, l3: int, l4: int, end: int, gso_size: int, checksum_ok: bool, now: Nanos) -> None:
        """Take one packet, or a super-frame of datagrams of gso_size bytes; `data` is not kept, now is not used.

        The IPv4 header is valid, the destination is ours; checksum_ok False: verify here unless the field is 0, which
        means none (RFC 768). Drops: BAD_UDP_HEADER, BAD_UDP_CHECKSUM, MARTIAN for a source that is not another host's
        address (RFC 1122 section 4.1.3.6), UDP_QUEUE_FULL.
        """
        parsed = udp.parse(data, l4, end)
        if isinstance(parsed, DropReason):
            self._counters.drop(DropReason.BAD_UDP_HEADER)
            return
        source_port, _, length, checksum = parsed
        source = ipv4.source(data, l3)
        pseudo = pseudo_sum(source, self._address, ipv4.UDP, length)
        if checksum and not checksum_ok and ones_sum(data[l4 : l4 + length], pseudo):
            self._counters.drop(DropReason.BAD_UDP_CHECKSUM)
            return
        if source == self._address or not is_host(source, self._broadcasts):
            self._counters.drop(DropReason.MARTIAN)
            return
        remote = Endpoint(source, source_port)
        payload = bytes(data[l4 + udp.HEADER_LEN : l4 + length])
        size = gso_size or len(payload)
        for at in range(0, len(payload), size) if payload else (0,):
            if len(self._received) >= self._limits.received:
                self._counters.drop(DropReason.UDP_QUEUE_FULL)
            else:
                self._received.append(Datagram(remote, payload[at : at + size]))

    def icmp_error(self, icmp_type: int, code: int, mtu: int, quoted: bytes, now: Nanos) -> None:
        """Do nothing: datagrams of this port are sent once, and without DF."""

    def knows(self, source: bytes) -> bool:
        """False: every peer is a stranger."""
        return False

    @property
    def waiting(self) -> int:
        """Number of datagrams that came and were not taken."""
        return len(self._received)

    def take(self) -> list[Datagram]:
        """Drained datagrams that came, oldest first."""
        taken, self._received = self._received, []
        return taken

    def send(self, datagram: Datagram) -> bool:
        """Queue a datagram for the next `poll`; False when the queue is full. Payload: at most 65507 bytes.

        It leaves without DF and is cut where a link is too narrow for it (RFC 791 section 3.2).
        """
        if len(self._unsent) >= self._limits.unsent:
            self._counters.drop(DropReason.UDP_QUEUE_FULL)
            return False
        (remote, remote_port), payload = datagram
        body = udp.build(self._address, remote, self._port, remote_port, payload)
        self._ident = (self._ident + 1) & 0xFFFF
        head = ipv4.build(self._address, remote, ipv4.UDP, len(body), ident=self._ident, dont_fragment=False)
        self._unsent.append((remote, virtio_net.PLAIN, [head + body]))
        return True

    @property
    def waits(self) -> bool:
        """True while something waits for `poll`."""
        return bool(self._unsent)

    def poll(self, now: Nanos) -> list[Outgoing]:
        """Everything to send now."""
        if not self._unsent:
            return []
        unsent, self._unsent = self._unsent, []
        return unsent
