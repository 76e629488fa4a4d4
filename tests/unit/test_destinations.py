"""The rule for destinations beyond the NAT: ranges that are refused to all, --clients-may-reach, name servers."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hognose.address import Prefix, parse_ipv4
from hognose.destinations import Destinations, Reach
from hognose.drops import DropReason

TUNNEL, UPLINK, ROUTER = Prefix.of(parse_ipv4("10.8.0.0"), 24), Prefix.of(parse_ipv4("10.0.0.2"), 24), "10.0.0.1"
ICMP, TCP, UDP = 1, 6, 17
MARTIAN, GROUP, PROHIBITED = DropReason.MARTIAN, DropReason.MULTICAST, DropReason.DESTINATION_PROHIBITED


def rule(
    reach: Reach = Reach.ANYWHERE, *dns: str, uplink: Prefix = UPLINK, router: str | None = ROUTER
) -> Destinations:
    return Destinations(
        tunnel=TUNNEL,
        uplink=uplink,
        router=parse_ipv4(router) if router is not None else None,
        reach=reach,
        dns_servers=frozenset(map(parse_ipv4, dns)),
    )


def refused(destinations: Destinations, address: str, protocol: int = UDP, port: int = 80) -> DropReason | None:
    return destinations.refuses(parse_ipv4(address), protocol, port)


REFUSED = [
    ("0.0.0.1", MARTIAN), ("0.255.255.255", MARTIAN), ("127.0.0.0", MARTIAN), ("127.0.0.1", MARTIAN),
    ("127.255.255.255", MARTIAN), ("169.254.0.0", MARTIAN), ("169.254.169.253", MARTIAN),
    ("169.254.169.254", MARTIAN), ("169.254.255.255", MARTIAN), ("100.100.100.200", MARTIAN),
    ("168.63.129.16", MARTIAN), ("192.0.0.0", MARTIAN), ("192.0.0.192", MARTIAN), ("192.0.0.255", MARTIAN),
    ("240.0.0.0", MARTIAN), ("255.255.255.254", MARTIAN),
    ("0.0.0.0", GROUP), ("224.0.0.0", GROUP), ("239.255.255.255", GROUP), ("255.255.255.255", GROUP),
    ("10.0.0.0", GROUP), ("10.0.0.255", GROUP), ("10.8.0.0", GROUP), ("10.8.0.255", GROUP),
]  # fmt: skip
PASS = [
    "1.0.0.0", "126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "100.63.255.255", "100.128.0.0",
    "168.63.129.15", "168.63.129.17", "191.255.255.255", "192.0.1.0", "223.255.255.255",
    "192.0.2.1", "198.51.100.255", "203.0.113.1",  # documentation, RFC 5737
    "198.18.0.0", "198.19.255.255",  # benchmarks, RFC 2544
]  # fmt: skip
SHARED = ["100.64.0.0", "100.100.100.199", "100.100.100.201", "100.127.255.255"]  # RFC 6598
PRIVATE = ["10.0.1.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255"]
ON_UPLINK = ["10.0.0.1", "10.0.0.77", "10.0.0.254"]


@pytest.mark.parametrize("reach", list(Reach))
@pytest.mark.parametrize("protocol", [ICMP, TCP, UDP, 47])
def test_what_is_refused_to_all(reach: Reach, protocol: int) -> None:
    destinations = rule(reach)
    for address, reason in REFUSED:
        assert refused(destinations, address, protocol) is reason, address
        assert refused(destinations, address, protocol, 53) is reason, address
    for address in PASS:
        assert refused(destinations, address, protocol) is None, address


@pytest.mark.parametrize(
    ("reach", "expected"),
    [(Reach.ANYWHERE, (None, None)), (Reach.NOT_UPLINK, (PROHIBITED, None)), (Reach.NOT_PRIVATE, (PROHIBITED,) * 2)],
)
def test_clients_may_reach(reach: Reach, expected: tuple[DropReason | None, DropReason | None]) -> None:
    destinations = rule(reach)
    assert {refused(destinations, address) for address in ON_UPLINK} == {expected[0]}
    assert {refused(destinations, address) for address in (*PRIVATE, *SHARED)} == {expected[1]}


@pytest.mark.parametrize("reach", [Reach.NOT_UPLINK, Reach.NOT_PRIVATE])
def test_a_public_uplink_is_the_uplink(reach: Reach) -> None:
    destinations = rule(reach, uplink=Prefix.of(parse_ipv4("203.0.113.66"), 26), router="203.0.113.65")
    assert refused(destinations, "203.0.113.65") is refused(destinations, "203.0.113.126") is PROHIBITED
    assert refused(destinations, "203.0.113.63") is refused(destinations, "203.0.113.128") is None
    assert refused(destinations, "203.0.113.127") is GROUP


def test_with_a_32_the_router_counts_as_the_uplink() -> None:
    single = Prefix.of(parse_ipv4("203.0.113.66"), 32)
    destinations = rule(Reach.NOT_UPLINK, uplink=single, router="100.64.0.1")
    assert refused(destinations, "100.64.0.1") is PROHIBITED
    assert refused(destinations, "100.64.0.2") is None
    assert refused(rule(uplink=single, router="100.64.0.1"), "100.64.0.1") is None
    assert refused(rule(Reach.NOT_UPLINK, uplink=single, router=None), "100.64.0.1") is None


def test_a_31_has_no_broadcasts() -> None:
    destinations = rule(uplink=Prefix.of(parse_ipv4("203.0.113.66"), 31), router="203.0.113.67")
    assert refused(destinations, "203.0.113.67") is None


@pytest.mark.parametrize("router", ["169.254.0.1", "192.0.0.1"])
def test_a_router_with_such_an_address_may_be_addressed_where_the_uplink_may(router: str) -> None:
    single = Prefix.of(parse_ipv4("203.0.113.66"), 32)
    assert refused(rule(uplink=single, router=router), router) is None
    assert refused(rule(Reach.NOT_UPLINK, uplink=single, router=router), router) is PROHIBITED
    assert refused(rule(uplink=single, router=router), "169.254.0.2") is MARTIAN


def test_a_router_at_the_address_of_a_cloud_service_may_not() -> None:
    assert refused(rule(router="169.254.169.254"), "169.254.169.254") is MARTIAN


@pytest.mark.parametrize("reach", list(Reach))
@pytest.mark.parametrize(
    "server",
    ["169.254.169.253", "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "10.0.0.1", "10.1.2.3"],
)
def test_a_pushed_name_server_is_reached_on_port_53(server: str, reach: Reach) -> None:
    destinations = rule(reach, server)
    assert refused(destinations, server, UDP, 53) is refused(destinations, server, TCP, 53) is None
    for protocol, port in ((UDP, 80), (TCP, 80), (TCP, 5353), (TCP, 13568), (ICMP, 53), (47, 53)):
        assert refused(destinations, server, protocol, port) is refused(rule(reach), server, protocol, port)
    without = destinations.replaced(dns_servers=frozenset())
    assert refused(without, server, UDP, 53) is refused(rule(reach), server, UDP, 80)
    assert refused(without.replaced(dns_servers=frozenset((parse_ipv4(server),))), server, UDP, 53) is None


@pytest.mark.parametrize(
    "server", ["127.0.0.53", "0.0.0.1", "192.0.0.170", "224.0.0.251", "240.0.0.1", "255.255.255.255", "10.0.0.255"]
)
def test_a_name_server_that_can_be_no_host_beyond_the_nat_is_not_reached(server: str) -> None:
    assert refused(rule(Reach.ANYWHERE, server), server, UDP, 53) in (MARTIAN, GROUP)


def network(text: str) -> Prefix:
    address, length = text.split("/")
    return Prefix.of(parse_ipv4(address), int(length))


@pytest.mark.parametrize(
    ("reach", "route", "because"),
    [
        (Reach.ANYWHERE, "169.254.169.254/32", "169.254.169.254/32"),
        (Reach.ANYWHERE, "169.254.0.0/16", "169.254.0.0/16"),
        (Reach.ANYWHERE, "169.254.8.0/24", "169.254.0.0/16"),
        (Reach.ANYWHERE, "224.0.0.0/4", "224.0.0.0/4"),
        (Reach.ANYWHERE, "192.0.0.0/24", "192.0.0.0/24"),
        (Reach.ANYWHERE, "168.63.129.16/32", "168.63.129.16/32"),
        (Reach.ANYWHERE, "168.63.129.0/24", None),
        (Reach.ANYWHERE, "169.0.0.0/8", None),
        (Reach.ANYWHERE, "0.0.0.0/0", None),
        (Reach.ANYWHERE, "0.0.0.0/1", None),
        (Reach.ANYWHERE, "128.0.0.0/1", None),
        (Reach.ANYWHERE, "10.0.0.0/24", None),
        (Reach.NOT_UPLINK, "10.0.0.0/24", "10.0.0.0/24"),
        (Reach.NOT_UPLINK, "10.0.0.64/26", "10.0.0.0/24"),
        (Reach.NOT_UPLINK, "10.0.0.0/23", None),
        (Reach.NOT_UPLINK, "192.168.7.0/24", None),
        (Reach.NOT_PRIVATE, "192.168.7.0/24", "192.168.0.0/16"),
        (Reach.NOT_PRIVATE, "172.16.0.0/12", "172.16.0.0/12"),
        (Reach.NOT_PRIVATE, "172.0.0.0/8", None),
        (Reach.NOT_PRIVATE, "100.64.0.0/16", "100.64.0.0/10"),
        (Reach.NOT_PRIVATE, "10.8.0.0/24", None),  # the tunnel's
        (Reach.NOT_PRIVATE, "10.8.0.128/25", None),
        (Reach.NOT_PRIVATE, "198.51.100.0/24", None),
    ],
)
def test_networks_that_no_client_reaches(reach: Reach, route: str, because: str | None) -> None:
    found = rule(reach).refused_network(network(route))
    assert (str(found) if found is not None else None) == because


def test_a_network_with_a_name_server_is_reached() -> None:
    destinations = rule(Reach.NOT_PRIVATE, "169.254.169.253", "192.168.7.53", "127.0.0.53")
    for route in ("169.254.169.253/32", "192.168.7.0/24"):
        assert destinations.refused_network(network(route)) is None
    assert destinations.refused_network(network("169.254.169.254/32")) is not None
    assert destinations.refused_network(network("127.0.0.53/32")) is not None


def test_a_network_with_a_link_local_router_is_reached_where_the_uplink_may_be() -> None:
    single = Prefix.of(parse_ipv4("203.0.113.66"), 32)
    assert rule(uplink=single, router="169.254.0.1").refused_network(network("169.254.0.1/32")) is None
    assert rule(uplink=single, router="169.254.0.1").refused_network(network("169.254.0.2/32")) is not None
    destinations = rule(Reach.NOT_UPLINK, uplink=single, router="169.254.0.1")
    assert str(destinations.refused_network(network("169.254.0.1/32"))) == "169.254.0.1/32"


NEVER = [
    ip_network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "224.0.0.0/4", "240.0.0.0/4")
]
CLOUDS = ("100.100.100.200", "168.63.129.16", "169.254.169.254", "192.0.0.192")
INSIDE = [ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]
EDGES = sorted(
    {
        int(edge) + step
        for known in (*NEVER, *INSIDE, *map(ip_network, CLOUDS), ip_network("10.0.0.0/24"), ip_network("10.8.0.0/24"))
        for edge in (known.network_address, known.broadcast_address)
        for step in (-1, 0, 1)
        if 0 <= int(edge) + step <= 0xFFFFFFFF
    }
)
ADDRESSES = st.one_of(st.sampled_from(EDGES), st.integers(0, 0xFFFFFFFF))


@given(
    ADDRESSES,
    st.sampled_from(list(Reach)),
    st.sampled_from([ICMP, TCP, UDP]),
    st.sampled_from([53, 80]),
    st.booleans(),
    st.integers(8, 32),
    st.sampled_from(["10.0.0.1", "169.254.0.1", "100.64.0.1", None]),
)
def test_the_rule_as_it_is_told(
    address: int, reach: Reach, protocol: int, port: int, pushed: bool, length: int, router: str | None
) -> None:
    """Against the sentences of docs/security.md, written with the standard library's networks."""
    known = ip_address(address)
    uplink = ip_network(f"10.0.0.2/{length}", strict=False)
    tunnel = ip_network("10.8.0.0/24")
    ends = {end for each in (uplink, tunnel) if each.prefixlen < 31 for end in (each[0], each[-1])}
    is_router = router is not None and known == ip_address(router)
    open_for_dns = pushed and protocol in (TCP, UDP) and port == 53
    linklocal = known in ip_network("169.254.0.0/16") or str(known) in CLOUDS
    if known.is_multicast or known in ends or str(known) in ("0.0.0.0", "255.255.255.255"):
        expected = GROUP
    elif open_for_dns and (linklocal or not any(known in each for each in NEVER)):
        expected = None
    elif str(known) in CLOUDS or (any(known in each for each in NEVER) and not is_router):
        expected = MARTIAN
    else:
        private = reach is Reach.NOT_PRIVATE and any(known in each for each in INSIDE)
        near = reach is not Reach.ANYWHERE and (is_router or known in uplink)
        expected = PROHIBITED if near or private else None
    servers = (str(known),) if pushed else ()
    destinations = rule(reach, *servers, uplink=Prefix.of(parse_ipv4("10.0.0.2"), length), router=router)
    assert destinations.refuses(known.packed, protocol, port) is expected
