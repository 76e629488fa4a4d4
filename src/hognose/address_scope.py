"""IPv4 addresses by their use: which can be one host's, and which are a group's.

The ranges are those of the IANA IPv4 Special-Purpose Address Registry (RFC 6890) and of RFC 1112. Every part of the
program that has to know whether an address may be a source, a neighbour or a destination asks here.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from enum import Enum, auto
from typing import TypeVar

from hognose.address import Address, Prefix, mask_value, parse_ipv4

GROUPS = frozenset((bytes(4), b"\xff" * 4))  # the limited broadcast, its old form too (RFC 1812 section 4.2.3.1)
_T = TypeVar("_T")


class Scope(Enum):
    """The use of a range of addresses; UNICAST is everything that has no other."""

    UNICAST = auto()
    THIS_NETWORK = auto()  # 0/8, RFC 791 section 3.2
    PRIVATE = auto()  # RFC 1918
    SHARED = auto()  # 100.64/10, RFC 6598
    LOOPBACK = auto()  # 127/8, RFC 1122 section 3.2.1.3
    LINK_LOCAL = auto()  # 169.254/16, RFC 3927
    CLOUD_SERVICE = auto()  # metadata services of clouds, which know a machine by its address
    PROTOCOL_ASSIGNMENTS = auto()  # 192.0.0/24, RFC 6890 section 2.1
    MULTICAST = auto()  # 224/4, RFC 1112 section 4
    RESERVED = auto()  # 240/4 with the limited broadcast, RFC 1112 section 4


def _range(text: str) -> Prefix:
    network, _, length = text.partition("/")
    return Prefix(parse_ipv4(network), int(length))


# First match wins: single addresses stand before the range that they are in.
SCOPES = (
    (_range("0.0.0.0/8"), Scope.THIS_NETWORK),
    (_range("10.0.0.0/8"), Scope.PRIVATE),
    (_range("100.100.100.200/32"), Scope.CLOUD_SERVICE),  # Alibaba Cloud
    (_range("100.64.0.0/10"), Scope.SHARED),
    (_range("127.0.0.0/8"), Scope.LOOPBACK),
    (_range("168.63.129.16/32"), Scope.CLOUD_SERVICE),  # Azure
    (_range("169.254.169.254/32"), Scope.CLOUD_SERVICE),  # most clouds
    (_range("169.254.0.0/16"), Scope.LINK_LOCAL),
    (_range("172.16.0.0/12"), Scope.PRIVATE),
    (_range("192.0.0.192/32"), Scope.CLOUD_SERVICE),  # Oracle Cloud
    (_range("192.0.0.0/24"), Scope.PROTOCOL_ASSIGNMENTS),
    (_range("192.168.0.0/16"), Scope.PRIVATE),
    (_range("224.0.0.0/4"), Scope.MULTICAST),
    (_range("240.0.0.0/4"), Scope.RESERVED),
)
NO_HOST = frozenset((Scope.THIS_NETWORK, Scope.LOOPBACK, Scope.MULTICAST, Scope.RESERVED))
_NO_HOST_OCTETS = frozenset(
    octet
    for prefix, found in SCOPES
    if found in NO_HOST  # each is a /8 or shorter
    for octet in range(prefix.network[0], prefix.last[0] + 1)
)


def by_first_octet(ranges: Iterable[tuple[Prefix, _T]]) -> tuple[tuple[tuple[int, int, _T], ...], ...]:
    """Ranges as (network, mask, value) in their order, for each first octet those that have addresses with it.

    Networks and masks are numbers, for tests of one address against many ranges.
    """
    known = list(ranges)
    return tuple(
        tuple(
            (int.from_bytes(prefix.network, "big"), mask_value(prefix.prefix_len), value)
            for prefix, value in known
            if prefix.network[0] <= octet <= prefix.last[0]
        )
        for octet in range(256)
    )


_BY_FIRST_OCTET = by_first_octet(SCOPES)


def scope(address: Address) -> Scope:
    """The use of an IPv4 address."""
    number = int.from_bytes(address, "big")
    for network, mask, found in _BY_FIRST_OCTET[address[0]]:
        if number & mask == network:
            return found
    return Scope.UNICAST


def is_host(address: Address, broadcasts: Container[Address] = ()) -> bool:
    """True for what can be one host's own address: a source of packets, a neighbour, a router.

    False for 0/8, 127/8, 224/4, 240/4 and the given broadcasts of known networks (RFC 1122 section 3.2.1.3, RFC 1812
    section 5.3.7). Link-local addresses and those of cloud services are hosts': health checks of clouds come from
    there, and some routers have one.
    """
    return address[0] not in _NO_HOST_OCTETS and address not in broadcasts


def is_group(address: Address) -> bool:
    """True for destinations of more than one host: multicast, the limited broadcast in both forms.

    No ICMP error is sent about these (RFC 1122 section 3.2.2).
    """
    return address[0] >> 4 == 0xE or address in GROUPS
