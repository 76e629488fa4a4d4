"""The servers on addresses of ours, by port: on the NIC's address, and on the tunnel's gateway address.

A port of either is never a port of the NAT. A packet that left a client is never local to the NIC's servers: it is
hairpin traffic, and refused there. Nothing is open besides the VPN's port unless `assemble` is given more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hognose.ip.offload import lower
from hognose.link import LinkCaps, Outgoing
from hognose.router.routed import Routed
from hognose.tcp.server import TcpServer
from hognose.udp.endpoint import DatagramServer
from hognose.units import Buffer, Nanos, Port
from hognose.wire import ipv4, udp

# The tunnel as a link: inner packets are whole and have complete checksums.
_TUNNEL = LinkCaps(bytes(6), rx_gso=False, tx_csum=False, tx_tso4=False)


@dataclass(frozen=True, slots=True)
class LocalEndpoints:
    """Servers of one address by the port that they listen on; not changed after the start."""

    tcp: Mapping[Port, TcpServer] = field(default_factory=dict)
    udp: Mapping[Port, DatagramServer] = field(default_factory=dict)

    @property
    def ports(self) -> frozenset[tuple[int, Port]]:
        """(protocol, port) of all."""
        return frozenset([(ipv4.TCP, port) for port in self.tcp] + [(ipv4.UDP, port) for port in self.udp])

    def tcp_sender(self, quoted: Buffer) -> TcpServer | None:
        """The server that sent the packet quoted in an ICMP error, or None.

        quoted: its IPv4 header and at least 8 bytes, or less, which is of none; the caller compares its source address.
        """
        if len(quoted) < ipv4.HEADER_LEN + 8 or quoted[0] >> 4 != 4 or quoted[9] != ipv4.TCP:
            return None
        l4 = (quoted[0] & 15) * 4
        if len(quoted) < l4 + 2:
            return None
        return self.tcp.get(quoted[l4] << 8 | quoted[l4 + 1])

    def udp_sender(self, quoted: Buffer) -> DatagramServer | None:
        """Likewise of a datagram: without IP options, as we send all."""
        if len(quoted) < ipv4.HEADER_LEN + udp.HEADER_LEN or quoted[0] != 0x45 or quoted[9] != ipv4.UDP:
            return None
        return self.udp.get(quoted[ipv4.HEADER_LEN] << 8 | quoted[ipv4.HEADER_LEN + 1])

    def poll(self, now: Nanos) -> list[Outgoing]:
        """Everything that they send now."""
        found: list[Outgoing] = []
        for server in self.tcp.values():
            found += server.poll(now)
        for endpoint in self.udp.values():
            found += endpoint.poll(now)
        return found

    def next_deadline(self) -> Nanos | None:
        """Earliest timer; 0 while something waits for `poll`."""
        if any(endpoint.waits for endpoint in self.udp.values()):
            return 0
        return min((due for one in self.tcp.values() if (due := one.next_deadline()) is not None), default=None)

    def handle_deadline(self, now: Nanos) -> None:
        """Run every timer that is due; what it leads to leaves with the next poll."""
        for server in self.tcp.values():
            server.handle_deadline(now)


NO_ENDPOINTS = LocalEndpoints()


def for_clients(sent: list[Outgoing], tun_mtu: int, routed: Routed) -> None:
    """Add what servers in the tunnel send to the answer: whole inner packets with complete checksums."""
    for client, _, pieces in lower(sent, _TUNNEL):
        routed.deliver(client, b"".join(pieces), tun_mtu)
