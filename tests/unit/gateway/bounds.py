"""Bounds by the names that they have in the source, for the tests that hold containers against them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, fields

from hognose.limits import Limits


@dataclass(frozen=True)
class Bound:
    """name: Class.field of limits.py, or module:CONSTANT below hognose; unit: entries or bytes.

    The bound is the value of that name, times, per and plus some.
    """

    name: str
    unit: str = "entries"
    times: int = 1
    plus: int = 0
    per: int = 1

    def most(self, limits: Limits) -> int:
        """Its value; AttributeError or KeyError when there is no such name."""
        if ":" in self.name:
            module, _, constant = self.name.partition(":")
            value = getattr(importlib.import_module(f"hognose.{module}"), constant)
        else:
            part, _, field = self.name.partition(".")
            value = getattr({type(one).__name__: one for one in parts_of(limits)}[part], field)
        assert isinstance(value, int)
        return value * self.times // self.per + self.plus


def parts_of(limits: Limits) -> Iterator[object]:
    yield limits
    yield from (getattr(limits, field.name) for field in fields(limits))


def entries(name: str, times: int = 1, plus: int = 0, per: int = 1) -> Bound:
    return Bound(name, "entries", times, plus, per)


def total(name: str, times: int = 1, plus: int = 0) -> Bound:
    return Bound(name, "bytes", times, plus)
