"""A config as sessions see it: every setting arrives, and what follows from several of them."""

from __future__ import annotations

from functools import cache

import pytest
from tests.unit.config.config_samples import block, read_vector
from tests.unit.openvpn.link import authority, server_identity
from tests.unit.settings_by_name import value
from tests.world.server import ServerSettings

from hognose.config.parser import parse
from hognose.gateway.session_profile import make_profile
from hognose.limits import Limits
from hognose.openvpn.profile import ServerProfile


@cache
def profile(*lines: str) -> ServerProfile:
    text = ServerSettings(authority(), server_identity(), "none", extra=list(lines)).text()
    return make_profile(parse(text, "server.conf")[0], Limits())


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("keepalive 7 70", {"ping_s": 7, "ping_timeout_s": 140}),
        ("inactive 900 1000", {"inactive_s": 900, "inactive_bytes": 1000}),
        ("session-timeout 7200", {"session_timeout_s": 7200}),
        ("hand-window 30", {"hand_window_s": 30}),
        ("tran-window 900", {"tran_window_s": 900}),
        ("reneg-sec 1000", {"reneg_s": 1000, "reneg_min_s": 0}),
        ("reneg-sec 1000 400", {"reneg_s": 1000, "reneg_min_s": 400}),
        ("reneg-sec 0", {"reneg_s": 0, "reneg_min_s": 0}),
        ("reneg-bytes 5000", {"reneg_bytes": 5000}),
        ("reneg-pkts 5001", {"reneg_packets": 5001}),
        ("tls-timeout 9", {"tls_timeout_s": 9}),
        ("replay-window 128 30", {"replay_window": 128, "replay_time_s": 30}),
        ("max-packet-size 1000", {"max_packet_size": 1000}),
        ("tun-mtu 1400", {"tun_mtu": 1400}),
        ("compress migrate", {"framing": "migrate"}),
        ("data-ciphers AES-128-GCM", {"ciphers": ("AES-128-GCM",)}),
        ("data-ciphers-fallback AES-256-CBC", {"fallback_cipher": "AES-256-CBC"}),
        ("auth SHA256", {"digest": "SHA256"}),
        ('push "block-ipv6"', {"push": ("block-ipv6",)}),
    ],
)
def test_settings_of_a_config(line: str, settings: dict[str, object]) -> None:
    found = profile(line)
    assert {name: value(found, name) for name in settings} == settings
    assert found.limits == Limits().openvpn


@pytest.mark.parametrize(("line", "least"), [("reneg-sec 1000", 900), ("reneg-sec 1000 400", 400), ("reneg-sec 0", 0)])
def test_a_tenth_of_the_interval_is_taken_off_as_openvpns_servers_do(line: str, least: int) -> None:
    assert profile(line).renegotiation.least_s == least


def test_the_age_of_client_keys_arrives() -> None:
    key = block("tls-crypt-v2", read_vector("v2s.key"))
    assert (profile(key).wrap.v2_max_age_days, len(profile(key).wrap.v2_key)) == (0, 128)
    assert profile(key, "tls-crypt-v2-max-age 30").wrap.v2_max_age_days == 30
