"""The marks of an embedded config, and the bytes of its block device to text: cut short or altered it is refused.

The embed tool writes the first line `# hognose sha256 DIGEST length N` and the last line, the same with ` end` after
it. DIGEST is SHA-256 in 64 hex digits of all that stands between the two lines, N the size of the text with both, in
bytes. A text with one of the marks, or with a trace of one, must have both, and both must be true. Hognose 0.1 wrote a
first line without length and no last one: DIGEST is of all text after that line. The rest of the device is not read
when the marks say where the text ends; else it must be NUL.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

from hognose.errors import ConfigError

MAX_BYTES = 1024 * 1024
HEAD_BYTES = 512  # one sector: holds the first mark
_BEGINNING = "# hognose sha256 "
_FIRST = re.compile(rb"# hognose sha256 ([0-9a-f]{64})(?: length ([1-9][0-9]{0,7}))?\n")
_LAST = re.compile(rb"# hognose sha256 ([0-9a-f]{64}) length ([1-9][0-9]{0,7}) end\n\Z")
_LAST_BYTES = 128  # more than a last mark is long
# Damage to one byte of a mark leaves two of the words and half of the digits, or makes a line that is no directive.
_WORDS = re.compile(rb"hognose|sha256|length [0-9]")
_DIGITS = re.compile(rb"[0-9a-f]{24}")
_INSIDE = re.compile(rb"hognose sha256 [0-9a-f]{16}")
_HOW = "write an embedded config there (hognose config embed)"
_MISMATCH = "does not match its marks: half written, or changed by hand"


@dataclass(frozen=True, slots=True)
class Mark:
    """The content of the first or the last line; length in bytes, 0 in a first line of Hognose 0.1."""

    digest: bytes
    length: int


def first_mark(head: bytes) -> Mark | None:
    """The mark in the first line; head: the first HEAD_BYTES of a device, or more."""
    return _mark(_FIRST.match(head))


def marked(body: str, length: int) -> str:
    """A text between its marks; it is `length` bytes long when marks_bytes(length) are added to the body's."""
    line = _line(Mark(sha256(body.encode()).digest(), length))
    return f"{line}\n{body}{line} end\n"


def marks_bytes(length: int) -> int:
    """Size of both marks of a text of that length, in bytes."""
    return len(marked("", length))


def unmarked(lines: list[str]) -> list[str]:
    """A text's lines without a first mark (of any version), and without the last mark with the padding before it."""
    if lines and _FIRST.match(lines[0].encode() + b"\n"):
        lines = lines[1:]
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].startswith(_BEGINNING) and _LAST.match(lines[index].encode() + b"\n"):
            return without_padding(lines[:index]) + lines[index + 1 :]
    return lines


def without_padding(lines: list[str]) -> list[str]:
    """Lines without those of # alone, and empty ones, at their end."""
    end = len(lines)
    while end and not lines[end - 1].strip("#"):
        end -= 1
    return lines[:end]


def decode(data: bytes, file: str, *, block_device: bool = False) -> str:
    """Config text without a doubt about its end. ConfigError, with `file`, for anything else.

    data: the bytes from the beginning, as far as the marks say or all there are. block_device: a text without marks
    must end with LF. ConfigError also for an empty device, a too large one, NULs inside, and bytes that are no text.
    """
    mark = first_mark(data)
    if mark is not None:
        return _utf8(_between_marks(data, mark, file), file)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"larger than {MAX_BYTES} bytes: this is no OpenVPN config; {_HOW}", file=file)
    text, _, padding = data.partition(b"\0")
    if padding.strip(b"\0"):
        line = text.count(b"\n") + 1
        raise ConfigError(f"a NUL byte inside the text: this is no OpenVPN config; {_HOW}", file=file, line=line)
    if not text.strip():
        raise ConfigError(f"empty; {_HOW}", file=file)
    if has_traces(text):
        raise _mismatch(file)
    if block_device and not text.endswith(b"\n"):
        raise ConfigError(f"the last line has no end: the text may be cut short; {_HOW}", file=file)
    return _utf8(text, file)


def decode_to_embed(data: bytes, file: str) -> tuple[str, bool]:
    """Text to embed again, and True when it was changed by hand: between marks that agree with each other it may be.

    ConfigError, with `file`, as of `decode`, and for text with damaged marks.
    """
    try:
        return decode(data, file), False
    except ConfigError as error:
        text = data.partition(b"\0")[0]
        mark = first_mark(text)
        if mark is not None and mark.length and f"\n{_line(mark)} end\n".encode() in text:
            return _utf8(text, file), True
        if not error.message.startswith(_MISMATCH):
            raise
        how = "embed the server.conf that it was made of, or take its marks away if the text is whole"
        raise ConfigError(f"{_MISMATCH}; {how}", file=file) from None


def complete(data: bytes) -> bool:
    """True for a text whose first mark, and what it calls for, is true; False without a mark."""
    mark = first_mark(data)
    if mark is None:
        return False
    try:
        _between_marks(data, mark, "")
    except ConfigError:
        return False
    return True


def has_traces(text: bytes) -> bool:
    """True when a mark, or what damage leaves of one in the first or last line, stands in a text."""
    first, last = text.lstrip(b"\n").partition(b"\n")[0], text.rstrip(b"\n").rpartition(b"\n")[2]
    return _INSIDE.search(text) is not None or any(
        _WORDS.search(line) is not None and _DIGITS.search(line) is not None for line in (first, last)
    )


def _between_marks(data: bytes, mark: Mark, file: str) -> bytes:
    """The text with its marks; ConfigError when one of them is missing or untrue."""
    begin = data.index(b"\n") + 1
    if not mark.length:
        text, _, padding = data.partition(b"\0")
        if padding.strip(b"\0") or sha256(text[begin:]).digest() != mark.digest:
            raise _mismatch(file)
        return text
    if mark.length > MAX_BYTES:
        raise _mismatch(file)
    text = data[: mark.length]
    found = _LAST.search(text, max(begin, len(text) - _LAST_BYTES))
    last = _mark(found)
    if len(data) < mark.length and _LAST.search(data.rstrip(b"\0")[-_LAST_BYTES:]) is None:
        raise ConfigError(f"the device has {len(data)} bytes, the config {mark.length}", file=file)
    if found is None or last != mark or len(text) != mark.length or b"\0" in text:
        raise _mismatch(file)
    if sha256(text[begin : found.start()]).digest() != mark.digest:
        raise _mismatch(file)
    return text


def _line(mark: Mark) -> str:
    return f"{_BEGINNING}{mark.digest.hex()} length {mark.length}"


def _mark(found: re.Match[bytes] | None) -> Mark | None:
    return None if found is None else Mark(bytes.fromhex(found[1].decode()), int(found[2] or 0))


def _mismatch(file: str) -> ConfigError:
    return ConfigError(f"{_MISMATCH}: embed it again", file=file)


def _utf8(text: bytes, file: str) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise ConfigError(f"not UTF-8 text: this is no OpenVPN config; {_HOW}", file=file, line=line) from None
