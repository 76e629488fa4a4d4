"""Documents agree with the program: generated tables are up to date, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from tests.unit.config.config_samples import crl_pem
from tests.world.topology import RECIPE

import hognose
from hognose.cli.arguments import USAGE, parse_arguments
from hognose.cli.reference import directive_table, event_table
from hognose.config.parser import parse
from hognose.errors import ConfigError

from .test_layout import FILES

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors" / "config"
CRL_OF_ANOTHER = "holds a list that no certificate in `ca` has issued"
CITING = {".py", ".c", ".h", ".S", ".sh", ".mk", ".md", ".conf", ".toml"}
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


def test_pages_that_are_cited_exist() -> None:
    """In comments, messages and commands too. mkosi.conf stays as it is: its hash names the builder tree."""
    examples = {"test_language.py", "mkosi.conf"}
    lost: set[str] = set()
    for path in FILES:
        if (path.suffix in CITING or path.name in ("Makefile", "hognose-qemu")) and path.name not in examples:
            named = re.findall(r"(?<![\w/.-])(?:docs|facts)/[\w/-]+\.md\b", path.read_text(encoding="utf-8"))
            lost.update(f"{path.relative_to(ROOT)}: {name}" for name in named if not (ROOT / name).is_file())
    assert sorted(lost) == []


def readme_lines() -> list[list[str]]:
    """The words of every line in the README's code blocks, as a shell would split them."""
    blocks = re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(shlex.split(line)).split() for line in lines]


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "dataflow.md", "where.md", "glossary.md"])
def test_the_files_that_a_page_names_exist(page: str) -> None:
    """Below src/hognose, or below the repository's root."""
    text = (ROOT / "docs" / "dev" / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)*\w+\.(?:py|c|h|S))`", text)
    assert len(named) > 3
    assert [name for name in named if not any((top / name).is_file() for top in (ROOT / "src" / "hognose", ROOT))] == []


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
    example = re.search(r"^```\n(proto udp\n.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert example
    config, warned = parse(example[1], "server.conf", lambda name: (VECTORS / name).read_text())
    assert warned == []
    assert config.wrap.kind == "tls-crypt"


BASE = """proto tcp
dev tun
topology subnet
server 10.8.0.0 255.255.255.0
ca ca.crt
cert server.crt
key server.key
keepalive 10 60
"""


def answer(line: str) -> str:
    """Answer to a config with this line."""
    name = line.split(maxsplit=1)[0]
    text = "".join(f"{each}\n" for each in (line, *(one for one in BASE.splitlines() if one.split()[0] != name)))
    try:
        _, warned = parse(text, "server.conf", lambda file: (VECTORS / file).read_text())
    except ConfigError as error:
        return str(error).replace(f"server.conf:1: {name}", "error", 1)
    return "; ".join(each.in_file("server.conf").replace(f"server.conf:1: {name}", "warning", 1) for each in warned)


def test_the_answers_in_the_document_are_those_of_the_program() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| ((?:error|warning): .*) \|$", text, re.MULTILINE)
    assert len(rows) > 10
    assert [(line, answer(line)) for line, _ in rows] == rows


@pytest.mark.parametrize(
    "path", sorted((ROOT / "docs" / "examples").glob("*/server.conf")), ids=lambda p: p.parent.name
)
def test_the_example_configs_are_good(path: Path) -> None:
    """The real client meets them in tests/interop/test_examples.py; here: nothing in them is wrong or in vain."""
    files = {"v2-server.key": "v2s.key"}

    def read_file(name: str) -> str:
        own = path.parent / name
        if name == "crl.pem":
            return crl_pem()
        return (own if own.exists() else VECTORS / files.get(name, name)).read_text()

    def read_folder(name: str) -> dict[str, str]:
        return {each.name: each.read_text() for each in (path.parent / name).iterdir()}

    config, warned = parse(path.read_text(), path.name, read_file, read_folder=read_folder)
    idle = {"dh", "persist-key", "persist-tun", "user", "group", "verb"} if path.parent.name == "old-clients" else set()
    assert {each.directive for each in warned if each.text != CRL_OF_ANOTHER} == idle
    assert config.wrap.kind != "none" or config.wrap.v2_key


def test_every_document_is_reached_from_the_readme() -> None:
    """By links from page to page; docs/dev/decisions and the examples' files by their folder or by a page."""
    seen: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or not page.exists():
            continue
        seen.add(page)
        if page.suffix == ".md":
            links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
            waiting += [(page.parent / link).resolve() for link in links if "://" not in link]
    wanted = [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "dev").glob("*.md"),
        *(each for each in (ROOT / "docs" / "examples").rglob("*") if each.is_file()),
    ]
    assert sorted(str(path.relative_to(ROOT)) for path in wanted if path not in seen) == []


def test_the_readme_links_every_page() -> None:
    """Those for administrators before those for developers, each in one part."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    users, developers = text.split("\nFor administrators:\n")[1].split("\nFor developers:\n")
    for folder, part, other in (("docs", users, developers), ("docs/dev", developers, users)):
        links = {f"]({folder}/{path.name})" for path in (ROOT / folder).glob("*.md")}
        assert {link for link in links if link not in part or link in other} == set()


def test_the_tests_that_the_parity_tables_name_exist() -> None:
    text = (ROOT / "docs" / "dev" / "parity.md").read_text(encoding="utf-8")
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
