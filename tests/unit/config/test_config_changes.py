"""Changes of a config that need a restart: every setting is known to be one kind or the other."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from tests.unit.config.config_samples import block, config_text, static_key
from tests.unit.settings_by_name import changed

from hognose.address import Prefix
from hognose.config.changes import changed_settings, restart_directives, with_live_settings
from hognose.config.directives import DIRECTIVES
from hognose.config.model import ServerConfig
from hognose.config.parser import parse
from hognose.settings import CertificateRules, ClientSettings

OLD = parse(config_text(block("tls-crypt", static_key())), "f")[0]
GROUPS = [each.name for each in fields(ServerConfig)]
# Settings that the gateway reads anew after a reload.
LIVE = {
    "push", "clients", "ccd_exclusive", "reservations", "max_clients", "inactive_s", "inactive_bytes",
    "session_timeout_s", "status_interval_s", "status_version", "connect_freq", "crl",
}  # fmt: skip


def other(value: object) -> object:
    """Something else of about the same type."""
    return {int: 7, str: "x", bytes: b"x", bool: value is not True, tuple: ("x",), dict: {"x": ClientSettings()}}.get(
        type(value), 1
    )


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (group, each.name)
        for group in GROUPS
        for each in fields(getattr(OLD, group))
        if not isinstance(getattr(getattr(OLD, group), each.name), CertificateRules)
    ],
)
def test_every_setting(group: str, name: str) -> None:
    before = getattr(OLD, group)
    new = replace(OLD, **{group: replace(before, **{name: other(getattr(before, name))})})
    restart = restart_directives(OLD, new)
    assert (restart == []) == (name in LIVE)
    assert set(restart) <= set(DIRECTIVES) | {"x"}
    assert with_live_settings(OLD, new) == (new if name in LIVE else OLD)
    assert len(changed_settings(OLD, new)) == 1


@pytest.mark.parametrize("name", [each.name for each in fields(CertificateRules)])
def test_every_demand_on_certificates(name: str) -> None:
    rules = OLD.tls.rules
    change: dict[str, Any] = {name: other(getattr(rules, name))}
    new = changed(OLD, rules=replace(rules, **change))
    restart = restart_directives(OLD, new)
    assert (restart == []) == (name == "fingerprints")
    assert set(restart) <= set(DIRECTIVES)
    assert with_live_settings(OLD, new) == (new if name == "fingerprints" else OLD)
    assert changed_settings(OLD, new) == ["policy"]


def test_names_are_the_administrators() -> None:
    new = parse(
        config_text("push 'block-ipv6'\nport 443\ntls-auth [inline] 0\n" + block("tls-auth", static_key())), "f"
    )[0]
    new = changed(new, tunnel=Prefix.of(OLD.network.tunnel.last, 25), ping=3, ping_timeout=9)
    expected = ["server", "port", "tls-crypt", "tls-auth", "key-direction", "keepalive"]
    assert restart_directives(OLD, new) == expected
    assert with_live_settings(OLD, new) == changed(OLD, push=("block-ipv6",))
    assert restart_directives(OLD, OLD) == []
    plain = parse(config_text(), "f")[0]
    assert restart_directives(OLD, plain) == restart_directives(plain, OLD) == ["tls-crypt"]


def test_the_log_names_settings_by_their_directives() -> None:
    new = changed(OLD, crl="x", clients={"a": ClientSettings()}, hand_window_s=5, v2_max_age_days=3, min_version="1.3")
    names = ["tls_version_min", "policy", "tls_crypt_v2_max_age", "hand_window", "clients"]
    assert changed_settings(OLD, new) == names
    assert changed_settings(OLD, OLD) == []
