"""Addresses, endpoints and prefixes agree with the standard library's ipaddress, for both families."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hognose.address import Endpoint, Prefix, address_text, mask_value, parse_ipv4, parse_ipv6, prefix_len_of

ADDRESSES = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))


@st.composite
def networks(draw: st.DrawFn) -> tuple[bytes, int]:
    """An address and a prefix length of its family."""
    address = draw(ADDRESSES)
    return address, draw(st.integers(0, 8 * len(address)))


@given(ADDRESSES)
def test_text(address: bytes) -> None:
    assert address_text(address) == str(ipaddress.ip_address(address))
    parse = parse_ipv4 if len(address) == 4 else parse_ipv6
    assert parse(address_text(address)) == address


def test_endpoints() -> None:
    assert str(Endpoint(bytes((192, 0, 2, 1)), 1194)) == "192.0.2.1:1194"
    assert str(Endpoint(parse_ipv6("2001:db8::1"), 1194)) == "[2001:db8::1]:1194"


@pytest.mark.parametrize(
    "text", ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.04", "1.2.3.+4", "1.2.3.²", "1.2.3. 4", "::1"]
)
def test_text_that_is_no_ipv4_address(text: str) -> None:
    with pytest.raises(ValueError):
        parse_ipv4(text)


@pytest.mark.parametrize("text", ["", "1.2.3.4", "fe80::1%eth0", ":::", "1::2::3", "12345::"])
def test_text_that_is_no_ipv6_address(text: str) -> None:
    with pytest.raises(ValueError):
        parse_ipv6(text)


@given(networks(), ADDRESSES)
def test_prefixes(host: tuple[bytes, int], other: bytes) -> None:
    address, length = host
    ours = Prefix.of(address, length)
    oracle = ipaddress.ip_network((address, length), strict=False)
    assert str(ours) == str(oracle)
    assert ours.network == oracle.network_address.packed
    assert ours.last == oracle.broadcast_address.packed
    assert ours.mask == oracle.netmask.packed
    assert ours.size == oracle.num_addresses
    assert address in ours
    assert (other in ours) == (ipaddress.ip_address(other) in oracle)


@given(networks(), networks())
def test_networks_in_networks(one: tuple[bytes, int], two: tuple[bytes, int]) -> None:
    ours, theirs = Prefix.of(*one), Prefix.of(*two)
    first, second = (ipaddress.ip_network((prefix.network, prefix.prefix_len)) for prefix in (ours, theirs))
    same_family = first.version == second.version
    assert ours.covers(theirs) == (same_family and second.subnet_of(first))  # type: ignore[arg-type]  # of one family
    assert ours.overlaps(theirs) == (same_family and first.overlaps(second))
    assert ours.covers(Prefix.of(one[0], 8 * len(one[0])))


def test_addresses_by_number() -> None:
    network = Prefix.of(parse_ipv4("10.8.0.77"), 24)
    assert address_text(network.at(1)) == "10.8.0.1"
    assert address_text(network.at(-2)) == "10.8.0.254"
    assert network.broadcasts == {parse_ipv4("10.8.0.0"), parse_ipv4("10.8.0.255")}
    for index in (256, -257):
        with pytest.raises(ValueError):
            network.at(index)


def test_no_broadcasts() -> None:
    """RFC 3021 for /31; IPv6 has none."""
    assert Prefix.of(parse_ipv4("10.8.0.1"), 31).broadcasts == frozenset()
    assert Prefix.of(parse_ipv6("2001:db8::1"), 64).broadcasts == frozenset()


def test_bits_beyond_the_prefix_are_refused() -> None:
    with pytest.raises(ValueError):
        Prefix(parse_ipv4("10.8.0.1"), 24)
    assert mask_value(24) == 0xFFFFFF00
    assert mask_value(0) == 0


@given(st.sampled_from((4, 16)), st.data())
def test_masks_to_prefix_lengths(length: int, data: st.DataObject) -> None:
    prefix_len = data.draw(st.integers(0, 8 * length))
    assert prefix_len_of(mask_value(prefix_len, length).to_bytes(length, "big")) == prefix_len


@pytest.mark.parametrize("mask", ["255.0.255.0", "0.0.0.255", "255.255.255.1", "127.0.0.0"])
def test_masks_with_holes(mask: str) -> None:
    with pytest.raises(ValueError, match=f"not a netmask: {mask}"):
        prefix_len_of(parse_ipv4(mask))
