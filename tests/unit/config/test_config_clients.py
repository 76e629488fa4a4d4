"""client-config-dir as a directory and as the block that the embed tool makes of it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.unit.config.config_samples import block, config_text

from hognose.address import parse_ipv4
from hognose.config.embed import embed
from hognose.config.model import ServerConfig, Warned
from hognose.config.parser import parse
from hognose.errors import ConfigError
from hognose.settings import ClientSettings

CCD = {
    "alice": "# mine\r\nifconfig-push 10.8.0.50 255.255.255.0\r\npush 'route 192.168.7.0 255.255.255.0'\r\n",
    "bob smith": 'push-remove "dhcp-option DNS"\nifconfig-push 10.8.0.51\n',
    "carol": "disable",
    "DEFAULT": 'push "block-ipv6"\npush-reset\npush "dhcp-option DNS 10.8.0.1"\n',
    "empty": "",
}
EXPECTED = {
    "alice": ClientSettings(address=parse_ipv4("10.8.0.50"), push=("route 192.168.7.0 255.255.255.0",)),
    "bob smith": ClientSettings(address=parse_ipv4("10.8.0.51"), push_remove=("dhcp-option DNS",)),
    "carol": ClientSettings(disable=True),
    "DEFAULT": ClientSettings(push=("dhcp-option DNS 10.8.0.1",), push_reset=True),
    "empty": ClientSettings(),
}


def from_folder(files: Mapping[str, str], extra: str = "") -> tuple[ServerConfig, list[Warned]]:
    """A config with `client-config-dir ccd` and these files."""
    text = config_text("client-config-dir ccd/\n" + extra)
    return parse(text, "server.conf", read_folder=lambda path: files if path == "ccd/" else {})


def from_block(body: str) -> tuple[ServerConfig, list[Warned]]:
    return parse(config_text(block("client-config-dir", body)), "server.conf")


def refuse_file(content: str, name: str = "alice") -> str:
    with pytest.raises(ConfigError) as caught:
        from_folder({name: content})
    return str(caught.value)


def refuse_block(body: str) -> str:
    with pytest.raises(ConfigError) as caught:
        from_block(body)
    return str(caught.value)


def test_a_directory() -> None:
    config, warned = from_folder(CCD, "ccd-exclusive\n")
    assert (config.admission.clients, config.admission.ccd_exclusive, warned) == (EXPECTED, True, [])


def test_the_directory_embedded() -> None:
    text = config_text("client-config-dir ccd\nccd-exclusive\n")
    full, _ = embed(text, "f", str, read_folder=lambda _: CCD)
    assert "<client-config-dir>\n[DEFAULT]\n" in full
    assert "\n[bob smith]\npush-remove " in full
    assert "\r" not in full
    assert parse(full, "f")[0].admission.clients == EXPECTED
    assert embed(full, "f", str)[0] == full


def test_a_block_with_comments_and_a_head() -> None:
    body = "# all\n\n  [alice]  \n; one\ndisable\n"
    assert from_block(body)[0].admission.clients == {"alice": ClientSettings(disable=True)}
    text = config_text("client-config-dir [inline]\n" + block("client-config-dir", body))
    full, _ = embed(text, "f", str)
    assert "[inline]" not in full
    assert parse(full, "f")[0].admission.clients == {"alice": ClientSettings(disable=True)}
    assert from_block("")[0].admission.clients == {}


def test_push_remove_acts_on_the_clients_own_pushes_before_it() -> None:
    config, _ = from_folder({"alice": 'push "route 1.0.0.0"\npush-remove route\npush "route 2.0.0.0"\n'})
    assert config.admission.clients["alice"] == ClientSettings(push=("route 2.0.0.0",), push_remove=("route",))


@pytest.mark.parametrize(
    "line", ["max-routes-per-client 5", "ifconfig-ipv6-push fd00::2/64", "setenv A b", "verb 4", "route 10.0.0.0"]
)
def test_ignored_in_a_file(line: str) -> None:
    config, (warning,) = from_folder({"alice": f"\n{line}\n"})
    assert config.admission.clients == {"alice": ClientSettings()}
    assert warning.line == 6
    assert warning.text.startswith(f"ccd/alice:2: {line.split(maxsplit=1)[0]}: ignored: ")
    _, (warning,) = from_block(f"[alice]\n{line}\n")
    assert warning.text.startswith(f"server.conf:8: {line.split(maxsplit=1)[0]}: ignored: ")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("iroute 192.168.7.0 255.255.255.0", "there are no networks behind them; remove the line"),
        ("iroute-ipv6 fd01::/64", "the tunnel carries IPv4 only; remove the line"),
        ("vlan-pvid 3", "there are no VLANs; remove the line"),
        ("comp-lzo no", "is for all clients alike; write it in the server's config"),
        ("ping 5", "is for all clients alike; write it in the server's config"),
        ("plugin x", "remove the line"),
        ("frob", "no directive of OpenVPN"),
        ("disable now", "takes 0 to 0 word(s), 1 given"),
        ("push-reset now", "takes 0 to 0 word(s), 1 given"),
        ("push", "takes 1 to 1 word(s), 0 given"),
        ("push route 10.0.0.0", "takes 1 to 1 word(s), 2 given"),
        ("push-remove", "takes 1 to 1 word(s), 0 given"),
        ("push-remove route dhcp-option", "takes 1 to 1 word(s), 2 given"),
        ("ifconfig-push 10.8.0.6 255.255.255.0 1.2.3.4 5.6.7.8", "takes 1 to 3 word(s), 4 given"),
        ("push 'a,b'", "without commas"),
        ("push 'cipher AES-256-GCM'", "remove the line"),
        ("push 'compress lz4'", "write `compress migrate`"),
        ("ifconfig-push", "takes 1 to 3 word(s), 0 given"),
        ("ifconfig-push somewhere", "is no IPv4 address; write `ifconfig-push 10.8.0.2 255.255.255.0`"),
        ("ifconfig-push 10.8.0.1", "10.8.0.1 is no client's address in the network"),
        ("ifconfig-push 10.8.0.255", "is no client's address"),
        ("ifconfig-push 10.9.0.2", "is no client's address"),
        ("ifconfig-push 10.8.0.6 10.8.0.5", "write `ifconfig-push 10.8.0.6 255.255.255.0`"),
        ("ifconfig-push 10.8.0.6 255.255.255.0 1.2.3.4", "only the netmask"),
    ],
)
def test_refused_in_a_file(line: str, expected: str) -> None:
    text = refuse_file(f"disable\n{line}\n")
    assert text.startswith(f"ccd/alice:2: {line.split(maxsplit=1)[0]}: ")
    assert expected in text
    assert refuse_block(f"[alice]\n{line}\n").startswith(f"server.conf:8: {line.split(maxsplit=1)[0]}: ")


def test_addresses_are_given_once() -> None:
    assert "ccd/alice:2: ifconfig-push: given twice" in refuse_file("ifconfig-push 10.8.0.5\nifconfig-push 10.8.0.6\n")
    assert "cannot serve many clients" in refuse_file("ifconfig-push 10.8.0.5\n", "DEFAULT")
    text = refuse_block("[alice]\nifconfig-push 10.8.0.5\n[bob]\nifconfig-push 10.8.0.5\n")
    assert text == "server.conf:10: ifconfig-push: 10.8.0.5 is already the address of alice; write another one"


def test_bad_lines_and_names() -> None:
    assert refuse_file("push 'open\n").startswith("ccd/alice:1: a quotation is not closed")
    assert refuse_file("<ca>\n</ca>\n").startswith("ccd/alice:1: ca: no blocks here")
    for line in ("[bob]", "</client-config-dir>", "disable\0"):
        assert refuse_file(f"disable\n{line}\n").startswith("ccd/alice:2: client-config-dir: cannot be embedded")
    for name in ("a/b", ".", ".."):
        text = refuse_block(f"[{name}]\ndisable\n")
        assert text == "server.conf:7: client-config-dir: this name cannot be a client's: no file can have it"
    for name in ("a\nb", " alice", "x" * 256):
        assert "this name cannot be a client's" in refuse_file("disable\n", name)
    assert refuse_block("disable\n").startswith("server.conf:7: client-config-dir: a line `[common name]`")
    assert refuse_block("[]\n").startswith("server.conf:7: client-config-dir: this name")
    assert refuse_block("[a]\n[a]\n").startswith("server.conf:8: client-config-dir: given twice")


def test_a_directory_that_is_not_there_or_not_embedded() -> None:
    def missing(path: str) -> Mapping[str, str]:
        raise FileNotFoundError(2, "No such file or directory", path)

    text = config_text("client-config-dir ccd\n")
    with pytest.raises(ConfigError, match=r"^f:6: client-config-dir: cannot read ccd: No such file or directory$"):
        parse(text, "f", read_folder=missing)
    with pytest.raises(ConfigError, match=r"^f:6: client-config-dir: the directory ccd is not embedded"):
        parse(text, "f")
    with pytest.raises(ConfigError, match=r"^f:6: ccd-exclusive: there is no client-config-dir; write"):
        parse(config_text("ccd-exclusive\n"), "f")


def test_as_many_clients_as_there_may_be() -> None:
    assert len(from_folder({str(number): "" for number in range(16_384)})[0].admission.clients) == 16_384
    assert len(from_block("".join(f"[{number}]\n" for number in range(16_384)))[0].admission.clients) == 16_384
    with pytest.raises(ConfigError, match=r"more than 16384 files"):
        from_folder({str(number): "" for number in range(16_385)})
    with pytest.raises(ConfigError, match=r"more than 16384 clients"):
        from_block("".join(f"[{number}]\n" for number in range(16_385)))


def test_names_are_as_long_as_files_may_be() -> None:
    """255 characters (NAME_MAX of Linux), and one at least."""
    for name in ("x", "x" * 255):
        assert list(from_folder({name: "disable\n"})[0].admission.clients) == [name]
        assert list(from_block(f"[{name}]\ndisable\n")[0].admission.clients) == [name]
