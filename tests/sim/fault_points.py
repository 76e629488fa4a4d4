"""Labelled fault points: every function of the engines, found by looking at the modules, and faults at their passages.

The label of a point is `module.Class.method` or `module.function`. New modules and functions are points by themselves.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType

import pytest

import hognose
from hognose import gateway, ip, nat, openvpn, router, tcp, udp, vpn, wire

ENGINES = (gateway, router, vpn, ip, nat, openvpn, tcp, udp, wire)


class FaultError(RuntimeError):
    """An unexpected bug; its text must not be logged."""


@dataclass(frozen=True)
class Point:
    """One function: where it stands, its name there, and how it is kept there."""

    label: str
    owner: type | ModuleType
    name: str
    kept: object  # what stands in the owner: a function, staticmethod or property
    function: Callable[..., object]


def modules() -> list[str]:
    """Names of all modules of the engines, as `router.egress`."""
    found = []
    for package in ENGINES:
        short = package.__name__.removeprefix("hognose.")
        found += [f"{short}.{module.name}" for module in pkgutil.iter_modules(package.__path__)]
    return found


def points(name: str) -> Iterator[Point]:
    """The points of one module."""
    module = importlib.import_module(f"{hognose.__name__}.{name}")
    for key, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield Point(f"{name}.{key}", module, key, value, value)
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for method, kept in vars(value).items():
                function = kept.fget if isinstance(kept, property) else getattr(kept, "__func__", kept)
                # What dataclass makes is not ours.
                if isinstance(function, FunctionType) and function.__code__.co_filename == module.__file__:
                    yield Point(f"{name}.{key}.{method}", value, method, kept, function)


def put(patch: pytest.MonkeyPatch, point: Point, function: Callable[..., object]) -> None:
    """Another function at a point, wherever it was imported to."""
    kept: object = function
    if isinstance(point.kept, (staticmethod, classmethod, property)):
        kept = type(point.kept)(function)
    patch.setattr(point.owner, point.name, kept)
    if isinstance(point.owner, ModuleType):
        for name in modules():
            module = importlib.import_module(f"{hognose.__name__}.{name}")
            for key, value in list(vars(module).items()):
                if value is point.function:
                    patch.setattr(module, key, function)


def count(patch: pytest.MonkeyPatch, chosen: list[Point], passages: Counter[str]) -> None:
    """Count the passages of points from now on."""

    def counted(point: Point) -> Callable[..., object]:
        def function(*arguments: object, **named: object) -> object:
            passages[point.label] += 1
            return point.function(*arguments, **named)

        return function

    for point in chosen:
        put(patch, point, counted(point))


def break_at(patch: pytest.MonkeyPatch, point: Point, at: int) -> list[int]:
    """Raise at the passage with this number, counted from now on; the list is not empty when it has come to that."""
    passages = 0
    hits: list[int] = []

    def function(*arguments: object, **named: object) -> object:
        nonlocal passages
        passages += 1
        if passages == at:
            hits.append(at)
            raise FaultError("secret words")
        return point.function(*arguments, **named)

    put(patch, point, function)
    return hits
