"""The diagram of docs/dev/ARCHITECTURE.md, made from the imports: `python -m tests.architecture` writes it.

Nodes are the packages of src/hognose; the single modules of a floor are one node. The order of floors is that of the
import contract in pyproject.toml. An arrow means that the upper one imports the lower one. An arrow that follows from
others (A to B to C, so A to C) is left out.
"""

from __future__ import annotations

import ast
import re
from itertools import product
from pathlib import Path

from tests.affected import REPO, floors

SOURCES = REPO / "src" / "hognose"
PAGE = REPO / "docs" / "dev" / "ARCHITECTURE.md"
MARKED = re.compile(r"(<!-- imports -->\n)(.*?)(<!-- /imports -->)", re.DOTALL)
Edges = set[tuple[str, str]]


def imported(path: Path) -> set[str]:
    """Names directly below `hognose` that a file imports, with those inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "hognose":
            names.update(f"hognose.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.split(".")[1] for name in names if name.startswith("hognose.")}


def node_names(order: list[set[str]], sources: Path) -> dict[str, str]:
    """The node of each package and module of the contract."""
    found: dict[str, str] = {}
    for number, names in enumerate(order):
        single = {name for name in names if (sources / f"{name}.py").is_file()}
        found.update({name: f"modules{number}" if name in single else name for name in names})
    return found


def direct_edges(nodes: dict[str, str], sources: Path) -> Edges:
    """Imports between different nodes."""
    edges: Edges = set()
    for path in sources.rglob("*.py"):
        first = path.relative_to(sources).parts[0].removesuffix(".py")
        if first in nodes:
            edges.update((nodes[first], nodes[name]) for name in imported(path) if name in nodes)
    return {(upper, lower) for upper, lower in edges if upper != lower}


def reduced(edges: Edges) -> Edges:
    """Without the edges that follow from others. The imports have no circle."""
    names = {name for edge in edges for name in edge}
    reach = set(edges)
    for middle, start, end in product(sorted(names), sorted(names), sorted(names)):
        if (start, middle) in reach and (middle, end) in reach:
            reach.add((start, end))
    return {
        (start, end) for start, end in edges if not any((start, mid) in reach and (mid, end) in reach for mid in names)
    }


def diagram(order: list[set[str]], sources: Path = SOURCES) -> str:
    """Mermaid text: a box for each floor, the topmost first."""
    nodes = node_names(order, sources)
    lines = ["```mermaid", "flowchart TD"]
    for number, names in enumerate(order):
        lines.append(f'  subgraph floor{number}[" "]')
        for node in sorted({nodes[name] for name in names}):
            inside = sorted(name for name in names if nodes[name] == node)
            lines.append(f'    {node}["{", ".join(inside)}"]')
        lines.append("  end")
    lines += [f"  {upper} --> {lower}" for upper, lower in sorted(reduced(direct_edges(nodes, sources)))]
    return "\n".join([*lines, "```", ""])


if __name__ == "__main__":
    PAGE.write_text(
        MARKED.sub(lambda match: match[1] + diagram(floors()) + match[3], PAGE.read_text(encoding="utf-8")),
        encoding="utf-8",
    )
