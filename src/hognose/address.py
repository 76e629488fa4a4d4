"""Addresses as on the wire, endpoints and prefixes of both families.

An Address is 4 or 16 bytes in network order: its length is its family, and a slice of a packet is one without any work.
So tables are keyed by packet slices; numbers are made only where a mask is tested.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import NamedTuple

from hognose.units import Port

Address = bytes
IPV4_LEN, IPV6_LEN = 4, 16


class Endpoint(NamedTuple):
    """An address with a port of TCP or UDP."""

    address: Address
    port: Port

    def __str__(self) -> str:
        """`192.0.2.1:1194`, `[2001:db8::1]:1194` (RFC 5952 section 6)."""
        text = address_text(self.address)
        return f"[{text}]:{self.port}" if len(self.address) == IPV6_LEN else f"{text}:{self.port}"


def address_text(address: Address) -> str:
    """Text of an address for people: a dotted quad, or RFC 5952's form."""
    if len(address) == IPV4_LEN:
        return ".".join(map(str, address))
    return str(IPv6Address(address))


def parse_ipv4(text: str) -> Address:
    """Address of a dotted quad; ValueError unless it is four decimal numbers 0 … 255 without leading zeros."""
    octets = text.split(".")
    if len(octets) != IPV4_LEN or not all(_is_octet(octet) for octet in octets):
        raise ValueError(f"not an IPv4 address: {text!r}")
    return bytes(map(int, octets))


def parse_ipv6(text: str) -> Address:
    """Address of RFC 4291's text forms; ValueError for others and for those with a zone."""
    if "%" in text:
        raise ValueError(f"an address with a zone: {text!r}")
    return IPv6Address(text).packed


def mask_value(prefix_len: int, length: int = IPV4_LEN) -> int:
    """Number whose first prefix_len bits, of `length` bytes, are ones."""
    bits = 8 * length
    return (1 << bits) - (1 << bits - prefix_len)


def prefix_len_of(mask: Address) -> int:
    """Number of the leading ones of a netmask; ValueError when a one follows a zero."""
    hosts = ~int.from_bytes(mask, "big") & (1 << 8 * len(mask)) - 1
    if hosts & hosts + 1:
        raise ValueError(f"not a netmask: {address_text(mask)}")
    return 8 * len(mask) - hosts.bit_length()


@dataclass(frozen=True, slots=True)
class Prefix:
    """A network; prefix_len 0 to 32 or 128, the bits of `network` after it are zero, or ValueError."""

    network: Address
    prefix_len: int
    _value: int = field(init=False, repr=False, compare=False)
    _mask: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        value, mask = int.from_bytes(self.network, "big"), mask_value(self.prefix_len, len(self.network))
        if value & ~mask:
            raise ValueError(f"{address_text(self.network)} has bits beyond /{self.prefix_len}")
        object.__setattr__(self, "_value", value)
        object.__setattr__(self, "_mask", mask)

    @classmethod
    def of(cls, address: Address, prefix_len: int) -> Prefix:
        """The network of a host's address."""
        value = int.from_bytes(address, "big") & mask_value(prefix_len, len(address))
        return cls(value.to_bytes(len(address), "big"), prefix_len)

    @property
    def mask(self) -> Address:
        """The netmask."""
        return self._mask.to_bytes(len(self.network), "big")

    @property
    def last(self) -> Address:
        """Its last address."""
        return self.at(-1)

    @property
    def size(self) -> int:
        """Number of its addresses."""
        return 1 << 8 * len(self.network) - self.prefix_len

    @property
    def broadcasts(self) -> frozenset[Address]:
        """The directed broadcast and the network address (RFC 1812 section 4.2.3.1); a /31 (RFC 3021) has none."""
        return frozenset((self.network, self.last)) if len(self.network) == IPV4_LEN and self.size > 2 else frozenset()

    def at(self, index: int) -> Address:
        """Address number `index` of the network; a negative one counts from its end. ValueError outside."""
        if not -self.size <= index < self.size:
            raise ValueError(f"{self} has no address {index}")
        return (self._value + index % self.size).to_bytes(len(self.network), "big")

    def covers(self, other: Prefix) -> bool:
        """True when every address of the other network is in this one."""
        return other.prefix_len >= self.prefix_len and other.network in self

    def overlaps(self, other: Prefix) -> bool:
        """True when the networks have an address in common."""
        return self.covers(other) or other.covers(self)

    def __contains__(self, address: Address) -> bool:
        return len(address) == len(self.network) and int.from_bytes(address, "big") & self._mask == self._value

    def __str__(self) -> str:
        return f"{address_text(self.network)}/{self.prefix_len}"


def _is_octet(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and str(int(text)) == text and int(text) <= 255
