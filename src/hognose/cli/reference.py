"""The program's tables as Markdown: `hognose config directives` and `hognose events` print them, docs/ hold them."""

from __future__ import annotations

from hognose.config.directives import DIRECTIVES
from hognose.events import EVENTS


def directive_table() -> str:
    """Every directive of OpenVPN and what becomes of it."""
    lines = ["| directive | verdict | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {_VERDICTS[row.verdict]} | {row.text} |" for name, row in sorted(DIRECTIVES.items())]
    return "\n".join(lines) + "\n"


def event_table() -> str:
    """Every event that can stand in the log."""
    lines = ["| event | level | fields | meaning |", "|---|---|---|---|"]
    for kind, spec in EVENTS.items():
        fields = "all counters that are not zero" if spec.fields == ("*",) else ", ".join(f"`{f}`" for f in spec.fields)
        lines.append(f"| `{kind.value}` | {spec.level} | {fields} | {spec.meaning} |")
    return "\n".join(lines) + "\n"


_VERDICTS = {"honour": "honoured", "ignore": "ignored", "reject": "refused"}
