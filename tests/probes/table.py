"""All probes; `python -m tests.probes.table` writes their table into docs/dev/probes.md."""

from __future__ import annotations

import re
from pathlib import Path

from tests.probes import closing, flood, handshake, neighbours, nobody, packets, segments, sending
from tests.probes.probe import REGISTERED, Probe

MODULES = (closing, flood, handshake, neighbours, nobody, packets, segments, sending)


def _order(one: Probe) -> tuple[bool, bool, int]:
    """Floods last: for as long as the half-open table is full our server leaves SYNs in fragments alone."""
    return one.alone, one.script.__module__ == flood.__name__, int(one.row[1:])


PROBES: tuple[Probe, ...] = tuple(sorted(REGISTERED, key=_order))
PAGE = Path(__file__).resolve().parents[2] / "docs" / "dev" / "probes.md"


def cell(text: str) -> str:
    """Text inside a Markdown table."""
    return text.replace("|", "\\|")


def table() -> str:
    """The text between the marks in docs/dev/probes.md."""
    lines = ["| row | probe | what it finds out | what comes back |", "| --- | --- | --- | --- |"]
    for one in sorted(PROBES, key=lambda one: int(one.row[1:])):
        expected = cell(one.expected)
        if one.linux is not None:
            expected += f"; Linux: {cell(one.linux.expected)}, because {cell(one.linux.why)}"
        lines.append(f"| {one.row} | `{one.name}` | {cell(one.sentence)} | {expected} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    marks = r"(<!-- probes -->\n).*?(<!-- /probes -->)"
    PAGE.write_text(re.sub(marks, lambda found: found[1] + table() + found[2], text, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
