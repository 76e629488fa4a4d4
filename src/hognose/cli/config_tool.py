"""`hognose config embed|check|directives`, and what `openvpn-config-parser` shares with it."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hognose.cli import config_output
from hognose.cli.reference import directive_table
from hognose.config import blockfile
from hognose.config.clients import MAX_FILES
from hognose.config.embed import BLOCK_SIZE, SECTOR, embed
from hognose.config.parser import ReadFile, ReadFolder, parse
from hognose.errors import ConfigError
from hognose.host.status import ExitStatus
from hognose.units import KIB, MIB

NO_AUTHENTICATION = "--really-no-authentication"
EMBED_OPTIONS = f"[{NO_AUTHENTICATION}] [--block-size SIZE] [-o FILE | --update FILE]"
USAGE = f"""usage: hognose config embed {EMBED_OPTIONS} CONFIG
       hognose config check [{NO_AUTHENTICATION}] CONFIG
       hognose config directives
  -o FILE                    write it to a file, which only its owner may read, and replace an old one as a whole
  --update FILE              write it over the one on a block device, or in a file, of a running machine
  --block-size SIZE          at least so large, 64K when absent; twice that when it is three quarters full
without -o and --update it goes to standard output"""

_UNITS = {"K": KIB, "M": MIB}
_PRIVATE = "it holds the private key, and others may read it: chmod 600"


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


@dataclass(slots=True)
class _Output:
    """The words of `embed`; file: of -o, device: of --update, "" for absent."""

    block_size: int = BLOCK_SIZE
    file: str = ""
    device: str = ""
    no_authentication: bool = False


def embed_words(words: list[str], usage: str) -> int:
    """Run the words of USAGE after `embed`: write the embedded config where they say, or print an error."""
    output = _Output()
    configs: list[str] = []
    given: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, separator, value = word.partition("=")
        if option in ("--block-size", "-o", "--update"):
            given[option] = value if separator else rest.pop(0) if rest else ""
        elif word == NO_AUTHENTICATION:
            output.no_authentication = True
        elif word.startswith("-"):
            return _wrong(f"unknown option {word}\n{usage}")
        else:
            configs.append(word)
    if len(configs) != 1:
        return _wrong(usage)
    if "--block-size" in given:
        size = _bytes(given["--block-size"])
        if not size:
            most = blockfile.MAX_BYTES // MIB
            return _wrong(f"--block-size {given['--block-size']}: no multiple of {SECTOR} up to {most}M, such as 64K")
        output.block_size = size
    for option in ("-o", "--update"):
        if option in given and not given[option]:
            return _wrong(f"{option} needs a file\n{usage}")
    if "--update" in given and len(given) > 1:
        return _wrong("--update keeps the size and place of what is there: without -o and --block-size")
    output.file, output.device = given.get("-o", ""), given.get("--update", "")
    return embed_file(configs[0], output)


def _wrong(text: str) -> int:
    sys.stderr.write(f"{text}\n")
    return ExitStatus.ARGUMENTS


def _bytes(text: str) -> int:
    """A size like 65536, 64K or 1M; 0 for what is none that an embedded config may have."""
    unit = _UNITS.get(text[-1:].upper(), 0)
    digits = text[:-1] if unit else text
    if not (digits.isascii() and digits.isdigit() and len(digits) < 8):
        return 0
    size = int(digits) * (unit or 1)
    return size if size % SECTOR == 0 and size <= blockfile.MAX_BYTES else 0


def embed_file(path: str, output: _Output) -> int:
    """The exit status; nothing is written unless it is 0."""
    try:
        given, changed = blockfile.decode_to_embed(_read(path), path)
        if output.file and _is_same(path, output.file) and not blockfile.has_traces(given.encode()):
            raise ConfigError("is the config itself; write another name after `-o`", file=output.file)
        text, warned = embed(
            given,
            path,
            _reader(path),
            block_size=output.block_size,
            device_size=config_output.size_of(output.device) if output.device else 0,
            unix=int(time.time()),
            read_folder=_folder_reader(path),
            allow_no_authentication=output.no_authentication,
        )
        if output.file:
            config_output.replace_file(output.file, text.encode())
        elif output.device:
            config_output.rewrite(output.device, text.encode())
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return ExitStatus.CONFIG
    if changed:
        sys.stderr.write(f"warning: {path}: was changed by hand after it was embedded; embedded as it is now\n")
    for warning in warned:
        sys.stderr.write(f"warning: {warning.in_file(path)}\n")
    target = output.file or output.device
    if config_output.is_open_to_others(target or _standard_output()):
        sys.stderr.write(f"warning: {target or 'standard output'}: {_PRIVATE}\n")
    if not target:
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
    return ExitStatus.OK


def _is_same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _standard_output() -> int:
    """Its descriptor; -1 when there is none."""
    try:
        return sys.stdout.fileno()
    except (OSError, ValueError):
        return -1


def check_file(path: str, *, no_authentication: bool = False) -> int:
    """Print whether a config, with files or embedded, would be served; no_authentication: as with that option."""
    try:
        config, warned = parse(
            blockfile.decode(_read(path), path, block_device=Path(path).is_block_device()),
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
    served = ", ".join(f"{one.proto} port {one.port}" for one in config.network.listeners)
    sys.stdout.write(f"{path}: OK, serves {served}\n")
    return ExitStatus.OK


def _read(path: str) -> bytes:
    """A config file; ConfigError instead of an OSError."""
    try:
        return _bounded(Path(path))
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror or error}", file=path) from None


def _reader(config: str) -> ReadFile:
    """Reads files relative to the config's folder."""
    folder = Path(config).parent

    def read_file(path: str) -> str:
        data = _bounded(folder / path)
        if len(data) > blockfile.MAX_BYTES:
            size = (folder / path).stat().st_size
            told = f"{size} bytes, " if size else ""
            raise OSError(0, f"{told}larger than {blockfile.MAX_BYTES} bytes")
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
