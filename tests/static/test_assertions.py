"""Every test can fail: it asserts something, and what it asserts is not true of everything."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "tests").rglob("*.py"))
# Functions of the tests that assert; each one has an assert or a raise, which is looked at below.
HELPERS = {"alive", "exchange", "lives", "tolerate", "unharmed"}
BEGINNINGS = ("check", "expect", "must_", "wait_for")
# Models and worlds whose `run` fails when what is waited for does not come.
WORLDS = {"link", "world"}


def is_trivial(test: ast.expr) -> bool:
    """An expression that is true whatever the code under test does."""
    if isinstance(test, ast.Constant | ast.JoinedStr | ast.Tuple | ast.Lambda | ast.GeneratorExp):
        return True
    if isinstance(test, ast.BoolOp):
        trivial = [is_trivial(part) for part in test.values]
        return any(trivial) if isinstance(test.op, ast.Or) else all(trivial)
    if not isinstance(test, ast.Compare):
        return False
    left = test.left
    for operation, right in zip(test.ops, test.comparators, strict=True):
        if _says_nothing(left, operation, right):
            return True
        left = right
    return False


def _says_nothing(left: ast.expr, operation: ast.cmpop, right: ast.expr) -> bool:
    """A comparison of a thing with itself, of two constants, of a number that cannot be negative with 0."""
    constants = [one.value for one in (left, right) if isinstance(one, ast.Constant)]
    if len(constants) == 2:
        return True
    calls = any(isinstance(node, ast.Call) for node in ast.walk(left))
    if ast.dump(left) == ast.dump(right) and not calls:
        return True
    if isinstance(operation, ast.GtE) and isinstance(right, ast.Constant):
        return right.value == 0
    return isinstance(operation, ast.In) and isinstance(left, ast.Constant) and left.value in ("", b"")


def is_assertion(node: ast.AST) -> bool:
    """An assert, pytest.raises, a process whose status is checked, or a helper that asserts."""
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    if any(one.arg == "check" and ast.unparse(one.value) == "True" for one in node.keywords):
        return True
    owner, _, name = ast.unparse(node.func).rpartition(".")
    return (
        (owner, name) == ("pytest", "raises")
        or (name in HELPERS and not owner)
        or name.startswith(BEGINNINGS)
        or (name == "run" and owner in WORLDS)
    )


def silent_tests(tree: ast.Module) -> list[str]:
    """Tests without an assertion, their own or a helper's."""
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    return [function.name for function in tests if not any(is_assertion(node) for node in ast.walk(function))]


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_assertion_is_true_of_everything(path: Path) -> None:
    nodes = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.Assert)]
    assert [f"{node.lineno}: {ast.unparse(node)}" for node in nodes if is_trivial(node.test)] == []


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.name.startswith("test_")], ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_test_asserts_something(path: Path) -> None:
    assert silent_tests(TREES[path]) == []


def test_the_helpers_assert() -> None:
    functions = [node for tree in TREES.values() for node in tree.body if isinstance(node, ast.FunctionDef)]
    for name in HELPERS:
        found = [function for function in functions if function.name == name]
        assert found, name
        for function in found:
            assert any(is_assertion(node) or isinstance(node, ast.Raise) for node in ast.walk(function)), name


@pytest.mark.parametrize(
    "text",
    [
        "True", "1", "'a' or b", "a or True", "a and b or 'c'", "f'{a}'", "(a, 'message')", "lambda: a",
        "(a for a in b)", "a == a", "a.b >= a.b", "1 == 2", "len(a) >= 0", "a.count >= 0", "'' in a",
        "b'' in a", "True and 1",
    ],
)  # fmt: skip
def test_trivial_assertions_are_seen(text: str) -> None:
    assert is_trivial(ast.parse(text, mode="eval").body)


@pytest.mark.parametrize(
    "text",
    ["a", "a or b", "a == b", "a() == a()", "0 <= a <= b", "a >= 1", "a > 0", "'x' in a", "not a", "[a for a in b]"],
)
def test_assertions_that_can_fail_are_let_pass(text: str) -> None:
    assert not is_trivial(ast.parse(text, mode="eval").body)


def test_tests_without_an_assertion_are_seen() -> None:
    tree = ast.parse(
        "def test_crash_only(): f()\n"
        "def test_own(): assert f()\n"
        "def test_raises():\n with pytest.raises(E): f()\n"
        "def test_process(): subprocess.run(['x'], check=True)\n"
        "def test_process_that_may_fail(): subprocess.run(['x'], check=False)\n"
        "def test_by_helper(): check_basics(1)\n"
        "def test_by_a_world(): link.run(until, 5)\n"
        "def test_of_a_command(): command.run(1)\n"
    )
    assert silent_tests(tree) == ["test_crash_only", "test_process_that_may_fail", "test_of_a_command"]
