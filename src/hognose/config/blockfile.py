"""The bytes of the config block device to text: what stands before the first NUL; the rest must be padding."""

from __future__ import annotations

from hognose.errors import ConfigError

MAX_BYTES = 1024 * 1024
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
