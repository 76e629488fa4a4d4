"""All property tests with new examples: `python -m tests.explore.properties --seed N --seconds 90`.

A round is one pytest over the files that have properties; its seed is hypothesis's, so a failure repeats by
`--hypothesis-seed` too. Rounds follow each other until the time is up, the first one with a quarter of the examples: it
comes to all tests on a slow machine too. Of two processes one goes through the tests forwards, the other backwards.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.explore.seeding import derived

TESTS = Path(__file__).resolve().parents[1]
FOLDERS = ("unit", "sim")
MARKS = {"given", "RuleBasedStateMachine"}
TEST_SECONDS = 60  # for one test with its usual number of examples
FIRST = 0.25  # of the examples, in the first round
LEAST = 12.0  # seconds that are worth another round


def has_properties(source: str) -> bool:
    """A use of `given` or of a rule-based machine, by the syntax tree."""
    return any(isinstance(node, ast.Name) and node.id in MARKS for node in ast.walk(ast.parse(source)))


def files() -> list[Path]:
    """Test files with properties."""
    found = [path for folder in FOLDERS for path in sorted((TESTS / folder).rglob("test_*.py"))]
    return [path for path in found if has_properties(path.read_text(encoding="utf-8"))]


def command(seed: int, order: int, until: float, factor: float, *, backwards: bool) -> list[str]:
    """The pytest of one round."""
    return [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.explore.property_plugin",
        "--hypothesis-profile=explore", f"--hypothesis-seed={seed}", f"--explore-order={order}",
        f"--explore-until={until:.1f}", f"--explore-factor={factor:g}", f"--timeout={TEST_SECONDS * max(1, factor):g}",
        "--maxfail=4", *(["--explore-backwards"] if backwards else []),
        *(str(path.relative_to(TESTS.parent)) for path in files()),
    ]  # fmt: skip


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=90)
    parser.add_argument("--until", type=float, help="the monotonic clock at the end, instead")
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--factor", type=float, default=1.0)
    a = parser.parse_args(words)
    until = a.until or time.monotonic() + a.seconds
    number = status = 0
    while not status and (not number or until - time.monotonic() > LEAST):
        seed, order = derived(a.seed, "properties", a.process, number), derived(a.seed, "order", number)
        factor = a.factor if number else a.factor * FIRST
        line = command(seed, order, until, factor, backwards=bool(a.process % 2))
        status = subprocess.run(line, cwd=TESTS.parent, check=False).returncode
        number += 1
    return status


if __name__ == "__main__":
    sys.exit(main())
