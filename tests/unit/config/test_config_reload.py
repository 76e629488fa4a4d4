"""Changes of a config that need a restart: every field of the model is known to be one kind or the other."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from tests.unit.config.config_samples import block, config_text, static_key

from hognose.config.directives import DIRECTIVES
from hognose.config.model import CertificatePolicy, ClientSettings, ServerConfig
from hognose.config.parser import parse
from hognose.config.reload import LIVE, LIVE_POLICY, restart_fields, with_live_fields

OLD = parse(config_text(block("tls-crypt", static_key())), "f")[0]


def other(value: object) -> object:
    """Something else of about the same type."""
    return {int: 7, str: "x", bytes: b"x", bool: value is not True, tuple: ("x",), dict: {"x": ClientSettings()}}.get(
        type(value), 1
    )


@pytest.mark.parametrize("name", [each.name for each in fields(ServerConfig) if each.name != "policy"])
def test_every_setting(name: str) -> None:
    new = replace(OLD, **{name: other(getattr(OLD, name))})
    changed = restart_fields(OLD, new)
    assert (changed == []) == (name in LIVE)
    assert set(changed) <= set(DIRECTIVES) | {"x"}
    assert with_live_fields(OLD, new) == (new if name in LIVE else OLD)


@pytest.mark.parametrize("name", [each.name for each in fields(CertificatePolicy)])
def test_every_demand_on_certificates(name: str) -> None:
    new = replace(OLD, policy=replace(OLD.policy, **{name: other(getattr(OLD.policy, name))}))
    changed = restart_fields(OLD, new)
    assert (changed == []) == (name in LIVE_POLICY)
    assert set(changed) <= set(DIRECTIVES)
    assert with_live_fields(OLD, new) == (new if name in LIVE_POLICY else OLD)


def test_names_are_the_administrators() -> None:
    new = parse(
        config_text("push 'block-ipv6'\nport 443\ntls-auth [inline] 0\n" + block("tls-auth", static_key())), "f"
    )[0]
    new = replace(new, network=OLD.network + 256, prefix_len=25, ping=3, ping_timeout=9)
    assert restart_fields(OLD, new) == ["port", "server", "tls-crypt", "tls-auth", "key-direction", "keepalive"]
    assert with_live_fields(OLD, new) == replace(OLD, push=("block-ipv6",))
    assert restart_fields(OLD, OLD) == []
    plain = parse(config_text(), "f")[0]
    assert restart_fields(OLD, plain) == restart_fields(plain, OLD) == ["tls-crypt"]
