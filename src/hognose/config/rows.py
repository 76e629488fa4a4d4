"""A row of the directive table: the verdict, its words, and why or what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

INT_MAX = 2_147_483_647
BYTES_MAX = (1 << 63) - 1
Verdict = Literal["honour", "ignore", "reject"]


@dataclass(frozen=True, slots=True)
class Row:
    """honour: takes effect. ignore: a warning says why, its files are not read. reject: the server does not start.

    text: the meaning, why it is ignored, or what to write instead. min_words … max_words count the words after the
    name. file: the first word names a file to embed, or an inline block stands for it. block: an inline block may
    stand for all words. repeatable: more lines add to the first. numbers: least and greatest value of each word, for
    settings that are these numbers; flag: of a setting that the directive's presence switches on (Collected.filled).
    """

    verdict: Verdict
    text: str
    min_words: int = 0
    max_words: int = 32
    file: bool = False
    block: bool = False
    repeatable: bool = False
    numbers: tuple[tuple[int, int], ...] = ()
    flag: bool = False


# Of directives that take part in letting clients in: their removal must not leave a config that lets more in.
CERTIFICATES_DECIDE = "remove the line: every client then needs a certificate"


def honour(text: str, low: int, high: int, *, file: bool = False, block: bool = False, repeatable: bool = False) -> Row:
    """A directive that takes effect, with `low` to `high` words after its name."""
    return Row("honour", text, low, high, file, block or file, repeatable)


def number(text: str, *numbers: tuple[int, int]) -> Row:
    """A directive of one number or more that are settings, each with its least and greatest value."""
    return Row("honour", text, 1, len(numbers), numbers=numbers)


def flag(text: str) -> Row:
    """A directive without words whose presence is a setting."""
    return Row("honour", text, 0, 0, flag=True)


def ignore(text: str) -> Row:
    """A directive without effect here, and why."""
    return Row("ignore", text, repeatable=True)


def reject(text: str) -> Row:
    """A directive whose effect the administrator would miss, and what to write instead."""
    return Row("reject", text)
