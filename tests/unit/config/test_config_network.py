"""Pool, reservations and packet sizes: what they mean, and what is refused with its place."""

from __future__ import annotations

import pytest
from tests.unit.config.config_samples import BASE, block, config_text

from hognose.address import parse_ipv4
from hognose.config.model import ServerConfig, Warned
from hognose.config.parser import parse
from hognose.errors import ConfigError


def parsed(extra: str, base: str = BASE, files: dict[str, str] | None = None) -> tuple[ServerConfig, list[Warned]]:
    """A config with some more lines and the files that it names."""

    def read_file(path: str) -> str:
        if path not in (files or {}):
            raise FileNotFoundError(2, "No such file or directory")
        return (files or {})[path]

    return parse(config_text(extra, base), "server.conf", read_file)


def refuse(extra: str, base: str = BASE, files: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        parsed(extra, base, files)
    return str(caught.value)


NOPOOL = BASE.replace("255.255.255.0\n", "255.255.255.0 nopool\n")


@pytest.mark.parametrize("base", [BASE, NOPOOL])
@pytest.mark.parametrize("mask", ["", " 255.255.255.0"])
def test_a_pool(base: str, mask: str) -> None:
    config, warned = parsed(f"ifconfig-pool 10.8.0.100 10.8.0.199{mask}\n", base)
    network = config.network
    assert (
        network.pool == (network.pool_first, network.pool_last) == (parse_ipv4("10.8.0.100"), parse_ipv4("10.8.0.199"))
    )
    assert warned == []


def test_a_pool_of_all_addresses() -> None:
    """The first is the server's, the last the broadcast address (OpenVPN options-server, --server)."""
    network = parsed("ifconfig-pool 10.8.0.2 10.8.0.254\n")[0].network
    assert network.pool == (parse_ipv4("10.8.0.2"), parse_ipv4("10.8.0.254"))
    assert parsed("ifconfig-pool 10.8.0.9 10.8.0.9\n")[0].network.pool_first == parse_ipv4("10.8.0.9")


@pytest.mark.parametrize("mask", ["255.0.0.0", "255.255.255.248"])
def test_the_largest_and_the_smallest_network(mask: str) -> None:
    base = BASE.replace("10.8.0.0 255.255.255.0", f"10.0.0.0 {mask}")
    assert parsed("", base)[0].network.tunnel.mask == parse_ipv4(mask)


@pytest.mark.parametrize("mask", ["254.0.0.0", "255.255.255.252"])
def test_networks_beyond_them(mask: str) -> None:
    base = BASE.replace("10.8.0.0 255.255.255.0", f"10.0.0.0 {mask}")
    assert "the netmask must be one of 255.0.0.0 … 255.255.255.248" in refuse("", base)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("10.8.0.1 10.8.0.9", "inside of `server`"),  # ours
        ("10.8.0.0 10.8.0.9", "inside of `server`"),
        ("10.8.0.9 10.8.0.255", "write `ifconfig-pool 10.8.0.2 10.8.0.254` or a part"),
        ("10.8.0.9 10.8.0.8", "inside of `server`"),
        ("10.9.0.2 10.9.0.8", "inside of `server`"),
        ("10.8.0.2 lots", "`lots` is no IPv4 address; write `ifconfig-pool 10.8.0.2 10.8.0.254`"),
        ("10.8.0.2 10.8.0.9 255.255.0.0", "the netmask is not that of `server`; write 255.255.255.0"),
        ("10.8.0.2", r"takes 2 to 3 word(s), 1 given"),
    ],
)
def test_pools_that_are_refused(words: str, expected: str) -> None:
    text = refuse(f"ifconfig-pool {words}\n")
    assert text.startswith("server.conf:6: ifconfig-pool: ")
    assert expected in text


IPP = "alice,10.8.0.7\nbob,10.8.0.8,fd00::8\n\n# comment\ncarol,,fd00::9\n"


def test_reservations_from_a_file_and_from_a_block() -> None:
    reserved = {"alice": parse_ipv4("10.8.0.7"), "bob": parse_ipv4("10.8.0.8")}
    config, warned = parsed("ifconfig-pool-persist ipp.txt 0\n", files={"ipp.txt": IPP})
    assert (config.admission.reservations, warned) == (reserved, [])
    config, warned = parsed("ifconfig-pool-persist [inline] 600\n" + block("ifconfig-pool-persist", IPP))
    assert (config.admission.reservations, warned) == (reserved, [])


def test_an_absent_file_reserves_nothing() -> None:
    config, (warning,) = parsed("ifconfig-pool-persist ipp.txt\n")
    assert config.admission.reservations == {}
    assert warning.in_file("f").startswith("f:6: ifconfig-pool-persist: the file is not there: no address is reserved")
    assert parse(config_text("ifconfig-pool-persist ipp.txt\n"), "f")[1] == [warning]  # on a block device


@pytest.mark.parametrize(
    "line",
    [
        "x,10.8.0.1",
        "x,10.8.0.0",
        "x,10.8.0.255",
        "x,10.9.0.2",
        "x,ten",
        "x",
        ",10.8.0.9",
        ",,x",  # no name, so it is not one with an IPv6 address only
        ",,",
        "alice,10.8.0.9",
        "x,10.8.0.7",
        "x,10.8.0.50",
    ],
)
def test_lines_that_no_longer_fit_are_left_out(line: str) -> None:
    extra = "ifconfig-pool 10.8.0.2 10.8.0.49\nifconfig-pool-persist ipp.txt\n"
    config, (warning,) = parsed(extra, files={"ipp.txt": f"alice,10.8.0.7\n{line}\n"})
    assert config.admission.reservations == {"alice": parse_ipv4("10.8.0.7")}
    assert warning.text == "1 of its lines left out, the first is line 2: no free address of the pool"


def test_as_many_reservations_as_there_may_be() -> None:
    base = BASE.replace("10.8.0.0 255.255.255.0", "10.0.0.0 255.0.0.0")
    lines = [f"c{number},10.1.{number >> 8 & 255}.{number & 255}\n" for number in range(65_536)]
    extra = "ifconfig-pool-persist ipp.txt\n"
    config, warned = parsed(extra, base, {"ipp.txt": "".join(lines)})
    assert (len(config.admission.reservations), warned) == (65_536, [])
    more = "".join([*lines, "more,10.2.0.1\n"])
    assert refuse(extra, base, {"ipp.txt": more}).endswith("ifconfig-pool-persist: more than 65536 addresses")


def test_reservations_reach_to_both_ends_of_the_pool() -> None:
    files = {"ipp.txt": "alice,10.8.0.2\nbob,10.8.0.254\n"}
    config, warned = parsed("ifconfig-pool-persist ipp.txt\n", files=files)
    assert (set(config.admission.reservations), warned) == ({"alice", "bob"}, [])
    for beyond in ("10.8.0.1", "10.8.0.255"):
        config, (warning,) = parsed("ifconfig-pool-persist ipp.txt\n", files={"ipp.txt": f"alice,{beyond}\n"})
        assert (config.admission.reservations, warning.text.startswith("1 of its lines left out")) == ({}, True)
    files = {"ipp.txt": "alice,10.8.0.10\nbob,10.8.0.20\ncarol,10.8.0.9\ndave,10.8.0.21\n"}
    extra = "ifconfig-pool 10.8.0.10 10.8.0.20\nifconfig-pool-persist ipp.txt\n"
    config, (warning,) = parsed(extra, files=files)
    assert set(config.admission.reservations) == {"alice", "bob"}
    assert warning.text.startswith("2 of its lines left out, the first is line 3: ")


def test_a_reservation_gives_way_to_ifconfig_push() -> None:
    extra = "ifconfig-pool-persist ipp.txt\n" + block("client-config-dir", "[bob]\nifconfig-push 10.8.0.7\n")
    config, warned = parsed(extra, files={"ipp.txt": IPP})
    assert config.admission.reservations == {"bob": parse_ipv4("10.8.0.8")}
    assert len(warned) == 1


def test_a_persist_file_that_cannot_be_read_is_refused() -> None:
    def unreadable(path: str) -> str:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(ConfigError, match=r"^f:6: ifconfig-pool-persist: cannot read ipp.txt: Permission denied$"):
        parse(config_text("ifconfig-pool-persist ipp.txt\n"), "f", unreadable)
    assert "`soon` is no number" in refuse("ifconfig-pool-persist ipp.txt soon\n")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ("", (1500, 1492, "mtu", 1250)),
        ("mssfix\n", (1500, 1492, "mtu", 1250)),
        ("tun-mtu 1400\n", (1400, 1400, "fixed", 1250)),
        ("tun-mtu 1400\nmssfix\n", (1400, 1400, "fixed", 1250)),
        ("tun-mtu 1400 1500\n", (1400, 1400, "fixed", 1250)),
        ("mssfix 1450\n", (1500, 1450, "plain", 1250)),
        ("mssfix 1450 mtu\n", (1500, 1450, "mtu", 1250)),
        ("mssfix 1360 fixed\n", (1500, 1360, "fixed", 1250)),
        ("mssfix 0\n", (1500, 0, "plain", 1250)),
        ("max-packet-size 1000\n", (1500, 1000, "mtu", 1000)),
        ("max-packet-size 1000\nmssfix 1300\n", (1500, 1300, "plain", 1000)),
    ],
)
def test_sizes(extra: str, expected: tuple[int, int, str, int]) -> None:
    config, warned = parsed(extra)
    data = config.data
    assert (data.tun_mtu, data.mssfix, data.mssfix_mode, config.control.max_packet_size) == expected
    assert warned == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("max-packet-size 153", "`153` is no number from 154 to 2048"),
        ("max-packet-size 2049", "no number"),
        ("mssfix 1400 plain", "`plain` is not understood; write `mssfix 1400 mtu` or `mssfix 1400 fixed`"),
        ("mssfix 1400 1400", "`1400` is not understood"),
        ("tun-mtu 1400 big", "`big` is no number"),
    ],
)
def test_sizes_that_are_refused(line: str, expected: str) -> None:
    text = refuse(line + "\n")
    assert text.startswith(f"server.conf:6: {line.split(maxsplit=1)[0]}: ")
    assert expected in text
