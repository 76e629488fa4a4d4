"""Filtering of packets that no flow expects (RFC 4787 section 5): refused, unless filtering is endpoint-independent.

A packet that passes leaves no state, so that no outside host can fill a client's table or keep a mapping alive
(RFC 4787 REQ-6); the answer from inside opens the flow. Echo replies never pass.
"""

from __future__ import annotations

from hognose.address import Address, Prefix
from hognose.address_scope import is_host
from hognose.drops import DropReason
from hognose.nat.flow import Flow
from hognose.nat.table import FlowTable
from hognose.units import Nanos
from hognose.wire import ipv4


class Filtering:
    """The filtering of a NAT without flows: what a packet would belong to.

    tunnel: the clients' network, from which nothing comes in, as from the broadcasts of the link.
    """

    __slots__ = ("_broadcasts", "_table", "_tunnel", "endpoint_independent")

    def __init__(
        self, table: FlowTable, tunnel: Prefix, broadcasts: frozenset[Address], endpoint_independent: bool
    ) -> None:
        self.endpoint_independent = endpoint_independent
        self._table = table
        self._tunnel = tunnel
        self._broadcasts = broadcasts

    def flow_from_outside(self, protocol: int, key: bytes, now: Nanos) -> Flow | DropReason:
        """The flow that a packet from outside with this key implies; it stands in no table.

        NAT_NO_MAPPING for a port that no client has, NAT_FILTERED for one that filters this source.
        """
        port = key[8:10] if protocol == ipv4.ICMP else key[10:12]
        mapping = self._table.by_port[protocol].get(int.from_bytes(port, "big"))
        if mapping is None:
            return DropReason.NAT_NO_MAPPING
        if not self.endpoint_independent or protocol == ipv4.ICMP:
            return DropReason.NAT_FILTERED
        # Not our own address, not the tunnel's, none that is not one host's (RFC 1812 section 5.3.7).
        address, source = self._table.address, key[:4]
        if source == address or source in self._tunnel or source in self._broadcasts:
            return DropReason.NAT_FILTERED
        if not is_host(source):
            return DropReason.NAT_FILTERED
        return Flow(mapping, address, source, int.from_bytes(key[8:10], "big"), now)

    def flow_from_inside(self, client: Address, protocol: int, key: bytes, now: Nanos) -> Flow | None:
        """The flow of a packet from inside with this key, when its peer's packets pass without one."""
        owner = self._table.clients.get(client)
        if not self.endpoint_independent or owner is None or protocol == ipv4.ICMP:
            return None
        mapping = owner.mappings[protocol].get(key[:4] + key[8:10])
        if mapping is None:
            return None
        return Flow(mapping, self._table.address, key[4:8], int.from_bytes(key[10:12], "big"), now)
