"""The words behind ` -- `: the same in the VM, under the tender and hosted."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hognose.cli.arguments import USAGE, ArgumentError, BootArguments, parse_arguments
from hognose.units import ipv4_int


def test_the_reference_launch_line() -> None:
    arguments = parse_arguments(["--ipv4=10.0.0.2/24", "--ipv4-gateway=10.0.0.1"])
    assert arguments == BootArguments(ipv4_int("10.0.0.2"), 24, ipv4_int("10.0.0.1"))


def test_nothing_given() -> None:
    assert parse_arguments([]) == BootArguments(0, 0, None, "info", "hognose", False)


@pytest.mark.parametrize(
    ("words", "attribute", "value"),
    [
        (["--ipv4", "10.0.0.2/24"], "prefix_len", 24),
        (["--ipv4=10.0.0.0/31"], "address", ipv4_int("10.0.0.0")),
        (["--ipv4=10.0.0.2/32"], "prefix_len", 32),
        (["--ipv4=10.0.0.2/8", "--ipv4-gateway", "10.255.0.1"], "gateway", ipv4_int("10.255.0.1")),
        (["-l", "debug"], "log_level", "debug"),
        (["-ldebug"], "log_level", "debug"),
        (["-l=debug"], "log_level", "debug"),
        (["--logs=warning"], "log_level", "warning"),
        (["--logs", "*:info,tcp:debug,ovpn.engine:error"], "log_level", "debug"),
        (["--logs=quiet"], "log_level", "error"),
        (["--logs=x:app"], "log_level", "error"),
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
        (["--ipv6=fd00::2/64"], "--ipv6 is not supported (yet)"),
        (["--nat-table-size=4096"], "--nat-table-size is not supported (yet)"),
        (["--ipv4"], "--ipv4 needs a value"),
        (["--name"], "--name needs a value"),
        (["--ipv4="], "--ipv4= is not ADDRESS/PREFIX, for example 10.0.0.2/24"),
        (["--ipv4=10.0.0.2"], "--ipv4=10.0.0.2 is not ADDRESS/PREFIX, for example 10.0.0.2/24"),
        (["--ipv4=10.0.0.2/33"], "--ipv4=10.0.0.2/33 is not ADDRESS/PREFIX, for example 10.0.0.2/24"),
        (["--ipv4=10.0.0.2/7"], "--ipv4=10.0.0.2/7 is not ADDRESS/PREFIX, for example 10.0.0.2/24"),
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
    for option in ("--ipv4=", "--ipv4-gateway=", "-l ", "--logs=", "--name=", "--help"):
        assert option in USAGE
