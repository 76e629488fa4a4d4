"""Laws about the files of the repository: sizes, names, what no file may contain, floors without I/O."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_LINES = {".py": 600, ".c": 400, ".h": 400, ".S": 400}
VAGUE = {"utils", "util", "helpers", "helper", "manager", "managers", "misc", "common"}
FORBIDDEN_IMPORTS = {
    "time", "socket", "select", "selectors", "os", "random", "secrets", "threading", "asyncio", "subprocess", "fcntl",
    "logging", "pyroute2",
}  # fmt: skip
# Names that two modules have. The table only shrinks.
CORE = (
    "units",
    "vocabulary",
    "settings",
    "errors",
    "drops",
    "events",
    "link",
    "limits",
    "base",
    "wire",
    "ip",
    "tcp",
    "udp",
    "openvpn",
    "nat",
    "config",
    "router",
    "vpn",
    "gateway",
)
# Absolute paths of a machine's home and work folders, and names of places to fetch packages from.
_OUR_MACHINE = re.compile(
    r"(?<![\w.~$})-])/(?:"
    + "root|home/\\w+|wo"
    + r"rk|tmp/hn)/[\w.]|(?:https?://)[\w.-]*(?:artifactory|nexus|pypi|registry)[\w.-]*",
    re.IGNORECASE,
)


def repository_files() -> list[Path]:
    """Every file under version control, and those that are about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


FILES = repository_files()
PACKAGE = ROOT / "src" / "hognose"
SOURCES = [path for path in FILES if path.suffix == ".py" and path.is_relative_to(ROOT / "src")]


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix in MAX_LINES], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_too_long(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_LINES[path.suffix]


def test_module_names_say_one_thing() -> None:
    vague = [path for path in FILES if path.suffix in (".py", ".c", ".h", ".sh") and path.stem.lower() in VAGUE]
    assert vague == []
    assert [path for path in FILES if VAGUE & set(path.relative_to(ROOT).parts[:-1])] == []


def test_no_two_modules_share_a_name() -> None:
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        if path.is_relative_to(PACKAGE) and not path.stem.startswith("__"):
            found.setdefault(path.stem, set()).add(str(path.relative_to(PACKAGE)))
    shared = {name: paths for name, paths in found.items() if len(paths) > 1}
    assert shared == {}


def test_no_file_names_the_machine_it_was_made_on() -> None:
    found = []
    for path in FILES:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in _OUR_MACHINE.finditer(text)]
    assert found == []


def _functions(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def test_every_module_begins_with_what_it_is_for() -> None:
    lacking = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert lacking == []


def test_functions_are_short() -> None:
    """80 lines in modules marked hot, 60 elsewhere, docstring and signature included."""
    long = []
    for path in SOURCES:
        bound = 80 if path.read_text(encoding="utf-8").startswith("# hot") else 60
        for function in _functions(path):
            size = (function.end_lineno or 0) - function.lineno + 1
            if size > bound and not _is_a_list_of_arguments(function):
                long.append(f"{path.relative_to(ROOT)}:{function.lineno} {function.name}: {size}")
    assert long == []


def _is_a_list_of_arguments(function: ast.FunctionDef) -> bool:
    """Putting parts together: straight statements, one after the other."""
    return not any(isinstance(node, ast.For | ast.While | ast.Try) for node in ast.walk(function))


def test_the_core_imports_nothing_that_does_io() -> None:
    found = []
    for path in SOURCES:
        part = path.relative_to(ROOT / "src" / "hognose").parts[0].removesuffix(".py")
        if part not in CORE:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found += [f"{path.name}: {name}" for name in names if name.split(".")[0] in FORBIDDEN_IMPORTS]
    assert found == []


def test_scapy_is_imported_by_layers() -> None:
    """scapy.all binds DNS and others to ports: packets of later tests in the same process would read differently."""
    whole = re.compile(r"^\s*(from|import) scapy\.(all|layers\.dns)\b", re.MULTILINE)
    found = [path for path in (ROOT / "tests").rglob("*.py") if whole.search(path.read_text(encoding="utf-8"))]
    assert found == []
