"""Every directive that takes effect: how many words it takes, whether it may be a block, and whether it may repeat."""

from __future__ import annotations

import pytest
from tests.unit.config.config_samples import block, config_text

from hognose.config.directives import DIRECTIVES
from hognose.config.lexer import lex
from hognose.config.parser import parse
from hognose.errors import ConfigError

# Least and greatest number of words, by OpenVPN's manual; a file's name counts, and so does the block in its place.
WORDS = {
    (0, 0): "tls-server tcp-nodelay client-to-client duplicate-cn ccd-exclusive ping-timer-rem "
    "force-tls-key-material-export passtos",
    (0, 1): "verify-client-cert compress comp-lzo explicit-exit-notify",
    (0, 2): "mssfix",
    (0, 8): "socket-flags",
    (1, 1): "mode proto port lport dev dev-type topology push max-clients client-config-dir ping ping-restart "
    "ping-exit session-timeout ca cert key extra-certs peer-fingerprint remote-cert-tls remote-cert-eku "
    "tls-version-max tls-cipher tls-ciphersuites tls-groups tls-cert-profile tls-crypt tls-crypt-v2-max-age "
    "key-direction tls-timeout hand-window tran-window reneg-bytes reneg-pkts max-packet-size key-method auth "
    "data-ciphers ncp-ciphers data-ciphers-fallback cipher allow-compression status-version",
    (1, 2): "ifconfig-pool-persist tun-mtu inactive crl-verify verify-x509-name tls-version-min tls-auth tls-crypt-v2 "
    "reneg-sec replay-window status",
    (1, 3): "local",
    (1, 4): "x509-username-field",
    (2, 2): "keepalive connect-freq connect-freq-initial",
    (2, 3): "server ifconfig-pool",
}  # fmt: skip
BOUNDS = {name: bounds for bounds, names in WORDS.items() for name in names.split()}
MANY = {"ignore-unknown-option", "remote-cert-ku", "setenv"}  # as many as fit on a line
HONOURED = sorted(name for name, row in DIRECTIVES.items() if row.verdict == "honour")
# OpenVPN's manual, INLINE FILE SUPPORT; and two files that only this server embeds.
INLINE = {"ca", "cert", "key", "extra-certs", "crl-verify", "peer-fingerprint", "tls-auth", "tls-crypt", "tls-crypt-v2"}
INLINE_HERE = {"client-config-dir", "ifconfig-pool-persist"}
REPEATED = {"push", "peer-fingerprint", "ignore-unknown-option", "local", "proto"}


def refuse(text: str) -> str:
    """The error's text."""
    with pytest.raises(ConfigError) as caught:
        parse(text, "server.conf")
    return str(caught.value)


def test_the_table_here_has_all() -> None:
    assert set(BOUNDS) | MANY == set(HONOURED)


@pytest.mark.parametrize("name", BOUNDS)
def test_too_few_and_too_many_words(name: str) -> None:
    least, most = BOUNDS[name]
    want = f"{least}" if least == most else f"{least} to {most}"
    for count in {least - 1, most + 1} - {-1}:
        text = refuse(f"{name}{' x' * count}\n")
        if (name, count) == ("server", 1):  # a mistake in a widely read handbook has its own words
            assert "the netmask is missing" in text
        else:
            assert text.startswith(f"server.conf:1: {name}: takes {want} word(s), {count} given (")
    for count in (least, most):
        assert "word(s)" not in refuse(f"{name}{' x' * count}\n")


@pytest.mark.parametrize("name", sorted(MANY))
def test_as_many_words_as_a_line_has(name: str) -> None:
    words = " 80" * 15
    assert parse(config_text(f"{name}{words}\n"), "f")[0].network.listeners[0].port == 1194
    with pytest.raises(ConfigError, match="more than 16 words"):
        lex(f"{name}{words} 80\n", "f")


def test_none_and_one_word_of_those_that_take_many() -> None:
    assert refuse("ignore-unknown-option\n").startswith("server.conf:1: ignore-unknown-option: takes 1 to 15 word(s), ")
    assert parse(config_text("ignore-unknown-option frob\nfrob\n"), "f")[1][0].directive == "frob"
    assert parse(config_text("remote-cert-ku\n"), "f")[0].tls.rules.key_usage == (0,)


@pytest.mark.parametrize("name", sorted({*HONOURED} - {"setenv"}))
def test_only_files_may_be_blocks(name: str) -> None:
    text = refuse(block(name, "nonsense"))
    assert ("is no block; write" not in text) == (name in INLINE | INLINE_HERE)


@pytest.mark.parametrize("name", sorted(set(BOUNDS) | {"remote-cert-ku"}))
def test_lines_that_differ_do_not_repeat(name: str) -> None:
    """The same line again changes nothing; another one is refused, but where each line adds something."""
    least, most = BOUNDS.get(name, (1, 1))
    if most == 0:  # it can only be the same
        return
    words = ["x"] * max(least, 1)
    one, other = f"{name} {' '.join(words)}\n", f"{name} {' '.join(['y', *words[1:]])}\n"
    assert "given twice" not in refuse(one + one)
    assert ("given twice, first in line 1; keep one" in refuse(one + other)) == (name not in REPEATED)


def test_names_that_may_be_ignored_add_up() -> None:
    lines = "ignore-unknown-option one\nignore-unknown-option two\none\ntwo\n"
    assert [warning.directive for warning in parse(config_text(lines), "f")[1]] == ["one", "two"]


@pytest.mark.parametrize("name", sorted(name for name, row in DIRECTIVES.items() if row.verdict == "ignore"))
def test_ignored_lines_have_any_number_of_words_and_repeat(name: str) -> None:
    lines = "".join(f"{name}{' x' * count}\n" for count in (0, 1, 15))
    assert [warning.directive for warning in parse(config_text(lines), "f")[1]] == [name] * 3
