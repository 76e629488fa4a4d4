"""Scopes of addresses: every boundary of the IANA IPv4 Special-Purpose Address Registry, with ipaddress beside it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from hognose.address import Address, Prefix, parse_ipv4
from hognose.address_scope import SCOPES, Scope, is_group, is_host, scope

# Range, scope, the addresses just before and after it. Registry of 2026, RFC 6890, RFC 1112.
BOUNDARIES = [
    ("0.0.0.0", "0.255.255.255", Scope.THIS_NETWORK),
    ("10.0.0.0", "10.255.255.255", Scope.PRIVATE),
    ("100.64.0.0", "100.127.255.255", Scope.SHARED),
    ("100.100.100.200", "100.100.100.200", Scope.CLOUD_SERVICE),
    ("127.0.0.0", "127.255.255.255", Scope.LOOPBACK),
    ("168.63.129.16", "168.63.129.16", Scope.CLOUD_SERVICE),
    ("169.254.0.0", "169.254.255.255", Scope.LINK_LOCAL),
    ("169.254.169.254", "169.254.169.254", Scope.CLOUD_SERVICE),
    ("172.16.0.0", "172.31.255.255", Scope.PRIVATE),
    ("192.0.0.0", "192.0.0.255", Scope.PROTOCOL_ASSIGNMENTS),
    ("192.0.0.192", "192.0.0.192", Scope.CLOUD_SERVICE),
    ("192.168.0.0", "192.168.255.255", Scope.PRIVATE),
    ("224.0.0.0", "239.255.255.255", Scope.MULTICAST),
    ("240.0.0.0", "255.255.255.255", Scope.RESERVED),
]
ORDINARY = [
    "1.0.0.0", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
    "191.255.255.255", "192.0.1.0", "192.0.2.0", "192.0.2.255", "192.31.196.0", "192.52.193.0", "192.88.99.0",
    "192.167.255.255", "192.169.0.0", "192.175.48.0", "198.17.255.255", "198.18.0.0", "198.19.255.255", "198.20.0.0",
    "198.51.100.0", "198.51.100.255", "203.0.113.0", "203.0.113.255", "223.255.255.255",
]  # fmt: skip


@pytest.mark.parametrize(("first", "last", "expected"), BOUNDARIES)
def test_first_and_last_of_every_range(first: str, last: str, expected: Scope) -> None:
    assert scope(parse_ipv4(first)) is expected
    assert scope(parse_ipv4(last)) is expected
    for outside in (int(ip_address(first)) - 1, int(ip_address(last)) + 1):
        if 0 <= outside <= 0xFFFFFFFF:
            assert scope(outside.to_bytes(4, "big")) is not expected


@pytest.mark.parametrize("address", ORDINARY)
def test_everything_else_is_unicast(address: str) -> None:
    """Networks for documentation and benchmarks among them: a laboratory uses them like others."""
    assert scope(parse_ipv4(address)) is Scope.UNICAST
    assert is_host(parse_ipv4(address))


def samples() -> list[Address]:
    """Boundaries of all ranges, their neighbours, and an address of every /10."""
    ends = [int.from_bytes(end, "big") for prefix, _ in SCOPES for end in (prefix.network, prefix.last)]
    edges = {end + step for end in ends for step in (-1, 0, 1)} | set(range(12345, 1 << 32, 1 << 22))
    return [edge.to_bytes(4, "big") for edge in sorted(edges) if 0 <= edge <= 0xFFFFFFFF]


def test_the_standard_library_agrees() -> None:
    for address in samples():
        known, found = ip_address(address), scope(address)
        single = found is Scope.CLOUD_SERVICE
        assert known.is_multicast == (found is Scope.MULTICAST), known
        assert known.is_reserved == (found is Scope.RESERVED), known
        assert known.is_loopback == (found is Scope.LOOPBACK), known
        assert known.is_link_local == (found is Scope.LINK_LOCAL or (single and address[:2] == b"\xa9\xfe")), known
        assert (known in ip_network("100.64.0.0/10")) == (found is Scope.SHARED or (single and address[0] == 100))
        if found is Scope.PRIVATE:
            assert known.is_private, known
        no_host = known.is_multicast or known.is_reserved or known.is_loopback or known in ip_network("0.0.0.0/8")
        assert is_host(address) != no_host, known


def test_the_broadcasts_of_a_known_network_are_no_host() -> None:
    prefix = Prefix.of(parse_ipv4("10.0.0.2"), 24)
    assert not is_host(parse_ipv4("10.0.0.255"), prefix.broadcasts)
    assert not is_host(parse_ipv4("10.0.0.0"), prefix.broadcasts)
    assert is_host(parse_ipv4("10.0.0.254"), prefix.broadcasts)
    assert is_host(parse_ipv4("10.0.0.255"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("0.0.0.0", True),  # RFC 1812 section 4.2.3.1: the old form of the limited broadcast
        ("0.0.0.1", False),
        ("223.255.255.255", False),
        ("224.0.0.0", True),
        ("239.255.255.255", True),
        ("240.0.0.0", False),
        ("255.255.255.254", False),
        ("255.255.255.255", True),
    ],
)
def test_groups(address: str, expected: bool) -> None:
    assert is_group(parse_ipv4(address)) is expected
