"""The program's tables as Markdown: `hognose config directives` and `hognose events` print them, docs/ hold them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import get_type_hints

from hognose.config.directives import DIRECTIVES
from hognose.config.model import ServerConfig
from hognose.config.rows import Row
from hognose.events import EVENTS
from hognose.settings import directive_of, value_word


def directive_table() -> str:
    """Every directive of OpenVPN and what becomes of it, with the ranges and defaults of numbers."""
    defaults = dict(_defaults())
    lines = ["| directive | verdict | meaning | numbers |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {_VERDICTS[row.verdict]} | {row.text} | {_numbers(name, row, defaults)} |"
        for name, row in sorted(DIRECTIVES.items())
    ]
    return "\n".join(lines) + "\n"


def _numbers(name: str, row: Row, defaults: dict[tuple[str, int], object]) -> str:
    """Ranges of a row's words, with the value of an absent directive where it is a setting's default."""
    return "; ".join(
        f"{low} … {high}" + (f", {defaults[name, word]} when absent" if (name, word) in defaults else "")
        for word, (low, high) in enumerate(row.numbers)
    )


def _defaults() -> Iterator[tuple[tuple[str, int], object]]:
    """(directive, place of the word) and default of every setting that has one."""
    for group in get_type_hints(ServerConfig).values():
        for each in fields(group):
            if each.default is not MISSING:
                yield (directive_of(each), value_word(each)), each.default


def event_table() -> str:
    """Every event that can stand in the log."""
    lines = ["| event | level | fields | meaning |", "|---|---|---|---|"]
    for kind, spec in EVENTS.items():
        fields = "all counters that are not zero" if spec.fields == ("*",) else ", ".join(f"`{f}`" for f in spec.fields)
        lines.append(f"| `{kind.value}` | {spec.level} | {fields} | {spec.meaning} |")
    return "\n".join(lines) + "\n"


_VERDICTS = {"honour": "honoured", "ignore": "ignored", "reject": "refused"}
