"""No test in virtual time depends on the day it runs on: one fixed day, and no look at the machine's clock."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAY_FILE = ROOT / "tests" / "world" / "today.py"
# Runs by hand that stop after some minutes of the machine's time; they are no tests.
TIMED_RUNS = {"tests/fuzz/campaign.py", "tests/fuzz/mutants.py"}
CLOCKS = {
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns",
    "time.clock_gettime", "time.gmtime", "time.localtime", "time.sleep", "datetime.now", "datetime.utcnow",
    "datetime.today", "date.today",
}  # fmt: skip
EPOCHS = range(1_600_000_000, 2_000_000_000)  # seconds since 1970 that fall between 2020 and 2033
VIRTUAL = sorted(
    path for part in ("unit", "sim", "fuzz") for path in (ROOT / "tests" / part).rglob("*.py") if path != DAY_FILE
)


def clock_reads(tree: ast.AST) -> list[str]:
    """Calls and mentions of a clock, also those imported by name, and of the PKI of the machine's day."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if f"{owner}.{node.attr}" in CLOCKS:
                found.append(f"{node.lineno}: {owner}.{node.attr}")
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.lineno}: {one.name}" for one in node.names if f"{node.module}.{one.name}" in CLOCKS]
            found += [f"{node.lineno}: {one.name}" for one in node.names if one.name == "current_authority"]
    return found


def epochs(tree: ast.AST) -> list[str]:
    """Numbers that are a day of their own."""
    return [
        f"{node.lineno}: {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in EPOCHS
    ]


@pytest.mark.parametrize("path", VIRTUAL, ids=lambda path: str(path.relative_to(ROOT)))
def test_virtual_time_has_one_day_and_reads_no_clock(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert epochs(tree) == [], "import UNIX or TODAY from tests/world/today.py"
    if str(path.relative_to(ROOT)) not in TIMED_RUNS:
        waits = path.is_relative_to(ROOT / "tests" / "unit" / "host")  # real pipes and terminals
        reads = [one for one in clock_reads(tree) if not (waits and one.endswith(" time.sleep"))]
        assert reads == [], "virtual time is passed in; certificates are made for TODAY"


def test_the_machines_clock_is_read_in_one_place_of_the_pki() -> None:
    """Real clients read the clock: what they are given comes from `current_authority`, the rest from TODAY."""
    pki = ast.parse((ROOT / "tests" / "world" / "pki.py").read_text(encoding="utf-8"))
    (function,) = (one for one in pki.body if isinstance(one, ast.FunctionDef) and one.name == "current_authority")
    assert len(clock_reads(pki)) == len(clock_reads(function)) == 1


def test_real_clients_get_certificates_of_the_machines_day() -> None:
    """A root without a day of its own is of virtual time, and openvpn would find it invalid some day."""
    wrong = []
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path in VIRTUAL or path.parent.name in ("static", "bench") or path.name == "pki.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Authority":
                if not any(keyword.arg == "parent" for keyword in node.keywords):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
            elif isinstance(node, ast.keyword) and ast.unparse(node) == "default_factory=Authority":
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert wrong == []


def test_the_checks_see_what_they_look_for() -> None:
    bad = ast.parse(
        "import time\nfrom time import monotonic\nfrom tests.world.pki import current_authority\n"
        "a = time.time()\nb = datetime.datetime.now(UTC)\nUNIX = 1_800_000_000\n"
    )
    assert [one.split(": ")[1] for one in clock_reads(bad)] == [
        "monotonic", "current_authority", "time.time", "datetime.now",
    ]  # fmt: skip
    assert epochs(bad) == ["6: 1800000000"]
