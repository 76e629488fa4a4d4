"""IPv4 addresses by their use: which can be one host's, and which are a group's.

The ranges are those of the IANA IPv4 Special-Purpose Address Registry (RFC 6890) and of RFC 1112. Every part of the
program that has to know whether an address may be a source, a neighbour or a destination asks here.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import TypeVar

from hognose.units import Ipv4Int, ipv4_text, netmask

GROUPS = frozenset((0, 0xFFFFFFFF))  # the limited broadcast, its old form too (RFC 1812 section 4.2.3.1)
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


@dataclass(frozen=True, slots=True)
class Prefix:
    """A network; prefix_len 0 to 32, the bits of `network` after it are zero."""

    network: Ipv4Int
    prefix_len: int

    @classmethod
    def of(cls, address: Ipv4Int, prefix_len: int) -> Prefix:
        """The network of a host's address."""
        return cls(address & netmask(prefix_len), prefix_len)

    @property
    def last(self) -> Ipv4Int:
        """Its last address."""
        return self.network | 0xFFFFFFFF & ~netmask(self.prefix_len)

    @property
    def broadcasts(self) -> frozenset[Ipv4Int]:
        """The directed broadcast and the network address (RFC 1812 section 4.2.3.1); none in a /31 (RFC 3021)."""
        return frozenset((self.network, self.last)) if self.prefix_len < 31 else frozenset()

    def covers(self, other: Prefix) -> bool:
        """True when every address of the other network is in this one."""
        return other.prefix_len >= self.prefix_len and self.network <= other.network <= self.last

    def __contains__(self, address: Ipv4Int) -> bool:
        return self.network <= address <= self.last

    def __str__(self) -> str:
        return f"{ipv4_text(self.network)}/{self.prefix_len}"


# First match wins: single addresses stand before the range that they are in.
SCOPES = (
    (Prefix(0x00000000, 8), Scope.THIS_NETWORK),
    (Prefix(0x0A000000, 8), Scope.PRIVATE),
    (Prefix(0x646464C8, 32), Scope.CLOUD_SERVICE),  # 100.100.100.200, Alibaba Cloud
    (Prefix(0x64400000, 10), Scope.SHARED),
    (Prefix(0x7F000000, 8), Scope.LOOPBACK),
    (Prefix(0xA83F8110, 32), Scope.CLOUD_SERVICE),  # 168.63.129.16, Azure
    (Prefix(0xA9FEA9FE, 32), Scope.CLOUD_SERVICE),  # 169.254.169.254, most clouds
    (Prefix(0xA9FE0000, 16), Scope.LINK_LOCAL),
    (Prefix(0xAC100000, 12), Scope.PRIVATE),
    (Prefix(0xC00000C0, 32), Scope.CLOUD_SERVICE),  # 192.0.0.192, Oracle Cloud
    (Prefix(0xC0000000, 24), Scope.PROTOCOL_ASSIGNMENTS),
    (Prefix(0xC0A80000, 16), Scope.PRIVATE),
    (Prefix(0xE0000000, 4), Scope.MULTICAST),
    (Prefix(0xF0000000, 4), Scope.RESERVED),
)
NO_HOST = frozenset((Scope.THIS_NETWORK, Scope.LOOPBACK, Scope.MULTICAST, Scope.RESERVED))
_NO_HOST_OCTETS = frozenset(
    octet
    for prefix, found in SCOPES
    if found in NO_HOST  # each is a /8 or shorter
    for octet in range(prefix.network >> 24, (prefix.last >> 24) + 1)
)


def by_first_octet(ranges: Iterable[tuple[Prefix, _T]]) -> tuple[tuple[tuple[Ipv4Int, Ipv4Int, _T], ...], ...]:
    """Ranges as (network, mask, value) in their order, for each first octet those that have addresses with it."""
    known = list(ranges)
    return tuple(
        tuple(
            (prefix.network, netmask(prefix.prefix_len), value)
            for prefix, value in known
            if prefix.network >> 24 <= octet <= prefix.last >> 24
        )
        for octet in range(256)
    )


_BY_FIRST_OCTET = by_first_octet(SCOPES)


def scope(address: Ipv4Int) -> Scope:
    """The use of an address."""
    for network, mask, found in _BY_FIRST_OCTET[address >> 24]:
        if address & mask == network:
            return found
    return Scope.UNICAST


def is_host(address: Ipv4Int, broadcasts: Container[Ipv4Int] = ()) -> bool:
    """True for what can be one host's own address: a source of packets, a neighbour, a router.

    False for 0/8, 127/8, 224/4, 240/4 and the given broadcasts of known networks (RFC 1122 section 3.2.1.3, RFC 1812
    section 5.3.7). Link-local addresses and those of cloud services are hosts': health checks of clouds come from
    there, and some routers have one.
    """
    return address >> 24 not in _NO_HOST_OCTETS and address not in broadcasts


def is_group(address: Ipv4Int) -> bool:
    """True for destinations of more than one host: multicast, the limited broadcast in both forms.

    No ICMP error is sent about these (RFC 1122 section 3.2.2).
    """
    return address >> 28 == 0xE or address in GROUPS
