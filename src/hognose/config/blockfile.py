"""The bytes of the config block device to text: what stands before the first NUL; the rest must be padding."""

from __future__ import annotations

from hognose.errors import ConfigError

MAX_BYTES = 1024 * 1024


def decode(data: bytes, file: str) -> str:
    """Config text. ConfigError for an empty device, a too large one, NULs inside, or bytes that are no text."""
    if len(data) > MAX_BYTES:
        raise ConfigError(f"larger than {MAX_BYTES} bytes: this is no server.conf.full", file=file)
    text, _, padding = data.partition(b"\0")
    if padding.strip(b"\0"):
        raise ConfigError("a NUL byte inside the text: this is no server.conf.full", file=file)
    if not text.strip():
        raise ConfigError("empty: write an embedded config to it (hognose config embed)", file=file)
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise ConfigError("not UTF-8 text: this is no server.conf.full", file=file, line=line) from None
