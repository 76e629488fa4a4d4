"""Routing of inner packets: to ourselves, to another client, to the outside, or dropped with a reason.

The NAT takes packets of known flows first, in one hot pass; this module decides about the rest, one by one:
validation, source check, TTL, MTU, MSS clamp, ICMP errors toward the client. Every decision that throws a packet
away is counted; those that the sender should know of are answered by ICMP (RFC 1812 section 4.3, RFC 5508).
"""

from __future__ import annotations

from collections.abc import Container, Mapping

from hognose.address import Address, Prefix
from hognose.destinations import DNS_PORT, Destinations
from hognose.drops import Counters, DropReason, Stat
from hognose.ip.fragments import Reassembler, with_ident
from hognose.ip.mss import SMALLEST_MSS, clamp
from hognose.link import LinkCaps, Outgoing
from hognose.nat.nat import Nat
from hognose.router.icmp import (
    ADMIN_PROHIBITED,
    FRAGMENTATION_NEEDED,
    HOST_UNREACHABLE,
    PORT_UNREACHABLE,
    PROTOCOL_UNREACHABLE,
    REASSEMBLY_TIMEOUT,
    TTL_EXCEEDED,
    TunnelIcmp,
)
from hognose.router.local_endpoints import NO_ENDPOINTS, LocalEndpoints, for_clients
from hognose.router.routed import Routed
from hognose.units import Nanos
from hognose.wire import icmpv4, ipv4, tcp, udp
from hognose.wire.checksum import update

# ICMP 3/13, communication administratively prohibited: what the NAT could not open (RFC 5508 REQ-8), and destinations
# that a filter refuses (RFC 1812 sections 5.3.7 and 5.3.9; a route is not what is missing, so it is not 3/0).
_PROHIBITED = (
    DropReason.NAT_TABLE_FULL,
    DropReason.NAT_CLIENT_FULL,
    DropReason.NAT_NO_PORT,
    DropReason.MARTIAN,
    DropReason.DESTINATION_PROHIBITED,
)


class Forwarder:
    """Routing between clients, ourselves and the outside for inner packets of clients."""

    def __init__(
        self,
        *,
        server: Address,
        tunnel: Prefix,
        clients: Container[Address],
        client_to_client: bool,
        caps: LinkCaps,
        tun_mtu: int,
        mss: Mapping[Address, int],
        nat: Nat,
        endpoints: LocalEndpoints,
        icmp: TunnelIcmp,
        reassembler: Reassembler,
        counters: Counters,
        destinations: Destinations | None = None,
    ) -> None:
        """endpoints: servers on the tunnel's gateway address. mss: of inner TCP, by client; SMALLEST_MSS for others.

        destinations: the rule for what is beyond the NAT; the tunnel's network alone when absent.
        """
        if destinations is None:
            destinations = Destinations(tunnel=tunnel)
        self._destinations = destinations
        self._server = server
        self._network = int.from_bytes(tunnel.network, "big")
        self._mask = int.from_bytes(tunnel.mask, "big")
        self._clients = clients
        self._client_to_client = client_to_client
        self._link_mtu = caps.mtu
        self._tso = caps.tx_csum and caps.tx_tso4
        self._cut_in_software = not self._tso or caps.mtu < tun_mtu
        self._tun_mtu = tun_mtu
        self._mss = mss
        self._nat = nat
        self._outside = nat.address
        self._endpoints = endpoints
        self._served = False  # a TCP server has got a segment of this batch
        self._icmp = icmp
        self._reassembler = reassembler
        self._counters = counters

    def from_client(self, client: Address, packets: list[bytes], now: Nanos) -> Routed:
        """Route decrypted packets of one client; returns what goes to clients (this one included)."""
        routed = tuple.__new__(Routed, ({}, [], [], []))  # a NamedTuple's own __new__ is a call more
        if self._link_mtu < self._tun_mtu:
            packets = self._over_link_mtu(client, packets, routed, now)
        rest = self._nat.outbound(client, packets, now, routed.to_link)
        for packet in rest:
            self._route(client, packet, routed, now)
        if self._served:
            self._served = False
            for_clients(self._endpoints.poll(now), self._tun_mtu, routed)
        return routed

    def fit(self, client: Address, packets: list[bytes], most: int, now: Nanos) -> Routed:
        """Make packets to a client fit a path that takes `most` bytes in one piece, 68 at least.

        Larger ones are cut (RFC 791 section 3.2), as are our own; of those with DF the sender is told (RFC 1191), and
        they are dropped: TOO_BIG.
        """
        routed = Routed({client: []}, [], [], [])
        for packet in packets:
            source = ipv4.source(packet)
            if len(packet) <= most or not packet[6] & 0x40 or source == self._server:
                routed.deliver(client, packet, most)
                continue
            self._counters.drop(DropReason.TOO_BIG)
            if source in self._clients:
                self._icmp.error(source, packet, FRAGMENTATION_NEEDED, routed, now, rest=most)
                continue
            error = self._icmp.outside_error(client, packet, FRAGMENTATION_NEEDED, now, rest=most)
            if error is not None and source != self._outside:
                self._nat.open_outbound(client, error, now, routed.to_link)
            elif error is not None and isinstance(found := self._nat.hairpin(client, error, now), tuple):
                routed.deliver(*found, self._tun_mtu)
        return routed

    def frames(self, packets: list[Outgoing]) -> int:
        """Number of frames that packets for the link become, where they are cut in software; else their number."""
        if not self._cut_in_software:
            return len(packets)
        count = 0
        for _, vnet, pieces in packets:
            size = sum(map(len, pieces))
            if not vnet[1]:
                count += -(-size // self._link_mtu)
            else:
                count += 1 if self._tso else -(-size // max(1, int.from_bytes(vnet[4:6], "little")))
        return count

    def change_dns_servers(self, dns_servers: frozenset[Address]) -> None:
        """Take the name servers of a new config; flows to those that are refused from now on end."""
        gone = self._destinations.dns_servers - dns_servers
        self._destinations = rule = self._destinations.replaced(dns_servers=dns_servers)
        closed = frozenset(server for server in gone if rule.refuses(server, ipv4.UDP, DNS_PORT) is not None)
        if closed:
            self._nat.end_flows_to(closed, DNS_PORT)

    def next_deadline(self) -> Nanos | None:
        """Time at which the oldest incomplete datagram times out, or a server in the tunnel has something to do."""
        oldest = self._reassembler.next_deadline()
        if self._endpoints is not NO_ENDPOINTS and (due := self._endpoints.next_deadline()) is not None:
            return due if oldest is None else min(due, oldest)
        return oldest

    def expire(self, now: Nanos) -> Routed:
        """Drop incomplete datagrams; send ICMP time exceeded to a client whose first fragment had come (RFC 792).

        Servers in the tunnel run their timers, and what they have to send is in the answer.
        """
        routed = Routed({}, [], [], [])
        for first in self._reassembler.handle_deadline(now):
            client = ipv4.source(first)
            if client in self._clients:
                self._icmp.error(client, first, REASSEMBLY_TIMEOUT, routed, now)
        if self._endpoints is not NO_ENDPOINTS:
            self._endpoints.handle_deadline(now)
            for_clients(self._endpoints.poll(now), self._tun_mtu, routed)
        return routed

    def _over_link_mtu(self, client: Address, packets: list[bytes], routed: Routed, now: Nanos) -> list[bytes]:
        """Take out what the uplink cannot carry in one piece; only used where it is narrower than the tunnel."""
        fitting = []
        for packet in packets:
            if len(packet) > self._link_mtu:
                self._route(client, packet, routed, now)
            else:
                fitting.append(packet)
        return fitting

    def _route(self, client: Address, packet: bytes, routed: Routed, now: Nanos) -> None:
        counters = self._counters
        if not packet or packet[0] >> 4 != 4:
            # A client without IPv6 from us still sends router solicitations: it breaks no rule.
            six = bool(packet) and packet[0] >> 4 == 6
            counters.drop(DropReason.IPV6_IN_TUNNEL if six else DropReason.NOT_IP)
            return
        parsed = ipv4.parse(packet, 0, len(packet))
        if isinstance(parsed, DropReason):
            counters.drop(parsed)
            return
        l4, end, protocol, fragment_word, source, destination = parsed
        if source != client:
            counters.drop(DropReason.WRONG_SOURCE)
            return
        if end < len(packet):
            packet = packet[:end]
        if fragment_word & ipv4.FRAGMENTED:
            if (refused := self._refuses_fragments(destination)) is not None:
                self._refused(client, packet, refused, routed, now)
                return
            whole = self._reassembler.receive(packet, 0, end, now)
            if whole is None:
                return
            if isinstance(whole, DropReason):
                counters.drop(whole)
                return
            packet, l4, end = whole, (whole[0] & 15) * 4, len(whole)
        parsed = l4, end, protocol, fragment_word, source, destination
        if destination == self._server:
            if protocol == ipv4.ICMP:
                self._icmp.receive(client, packet, parsed, routed, now)
            else:
                self._to_us(client, packet, parsed, routed, now)
        elif destination == self._outside:
            self._hairpin(client, packet, parsed, routed, now)
        elif int.from_bytes(destination, "big") & self._mask == self._network:
            self._to_client(client, destination, packet, routed, now)
        else:
            self._to_outside(client, packet, parsed, routed, now)

    def _refuses_fragments(self, destination: Address) -> DropReason | None:
        """The reason why no fragment to this address is worth to be kept; a name server's port must be seen first."""
        reason = self._destinations.refuses(destination)
        if reason is None or reason is DropReason.MULTICAST:
            return reason
        inside = int.from_bytes(destination, "big") & self._mask == self._network or destination == self._outside
        return None if inside or self._destinations.is_open_for_dns(destination) else reason

    def _to_us(self, client: Address, packet: bytes, parsed: ipv4.Parsed, routed: Routed, now: Nanos) -> None:
        """Give a packet for the tunnel gateway to the server of its port, or refuse it (RFC 1122 section 3.2.2.1)."""
        l4, end, protocol, _, _, _ = parsed
        if protocol == ipv4.TCP and end - l4 >= tcp.FIXED_LEN:
            server = self._endpoints.tcp.get(packet[l4 + 2] << 8 | packet[l4 + 3])
            if server is not None:
                server.receive(packet, 0, l4, end, 0, False, now)
                self._served = True
                return
        elif protocol == ipv4.UDP and end - l4 >= udp.HEADER_LEN:
            endpoint = self._endpoints.udp.get(packet[l4 + 2] << 8 | packet[l4 + 3])
            if endpoint is not None:
                endpoint.receive(packet, 0, l4, end, 0, False, now)
                return
        kind = PORT_UNREACHABLE if protocol in (ipv4.TCP, ipv4.UDP) else PROTOCOL_UNREACHABLE
        self._counters.drop(DropReason.PORT_CLOSED)
        self._icmp.error(client, packet, kind, routed, now)

    def _to_client(self, client: Address, destination: Address, packet: bytes, routed: Routed, now: Nanos) -> None:
        """Forward between clients: only when configured, TTL decremented (RFC 1812 5.3.1); never to broadcasts."""
        if self._destinations.refuses(destination) is DropReason.MULTICAST:
            self._counters.drop(DropReason.MULTICAST)
            return
        if not self._client_to_client:
            self._counters.drop(DropReason.CLIENT_TO_CLIENT_OFF)
            self._icmp.error(client, packet, ADMIN_PROHIBITED, routed, now)
            return
        if destination not in self._clients:
            self._counters.drop(DropReason.NO_ROUTE)
            self._icmp.error(client, packet, HOST_UNREACHABLE, routed, now)
            return
        if packet[8] <= 1:
            self._counters.drop(DropReason.TTL_EXCEEDED)
            self._icmp.error(client, packet, TTL_EXCEEDED, routed, now)
            return
        checksum = update(packet[10] << 8 | packet[11], packet[8] << 8, packet[8] - 1 << 8)
        packet = b"%b%c%b%b%b" % (packet[:8], packet[8] - 1, packet[9:10], checksum.to_bytes(2, "big"), packet[12:])
        self._counters.stats[Stat.CLIENT_TO_CLIENT_PACKETS] += 1
        routed.deliver(destination, clamp(packet, self._mss_between(client, destination)), self._tun_mtu)

    def _hairpin(self, client: Address, packet: bytes, parsed: ipv4.Parsed, routed: Routed, now: Nanos) -> None:
        """Answer echo to our outside address; give other packets to the client that has the port, as from outside.

        The listening port is refused with an ICMP error. A port without a mapping and one that filters are both
        silent: no client learns which ports other clients have open.
        """
        l4, end, protocol, _, _, _ = parsed
        if protocol == ipv4.ICMP and end > l4 and packet[l4] == icmpv4.ECHO_REQUEST:
            self._icmp.receive(client, packet, parsed, routed, now)
            return
        result = self._nat.hairpin(client, packet, now)
        if isinstance(result, DropReason):
            self._refused(client, packet, result, routed, now)
            return
        to, inner = result
        self._counters.stats[Stat.NAT_HAIRPIN_PACKETS] += 1
        routed.deliver(to, clamp(inner, self._mss_between(client, to)), self._tun_mtu)

    def _mss_between(self, client: Address, other: Address) -> int:
        """The MSS that fits two clients."""
        return min(self._mss.get(client, SMALLEST_MSS), self._mss.get(other, SMALLEST_MSS))

    def _to_outside(self, client: Address, packet: bytes, parsed: ipv4.Parsed, routed: Routed, now: Nanos) -> None:
        """Send through the NAT, where the rule for destinations allows it."""
        l4, _, protocol, _, _, destination = parsed
        refused = self._destinations.refuses(destination)
        if refused is not None:
            port = int.from_bytes(packet[l4 + 2 : l4 + 4], "big")
            if (refused := self._destinations.refuses(destination, protocol, port)) is not None:
                self._refused(client, packet, refused, routed, now)
                return
        if len(packet) > self._link_mtu and packet[6] & 0x40:
            # RFC 1191: DF is set and the uplink is narrower than the tunnel.
            self._counters.drop(DropReason.TOO_BIG)
            self._icmp.error(client, packet, FRAGMENTATION_NEEDED, routed, now, rest=self._link_mtu)
            return
        if len(packet) > self._link_mtu:
            packet = with_ident(packet, self._nat.fresh_ident())
        if protocol == ipv4.TCP:
            packet = clamp(packet, self._mss.get(client, SMALLEST_MSS))
        reason = self._nat.open_outbound(client, packet, now, routed.to_link)
        if reason is not None:
            self._refused(client, packet, reason, routed, now)

    def _refused(self, client: Address, packet: bytes, reason: DropReason, routed: Routed, now: Nanos) -> None:
        """Count a packet that did not go through the NAT, and send the client an ICMP error where one is due."""
        self._counters.drop(reason)
        if reason is DropReason.TTL_EXCEEDED:
            self._icmp.error(client, packet, TTL_EXCEEDED, routed, now)
        elif reason in _PROHIBITED:
            self._icmp.error(client, packet, ADMIN_PROHIBITED, routed, now)
        elif reason is DropReason.UNKNOWN_PROTOCOL:
            self._icmp.error(client, packet, PROTOCOL_UNREACHABLE, routed, now)
