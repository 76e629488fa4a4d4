"""Settings of a ServerConfig or a ServerProfile by their names alone, for tables of tests."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from hognose.settings import setting_name

T = TypeVar("T")


def _place(owner: Any, name: str) -> tuple[str, ...]:
    """The path to a setting, by the field's name or the log's; of the owner itself first."""
    own = {each.name for each in fields(owner)}
    found = [
        (group, each.name)
        for group in own
        if is_dataclass(getattr(owner, group))
        for each in fields(getattr(owner, group))
        if name in (each.name, setting_name(each))
    ]
    if name in own and not found:
        return (name,)
    assert len(found) == 1, f"{name} is in {found or 'no group'}"
    return found[0]


def value(owner: Any, name: str) -> Any:
    """The value of a setting in whichever group it is."""
    for step in _place(owner, name):
        owner = getattr(owner, step)
    return owner


def changed(owner: T, **values: object) -> T:
    """The same with other values of settings, in whichever group they are."""
    for name, new in values.items():
        group, *inner = _place(owner, name)
        if inner:
            new = replace(getattr(owner, group), **{inner[0]: new})
        owner = replace(owner, **{group: new})  # type: ignore[type-var]  # a dataclass by its name
    return owner
