"""The rule for destinations beyond the NAT: addresses that no client may reach, and --clients-may-reach.

docs/security.md has the list for administrators. The rule is asked when a flow is opened, never on the fast path.
"""

from __future__ import annotations

from enum import Enum

from hognose.address_scope import NO_HOST, SCOPES, Prefix, Scope, is_group, scope
from hognose.drops import DropReason
from hognose.units import Ipv4Int, Port

DNS_PORT = 53
_TCP, _UDP = 6, 17  # protocol numbers of the IPv4 header

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

    __slots__ = ("_broadcasts", "dns_servers", "reach", "router", "tunnel", "uplink")

    def __init__(
        self,
        *,
        tunnel: Prefix | None = None,
        uplink: Prefix | None = None,
        router: Ipv4Int | None = None,
        reach: Reach = Reach.ANYWHERE,
        dns_servers: frozenset[Ipv4Int] = frozenset(),
    ) -> None:
        self.tunnel = tunnel
        self.uplink = uplink
        self.router = router
        self.reach = reach
        self.dns_servers = dns_servers
        known = [prefix.broadcasts for prefix in (tunnel, uplink) if prefix is not None]
        self._broadcasts = frozenset().union(*known)

    def replaced(
        self,
        *,
        tunnel: Prefix | None = None,
        reach: Reach | None = None,
        dns_servers: frozenset[Ipv4Int] | None = None,
    ) -> Destinations:
        """The same rule with what is given instead of its own."""
        return Destinations(
            tunnel=self.tunnel if tunnel is None else tunnel,
            uplink=self.uplink,
            router=self.router,
            reach=self.reach if reach is None else reach,
            dns_servers=self.dns_servers if dns_servers is None else dns_servers,
        )

    def is_group(self, address: Ipv4Int) -> bool:
        """True for multicast and every broadcast, those of the tunnel and the uplink among them."""
        return address in self._broadcasts or is_group(address)

    def refuses(self, destination: Ipv4Int, protocol: int, port: Port) -> DropReason | None:
        """The reason why no packet goes there, or None. port: destination port of UDP and TCP, else ignored.

        MULTICAST (is_group; no ICMP error is due), MARTIAN, DESTINATION_PROHIBITED (`reach`); for the last two ICMP
        3/13 is due (RFC 1812 section 5.3.9).
        """
        if self.is_group(destination):
            return DropReason.MULTICAST
        found = scope(destination)
        if port == DNS_PORT and protocol in (_UDP, _TCP) and self.is_open_for_dns(destination):
            return None
        if found in _MARTIAN and not (destination == self.router and found in _MAY_BE_ROUTER):
            return DropReason.MARTIAN
        if self.reach is Reach.ANYWHERE:
            return None
        if self._is_uplink(destination) or (self.reach is Reach.NOT_PRIVATE and found in _NOT_THE_INTERNET):
            return DropReason.DESTINATION_PROHIBITED
        return None

    def is_open_for_dns(self, address: Ipv4Int) -> bool:
        """True when port 53 of a pushed name server is reached, whatever else of it is refused."""
        return address in self.dns_servers and (scope(address) not in _MARTIAN or scope(address) in _MAY_SERVE_DNS)

    def refused_network(self, network: Prefix) -> Prefix | None:
        """The network, all of it refused, that the given one is part of; None when some of it can be reached.

        What is in the tunnel, and what holds a name server that is open for DNS, is not refused.
        """
        if self.tunnel is not None and self.tunnel.covers(network):
            return None
        if any(address in network and self.is_open_for_dns(address) for address in self.dns_servers):
            return None
        refused = [prefix for prefix, found in SCOPES if found in _MARTIAN]
        if self.reach is Reach.ANYWHERE and self.router is not None and scope(self.router) in _MAY_BE_ROUTER:
            refused = [prefix for prefix in refused if self.router not in network or self.router not in prefix]
        if self.reach is not Reach.ANYWHERE:
            refused += [] if self.uplink is None else [self.uplink]
            refused += [] if self.router is None else [Prefix(self.router, 32)]
        if self.reach is Reach.NOT_PRIVATE:
            refused += [prefix for prefix, found in SCOPES if found in _NOT_THE_INTERNET]
        return next((prefix for prefix in refused if prefix.covers(network)), None)

    def _is_uplink(self, address: Ipv4Int) -> bool:
        """True for the NIC's network and for the router, which is the uplink where the network is a /32."""
        return address == self.router or (self.uplink is not None and address in self.uplink)
