"""A row of the directive table: the verdict, its words, and why or what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["honour", "ignore", "reject"]


@dataclass(frozen=True, slots=True)
class Row:
    """honour: takes effect. ignore: a warning says why, its files are not read. reject: the server does not start.

    text: the meaning, why it is ignored, or what to write instead. min_words … max_words count the words after the
    name. file: the first word names a file to embed, or an inline block stands for it. block: an inline block may
    stand for all words. repeatable: more lines add to the first.
    """

    verdict: Verdict
    text: str
    min_words: int = 0
    max_words: int = 32
    file: bool = False
    block: bool = False
    repeatable: bool = False


# Of directives that take part in letting clients in: their removal must not leave a config that lets more in.
CERTIFICATES_DECIDE = "remove the line: every client then needs a certificate"


def honour(text: str, low: int, high: int, *, file: bool = False, block: bool = False, repeatable: bool = False) -> Row:
    """A directive that takes effect, with `low` to `high` words after its name."""
    return Row("honour", text, low, high, file, block or file, repeatable)


def ignore(text: str) -> Row:
    """A directive without effect here, and why."""
    return Row("ignore", text, repeatable=True)


def reject(text: str) -> Row:
    """A directive whose effect the administrator would miss, and what to write instead."""
    return Row("reject", text)
