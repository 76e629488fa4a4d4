"""`hognose config embed|check|directives`, and what `openvpn-config-parser` shares with it."""

from __future__ import annotations

import sys
from pathlib import Path

from hognose.config.directives import DIRECTIVES, INSTEAD
from hognose.config.embed import BLOCK_SIZE, embed
from hognose.config.lexer import MAX_LINE, MAX_LINES
from hognose.config.parser import ReadFile, parse
from hognose.errors import ConfigError

USAGE = """usage: hognose config embed [--block-size N] FILE > server.conf.full
       hognose config check FILE
       hognose config directives"""
_MAX_BYTES = min(4 * 1024 * 1024, MAX_LINE * MAX_LINES)


def run(words: list[str]) -> int:
    """0, or 3 for a config error, 2 for arguments."""
    if words[:1] == ["directives"] and len(words) == 1:
        sys.stdout.write(directive_table())
        return 0
    if words[:1] == ["check"] and len(words) == 2:
        return check_file(words[1])
    if words[:1] == ["embed"]:
        return embed_words(words[1:])
    sys.stderr.write(USAGE + "\n")
    return 2


def embed_words(words: list[str]) -> int:
    """`[--block-size N] FILE`: the embedded config on standard output, or nothing and an error."""
    block_size = BLOCK_SIZE
    if words[:1] == ["--block-size"] and len(words) > 1:
        if not words[1].isdigit() or not 0 < int(words[1]) <= 65_536:
            sys.stderr.write(f"--block-size {words[1]} is no number from 1 to 65536\n")
            return 2
        block_size = int(words[1])
        words = words[2:]
    if len(words) != 1 or words[0].startswith("--"):
        sys.stderr.write(USAGE + "\n")
        return 2
    try:
        text, warnings = embed(_read(words[0]), words[0], _reader(words[0]), block_size)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    for warning in warnings:
        sys.stderr.write(f"warning: {warning}\n")
    sys.stdout.write(text)
    return 0


def check_file(path: str) -> int:
    """Say whether a config, with files or embedded, would be served."""
    try:
        config, warned = parse(_read(path), path, _reader(path))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    for warning in warned:
        sys.stdout.write(f"warning: {path}:{warning.line}: {warning.directive}: {warning.text}\n")
    sys.stdout.write(f"{path}: good, serves tcp port {config.port}\n")
    return 0


def directive_table() -> str:
    """The directive table as Markdown."""
    lines = ["| directive | | |", "|---|---|---|"]
    lines += [f"| `{name}` | {row.verdict} | {row.text} |" for name, row in sorted(DIRECTIVES.items())]
    lines += [f"| `{name}` | refused | {text} |" for name, text in sorted(INSTEAD.items())]
    return "\n".join(lines) + "\n"


def _read(path: str) -> str:
    """A config file; ConfigError instead of an OSError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{error.strerror}", file=path) from None
    if len(data) > _MAX_BYTES or b"\0" in data.rstrip(b"\0"):
        raise ConfigError("this is no config file", file=path)
    try:
        return data.rstrip(b"\0").decode("utf-8")
    except UnicodeDecodeError:
        raise ConfigError("not UTF-8 text: this is no config file", file=path) from None


def _reader(config: str) -> ReadFile:
    """Reads files relative to the config's folder."""
    folder = Path(config).parent

    def read_file(path: str) -> str:
        return (folder / path).read_text(encoding="utf-8")

    return read_file
