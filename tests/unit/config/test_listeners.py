"""The ports of a config: `proto`, `port`, `local` and what they leave out."""

from __future__ import annotations

import pytest
from tests.unit.config.config_samples import BASE, config_text

from hognose.config.parser import parse
from hognose.errors import ConfigError

PLAIN = BASE.replace("proto tcp\n", "")


def listeners(extra: str) -> list[str]:
    """Port and protocol of each, as the ready line prints them."""
    return [str(one) for one in parse(config_text(extra + "\n", PLAIN), "server.conf")[0].network.listeners]


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("", ["1194/udp"]),
        ("port 443", ["443/udp"]),
        ("lport 443", ["443/udp"]),
        ("proto tcp\nport 443", ["443/tcp"]),
        *((f"proto {word}", ["1194/udp"]) for word in ("udp", "udp4")),
        *((f"proto {word}", ["1194/tcp"]) for word in ("tcp", "tcp-server", "tcp4", "tcp4-server")),
        ("proto udp\nproto udp4", ["1194/udp"]),
        # openvpn 2.7, link-options.rst: what a `local` leaves out is that of `port` and `proto`
        ("local *", ["1194/udp"]),
        ("local 192.0.2.1", ["1194/udp"]),
        ("local vpn.example.net\nproto tcp\nport 443", ["443/tcp"]),
        ("local * 1194 udp\nlocal * 443 tcp", ["1194/udp", "443/tcp"]),
        ("local 0.0.0.0 443\nproto tcp", ["443/tcp"]),
        ("local *\nlocal * 443 tcp4", ["443/tcp", "1194/udp"]),
        ("local * 443\nlocal * 443 udp", ["443/udp"]),
        ("local * 443 udp\nlocal * 443 tcp", ["443/udp", "443/tcp"]),
    ],
)
def test_listeners(extra: str, expected: list[str]) -> None:
    assert listeners(extra) == expected


@pytest.mark.parametrize(
    ("extra", "text"),
    [
        (
            "proto udp\nproto tcp",
            "proto: two protocols; for both write `local * 1194 udp` and `local * 1194 tcp` and no `proto`",
        ),
        (
            "port 443\nproto tcp\nproto udp",
            "proto: two protocols; for both write `local * 443 udp` and `local * 443 tcp` and no `proto`",
        ),
        ("proto udp6", "proto: `udp6` is not supported (yet): clients come over IPv4; write `proto udp`"),
        ("proto tcp6-server", "proto: `tcp6-server` is not supported (yet): clients come over IPv4; write `proto tcp`"),
        ("proto sctp", "proto: `sctp` is no protocol of a server; write `proto udp`"),
        ("proto tcp-client", "proto: `tcp-client` is no protocol of a server; write `proto tcp`"),
        ("local * 443 udp6", "local: `udp6` is not supported (yet): clients come over IPv4; write `local * 443 udp`"),
        ("local * 0", "local: `0` is no number from 1 to 65535"),
        ("local * udp", "local: `udp` is no number from 1 to 65535"),
        ("local :: 443 udp", "local: ::: clients come over IPv4 only (yet); write `local * 443 udp`"),
        ("local 2001:db8::2", "local: 2001:db8::2: clients come over IPv4 only (yet); write `local *`"),
        ("local * 1 udp 2", "local: takes 1 to 3 word(s), 4 given"),
        (
            "\n".join(f"local * {port} udp" for port in range(1, 10)),
            "local: more than 8 listeners; remove a `local` line",
        ),
    ],
)
def test_refused(extra: str, text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        listeners(extra)
    assert text in str(raised.value)


def test_eight_listeners_are_taken() -> None:
    assert len(listeners("\n".join(f"local * {port} udp" for port in range(1, 9)))) == 8


@pytest.mark.parametrize(("extra", "count"), [("local *", 0), ("local 0.0.0.0", 0), ("local 192.0.2.7 443 tcp", 1)])
def test_an_address_is_warned_of(extra: str, count: int) -> None:
    warned = [one for one in parse(config_text(extra + "\n", PLAIN), "server.conf")[1] if one.directive == "local"]
    assert len(warned) == count
    assert all("--ipv4" in one.text for one in warned)


@pytest.mark.parametrize(
    ("ports", "told"), [("proto tcp", True), ("proto udp", False), ("local * 1 tcp\nlocal * 2 udp", False)]
)
def test_passtos_is_for_a_port_of_udp(ports: str, told: bool) -> None:
    _, warned = parse(config_text(f"{ports}\npasstos\n", PLAIN), "f")
    texts = [warning.text for warning in warned if warning.directive == "passtos"]
    assert texts == (["without effect: there is no port of UDP"] if told else [])
