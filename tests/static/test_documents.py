"""What the documents say agrees with the program: generated tables are up to date, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from tests.world.topology import RECIPE

import hognose
from hognose.cli.arguments import USAGE, parse_arguments
from hognose.cli.reference import directive_table, event_table
from hognose.config.parser import parse

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "solo5").rglob("*.md")])


def between(path: Path, name: str) -> str:
    """The text between `<!-- name -->` and `<!-- /name -->`."""
    match = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", path.read_text(encoding="utf-8"), re.DOTALL)
    assert match, f"{path.name} has no <!-- {name} --> … <!-- /{name} -->"
    return match[1]


def test_the_directives_are_up_to_date() -> None:
    """Else: `hognose config directives` prints the text between the marks."""
    assert between(ROOT / "docs" / "directives.md", "directives") == directive_table()


def test_the_events_are_up_to_date() -> None:
    """Else: `hognose events` prints the text between the marks."""
    assert between(ROOT / "docs" / "events.md", "events") == event_table()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def readme_lines() -> list[list[str]]:
    """The words of every line in the README's code blocks, as a shell would split them."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(shlex.split(line)).split() for line in lines]


def test_the_host_recipe_is_the_one_that_the_tests_run() -> None:
    lines = readme_lines()
    assert [line for line in RECIPE if line.split() not in lines] == []


def test_the_readme_names_every_verb_and_argument_that_there_is() -> None:
    lines = readme_lines()
    for verb in ("demo", "test"):
        assert ["make", verb] in lines
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for option in re.findall(r"--[a-z0-9-]+", USAGE):
        assert option in text
    for line in lines:
        if "--ipv4=10.0.0.2/24" in line:
            words = [word for word in line if word.startswith("--ipv4")]
            assert parse_arguments(words).prefix_len == 24


def test_the_example_config_is_good() -> None:
    """With the vectors' files for the ones that it names."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    example = re.search(r"^```\n(proto tcp\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert example
    vectors = ROOT / "tests" / "vectors" / "config"
    config, warned = parse(example[1], "server.conf", lambda name: (vectors / name).read_text())
    assert warned == []
    assert config.wrap == "tls-crypt"


def test_the_tests_that_the_parity_tables_name_exist() -> None:
    text = (ROOT / "docs" / "parity.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+/test_\w+)::(\w+)`", text)
    assert len(named) > 50
    for module, test in named:
        folder = "tests" if module.split("/")[0] in ("interop", "vm") else "tests/unit"
        source = ROOT / folder / f"{module}.py"
        assert f"\ndef {test}(" in source.read_text(encoding="utf-8"), f"{module}::{test}"


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == hognose.__version__
    assert f"## {hognose.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
