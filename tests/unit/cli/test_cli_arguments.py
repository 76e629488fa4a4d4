"""The words after ` -- `: the same in the VM, under the tender and hosted."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hognose.address import parse_ipv4
from hognose.cli.arguments import USAGE, ArgumentError, BootArguments, parse_arguments
from hognose.cli.service import bounds
from hognose.limits import MIB, HandshakeLimits, Limits

BY_IPV4 = "the server is reached by IPv4 only"


def test_the_reference_launch_line() -> None:
    arguments = parse_arguments(["--ipv4=10.0.0.2/24", "--ipv4-gateway=10.0.0.1"])
    assert arguments == BootArguments(parse_ipv4("10.0.0.2"), 24, parse_ipv4("10.0.0.1"))


def test_nothing_given() -> None:
    assert parse_arguments([]) == BootArguments(b"", 0, None, "info", "hognose", False)


@pytest.mark.parametrize(
    ("words", "attribute", "value"),
    [
        (["--ipv4", "10.0.0.2/24"], "prefix_len", 24),
        (["--ipv4=10.0.0.0/31"], "address", parse_ipv4("10.0.0.0")),
        (["--ipv4=10.0.0.2/32"], "prefix_len", 32),
        (["--ipv4=10.0.0.2/8", "--ipv4-gateway", "10.255.0.1"], "gateway", parse_ipv4("10.255.0.1")),
        (["-l", "debug"], "log_level", "debug"),
        (["-ldebug"], "log_level", "debug"),
        (["-l=debug"], "log_level", "debug"),
        (["--logs=warning"], "log_level", "warning"),
        (["--logs", "*:info,tcp:debug,ovpn.engine:error"], "log_level", "info"),
        (["--logs", "tcp:debug,warning"], "log_level", "warning"),
        (["--logs=quiet"], "log_level", "error"),
        (["--logs=app"], "log_level", "error"),
        (["--logs=client:debug,client_ended:error"], "log_sources", (("client", "debug"), ("client_ended", "error"))),
        (["--logs=tcp:debug"], "log_sources", (("peer_", "debug"),)),
        (["--logs=tcp.pcb:debug", "-l", "stats:quiet"], "log_sources", (("peer_", "debug"), ("stats", "error"))),
        (["--logs=ovpn.config:debug"], "log_sources", (("config_", "debug"),)),
        (["--logs=arp.handler:debug"], "log_sources", ()),
        (
            ["--logs=arp.handler:debug"],
            "warnings",
            ("-l arp.handler:debug: no event comes from 'arp.handler'; ignored",),
        ),
        (["--nat-table-size=4096"], "nat_flows", 4096),
        (["--nat-table-size", "100"], "nat_flows", 100),
        (["--nat-table-size=65536"], "nat_flows", 65_536),
        (["--nat-flows-per-client=16"], "nat_flows_per_client", 16),
        (["--nat-filtering=endpoint-independent"], "endpoint_independent_filtering", True),
        (["--nat-filtering", "address-and-port"], "endpoint_independent_filtering", False),
        ([], "endpoint_independent_filtering", False),
        (["--strangers-silent=16", "--strangers=16384"], "handshake_limits", (("silent", 16), ("strangers", 16_384))),
        (["--handshakes", "4096"], "handshake_limits", (("handshakes", 4096),)),
        (
            ["--strangers-per-address=1", "--strangers-per-prefix=1"],
            "handshake_limits",
            (("per_address", 1), ("per_prefix", 1)),
        ),
        (["--handshake-cpu-percent=100"], "handshake_limits", (("percent_of_time", 100),)),
        ([], "handshake_limits", ()),
        (["--really-no-authentication"], "no_authentication", True),
        (["--delay=3600"], "delay", 3600),
        (["--delay", "0"], "delay", 0),
        (["--ipv4-only=true", "--ipv6-only=false"], "warnings", ()),
        (["--accept-router-advertisements", "false"], "warnings", ()),
        (["--name=edge"], "name", "edge"),
        (["--name", "--help"], "name", "--help"),
        (["--help"], "help", True),
        (["-h"], "help", True),
    ],
)
def test_understood(words: list[str], attribute: str, value: object) -> None:
    assert getattr(parse_arguments(words), attribute) == value


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--frobnicate"], "unknown argument '--frobnicate'; see --help"),
        (["--frobnicate=1"], "unknown argument '--frobnicate=1'; see --help"),
        (["server.conf"], "unknown argument 'server.conf'; see --help"),
        (["--help=yes"], "unknown argument '--help=yes'; see --help"),
        (["--ipv6=fd00::2/64"], f"--ipv6 is not yet supported: {BY_IPV4}; leave --ipv6 out"),
        (["--ipv6-gateway=fe80::1"], f"--ipv6-gateway is not yet supported: {BY_IPV4}; leave --ipv6-gateway out"),
        (
            ["--ipv4-only=false"],
            f"--ipv4-only=false is not yet supported: {BY_IPV4}; leave it out or write --ipv4-only=true",
        ),
        (
            ["--ipv6-only", "true"],
            f"--ipv6-only=true is not yet supported: {BY_IPV4}; leave it out or write --ipv6-only=false",
        ),
        (["--ipv4-only=yes"], "--ipv4-only=yes is neither true nor false"),
        (["--nat-table-size=99"], "--nat-table-size=99 is no number of flows from 100 to 65536"),
        (["--nat-table-size=65537"], "--nat-table-size=65537 is no number of flows from 100 to 65536"),
        (["--nat-table-size=many"], "--nat-table-size=many is no number of flows from 100 to 65536"),
        (["--nat-table-size=" + "9" * 5000], f"--nat-table-size={'9' * 5000} is no number of flows from 100 to 65536"),
        (["--nat-table-size"], "--nat-table-size needs a value"),
        (["--nat-flows-per-client=15"], "--nat-flows-per-client=15 is no number of flows from 16 to 65536"),
        (
            ["--nat-filtering=address"],
            "--nat-filtering=address is none of address-and-port, endpoint-independent",
        ),
        (["--strangers-silent=15"], "--strangers-silent=15 is no number of connections from 16 to 65536"),
        (["--strangers=16385"], "--strangers=16385 is no number of connections from 16 to 16384"),
        (["--handshakes=all"], "--handshakes=all is no number of connections from 16 to 4096"),
        (["--strangers-per-address=0"], "--strangers-per-address=0 is no number of connections from 1 to 4096"),
        (["--strangers-per-prefix=4097"], "--strangers-per-prefix=4097 is no number of connections from 1 to 4096"),
        (["--handshake-cpu-percent=101"], "--handshake-cpu-percent=101 is no number of percent from 1 to 100"),
        (["--handshake-cpu-percent"], "--handshake-cpu-percent needs a value"),
        (
            ["--strangers-per-address=300", "--strangers-per-prefix=256"],
            "--strangers-per-address=300 is more than --strangers-per-prefix=256; "
            "write --strangers-per-prefix=300 or more",
        ),
        (["--delay=3601"], "--delay=3601 is no number of seconds from 0 to 3600"),
        (["--delay=-1"], "--delay=-1 is no number of seconds from 0 to 3600"),
        (["--delay=²"], "--delay=² is no number of seconds from 0 to 3600"),
        (
            ["--really-no-authentication=true"],
            "unknown argument '--really-no-authentication=true'; see --help",
        ),
        (["--backtrace=true"], "unknown argument '--backtrace=true'; see --help"),
        (["--ipv4"], "--ipv4 needs a value"),
        (["--name"], "--name needs a value"),
        (["--ipv4="], "--ipv4= is not ADDRESS/PREFIX, for example 10.0.0.2/24"),
        (["--ipv4=10.0.0.2"], "--ipv4=10.0.0.2 is not ADDRESS/PREFIX, for example 10.0.0.2/24"),
        (["--ipv4=10.0.0.2/33"], "--ipv4=10.0.0.2/33 is not ADDRESS/PREFIX, for example 10.0.0.2/24"),
        (["--ipv4=10.0.0.2/7"], "--ipv4=10.0.0.2/7 is not ADDRESS/PREFIX, for example 10.0.0.2/24"),
        (["--ipv4=10.0.0.2/0249"], "--ipv4=10.0.0.2/0249 is not ADDRESS/PREFIX, for example 10.0.0.2/24"),
        (["--ipv4=10.0.0.2/²"], "--ipv4=10.0.0.2/² is not ADDRESS/PREFIX, for example 10.0.0.2/24"),
        (["--ipv4=10.0.0/24"], "--ipv4: '10.0.0' is no IPv4 address"),
        (["--ipv4=10.0.0.0/24"], "--ipv4=10.0.0.0/24 is a network or broadcast address"),
        (["--ipv4=10.0.0.255/24"], "--ipv4=10.0.0.255/24 is a network or broadcast address"),
        (["--ipv4=127.0.0.1/8"], "--ipv4: 127.0.0.1 cannot be a host's address"),
        (["--ipv4=0.0.0.1/8"], "--ipv4: 0.0.0.1 cannot be a host's address"),
        (["--ipv4=224.0.0.1/24"], "--ipv4: 224.0.0.1 cannot be a host's address"),
        (["--ipv4-gateway=x"], "--ipv4-gateway: 'x' is no IPv4 address"),
        (["--ipv4=10.0.0.2/24", "--ipv4-gateway=10.0.1.1"], "--ipv4-gateway=10.0.1.1 is not in 10.0.0.2/24"),
        (["--ipv4=10.0.0.2/24", "--ipv4-gateway=10.0.0.2"], "--ipv4-gateway is the server's own address"),
        (["-l", "loud"], "-l loud: 'loud' is none of error, warning, info, debug"),
        (["-l", "client:loud"], "-l client:loud: 'loud' is none of error, warning, info, debug"),
        (["-l", "info,"], "-l info,: '' is none of error, warning, info, debug"),
        (["-l"], "-l needs a value"),
    ],
)
def test_refused(words: list[str], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_arguments(words)
    assert str(caught.value) == message


@given(st.lists(st.one_of(st.text(max_size=20), st.sampled_from(["--ipv4", "--ipv4=1.2.3.4/", "-l", "--name"]))))
def test_any_words_give_arguments_or_one_line(words: list[str]) -> None:
    with suppress(ArgumentError):
        assert isinstance(parse_arguments(words), BootArguments)


def test_the_usage_names_every_argument() -> None:
    named = [
        "--ipv4=",
        "--ipv4-gateway=",
        "--clients-may-reach=",
        "--nat-table-size=",
        "--nat-flows-per-client=",
        "--nat-filtering=",
        "--strangers-silent=",
        "--strangers=",
        "--handshakes=",
        "--strangers-per-address=",
        "--strangers-per-prefix=",
        "--handshake-cpu-percent=",
        "--really-no-authentication",
        "--delay=",
        "-l ",
        "--logs=",
    ]
    named += ["--name=", "--help", "--ipv4-only=", "--ipv6-only=", "--accept-router-advertisements=", "--ipv6,"]
    for option in [*named, "--ipv6-gateway"]:
        assert option in USAGE


@pytest.mark.parametrize(
    ("memory", "asked", "flows", "per_client"),
    [
        (1024 * MIB, 0, 32_768, 4096),
        (1024 * MIB, 65_536, 65_536, 4096),
        (1024 * MIB, 2048, 2048, 2048),
        (64 * MIB, 100, 100, 100),
        (64 * MIB, 65_536, 65_536, 1024),
    ],
)
def test_the_nat_table_size(memory: int, asked: int, flows: int, per_client: int) -> None:
    limits = bounds(memory, BootArguments(nat_flows=asked))
    assert (limits.nat.flows, limits.nat.flows_per_client) == (flows, per_client)
    assert limits.tcp == Limits.for_memory(memory).tcp
    fewer = bounds(
        memory, BootArguments(nat_flows=asked, nat_flows_per_client=100, endpoint_independent_filtering=True)
    )
    assert (fewer.nat.flows, fewer.nat.flows_per_client) == (flows, 100)
    assert fewer.nat.endpoint_independent_filtering
    assert not limits.nat.endpoint_independent_filtering


@pytest.mark.parametrize(
    ("words", "per_address", "per_prefix"),
    [
        ([], 256, 1024),
        (["--strangers-per-address=2000"], 2000, 2000),
        (["--strangers-per-prefix=100"], 100, 100),
        (["--strangers-per-address=1", "--strangers-per-prefix=4096"], 1, 4096),
    ],
)
def test_the_bounds_of_an_address_and_its_prefix(words: list[str], per_address: int, per_prefix: int) -> None:
    handshake = bounds(1024 * MIB, parse_arguments(words)).handshake
    assert (handshake.per_address, handshake.per_prefix) == (per_address, per_prefix)


def test_the_bounds_of_strangers() -> None:
    words = ["--strangers-silent=20000", "--strangers=9000", "--handshakes=16", "--handshake-cpu-percent=5"]
    for memory in (64 * MIB, 1024 * MIB):
        limits = bounds(memory, parse_arguments(words), max_clients=100)
        waiting = Limits.for_memory(memory).handshake.authenticating
        expected = HandshakeLimits(
            silent=20_000, strangers=9000, handshakes=16, authenticating=waiting, percent_of_time=5
        )
        assert limits.handshake == expected
        assert limits.tcp.connections == 9116
    assert bounds(64 * MIB, BootArguments(), max_clients=1024).tcp.connections == 256 + 39 + 1024
