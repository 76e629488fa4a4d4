"""docs/dev/ARCHITECTURE.md has the diagram of the imports that there are, and names files that exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.affected import floors
from tests.architecture import MARKED, PAGE, SOURCES, diagram, reduced

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_diagram_is_that_of_the_imports() -> None:
    """Else: `python -m tests.architecture` writes it."""
    match = MARKED.search(TEXT)
    assert match
    assert match[2] == diagram(floors())


def test_every_package_and_module_has_a_floor() -> None:
    there = {path.stem for path in SOURCES.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"__init__", "__main__"} == set.union(*floors())


def test_the_files_that_the_page_names_exist() -> None:
    named = re.findall(r"`([\w./*]+\.py)`", TEXT)
    assert len(named) > 20
    tops = (SOURCES, SOURCES / "openvpn", SOURCES.parents[1])
    assert [name for name in named if not any(list(top.glob(name)) for top in tops)] == []


def test_an_edge_that_follows_from_others_is_left_out() -> None:
    chain = {("a", "b"), ("b", "c"), ("c", "d")}
    assert reduced({*chain, ("a", "c"), ("a", "d"), ("b", "d")}) == chain
    assert reduced({("a", "b"), ("a", "c")}) == {("a", "b"), ("a", "c")}


def test_a_diagram_of_three_floors(tmp_path: Path) -> None:
    """An import inside a function counts; modules of one floor are one node."""
    files = {
        "shell/main.py": "def run():\n    from hognose.core.engine import Engine\n",
        "core/engine.py": "from hognose.units import Nanos\nimport hognose.limits\n",
        "units.py": "", "limits.py": "from hognose import units\n",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert diagram([{"shell"}, {"core"}, {"units", "limits"}], tmp_path).splitlines() == [
        "```mermaid",
        "flowchart TD",
        '  subgraph floor0[" "]',
        '    shell["shell"]',
        "  end",
        '  subgraph floor1[" "]',
        '    core["core"]',
        "  end",
        '  subgraph floor2[" "]',
        '    modules2["limits, units"]',
        "  end",
        "  core --> modules2",
        "  shell --> core",
        "```",
    ]
