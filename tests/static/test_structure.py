"""Bounds on structure: sizes of modules and classes, parameters, addresses cut by hand, private names in tests.

private_names.txt has the test files that use private names of modules that they are not the tests of, and how often. It
must be exact, so a file with fewer is red too; `python -m tests.static.test_structure --write` writes the smaller
counts, and refuses to write larger ones.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests import by_module

from .test_layout import FILES, ROOT, SOURCES

MODULE_LINES, CLASS_LINES, CLASS_METHODS, PARAMETERS = 400, 350, 25, 6
PRIVATE_NAMES = 100
TABLE = Path(__file__).with_name("private_names.txt")
HEADER = (
    "# Test files that use private names of modules that they are not the tests of: how often. Counts only shrink.\n"
)
PUBLIC = {"_replace", "_asdict", "_exit"}  # of namedtuple and os
HOT = "# hot"
# Source and destination of an IPv4 header: bytes 12 to 16 and 16 to 20, from wherever the header begins.
CUT = re.compile(r"\w+\[(?:\w+ ?\+ ?)?(?:12|16) ?: ?(?:\w+ ?\+ ?)?(?:16|20)\]")
IPV4_NUMBER = re.compile(r"\b(?:Ipv4Int|ipv4_int|ipv4_text)\b")


@cache
def parsed() -> tuple[tuple[str, str, ast.Module], ...]:
    """Name below src/hognose, text and syntax tree of each source."""
    texts = {str(path.relative_to(by_module.SOURCES)): path.read_text(encoding="utf-8") for path in SOURCES}
    return tuple((name, text, ast.parse(text)) for name, text in texts.items())


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    """Every class with the name of its file."""
    for name, _, tree in parsed():
        yield from ((name, node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef))


def test_modules_have_400_lines_at_most() -> None:
    assert {name: text.count("\n") for name, text, _ in parsed() if text.count("\n") > MODULE_LINES} == {}


def test_classes_have_350_lines_and_25_methods_at_most() -> None:
    sizes = {
        f"{name}: {node.name}": (
            (node.end_lineno or 0) - node.lineno + 1,
            sum(isinstance(each, ast.FunctionDef) for each in node.body),
        )
        for name, node in classes()
    }
    assert {name: size for name, size in sizes.items() if size[0] > CLASS_LINES or size[1] > CLASS_METHODS} == {}


def test_functions_have_six_positional_parameters_at_most() -> None:
    """In files that are not marked hot; `self` does not count."""
    counts = {
        f"{name}: {node.name}": sum(
            each.arg not in ("self", "cls") for each in (*node.args.posonlyargs, *node.args.args)
        )
        for name, text, tree in parsed()
        if not text.startswith(HOT)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    assert {name: count for name, count in counts.items() if count > PARAMETERS} == {}


def test_addresses_are_cut_out_of_packets_in_wire_and_in_hot_files_only() -> None:
    cold = [(name, text) for name, text, _ in parsed() if not name.startswith("wire/") and not text.startswith(HOT)]
    assert {name: CUT.findall(text) for name, text in cold if CUT.search(text)} == {}


def test_addresses_are_bytes() -> None:
    assert {name: IPV4_NUMBER.findall(text) for name, text, _ in parsed() if IPV4_NUMBER.search(text)} == {}


@cache
def own_names() -> dict[Path, set[str]]:
    """Private names of the modules that a test file is the test of."""
    texts = {name: path.read_text(encoding="utf-8") for name, path in by_module.modules().items()}
    found: dict[Path, set[str]] = {}
    for name, text in texts.items():
        for path in by_module.unit_tests(name):
            found.setdefault(path, set()).update(re.findall(r"\b_[a-z]\w*", text))
    return found


def private_names(path: Path) -> list[str]:
    """Private attributes of other objects in a test file, without those of the modules that it is the test of."""
    own = own_names().get(path, set())
    return [
        f"{node.lineno}: {node.attr}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and re.match(r"_[^_]", node.attr)
        and node.attr not in PUBLIC
        and node.attr not in own
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    ]


def counted() -> dict[str, int]:
    """Private names by file."""
    tests = [path for path in FILES if path.suffix == ".py" and path.is_relative_to(ROOT / "tests")]
    counts = {str(path.relative_to(ROOT)): len(private_names(path)) for path in tests}
    return {name: count for name, count in sorted(counts.items()) if count}


def table() -> dict[str, int]:
    """The counts of private_names.txt."""
    lines = TABLE.read_text(encoding="utf-8").splitlines() if TABLE.exists() else []
    return {name: int(count) for name, count in (line.split() for line in lines if not line.startswith("#"))}


def test_tests_keep_to_public_names() -> None:
    assert counted() == table()
    assert sum(table().values()) <= PRIVATE_NAMES


if __name__ == "__main__":
    now, before = counted(), table()
    if sys.argv[1:] != ["--write"]:
        for each in now:
            print(each, *private_names(ROOT / each), sep="\n  ")
    elif before and any(count > before.get(name, 0) for name, count in now.items()):
        sys.exit("the counts only shrink")
    else:
        TABLE.write_text(HEADER + "".join(f"{name} {count}\n" for name, count in now.items()), encoding="utf-8")
    print(sum(now.values()), "private names")
