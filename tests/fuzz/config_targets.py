"""Fuzz targets of the config side: text, its embedding, the block device. Only ConfigError is caught."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import sha256
from unittest import mock

from tests.fuzz.reader import Reader
from tests.unit.config.config_samples import BASE, block, config_text, static_key
from tests.world.today import UNIX

from hognose.cli.config_watch import read_text
from hognose.config import blockfile, keys
from hognose.config.directives import DIRECTIVES
from hognose.config.embed import embed
from hognose.config.lexer import lex, quote_word, split_words
from hognose.config.parser import parse
from hognose.errors import ConfigError

NAMES = sorted(DIRECTIVES)
BLOCKS = sorted(name for name, row in DIRECTIVES.items() if row.block)


def _read(path: str) -> str:
    if path.startswith("1"):
        raise FileNotFoundError(2, "No such file or directory")
    return static_key()


@lru_cache(maxsize=1)
def _blocks() -> str:
    return config_text(base="")


# The certificates and the key after the fuzzer's lines are always the same: reading them took most of the time.
_check_identity = lru_cache(maxsize=8)(keys.check_identity)


def config_lines(data: bytes) -> None:
    """Any text through the lexer: words that are quoted are read back as they were."""
    text = data.decode("utf-8", "surrogateescape" if data[:1] == b"\xff" else "replace")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-8", "replace").decode()
    try:
        found = lex(text, "f")
    except ConfigError as error:
        assert str(error).startswith("f")
        return
    for directive in found:
        assert 1 <= directive.line <= directive.last_line <= text.count("\n") + 1
        line = " ".join(quote_word(word) for word in directive.words if "\n" not in word)
        if len(line.encode()) <= 254 and directive.words:
            try:
                again = split_words(line)
            except ConfigError:
                continue
            assert again == [word for word in directive.words if "\n" not in word]


def config_text_target(data: bytes) -> None:
    """A good config with lines of the fuzzer's after it: directives by number, any words, any blocks."""
    reader = Reader(data)
    lines: list[str] = []
    folder = {}
    while reader and len(lines) < 8:
        choice = reader.byte()
        name = NAMES[reader.byte() % len(NAMES)]
        words = reader.piece().decode("utf-8", "replace")
        if choice % 4 == 0:
            lines.append(words)
        elif choice % 4 == 1:
            lines.append(f"{name} {words}")
        elif choice % 4 == 2:
            lines.append(block(BLOCKS[choice % len(BLOCKS)], words))
        else:
            folder[words[:40]] = words
    text = (BASE + "\n".join(lines) + "\n").replace("\0", "") + _blocks()  # as blockfile.decode lets it through
    with mock.patch.object(keys, "check_identity", _check_identity):
        _parse_and_embed(text, folder)


def _parse_and_embed(text: str, folder: dict[str, str]) -> None:
    try:
        _, warned = parse(text, "f", _read, UNIX, read_folder=lambda _: folder)
    except ConfigError as error:
        assert str(error).startswith("f")
        return
    try:
        embedded, told = embed(text, "f", _read, unix=UNIX, read_folder=lambda _: folder)
    except ConfigError as error:
        assert "a bug of this tool" not in str(error)
        return
    assert told == warned
    assert blockfile.decode(embedded.encode(), "f", block_device=True) == embedded
    assert blockfile.complete(embedded.encode())
    assert embed(embedded, "f", _read, unix=UNIX)[0] == embedded


def block_device(data: bytes) -> None:
    """The bytes of the device, and a good config with bytes of the fuzzer's in it; a device that is being written."""
    blockfile.first_mark(data[: blockfile.HEAD_BYTES])
    blockfile.complete(data)
    _written_bit_by_bit(data.decode("utf-8", "replace").replace("\0", ""))
    try:
        text = blockfile.decode(data, "f")
    except ConfigError:
        return
    assert "\0" not in text
    assert data.startswith(text.encode())
    try:
        parse(text, "f")
    except ConfigError:
        pass


def _written_bit_by_bit(body: str) -> None:
    """A device is whole when all of the text is there, and not before; the first look tells what it will be."""
    end = len(body.encode()) + blockfile.marks_bytes(0)
    end = len(body.encode()) + blockfile.marks_bytes(end)
    end = len(body.encode()) + blockfile.marks_bytes(end)
    whole = blockfile.marked(body, end).encode()
    assert len(whole) == end
    mark = blockfile.first_mark(whole)
    assert mark is not None
    begin = whole.index(b"\n") + 1
    for size in (*range(begin, end, max(1, (end - begin) // 7)), end - 1, end):
        for device in (whole[:size], whole[:size] + bytes(64)):
            assert blockfile.complete(device) == (size == end)
            assert blockfile.first_mark(device[: blockfile.HEAD_BYTES]) == mark
    if end > blockfile.MAX_BYTES:
        return
    for device in (whole, whole + bytes(64), whole + bytes(700) + b"of an older text"):
        assert read_text(_Device(device)) == whole  # type: ignore[arg-type]  # a stand-in
        assert blockfile.complete(device)
        assert blockfile.decode(device, "f", block_device=True) == whole.decode()
    before = b"# hognose sha256 " + sha256(body.encode()).hexdigest().encode() + b"\n" + body.encode()
    for device in (before, before + bytes(64), before + bytes(700) + b"of an older text"):
        found = {read_text(_Device(device, size))[: len(before)] for size in (100, 512, 1 << 20)}  # type: ignore[arg-type]  # a stand-in
        assert found == {before}
    assert blockfile.decode(before + bytes(64), "f") == before.decode()


class _Device:
    """A config source that is read in pieces of any size."""

    repeatable = True

    def __init__(self, data: bytes, size: int = 512) -> None:
        self._data = data
        self._size = size

    def head(self) -> bytes:
        return self._data[: blockfile.HEAD_BYTES]

    def first(self, size: int) -> bytes:
        return self._data[:size]

    def pieces(self, _: int) -> Iterator[bytes]:
        for at in range(0, len(self._data), self._size):
            yield self._data[at : at + self._size]
