"""What the documents say agrees with the program: generated tables are up to date, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hognose.cli.reference import directive_table, event_table

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "solo5").rglob("*.md")])


def between(path: Path, name: str) -> str:
    """The text between `<!-- name -->` and `<!-- /name -->`."""
    match = re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", path.read_text(encoding="utf-8"), re.DOTALL)
    assert match, f"{path.name} has no <!-- {name} --> … <!-- /{name} -->"
    return match[1]


def test_the_directives_are_up_to_date() -> None:
    """Else: `hognose config directives` prints the text between the marks."""
    assert between(ROOT / "docs" / "configuration.md", "directives") == directive_table()


def test_the_events_are_up_to_date() -> None:
    """Else: `hognose events` prints the text between the marks."""
    assert between(ROOT / "docs" / "events.md", "events") == event_table()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (path.parent / target).exists(), target
