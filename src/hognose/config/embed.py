"""A config with its files to one text without: what the block device carries (server.conf.full).

The output is plain OpenVPN text, padded with comment lines to whole blocks. Embedding it again gives the same bytes.
"""

from __future__ import annotations

from hognose.config.directives import DIRECTIVES
from hognose.config.lexer import Directive, lex, quote_word
from hognose.config.parser import ReadFile, parse
from hognose.errors import ConfigError

BLOCK_SIZE = 512
PADDING = "# padding "


def embed(text: str, file: str, read_file: ReadFile, block_size: int = BLOCK_SIZE) -> tuple[str, list[str]]:
    """(embedded text, warnings); ConfigError when the config is not good."""
    _, warned = parse(text, file, read_file)
    lines: list[str] = []
    for directive in lex(text, file):
        lines += _embedded(directive, file, read_file)
    warnings = [f"{file}:{w.line}: {w.directive}: {w.text}" for w in warned]
    return _padded("\n".join(lines) + "\n", block_size), warnings


def _embedded(directive: Directive, file: str, read_file: ReadFile) -> list[str]:
    """One directive, its file as a block behind it."""
    row = DIRECTIVES[directive.name]
    if row.verdict == "ignore":
        return []  # its file, if any, would be missing where the text goes
    words, block = directive.words, directive.block
    if row.file and block is None:
        try:
            block = read_file(words[0])
        except (OSError, UnicodeDecodeError):
            raise ConfigError(
                f"cannot read {words[0]}", file=file, line=directive.line, directive=directive.name
            ) from None
        words = words[1:]
    if block is None:
        return [" ".join([directive.name, *(quote_word(word) for word in words)])]
    lines = []
    if directive.name == "tls-auth" and words:
        lines.append(f"key-direction {words[0]}")
    body = block.replace("\r\n", "\n").strip("\n")
    return [*lines, f"<{directive.name}>", body, f"</{directive.name}>"]


def _padded(text: str, block_size: int) -> str:
    """Comment lines at the end until the size is a multiple of the block size."""
    missing = -len(text.encode()) % block_size
    if missing == 0:
        return text
    if missing < 2:
        missing += block_size
    lines = []
    while missing:
        size = min(missing, 78)
        if missing - size == 1:
            size -= 1
        lines.append("#" * (size - 1))
        missing -= size
    return text + "\n".join(lines) + "\n"
