"""Lines of the OpenVPN config language to words with their place (OpenVPN options_parse.c).

Comments begin with # or ; at the start of a word. Single quotes keep everything, double quotes let an escaped quote or
backslash through, a backslash outside quotes takes the next character literally. `<name>` opens an inline block that
ends with `</name>`. Bounds: MAX_LINES lines, MAX_LINE characters each, MAX_WORDS words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hognose.errors import ConfigError

MAX_LINES = 50_000
MAX_LINE = 4096
MAX_WORDS = 32
_BLOCK_OPEN = re.compile(r"^<([A-Za-z][A-Za-z0-9-]*)>$")


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive: its name, its words, the text of its inline block if it has one, its place."""

    name: str
    words: tuple[str, ...]
    line: int
    block: str | None = None


def lex(text: str, file: str) -> list[Directive]:
    """Directives in order. ConfigError names file and line."""
    lines = text.removeprefix("\ufeff").splitlines()
    if len(lines) > MAX_LINES:
        raise ConfigError(f"more than {MAX_LINES} lines", file=file)
    found: list[Directive] = []
    index = 0
    while index < len(lines):
        line, number = lines[index].strip(), index + 1
        index += 1
        if len(line) > MAX_LINE:
            raise ConfigError(f"the line is longer than {MAX_LINE} characters", file=file, line=number)
        line, opened = _split_trailing_block(line)
        if line:
            opening = _BLOCK_OPEN.match(line)
            if opening:
                block, index = _read_block(lines, index, opening[1], file, number)
                found.append(Directive(opening[1], (), number, block))
                continue
            words = split_words(line, file, number)
            if words:
                found.append(Directive(words[0].removeprefix("--"), tuple(words[1:]), number))
        if opened:
            block, index = _read_block(lines, index, opened, file, number)
            found.append(Directive(opened, (), number, block))
    return _join_inline(found)


def _split_trailing_block(line: str) -> tuple[str, str]:
    """The reference system's embed tool writes `tls-crypt-v2 [inline] force-cookie<tls-crypt-v2>` on one line."""
    match = re.search(r"<([A-Za-z][A-Za-z0-9-]*)>$", line)
    if match and match.start() > 0 and line.startswith(match[1]):
        return line[: match.start()].rstrip(), match[1]
    return line, ""


def _read_block(lines: list[str], index: int, name: str, file: str, opened_at: int) -> tuple[str, int]:
    """Text up to the closing tag, and the index behind it."""
    start = index
    closing = f"</{name}>"
    while index < len(lines):
        if lines[index].strip() == closing:
            return "\n".join(lines[start:index]) + "\n", index + 1
        index += 1
    raise ConfigError(
        f"the block is never closed; write {closing} behind it", file=file, line=opened_at, directive=name
    )


def _join_inline(directives: list[Directive]) -> list[Directive]:
    """`ca [inline]` and its `<ca>` block are one directive; words behind [inline] belong to it."""
    heads = {d.name: d for d in directives if d.block is None and d.words[:1] == ("[inline]",)}
    joined: list[Directive] = []
    for directive in directives:
        if directive.block is not None and directive.name in heads:
            head = heads[directive.name]
            joined.append(Directive(head.name, head.words[1:], directive.line, directive.block))
        elif directive.block is None and directive.words[:1] == ("[inline]",):
            if not any(d.block is not None and d.name == directive.name for d in directives):
                joined.append(directive)
        else:
            joined.append(directive)
    return joined


def split_words(line: str, file: str = "", number: int = 0) -> list[str]:
    """Words of one line without its comment."""
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    escaped = False
    for char in line:
        if escaped:
            word = [*(word or []), char]
            escaped = False
        elif quote:
            if char == quote:
                quote = ""
            elif char == "\\" and quote == '"':
                escaped = True
            else:
                word = [*(word or []), char]
        elif char == "\\":
            escaped = True
        elif char in "'\"":
            quote = char
            word = word or []
        elif char.isspace():
            if word is not None:
                words.append("".join(word))
                word = None
        elif char in "#;" and word is None:
            break
        else:
            word = [*(word or []), char]
    if quote or escaped:
        raise ConfigError("a quote or a backslash is not completed", file=file, line=number)
    if word is not None:
        words.append("".join(word))
    if len(words) > MAX_WORDS:
        raise ConfigError(f"more than {MAX_WORDS} words", file=file, line=number)
    return words


def quote_word(word: str) -> str:
    """A word as the lexer reads it back."""
    if word and not re.search(r"[\s\"'\\#;]", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
