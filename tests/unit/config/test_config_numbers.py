"""Every number of a config at both ends of its range, and one beyond each."""

from __future__ import annotations

import pytest
from tests.unit.config.config_samples import BASE, block, config_text, read_vector, static_key
from tests.unit.settings_by_name import value

from hognose.config.model import ServerConfig
from hognose.config.parser import parse
from hognose.errors import ConfigError

# directive with {} for the number, attribute of the config ("" for what is not kept), lowest, highest
NUMBERS = [
    ("port {}", "", 1, 65_535),
    ("lport {}", "", 1, 65_535),
    ("local * {}", "", 1, 65_535),
    ("explicit-exit-notify {}", "explicit_exit_notify", 0, 2),
    ("max-clients {}", "max_clients", 1, 65_536),
    ("hand-window {}", "hand_window", 5, 3600),
    ("tran-window {}", "tran_window", 1, 86_400),
    ("tls-timeout {}", "tls_timeout", 1, 60),
    ("replay-window {}", "replay_window", 0, 65_536),
    ("replay-window 64 {}", "replay_time", 0, 600),
    ("session-timeout {}", "session_timeout", 0, 2_147_483_647),
    ("inactive {}", "inactive", 0, 2_147_483_647),
    ("inactive 60 {}", "inactive_bytes", 0, 9_223_372_036_854_775_807),
    ("reneg-sec {}", "reneg_sec", 0, 2_147_483_647),
    ("reneg-sec 2147483647 {}", "reneg_sec_min", 0, 2_147_483_647),
    ("reneg-bytes {}", "reneg_bytes", 0, 9_223_372_036_854_775_807),
    ("reneg-pkts {}", "reneg_pkts", 0, 9_223_372_036_854_775_807),
    ("status file {}", "status_interval", 0, 2_147_483_647),
    ("status-version {}", "status_version", 1, 3),
    ("tun-mtu {}", "tun_mtu", 576, 1500),
    ("tun-mtu 1500 {}", "", 0, 65_535),
    ("max-packet-size {}", "max_packet_size", 154, 2048),
    ("mssfix {}", "mssfix", 0, 65_535),
    ("ifconfig-pool-persist ipp.txt {}", "", 0, 2_147_483_647),
    ("tls-crypt-v2-max-age {}\n" + block("tls-crypt-v2", read_vector("v2s.key")), "tls_crypt_v2_max_age", 1, 36_500),
    ("key-direction {}\n" + block("tls-auth", static_key()), "key_direction", 0, 1),
]
PINGS = [
    ("ping {}\nping-restart 120", "ping", 0, 86_400),
    ("ping 10\nping-restart {}", "ping_timeout", 0, 86_400),
    ("ping 10\nping-exit {}", "ping_timeout", 0, 86_400),
]


def config_of(line: str, number: int) -> ServerConfig:
    base = BASE.replace("keepalive 10 60\n", "") if line.startswith("ping") else BASE
    return parse(config_text(line.format(number) + "\n", base), "server.conf")[0]


@pytest.mark.parametrize(("line", "attribute", "low", "high"), [*NUMBERS, *PINGS], ids=lambda value: str(value)[:30])
def test_both_ends_are_taken_and_no_more(line: str, attribute: str, low: int, high: int) -> None:
    for number in (low, high):
        config = config_of(line, number)
        if attribute:
            assert value(config, attribute) == number
    for number in (low - 1, high + 1):
        with pytest.raises(ConfigError, match=f"`{number}` is no number from {low} to {high}"):
            config_of(line, number)


@pytest.mark.parametrize(("words", "known"), [("1 2", (1, 4)), ("21600 43200", (21_600, 86_400)), ("9 18", (9, 36))])
def test_a_keepalive_of_twice_the_ping_is_enough(words: str, known: tuple[int, int]) -> None:
    base = BASE.replace("keepalive 10 60", f"keepalive {words}")
    config, _ = parse(config_text("", base), "server.conf")
    assert (config.liveness.ping_s, config.liveness.ping_timeout_s) == known


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("0 60", "`0` is no number from 1 to 43200"),
        ("10 43201", "`43201` is no number from 1 to 43200"),
        ("9 17", "at least twice the first; write `keepalive 9 54`"),
    ],
)
def test_keepalives_that_are_refused(words: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        parse(config_text("", BASE.replace("keepalive 10 60", f"keepalive {words}")), "server.conf")


def test_the_numbers_of_connect_freq() -> None:
    for words in ("1 1", "2147483647 2147483647"):
        assert config_of("connect-freq " + words, 0).admission.connect_freq == tuple(map(int, words.split()))
    for words in ("0 1", "1 0", "2147483648 1", "1 2147483648"):
        with pytest.raises(ConfigError, match="is no number from 1 to 2147483647"):
            config_of("connect-freq " + words, 0)
