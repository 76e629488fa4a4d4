"""Errors that mypy is told to ignore: one kind of error in one line, with the reason after it."""

from __future__ import annotations

import re
import tokenize

import pytest

from .test_layout import FILES, ROOT

# Files that say no reason yet, and how often. The table only shrinks.
WITHOUT_REASON = {
    "src/hognose/config/changes.py": 1,
    "src/hognose/config/collected.py": 1,
    "src/hognose/config/keys.py": 1,
    "src/hognose/openvpn/tls/openssl_binding.py": 2,
    "tests/unit/router/lone_ingress.py": 5,
    "tests/unit/router/test_local_endpoints.py": 2,
}
IGNORED = re.compile(r"# type: ignore\b")
WHOLE = re.compile(r"# type: ignore\[[a-z-]+(?:, ?[a-z-]+)*\](  # \w.*)?$")


def comments(lines: list[str]) -> list[str]:
    """Comments that have something ignored."""
    tokens = tokenize.generate_tokens(iter([*lines, ""]).__next__)
    return [token.string for token in tokens if token.type == tokenize.COMMENT and IGNORED.match(token.string)]


def test_no_file_and_no_line_is_ignored_as_a_whole() -> None:
    found = []
    without: dict[str, int] = {}
    for path in FILES:
        if path.suffix == ".py":
            name = str(path.relative_to(ROOT))
            for comment in comments(path.read_text(encoding="utf-8").splitlines(keepends=True)):
                match = WHOLE.match(comment)
                if not match:
                    found.append(f"{name}: {comment}")
                elif not match[1]:
                    without[name] = without.get(name, 0) + 1
    assert found == []
    assert without == WITHOUT_REASON, "say why; where a file has fewer now, the table says so"


@pytest.mark.parametrize(
    ("comment", "whole", "reason"),
    [
        ("# type: ignore", False, False),
        ("# type: ignore  # because", False, False),
        ("# type: ignore[misc]", True, False),
        ("# type: ignore[misc, arg-type]  # a stand-in", True, True),
        ("# type: ignore[misc] because", False, False),
    ],
)
def test_what_is_looked_for(comment: str, whole: bool, reason: bool) -> None:
    assert comments([f"x = 1  {comment}\n"]) == [comment]
    match = WHOLE.match(comment)
    assert bool(match) is whole
    assert bool(match and match[1]) is reason
