"""Settings and the directive table belong together: no row and no setting is without its counterpart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass
from typing import Any, get_type_hints

import pytest
from tests.unit.config.config_samples import config_text
from tests.unit.settings_by_name import value

from hognose.address import Prefix
from hognose.config.directives import DIRECTIVES
from hognose.config.model import ServerConfig
from hognose.config.parser import parse
from hognose.settings import directive_of, is_live, setting_name, value_word


def settings(owner: type) -> Iterator[Field[Any]]:
    """The fields of all groups, and of the groups in them."""
    hints = get_type_hints(owner)
    for each in fields(owner):
        kind = hints[each.name]
        if isinstance(kind, type) and is_dataclass(kind) and kind is not Prefix:
            yield from settings(kind)
        else:
            yield each


ALL = list(settings(ServerConfig))


def test_there_are_all_settings() -> None:
    assert len(ALL) > 60
    assert len({(setting_name(each), directive_of(each), each.name) for each in ALL}) == len(ALL)


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name)
def test_directives_of_settings_are_honoured(each: Field[Any]) -> None:
    name = directive_of(each)
    if setting_name(each) in ("wrap", "static_key"):
        assert name == ""  # tls-auth or tls-crypt
        return
    assert DIRECTIVES[name].verdict == "honour"


@pytest.mark.parametrize("name", [name for name, row in DIRECTIVES.items() if row.numbers or row.flag])
def test_numbers_and_flags_of_the_table_are_settings(name: str) -> None:
    row = DIRECTIVES[name]
    words = sorted(value_word(each) for each in ALL if directive_of(each) == name)
    if name == "tun-mtu":
        assert words == [0]  # the second number is checked and not used
        return
    assert words == ([0] if row.flag else list(range(len(row.numbers))))


@pytest.mark.parametrize("name", [name for name, row in DIRECTIVES.items() if row.flag])
def test_a_flag_is_off_until_its_directive_stands_there(name: str) -> None:
    [each] = [each for each in ALL if directive_of(each) == name]
    beside = "<client-config-dir>\n[alice]\n</client-config-dir>\n" if name == "ccd-exclusive" else ""
    assert value(parse(config_text(beside), "f")[0], each.name) is False
    assert value(parse(config_text(f"{name}\n{beside}"), "f")[0], each.name) is True


def test_certificates_may_be_taken_away_without_a_restart() -> None:
    assert {each.name for each in ALL if is_live(each)} >= {"crl", "fingerprints"}
