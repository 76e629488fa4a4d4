"""Every event that the program can emit stands in the catalogue, with no field but those listed there."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from hognose.events import EVENTS, EventKind
from hognose.host.console import LEVELS

SOURCE = Path(__file__).resolve().parents[2] / "src" / "hognose"


def emissions() -> Iterator[tuple[str, str, set[str]]]:
    """(place, name of the EventKind, field names; "**" where they are not spelled out) of every emission."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            kinds = [name for argument in node.args if (name := _kind(argument))]
            if len(kinds) != 1:
                continue
            fields = {keyword.arg or "**" for keyword in node.keywords}
            for argument in node.args:
                if isinstance(argument, ast.Dict):
                    fields |= {str(key.value) if isinstance(key, ast.Constant) else "**" for key in argument.keys}
            yield f"{path.relative_to(SOURCE)}:{node.lineno}", kinds[0], fields


def _kind(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "EventKind":
        return node.attr
    return ""


def test_every_emission_uses_the_fields_of_the_table() -> None:
    wrong = []
    for place, name, fields in emissions():
        allowed = EVENTS[EventKind[name]].fields
        if allowed != ("*",) and not fields <= set(allowed):
            wrong.append(f"{place}: {name}: {sorted(fields - set(allowed))}")
    assert wrong == []


def test_every_event_of_the_table_is_emitted_somewhere() -> None:
    assert {kind.name for kind in EventKind} - {name for _, name, _ in emissions()} == set()


def test_the_table_is_whole() -> None:
    assert set(EVENTS) == set(EventKind)
    for spec in EVENTS.values():
        assert spec.level in LEVELS
        assert spec.meaning.endswith(".")
        assert len(set(spec.fields)) == len(spec.fields)
