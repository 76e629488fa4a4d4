"""The bytes of the config block device to text: what stands before the first NUL; the rest must be padding.

The embed tool writes `# hognose sha256 <64 hex digits>` as first line, the digest of all text behind it: a changed
device is told by its first bytes, and one that is still being written by its digest.
"""

from __future__ import annotations

import hashlib
import re

from hognose.errors import ConfigError

MAX_BYTES = 1024 * 1024
HEAD_BYTES = 512
GENERATION = "# hognose sha256 "
_GENERATION = re.compile(re.escape(GENERATION.encode()) + rb"([0-9a-f]{64})\n")
_HOW = "write an embedded config there (hognose config embed)"


def decode(data: bytes, file: str) -> str:
    """Config text. ConfigError for an empty device, a too large one, NULs inside, or bytes that are no text."""
    if len(data) > MAX_BYTES:
        raise ConfigError(f"larger than {MAX_BYTES} bytes: this is no OpenVPN config; {_HOW}", file=file)
    text, _, padding = data.partition(b"\0")
    if padding.strip(b"\0"):
        line = text.count(b"\n") + 1
        raise ConfigError(f"a NUL byte inside the text: this is no OpenVPN config; {_HOW}", file=file, line=line)
    if not text.strip():
        raise ConfigError(f"empty; {_HOW}", file=file)
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise ConfigError(f"not UTF-8 text: this is no OpenVPN config; {_HOW}", file=file, line=line) from None


def generation_line(text: str) -> str:
    """The first line for a text that stands behind it, with its LF."""
    return f"{GENERATION}{hashlib.sha256(text.encode()).hexdigest()}\n"


def generation(head: bytes) -> bytes | None:
    """The digest, 32 bytes, in the first line of a device; None when it says none. head: its first HEAD_BYTES."""
    match = _GENERATION.match(head)
    return bytes.fromhex(match[1].decode()) if match else None


def complete(data: bytes) -> bool:
    """Whether the text behind the first line has the digest that the line says; True when it says none."""
    match = _GENERATION.match(data)
    if match is None:
        return True
    text = data[match.end() :].partition(b"\0")[0]
    return hashlib.sha256(text).hexdigest().encode() == match[1]
