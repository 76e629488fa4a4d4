"""Changes of a config that take effect while the server runs, and those that need a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass, replace
from typing import Any, TypeVar

from hognose.address import Prefix
from hognose.config.model import ServerConfig
from hognose.settings import directive_of, is_live, setting_name

_T = TypeVar("_T")


def restart_directives(old: ServerConfig, new: ServerConfig) -> list[str]:
    """The directives, in order and each once, whose change takes effect only after a restart."""
    names: dict[str, None] = {}
    for each in _changed(old, new):
        if not is_live(each):
            directive = directive_of(each)
            for name in (directive,) if directive else (old.wrap.kind, new.wrap.kind):
                if name != "none":
                    names[name] = None
    return list(names)


def with_live_settings(old: ServerConfig, new: ServerConfig) -> ServerConfig:
    """The old config with those settings of the new one that can take effect at once."""
    return _merged(old, new)


def changed_settings(old: ServerConfig, new: ServerConfig) -> list[str]:
    """Names of the settings that differ, as the log has them: demands on certificates together are `policy`."""
    names: dict[str, None] = {}
    for group in fields(old):
        before, after = getattr(old, group.name), getattr(new, group.name)
        for each in fields(before):
            if getattr(before, each.name) != getattr(after, each.name):
                names[setting_name(each)] = None
    return list(names)


def _changed(old: Any, new: Any) -> Iterator[Field[Any]]:
    """Fields of groups, and of groups in them, that differ."""
    for each in fields(old):
        before, after = getattr(old, each.name), getattr(new, each.name)
        if _is_group(before):
            yield from _changed(before, after)
        elif before != after:
            yield each


def _is_group(value: object) -> bool:
    return is_dataclass(value) and not isinstance(value, Prefix)


def _merged(old: _T, new: _T) -> _T:
    """A group with the live fields of another one."""
    taken: dict[str, Any] = {}
    for each in fields(old):  # type: ignore[arg-type]  # every caller has a dataclass
        before, after = getattr(old, each.name), getattr(new, each.name)
        if _is_group(before):
            taken[each.name] = _merged(before, after)
        elif is_live(each):
            taken[each.name] = after
    return replace(old, **taken)  # type: ignore[type-var]  # of the same class
