"""Options pushed to clients that name destinations: name servers, and routes that must be reachable.

The texts are those that clients get; what is not understood here is the client's business and no error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hognose.address import Address, Prefix, address_text, parse_ipv4, prefix_len_of
from hognose.destinations import DNS_PORT, Destinations, Reach
from hognose.errors import ConfigError

_HOST_MASK = "255.255.255.255"
_OUR_GATEWAY = ("default", "vpn_gateway")  # of a route's third word (OpenVPN route.c)


@dataclass(frozen=True, slots=True)
class PushedOption:
    """The text of one `push`, and its place for messages."""

    text: str
    file: str
    line: int


def dns_servers(options: Iterable[str]) -> frozenset[Address]:
    """IPv4 name servers of `dhcp-option DNS ADDRESS` and `dns server N address ADDRESS[:53] …` (OpenVPN dns.c)."""
    found: set[Address] = set()
    for option in options:
        words = option.split()
        if words[:2] == ["dhcp-option", "DNS"]:
            addresses = words[2:3]
        elif words[:2] == ["dns", "server"] and words[3:4] == ["address"]:
            addresses = [word.removesuffix(f":{DNS_PORT}") for word in words[4:]]
        else:
            continue
        found.update(address for word in addresses if (address := _address(word)) is not None)
    return frozenset(found)


def check_routes(pushed: Iterable[PushedOption], destinations: Destinations) -> None:
    """ConfigError for the first route of which no client could reach anything; destinations know the tunnel."""
    for option in pushed:
        network = _route(option.text, destinations.tunnel)
        refused = destinations.refused_network(network) if network is not None else None
        if network is not None and refused is not None:
            text = _advice(network, refused, destinations)
            raise ConfigError(text, file=option.file, line=option.line, directive="push")


def _advice(network: Prefix, refused: Prefix, destinations: Destinations) -> str:
    """The reason and what to write."""
    ways = ["remove the line"]
    if network.prefix_len == 32:
        servers = destinations.dns_servers | {network.network}
        if destinations.replaced(dns_servers=servers).is_open_for_dns(network.network):
            ways.append(f'for a name server also write `push "dhcp-option DNS {address_text(network.network)}"`')
    looser = [
        reach.value
        for reach in (Reach.NOT_UPLINK, Reach.ANYWHERE)
        if destinations.replaced(reach=reach).refused_network(network) is None
    ]
    if not looser:
        return f"clients never reach {refused} through the server; {', or '.join(ways)}"
    ways.append(f"start the server with --clients-may-reach={looser[0]}")
    return f"--clients-may-reach={destinations.reach.value} refuses {refused}; {', or '.join(ways)}"


def _route(option: str, tunnel: Prefix | None) -> Prefix | None:
    """The network of `route NETWORK [NETMASK [GATEWAY [METRIC]]]` that leads into the tunnel, else None."""
    words = option.split()
    if len(words) < 2 or words[0] != "route":
        return None
    network = _address(words[1])
    mask = _address(words[2] if len(words) > 2 and words[2] != "default" else _HOST_MASK)
    if network is None or mask is None:
        return None
    if len(words) > 3 and words[3] not in _OUR_GATEWAY:
        gateway = _address(words[3])
        if gateway is None or tunnel is None or gateway not in tunnel:
            return None
    try:
        return Prefix.of(network, prefix_len_of(mask))
    except ValueError:
        return None


def _address(word: str) -> Address | None:
    try:
        return parse_ipv4(word)
    except ValueError:
        return None
