"""Every container that can be reached from an object of ours, with the class and the attribute that hold it."""

from __future__ import annotations

import enum
import types
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass

CONTAINERS = (list, dict, deque, set, bytearray, bytes, tuple)
_PLAIN = (type(None), bool, int, float, str, type, types.ModuleType, enum.Enum, types.BuiltinFunctionType)
# "Class.attribute", with [] for a container in a container, and the container. An underscore before an attribute is
# left out: who may use it says nothing of its bound.
Held = tuple[str, object]


def attributes(owner: object) -> Iterator[tuple[str, object]]:
    """Slots of all base classes, dataclass fields and the instance dictionary; what is not set yet is left out."""
    names: set[str] = set(getattr(owner, "__dict__", {}))
    for base in type(owner).__mro__:
        slots = base.__dict__.get("__slots__", ())
        names |= {slots} if isinstance(slots, str) else set(slots)
    if is_dataclass(owner):
        names |= {field.name for field in fields(owner)}
    for name in sorted(names):
        try:
            yield name, getattr(owner, name)
        except AttributeError:
            continue


def reachable(root: object, stop: Iterable[object] = ()) -> tuple[dict[int, object], list[Held]]:
    """Objects by their id, and containers; nothing is looked for inside what is in `stop`, and it is left out.

    Byte strings and tuples inside another container count with that one.
    """
    seen: dict[int, object] = {}
    held: list[Held] = []
    known = {id(one) for one in stop}
    waiting: list[Held] = [(type(root).__name__, root)]
    while waiting:
        where, one = waiting.pop()
        inner = where.endswith("[]") and isinstance(one, bytes | tuple)
        if isinstance(one, CONTAINERS) and not inner and id(one) not in known:
            held.append((where, one))
        if id(one) in known or isinstance(one, (*_PLAIN, bytes, bytearray)):
            continue
        known.add(id(one))
        seen[id(one)] = one
        waiting += _below(where, one)
    return seen, held


def _below(where: str, one: object) -> Iterator[Held]:
    if isinstance(one, dict):
        yield from ((f"{where}[]", value) for pair in one.items() for value in pair)
    elif isinstance(one, list | tuple | set | frozenset | deque):
        yield from ((f"{where}[]", value) for value in one)
    elif isinstance(one, types.MethodType):
        yield "", one.__self__
    elif isinstance(one, types.FunctionType):
        yield from (("", cell.cell_contents) for cell in one.__closure__ or ())
    elif type(one).__module__.startswith("hognose."):
        yield from ((f"{type(one).__name__}.{name.lstrip('_')}", value) for name, value in attributes(one))


def size_of(container: object) -> int:
    """Bytes of all byte strings in a container, nested ones and those in our own objects too."""
    if isinstance(container, bytes | bytearray):
        return len(container)
    if isinstance(container, dict):
        return sum(map(size_of, container.values()))
    if isinstance(container, list | tuple | set | frozenset | deque):
        return sum(map(size_of, container))
    if type(container).__module__.startswith("hognose."):
        return sum(size_of(value) for _, value in attributes(container))
    return 0
