"""Laws about drawn examples: the same in every run, but for the one stage that explores."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from tests import conftest

ROOT = Path(__file__).resolve().parents[2]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CONFTEST = ROOT / "tests" / "conftest.py"
# Arguments of `settings` that a profile decides.
OF_THE_PROFILE = {"derandomize", "database", "print_blob", "phases"}
RUNS = [ROOT / "Makefile", ROOT / "tests" / "tests.mk", ROOT / ".ci" / "run", ROOT / "pyproject.toml", *TESTS]


class _Asked:
    """As much of a pytest.Config as the conftest looks at."""

    def __init__(self, **options: str) -> None:
        self._options = options

    def getoption(self, name: str) -> str | None:
        return self._options.get(name.removeprefix("--").replace("-", "_"))


@pytest.fixture(autouse=True)
def _profile_of_the_run() -> object:
    before = settings.get_current_profile_name()
    yield
    settings.load_profile(before)


def test_this_run_draws_the_same_examples_as_any_other() -> None:
    assert settings.get_current_profile_name() == "fixed"
    assert settings.default is not None
    assert settings.default.derandomize
    assert settings.default.database is None
    assert settings.default.deadline is None


def test_exploring_draws_new_ones_by_its_seed_alone() -> None:
    explore = settings.get_profile("explore")
    assert not explore.derandomize
    assert explore.database is None
    assert explore.print_blob
    assert explore.deadline is None


def test_the_mutation_gate_draws_the_fixed_ones_and_makes_none_smaller() -> None:
    fixed, unshrunk = settings.get_profile("fixed"), settings.get_profile("unshrunk")
    assert unshrunk.derandomize
    assert unshrunk.max_examples == fixed.max_examples
    assert {*fixed.phases} - {*unshrunk.phases} >= {Phase.shrink}
    assert {Phase.explicit, Phase.generate} == {*unshrunk.phases}


def test_a_seed_by_hand_chooses_the_profile_that_heeds_it() -> None:
    conftest.pytest_configure(_Asked(hypothesis_seed="5"))  # type: ignore[arg-type]  # a stand-in
    assert settings.get_current_profile_name() == "explore"


def test_a_profile_by_hand_stays() -> None:
    conftest.pytest_configure(_Asked(hypothesis_seed="5", hypothesis_profile="fixed"))  # type: ignore[arg-type]  # a stand-in
    assert settings.get_current_profile_name() == "fixed"


def test_no_test_chooses_for_itself() -> None:
    found = []
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("settings", "hypothesis.settings"):
                names = {word.arg for word in node.keywords}
                found += [f"{path.relative_to(ROOT)}:{node.lineno}: {name}" for name in names & OF_THE_PROFILE]
            if not isinstance(node, ast.Attribute) or path in (CONFTEST, Path(__file__)):
                pass
            elif node.attr in ("load_profile", "register_profile"):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
            if isinstance(node, ast.ImportFrom) and node.module == "hypothesis":
                found += [f"{path.relative_to(ROOT)}: {each.name}" for each in node.names if each.name == "seed"]
    assert found == []


def test_only_exploring_and_the_mutation_gate_ask_for_seeds_and_other_profiles() -> None:
    asked = re.compile(r"--hypothesis-(seed|profile)")
    found = {path.relative_to(ROOT).as_posix() for path in RUNS if asked.search(path.read_text(encoding="utf-8"))}
    found -= {"tests/conftest.py", "tests/static/test_hypothesis_profile.py"}
    assert {path for path in found if "/explore/" not in path} == {"tests/mutants/running.py"}
    assert "tests/explore/properties.py" in found


def test_ci_explores_once() -> None:
    text = (ROOT / "tests" / "tests.mk").read_text(encoding="utf-8")
    stages = re.search(r"^STAGES := (.*)$", text, re.MULTILINE)
    assert stages is not None
    assert stages[1].split().count("explore") == 1
    assert re.search(r"^explore: .*\n\t\$\(EXPLORE\) ", text, re.MULTILINE)
