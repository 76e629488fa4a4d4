"""Errors that mypy is told to ignore: one kind of error in one line, with the reason after it."""

from __future__ import annotations

import re
import tokenize

import pytest

from .test_layout import FILES, ROOT

IGNORED = re.compile(r"# type: ignore\b")
WHOLE = re.compile(r"# type: ignore\[[a-z-]+(?:, ?[a-z-]+)*\](  # \w.*)?$")


def comments(lines: list[str]) -> list[str]:
    """Comments that have something ignored."""
    tokens = tokenize.generate_tokens(iter([*lines, ""]).__next__)
    return [token.string for token in tokens if token.type == tokenize.COMMENT and IGNORED.match(token.string)]


def test_no_file_and_no_line_is_ignored_as_a_whole_or_without_a_reason() -> None:
    found = []
    for path in FILES:
        if path.suffix == ".py":
            for comment in comments(path.read_text(encoding="utf-8").splitlines(keepends=True)):
                match = WHOLE.match(comment)
                if not match or not match[1]:
                    found.append(f"{path.relative_to(ROOT)}: {comment}")
    assert found == []


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
