"""The directives of one config, counted and sorted by name, and what every check of them needs: place, file, number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from hognose.address import Address, parse_ipv4
from hognose.config.directives import DIRECTIVES, SILENT
from hognose.config.lexer import INLINE, Directive, split_lines
from hognose.config.model import Warned
from hognose.config.pushed import PushedOption
from hognose.config.rows import Row
from hognose.errors import ConfigError
from hognose.settings import directive_of, value_word

ReadFile = Callable[[str], str]
ReadFolder = Callable[[str], Mapping[str, str]]
_T = TypeVar("_T")
SERVER_EXAMPLE = "server 10.8.0.0 255.255.255.0"


def resolve(directives: list[Directive]) -> list[Directive]:
    """With `setenv opt DIRECTIVE …` replaced by DIRECTIVE (OpenVPN options.c, add_option)."""
    return [
        Directive(each.words[1], each.words[2:], each.line, None, each.last_line)
        if each.name == "setenv" and each.words[:1] == ("opt",) and len(each.words) > 1
        else each
        for each in directives
    ]


class Collected:
    """Takes the directives of a config one by one; the checks then ask for them by name and add warnings.

    read_file and read_folder: what a file or directory named in the config holds, None where all must be embedded.
    """

    def __init__(self, file: str, read_file: ReadFile | None = None, read_folder: ReadFolder | None = None) -> None:
        self.file = file
        self.warned: list[Warned] = []
        self.pushed: list[PushedOption] = []  # of all clients and of single ones
        self._read_file = read_file
        self._read_folder = read_folder
        self._found: dict[str, list[Directive]] = {}
        self._ignorable: set[str] = set()
        self._forward_compatible = False

    def take(self, directives: list[Directive]) -> None:
        """All directives of the config. ConfigError for one that is unknown, refused, or has too few or many words."""
        for directive in directives:
            self._note_tolerance(directive)
        for directive in resolve(directives):
            self._take(directive)

    def _note_tolerance(self, directive: Directive) -> None:
        words = directive.words
        if directive.name == "ignore-unknown-option":
            self._ignorable.update(words)
        elif directive.name == "setenv" and words[:1] == ("opt",):
            self._ignorable.update(words[1:2])
        elif directive.name == "setenv" and words == ("FORWARD_COMPATIBLE", "1"):
            self._forward_compatible = True

    def _take(self, directive: Directive) -> None:
        name = directive.name
        row = DIRECTIVES.get(name)
        if row is None:
            if not (name in self._ignorable or self._forward_compatible):
                raise self.error(directive, f"no directive of OpenVPN{_hint(name)}")
            self.warn(directive, "ignored: no directive of OpenVPN")
        elif row.verdict == "reject":
            raise self.error(directive, row.text)
        elif row.verdict == "ignore":
            if (name, *directive.words) not in SILENT:
                self.warn(directive, f"ignored: {row.text}")
        elif name == "setenv":
            if directive.words != ("FORWARD_COMPATIBLE", "1"):
                self.warn(directive, "ignored: no script is ever run")
        else:
            self._check_count(directive, row)
            self._keep(directive, row)

    def _keep(self, directive: Directive, row: Row) -> None:
        before = self._found.setdefault(directive.name, [])
        if before and not row.repeatable:
            if (before[0].words, before[0].block) != (directive.words, directive.block):
                raise self.error(directive, f"given twice, first in line {before[0].line}; keep one")
            return
        before.append(directive)

    def _check_count(self, directive: Directive, row: Row) -> None:
        """ConfigError for too few or many words; a block stands for the file's name, only where a file is wanted."""
        if directive.block is not None and not row.block:
            raise self.error(directive, f"is no block; write `{directive.name} …` on one line ({row.text})")
        count = len(directive.words) + (directive.block is not None)
        if directive.name == "server" and len(directive.words) == 1:  # a mistake in a widely read handbook
            other = f"for the server's certificate write `cert {directive.words[0]}`"
            raise self.error(directive, f"the netmask is missing; write `{SERVER_EXAMPLE}`; {other}")
        if not row.min_words <= count <= row.max_words:
            want = f"{row.min_words}" if row.min_words == row.max_words else f"{row.min_words} to {row.max_words}"
            raise self.error(directive, f"takes {want} word(s), {count} given ({row.text})")

    # -- asking ----------------------------------------------------------------------------------------------------

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def get(self, name: str) -> Directive | None:
        """The directive, None when it is absent."""
        found = self._found.get(name)
        return found[0] if found else None

    def every(self, name: str) -> list[Directive]:
        """All lines of a directive that may be repeated."""
        return self._found.get(name, [])

    def need(self, name: str, example: str) -> Directive:
        """The directive; ConfigError with what to write when it is absent."""
        directive = self.get(name)
        if directive is None:
            raise ConfigError(f"missing; write `{example}`", file=self.file, directive=name)
        return directive

    def number(self, name: str, default: int, low: int, high: int, *, at: int = 0) -> int:
        """The word `at` of a directive as a number in a range; default when the directive or the word is absent."""
        directive = self.get(name)
        if directive is None or len(directive.words) <= at:
            return default
        return self.word_number(directive, directive.words[at], low, high)

    def word_number(self, directive: Directive, word: str, low: int, high: int) -> int:
        """A word as a decimal number; ConfigError unless it is one in the range."""
        if not (word.isascii() and word.isdigit() and len(word) < 20 and low <= int(word) <= high):
            raise self.error(directive, f"`{word}` is no number from {low} to {high}")
        return int(word)

    def filled(self, group: _T) -> _T:
        """A group of settings with those that are one number or none in the directive table (rows.number, rows.flag).

        A value of the group that its directive does not give stays as it is. ConfigError for a word that is no number
        in its range.
        """
        given: dict[str, Any] = {}
        for each in fields(group):  # type: ignore[arg-type]  # every group is a dataclass
            name, at = directive_of(each), value_word(each)
            row = DIRECTIVES.get(name)
            if row is None or name not in self:
                continue
            if row.flag:
                given[each.name] = True
            elif at < len(row.numbers):
                low, high = row.numbers[at]
                given[each.name] = self.number(name, getattr(group, each.name), low, high, at=at)
        return replace(group, **given)  # type: ignore[type-var]  # of the same class

    def address(self, directive: Directive, word: str, example: str) -> Address:
        """A word as an IPv4 address; ConfigError with the example for any other word."""
        try:
            return parse_ipv4(word)
        except ValueError:
            raise self.error(directive, f"`{word}` is no IPv4 address; write `{example}`") from None

    def choice(self, name: str, default: str, values: tuple[str, ...]) -> str:
        """The first word, default when there is none; ConfigError unless it is one of the values."""
        directive = self.get(name)
        if directive is None or not directive.words:
            return default
        if directive.words[0] not in values:
            good = " or ".join(f"`{name} {value}`" for value in values)
            raise self.error(directive, f"`{directive.words[0]}` is not supported; write {good}")
        return directive.words[0]

    def text(self, directive: Directive) -> str:
        """The text of a directive's block or file, lines ended by LF.

        ConfigError for a file that is not embedded, that cannot be read, or whose text cannot be embedded.
        """
        text = directive.block
        if text is None:
            text = self._read(directive)
            if "\0" in text or f"</{directive.name}>" in text:
                raise self.error(directive, f"{directive.words[0]} is not a text file that can be embedded")
        return "\n".join(split_lines(text.rstrip("\r\n"))) + "\n"

    def _read(self, directive: Directive) -> str:
        path = self.path(directive)
        if self._read_file is None:
            raise self._not_embedded(directive, f"the file {path}")
        try:
            return self._read_file(path)
        except (OSError, UnicodeDecodeError) as error:
            raise self.error(directive, f"cannot read {path}: {reason(error)}") from None

    def path(self, directive: Directive) -> str:
        """The file's name; ConfigError for [inline] whose block is not there."""
        if directive.words[0] == INLINE:
            raise self.error(directive, f"its block is missing; write <{directive.name}> … </{directive.name}>")
        return directive.words[0]

    def is_absent(self, directive: Directive) -> bool:
        """True when a directive's file cannot be had because there is none, or no files at all."""
        if directive.block is not None:
            return False
        path = self.path(directive)
        if self._read_file is None:
            return True
        try:
            self._read_file(path)
        except FileNotFoundError:
            return True
        except (OSError, UnicodeDecodeError):
            return False
        return False

    def folder(self, directive: Directive) -> Mapping[str, str]:
        """The files of the directory that a directive names, by their names. ConfigError when it cannot be read."""
        path = self.path(directive)
        if self._read_folder is None:
            raise self._not_embedded(directive, f"the directory {path}")
        try:
            return self._read_folder(path)
        except (OSError, UnicodeDecodeError) as error:
            raise self.error(directive, f"cannot read {path}: {reason(error)}") from None

    # -- telling ---------------------------------------------------------------------------------------------------

    def _not_embedded(self, directive: Directive, what: str) -> ConfigError:
        return self.error(directive, f"{what} is not embedded; make the config with `hognose config embed`")

    def warn(self, directive: Directive, text: str) -> None:
        """A warning with the directive's place."""
        self.warned.append(Warned(directive.line, directive.name, text))

    def error(self, directive: Directive, message: str) -> ConfigError:
        """The error to raise, with the directive's place."""
        return ConfigError(message, file=self.file, line=directive.line, directive=directive.name)


def reason(error: OSError | UnicodeDecodeError) -> str:
    """The reason why something cannot be read, without a path."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else "not a text file"


def _hint(name: str) -> str:
    close = get_close_matches(name[:64], DIRECTIVES, 1, 0.7)
    return f"; did you mean {close[0]}?" if close else ""
