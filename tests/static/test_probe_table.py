"""docs/dev/probes.md has the table of the probes that there are."""

from __future__ import annotations

import re

from tests.probes.table import PAGE, PROBES, table


def test_the_table_is_up_to_date() -> None:
    """Else: `python -m tests.probes.table` writes it."""
    match = re.search(r"<!-- probes -->\n(.*?)<!-- /probes -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert match
    assert match[1] == table()


def test_the_table_is_sound() -> None:
    """No name comes twice; where Linux differs there is a reason, and it does differ; nothing else is left open."""
    assert len({one.name for one in PROBES}) == len(PROBES) >= 130
    rows = {f"T{number}" for number in range(1, 36)}
    assert rows - {one.row for one in PROBES} == {"T14", "T16", "T33", "T34", "T35"}, "docs/dev/tcp.md says so"
    for one in PROBES:
        assert one.sentence, one.name
        assert one.expected, one.name
        assert re.fullmatch(r"T([1-9]|[12]\d|3[0-5])", one.row), one.name
        if one.linux is not None:
            assert one.linux.why, one.name
            assert one.linux.expected != one.expected, one.name
