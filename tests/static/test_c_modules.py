"""Modules of the nano-kernel: X.c and X.h are one, no circle of includes leads back to it, and warnings are errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.world.tender import CFLAGS

ROOT = Path(__file__).resolve().parents[2]
SOLO5 = ROOT / "solo5"
SOURCES = sorted(path for path in SOLO5.iterdir() if path.suffix in (".c", ".h"))
WARNINGS = {"-Wshadow", "-Wpointer-arith", "-Wcast-qual", "-Wsign-compare", "-Wwrite-strings"}  # Solo5's own
_INCLUDE = re.compile(r'^#include "(\w+)\.h"$', re.MULTILINE)
_PROTOTYPE = re.compile(r"^(?!static|extern|typedef)[a-z_][\w *]*?\b(\w+)\([^;{}]*\);", re.MULTILINE | re.IGNORECASE)
_DEFINITION = re.compile(r"^(?!static)[a-z_][\w *]*?\b(\w+)\([^;{}]*\)\n\{", re.MULTILINE | re.IGNORECASE)
# Declared in one place and defined in another: what a header without C file stands for, and what is assembler.
DEFINED_ELSEWHERE = {
    ("machine", "flush_tlb"): "processor.c",
    ("processor", "enter_user"): "entry.S",
    ("processor", "privileged"): "entry.S",
}


def includes() -> dict[str, set[str]]:
    """Module -> modules whose headers its files include."""
    graph: dict[str, set[str]] = {}
    for path in SOURCES:
        graph.setdefault(path.stem, set()).update(_INCLUDE.findall(path.read_text(encoding="utf-8")))
    return {module: others - {module} for module, others in graph.items()}


def circles(graph: dict[str, set[str]]) -> list[str]:
    """Modules that can be reached from themselves."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        waiting = [start]
        while waiting:
            new = graph.get(waiting.pop(), set()) - found
            found |= new
            waiting += new
        return found

    return sorted(module for module in graph if module in reached(module))


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == ["b", "c"]


def test_no_circle_of_includes() -> None:
    graph = includes()
    assert graph["trap"] >= {"start", "frame"}
    assert circles(graph) == []


def test_what_a_header_declares_is_in_its_own_file() -> None:
    """So that the graph of includes is that of calls; tables of devices.c in files.h are data."""
    elsewhere = set()
    for header in SOURCES:
        if header.suffix == ".h":
            body = header.with_suffix(".c")
            defined = set(_DEFINITION.findall(body.read_text(encoding="utf-8"))) if body.exists() else set()
            declared = set(_PROTOTYPE.findall(header.read_text(encoding="utf-8")))
            elsewhere |= {(header.stem, name) for name in declared - defined}
    assert elsewhere == set(DEFINED_ELSEWHERE)
    for (_, name), where in DEFINED_ELSEWHERE.items():
        assert re.search(rf"\b{name}(\([^;]*\)\n\{{|:$)", (SOLO5 / where).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("where", ["build-nano-kernel.sh", "tender.py"])
def test_warnings_are_on_and_are_errors(where: str) -> None:
    text = (SOLO5 / "build-nano-kernel.sh").read_text(encoding="utf-8")
    flags = set(CFLAGS) if where == "tender.py" else set(re.findall(r"-W\w[\w-]*", text))
    assert flags >= {"-Wall", "-Wextra", "-Werror"} | WARNINGS
