"""Lines of the OpenVPN config language to words with their place (OpenVPN options_parse.c, parse_line).

A word ends at white space; # or ; where a word would begin opens a comment. Single quotes keep everything, in double
quotes a backslash may stand before a quote or a backslash, outside quotes also before white space; anything else
after a backslash is an error, as in OpenVPN. Quotes inside a bare word are part of it. `<name>` alone on a line opens
an inline block up to a line that begins with `</name>`.
Bounds: MAX_LINES lines, MAX_LINE bytes in a line outside blocks, and so in a word, MAX_WORDS words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from hognose.errors import ConfigError

MAX_LINES = 50_000
MAX_LINE = 254  # OPTION_LINE_SIZE less LF and NUL; OPTION_PARM_SIZE, for a word, is as large
MAX_WORDS = 16  # MAX_PARMS
INLINE = "[inline]"
_SPACE = " \t\r\v\f"
_BLOCK_OPEN = re.compile(r"<([A-Za-z][A-Za-z0-9-]*)>$")


@dataclass(frozen=True, slots=True)
class Directive:
    """One directive: its name, its words, the text of its inline block if it has one, its place.

    line is 1-based; the directive reaches to last_line, the closing tag of its block. head is the line of a
    `name [inline] words…` that this block completes, 0 when there is none.
    """

    name: str
    words: tuple[str, ...]
    line: int
    block: str | None = None
    last_line: int = 0
    head: int = 0


def split_lines(text: str) -> list[str]:
    """Lines without their ends, LF or CR LF, without a byte order mark; no other character ends a line."""
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def lex(text: str, file: str, first: int = 1) -> list[Directive]:
    """Directives in order of their lines; first is the number of the first line. ConfigError names file and line."""
    lines = split_lines(text)
    if len(lines) > MAX_LINES:
        raise ConfigError(f"more than {MAX_LINES} lines", file=file)
    found: list[Directive] = []
    index = 0
    while index < len(lines):
        line, number = lines[index], index + first
        index += 1
        line, opened = _split_trailing_block(line)
        words = split_words(line, file, number)
        if len(words) == 1 and (tag := _BLOCK_OPEN.match(words[0])):
            words, opened = [], tag[1]
        if words:
            name = words[0].removeprefix("--")  # as on OpenVPN's command line
            found.append(Directive(name, tuple(words[1:]), number, None, number))
        if opened:
            block, index = _read_block(lines, index, opened, file, number)
            found.append(Directive(opened, (), number, block, index + first - 1))
    return _join_inline(found)


def _split_trailing_block(line: str) -> tuple[str, str]:
    """Split the line `tls-crypt-v2 [inline] force-cookie<tls-crypt-v2>` of the reference system's embed tool."""
    match = _BLOCK_OPEN.search(line.rstrip())
    if match and line.split(maxsplit=2)[:2] == [match[1], INLINE]:
        return line[: match.start()], match[1]
    return line, ""


def _read_block(lines: list[str], index: int, name: str, file: str, opened_at: int) -> tuple[str, int]:
    """Text up to the closing tag, and the index after it (OpenVPN read_inline_file)."""
    start = index
    closing = f"</{name}>"
    while index < len(lines):
        if lines[index].lstrip().startswith(closing):
            return "".join(line + "\n" for line in lines[start:index]), index + 1
        index += 1
    raise ConfigError(
        f"the block is never closed; write {closing} behind it", file=file, line=opened_at, directive=name
    )


def _join_inline(directives: list[Directive]) -> list[Directive]:
    """Join `ca [inline]` and the `<ca>` block after it to one directive; words after [inline] belong to it."""
    joined: list[Directive | None] = []
    heads: dict[str, int] = {}  # name -> place in joined of a head whose block has not come yet
    for directive in directives:
        name, words = directive.name, directive.words
        if directive.block is not None and name in heads:
            place = heads.pop(name)
            head, joined[place] = joined[place], None
            assert head is not None  # a head is taken once
            directive = Directive(name, head.words[1:], directive.line, directive.block, directive.last_line, head.line)
        elif words[:1] == (INLINE,):
            heads[name] = len(joined)
        joined.append(directive)
    return [directive for directive in joined if directive is not None]


def split_words(line: str, file: str = "", number: int = 0) -> list[str]:
    """Words of one line without its comment. ConfigError for an open quote, a bad backslash, too much of anything."""
    if len(line.encode()) > MAX_LINE:
        raise ConfigError(f"the line is longer than {MAX_LINE} bytes", file=file, line=number)
    words: list[str] = []
    index = 0
    while index < len(line):
        char = line[index]
        if char in _SPACE:
            index += 1
            continue
        if char in "#;":
            break
        quote = char if char in "'\"" else ""
        word, index = _read_word(line, index + len(quote), quote, file, number)
        words.append(word)
    if len(words) > MAX_WORDS:
        raise ConfigError(f"more than {MAX_WORDS} words", file=file, line=number)
    return words


def _read_word(line: str, index: int, quote: str, file: str, number: int) -> tuple[str, int]:
    """One word that begins at index, after its quote if it has one; and the index after it."""
    word: list[str] = []
    while index < len(line):
        char = line[index]
        index += 1
        if char == quote or (not quote and char in _SPACE):
            return "".join(word), index
        if char == "\\" and quote != "'":
            char = line[index : index + 1]
            index += 1
            if not (char and char in '\\"' + _SPACE):
                text = "a backslash may only stand before a backslash, a double quote or a space; write \\\\ for one"
                raise ConfigError(text, file=file, line=number)
        word.append(char)
    if quote:
        raise ConfigError(f"a quotation is not closed; write {quote} behind it", file=file, line=number)
    return "".join(word), index


def quote_word(word: str) -> str:
    """A word as the lexer reads it back."""
    if word and not re.search(r"[\s\"'\\#;<]", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
