"""The rule for destinations beyond the NAT: addresses that no client may reach, and --clients-may-reach.

docs/security.md has the list for administrators. The rule is asked when a flow is opened, never on the fast path.
"""

from __future__ import annotations

from enum import Enum

from hognose.address import Address, Prefix
from hognose.address_scope import GROUPS, NO_HOST, SCOPES, Scope, by_first_octet, scope
from hognose.drops import DropReason
from hognose.units import TCP, UDP, Port

DNS_PORT = 53

# Addresses that no router forwards to: RFC 1812 section 5.3.7, RFC 3927 section 7, RFC 6890; a cloud service would
# answer under the identity of the machine.
_MARTIAN = NO_HOST | {Scope.LINK_LOCAL, Scope.CLOUD_SERVICE, Scope.PROTOCOL_ASSIGNMENTS}
_NOT_THE_INTERNET = frozenset((Scope.PRIVATE, Scope.SHARED))
# A cloud's name server has an address of these.
_MAY_SERVE_DNS = frozenset((Scope.LINK_LOCAL, Scope.CLOUD_SERVICE))
# A cloud's router may have one of these. CLOUD_SERVICE is not among them: nothing else than the service answers there.
_MAY_BE_ROUTER = frozenset((Scope.LINK_LOCAL, Scope.PROTOCOL_ASSIGNMENTS))


class Reach(Enum):
    """The values of --clients-may-reach."""

    ANYWHERE = "anywhere"
    NOT_UPLINK = "not-uplink"
    NOT_PRIVATE = "not-private"


class Destinations:
    """The rule for destinations beyond the NAT. Plain values, never changed; `replaced` gives a copy with others.

    tunnel: its network, where the rule does not apply. uplink: the NIC's network; router: the next hop of
    --ipv4-gateway, None for none. dns_servers: addresses that clients are told to ask for names; UDP and TCP to their
    port 53 pass where the rest of the rule would refuse, but never to what can be no host's address.
    """

    __slots__ = ("_by_first_octet", "_open_for_dns", "_ranges", "dns_servers", "reach", "router", "tunnel", "uplink")

    def __init__(
        self,
        *,
        tunnel: Prefix | None = None,
        uplink: Prefix | None = None,
        router: Address | None = None,
        reach: Reach = Reach.ANYWHERE,
        dns_servers: frozenset[Address] = frozenset(),
    ) -> None:
        self.tunnel = tunnel
        self.uplink = uplink
        self.router = router
        self.reach = reach
        self.dns_servers = dns_servers
        self._ranges = self._in_order()
        self._by_first_octet = by_first_octet(self._ranges)
        self._open_for_dns = frozenset(filter(self._may_serve_dns, dns_servers))

    def replaced(
        self,
        *,
        tunnel: Prefix | None = None,
        reach: Reach | None = None,
        dns_servers: frozenset[Address] | None = None,
    ) -> Destinations:
        """The same rule with the given values in place of its own."""
        return Destinations(
            tunnel=self.tunnel if tunnel is None else tunnel,
            uplink=self.uplink,
            router=self.router,
            reach=self.reach if reach is None else reach,
            dns_servers=self.dns_servers if dns_servers is None else dns_servers,
        )

    def refuses(self, destination: Address, protocol: int = 0, port: Port = 0) -> DropReason | None:
        """The reason why no packet goes there, or None. port: destination port of UDP and TCP, else ignored.

        MULTICAST for what is a group's, broadcasts of the tunnel and the uplink among them (no ICMP error is due),
        MARTIAN, DESTINATION_PROHIBITED (`reach`); for the last two ICMP 3/13 is due (RFC 1812 section 5.3.9).
        """
        number = int.from_bytes(destination, "big")
        for network, mask, reason in self._by_first_octet[destination[0]]:
            if number & mask == network:
                if port == DNS_PORT and protocol in (UDP, TCP) and destination in self._open_for_dns:
                    return None
                return reason
        return None

    def is_open_for_dns(self, address: Address) -> bool:
        """True for a pushed name server whose port 53 is reached, whatever else of it is refused."""
        return address in self._open_for_dns

    def refused_network(self, network: Prefix) -> Prefix | None:
        """The range, all of it refused, that this network is part of; None when some of it can be reached.

        What is in the tunnel, and what holds a name server that is open for DNS, is not refused.
        """
        if self.tunnel is not None and self.tunnel.covers(network):
            return None
        if any(address in network for address in self._open_for_dns):
            return None
        if any(reason is None and network.covers(prefix) for prefix, reason in self._ranges):
            return None
        return next((prefix for prefix, _ in self._ranges if prefix.covers(network)), None)

    def _in_order(self) -> list[tuple[Prefix, DropReason | None]]:
        """Ranges and the reason to refuse each, None for an open one; the first match wins."""
        known = [prefix.broadcasts for prefix in (self.tunnel, self.uplink) if prefix is not None]
        groups = [Prefix(address, 32) for address in sorted(GROUPS.union(*known))]
        ranges: list[tuple[Prefix, DropReason | None]] = [(prefix, DropReason.MULTICAST) for prefix in groups]
        allowed = self.reach is Reach.ANYWHERE
        if self.router is not None and (scope(self.router) not in _MARTIAN or scope(self.router) in _MAY_BE_ROUTER):
            ranges.append((Prefix(self.router, 32), None if allowed else DropReason.DESTINATION_PROHIBITED))
        for prefix, found in SCOPES:
            if found in _MARTIAN:
                ranges.append((prefix, DropReason.MULTICAST if found is Scope.MULTICAST else DropReason.MARTIAN))
        if not allowed and self.uplink is not None:
            ranges.append((self.uplink, DropReason.DESTINATION_PROHIBITED))
        if self.reach is Reach.NOT_PRIVATE:
            private = [prefix for prefix, found in SCOPES if found in _NOT_THE_INTERNET]
            ranges += [(prefix, DropReason.DESTINATION_PROHIBITED) for prefix in private]
        return ranges

    def _may_serve_dns(self, address: Address) -> bool:
        reason = self.refuses(address)
        return reason is not DropReason.MULTICAST and (
            reason is not DropReason.MARTIAN or scope(address) in _MAY_SERVE_DNS
        )
