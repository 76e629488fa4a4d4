"""Pushed routes that lead nowhere, and name servers that clients are told of."""

from __future__ import annotations

import pytest
from tests.unit.config.config_samples import BASE, block, config_text

from hognose.address import Prefix, address_text, parse_ipv4
from hognose.config.parser import parse
from hognose.config.pushed import dns_servers
from hognose.destinations import Destinations, Reach
from hognose.errors import ConfigError

UPLINK = Prefix.of(parse_ipv4("192.168.1.2"), 24)


def rule(reach: Reach) -> Destinations:
    return Destinations(uplink=UPLINK, router=parse_ipv4("192.168.1.1"), reach=reach)


def refusal(lines: str, reach: Reach = Reach.ANYWHERE) -> str:
    """The error's text without the file's first lines, "" when the config is served."""
    try:
        parse(config_text(lines), "server.conf", destinations=rule(reach))
    except ConfigError as error:
        return str(error)
    return ""


FIRST = len(BASE.splitlines()) + 1  # the number of the first line of `lines`


@pytest.mark.parametrize(
    ("reach", "route", "advice"),
    [
        (
            Reach.ANYWHERE,
            "169.254.0.0 255.255.0.0",
            "clients never reach 169.254.0.0/16 through the server; remove the line",
        ),
        (
            Reach.ANYWHERE,
            "169.254.169.253",
            "clients never reach 169.254.0.0/16 through the server; remove the line, or for a name server also write "
            '`push "dhcp-option DNS 169.254.169.253"`',
        ),
        (
            Reach.ANYWHERE,
            "127.0.0.53 255.255.255.255 vpn_gateway",
            "clients never reach 127.0.0.0/8 through the server; remove the line",
        ),
        (
            Reach.NOT_UPLINK,
            "192.168.1.0 255.255.255.0 default 5",
            "--clients-may-reach=not-uplink refuses 192.168.1.0/24; remove the line, or start the server with "
            "--clients-may-reach=anywhere",
        ),
        (
            Reach.NOT_PRIVATE,
            "192.168.1.7",
            "--clients-may-reach=not-private refuses 192.168.1.0/24; remove the line, or for a name server also write "
            '`push "dhcp-option DNS 192.168.1.7"`, or start the server with --clients-may-reach=anywhere',
        ),
        (
            Reach.NOT_PRIVATE,
            "10.20.0.0 255.255.0.0 10.8.0.1",
            "--clients-may-reach=not-private refuses 10.0.0.0/8; remove the line, or start the server with "
            "--clients-may-reach=not-uplink",
        ),
        (
            Reach.NOT_PRIVATE,
            "100.64.0.0 255.192.0.0",
            "--clients-may-reach=not-private refuses 100.64.0.0/10; remove the line, or start the server with "
            "--clients-may-reach=not-uplink",
        ),
    ],
)
def test_a_route_that_is_refused_names_the_line_to_write(reach: Reach, route: str, advice: str) -> None:
    lines = f'push "redirect-gateway def1"\npush "route {route}"\n'
    assert refusal(lines, reach) == f"server.conf:{FIRST + 1}: push: {advice}"


@pytest.mark.parametrize("reach", list(Reach))
def test_what_the_error_says_to_write_is_served(reach: Reach) -> None:
    line = 'push "route 169.254.169.253"\n'
    assert refusal(line, reach)
    assert refusal(line + 'push "dhcp-option DNS 169.254.169.253"\n', reach) == ""


@pytest.mark.parametrize(
    "route",
    [
        "192.168.1.0 255.255.255.0 net_gateway",  # past the tunnel
        "192.168.1.0 255.255.255.0 192.168.9.1",
        "remote_host 255.255.255.255 net_gateway",
        "intranet.example.com",
        "192.168.1.0 255.0.255.0",
        "10.8.0.0 255.255.255.0",  # the tunnel's own
        "128.0.0.0 128.0.0.0",
        "0.0.0.0 0.0.0.0",
        "198.51.100.0 255.255.255.0",
        "",
    ],
)
def test_routes_that_are_not_judged_or_lead_somewhere(route: str) -> None:
    for reach in Reach:
        assert refusal(f'push "route {route}"\n', reach) == ""


def test_a_route_of_one_client_in_a_block_and_in_a_file() -> None:
    body = 'push "route 203.0.113.0 255.255.255.0"\n[bob]\n'
    ccd = f"[alice]\n{body}push 'route 192.168.7.0 255.255.255.0'\n"
    assert refusal(block("client-config-dir", ccd), Reach.NOT_UPLINK) == ""
    text = refusal(block("client-config-dir", ccd), Reach.NOT_PRIVATE)
    assert text.startswith(f"server.conf:{FIRST + 4}: push: --clients-may-reach=not-private refuses 192.168.0.0/16;")
    with pytest.raises(ConfigError) as caught:
        parse(
            config_text("client-config-dir ccd\n"),
            "server.conf",
            read_folder=lambda path: {"bob": "# bob's\npush 'route 192.168.7.0 255.255.255.0'\n"},
            destinations=rule(Reach.NOT_PRIVATE),
        )
    assert str(caught.value).startswith("ccd/bob:2: push: --clients-may-reach=not-private refuses 192.168.0.0/16;")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["dhcp-option DNS 10.0.0.53", "dhcp-option  DNS  9.9.9.9"], {"10.0.0.53", "9.9.9.9"}),
        (["dns server 0 address 10.0.0.53 10.0.0.54:53 [2001:db8::1]:53"], {"10.0.0.53", "10.0.0.54"}),
        (["dns server 0 address 10.0.0.53:5353"], set()),  # port 53 only
        (["dns server 0 resolve-domains example.com", "dns search-domains 10.0.0.1"], set()),
        (["dhcp-option DNS", "dhcp-option DNS6 2001:db8::1", "dhcp-option NTP 10.0.0.1", "dhcp-option DNS x"], set()),
        (["route 10.0.0.1", "", " "], set()),
    ],
)
def test_name_servers(options: list[str], expected: set[str]) -> None:
    assert set(map(address_text, dns_servers(options))) == expected


def test_name_servers_of_all_and_of_single_clients() -> None:
    own = block("client-config-dir", "[alice]\npush 'dhcp-option DNS 10.0.0.54'\n[bob]\n")
    config, _ = parse(config_text(f'push "dhcp-option DNS 10.0.0.53"\n{own}'), "server.conf")
    assert set(map(address_text, config.dns_servers)) == {"10.0.0.53", "10.0.0.54"}
