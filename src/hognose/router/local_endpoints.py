"""The servers on one address of ours, by port.

There are two of these tables: one for the NIC's address, one for the tunnel's gateway address. A port in either is
never a port of the NAT. A packet that left a client is never local to the NIC's table: it is hairpin traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hognose.tcp.server import TcpServer
from hognose.units import Buffer, Port
from hognose.wire import ipv4


@dataclass(frozen=True, slots=True)
class LocalEndpoints:
    """Servers by the port that they listen on; not changed after the start."""

    tcp: Mapping[Port, TcpServer] = field(default_factory=dict)

    @property
    def ports(self) -> frozenset[tuple[int, Port]]:
        """(protocol, port) of all."""
        return frozenset((ipv4.TCP, port) for port in self.tcp)

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
