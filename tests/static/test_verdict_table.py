"""docs/verdicts.md has the table that tests/interop/test_verdicts.py measures."""

from __future__ import annotations

import re
from pathlib import Path

from tests.interop.verdict_cases import CASES, SETTINGS, table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "verdicts.md"


def test_the_verdicts_are_up_to_date() -> None:
    """Else: `python -m tests.interop.verdict_cases` writes the page."""
    match = re.search(r"<!-- verdicts -->\n(.*?)<!-- /verdicts -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert match
    assert match[1] == table()


def test_the_table_is_sound() -> None:
    """Ours is never more lenient, differences have a reason, every setting has a case, no case comes twice."""
    assert len(CASES) >= 48
    assert {case.setting for case in CASES} == set(SETTINGS)
    assert len({case.id for case in CASES}) == len(CASES)
    for case in CASES:
        assert case.openvpn or not case.ours
        assert bool(case.why) is (case.openvpn is not case.ours)
