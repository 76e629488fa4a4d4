"""The router's answer to a batch of frames or of a client's packets: where everything goes, and what to report."""

from __future__ import annotations

from typing import NamedTuple

from hognose.address import Address, Endpoint
from hognose.ip.fragments import fragment
from hognose.link import Outgoing

Deliveries = dict[Address, list[bytes]]  # inner packets, ready to be sealed, by the client that they are for


class Routed(NamedTuple):
    """Answer of one call of the router; the caller owns all of it.

    to_clients: inner packets per client, in order. to_link: packets for `Egress.send`. failures: exceptions that single
    frames caused, bugs of ours for the log; each is counted (INTERNAL_ERROR). udp_clients: sources of OpenVPN hard
    resets over UDP, for the log, at most classify.UDP_CLIENTS_MAX.
    """

    to_clients: Deliveries
    to_link: list[Outgoing]
    failures: list[Exception]
    udp_clients: list[Endpoint]

    def deliver(self, client: Address, packet: bytes, tun_mtu: int) -> None:
        """Add a packet of ours or of another client, cut to the tunnel's MTU (RFC 791 section 3.2)."""
        packets = [packet] if len(packet) <= tun_mtu else fragment(packet, tun_mtu)
        self.to_clients.setdefault(client, []).extend(packets)
