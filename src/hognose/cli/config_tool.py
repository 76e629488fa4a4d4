"""`hognose config embed|check|directives`, and what `openvpn-config-parser` shares with it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hognose.cli.reference import directive_table
from hognose.config import blockfile
from hognose.config.clients import MAX_FILES
from hognose.config.embed import BLOCK_SIZE, MAX_BLOCK_SIZE, embed
from hognose.config.parser import ReadFile, ReadFolder, parse
from hognose.errors import ConfigError
from hognose.host.status import ExitStatus

NO_AUTHENTICATION = "--really-no-authentication"
USAGE = f"""usage: hognose config embed [{NO_AUTHENTICATION}] [--block-size N] FILE > server.conf.full
       hognose config check [{NO_AUTHENTICATION}] FILE
       hognose config directives"""


def run(words: list[str]) -> int:
    """The exit status: 0, 2 for arguments, 3 for a config error."""
    if words in (["--help"], ["-h"]):
        sys.stdout.write(USAGE + "\n")
        return ExitStatus.OK
    if words == ["directives"]:
        sys.stdout.write(directive_table())
        return ExitStatus.OK
    if words[:1] == ["check"]:
        files = [word for word in words[1:] if word != NO_AUTHENTICATION]
        if len(files) == 1 and not files[0].startswith("-"):
            return check_file(files[0], no_authentication=NO_AUTHENTICATION in words)
    if words[:1] == ["embed"]:
        return embed_words(words[1:], USAGE)
    sys.stderr.write(USAGE + "\n")
    return ExitStatus.ARGUMENTS


def embed_words(words: list[str], usage: str) -> int:
    """The words of USAGE after `embed`: the embedded config on standard output, or nothing and an error."""
    block_size = BLOCK_SIZE
    no_authentication = False
    files: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, separator, value = word.partition("=")
        if option == "--block-size":
            value = value if separator else rest.pop(0) if rest else ""
            if not (value.isascii() and value.isdigit() and len(value) < 6 and 0 < int(value) <= MAX_BLOCK_SIZE):
                sys.stderr.write(f"--block-size {value}: no number from 1 to {MAX_BLOCK_SIZE}\n")
                return ExitStatus.ARGUMENTS
            block_size = int(value)
        elif word == NO_AUTHENTICATION:
            no_authentication = True
        elif word.startswith("-"):
            sys.stderr.write(f"unknown option {word}\n{usage}\n")
            return ExitStatus.ARGUMENTS
        else:
            files.append(word)
    if len(files) != 1:
        sys.stderr.write(usage + "\n")
        return ExitStatus.ARGUMENTS
    return embed_file(files[0], block_size, no_authentication=no_authentication)


def embed_file(path: str, block_size: int, *, no_authentication: bool = False) -> int:
    """The exit status; standard output stays empty unless it is 0."""
    try:
        text, warned = embed(
            _read(path),
            path,
            _reader(path),
            block_size=block_size,
            unix=int(time.time()),
            read_folder=_folder_reader(path),
            allow_no_authentication=no_authentication,
        )
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return ExitStatus.CONFIG
    for warning in warned:
        sys.stderr.write(f"warning: {warning.in_file(path)}\n")
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()
    return ExitStatus.OK


def check_file(path: str, *, no_authentication: bool = False) -> int:
    """Say whether a config, with files or embedded, would be served; no_authentication: by a server told so too."""
    try:
        text = _read(path)
        config, warned = parse(
            text,
            path,
            _reader(path),
            int(time.time()),
            read_folder=_folder_reader(path),
            allow_no_authentication=no_authentication,
        )
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return ExitStatus.CONFIG
    for warning in warned:
        sys.stdout.write(f"warning: {warning.in_file(path)}\n")
    if not blockfile.complete(text.encode()):
        how = "a line was changed; embed the file again, or the server may not take it for complete"
        sys.stdout.write(f"warning: {path}:1: the digest is not that of the text: {how}\n")
    sys.stdout.write(f"{path}: OK, serves tcp port {config.port}\n")
    return ExitStatus.OK


def _read(path: str) -> str:
    """A config file; ConfigError instead of an OSError."""
    try:
        return blockfile.decode(_bounded(Path(path)), path)
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror or error}", file=path) from None


def _reader(config: str) -> ReadFile:
    """Reads files relative to the config's folder."""
    folder = Path(config).parent

    def read_file(path: str) -> str:
        data = _bounded(folder / path)
        if len(data) > blockfile.MAX_BYTES:
            raise OSError(0, f"larger than {blockfile.MAX_BYTES} bytes")
        return data.decode("utf-8")

    return read_file


def _folder_reader(config: str) -> ReadFolder:
    """Reads the files of a directory relative to the config's folder; those with a dot in front are left out."""
    folder = Path(config).parent

    def read_folder(path: str) -> dict[str, str]:
        texts: dict[str, str] = {}
        left = blockfile.MAX_BYTES
        for each in sorted((folder / path).iterdir()):
            if each.name.startswith(".") or not each.is_file():
                continue
            if len(texts) == MAX_FILES:
                raise OSError(0, f"more than {MAX_FILES} files")
            data = _bounded(each)
            left -= len(data)
            if left < 0:
                raise OSError(0, f"its files are larger than {blockfile.MAX_BYTES} bytes together")
            try:
                texts[each.name] = data.decode("utf-8")
            except UnicodeDecodeError:
                raise OSError(0, f"{each.name} is not a text file") from None
        return texts

    return read_folder


def _bounded(path: Path) -> bytes:
    """The bytes of a file, one more than the bound at most."""
    with path.open("rb") as file:
        return file.read(blockfile.MAX_BYTES + 1)
