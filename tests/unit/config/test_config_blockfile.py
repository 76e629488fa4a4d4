"""Bytes of the block device to text."""

from __future__ import annotations

import pytest

from hognose.config.blockfile import MAX_BYTES, decode
from hognose.errors import ConfigError


@pytest.mark.parametrize("data", [b"port 1194\n", b"port 1194\n" + bytes(502), b"port 1194\n\0"])
def test_text_ends_at_the_first_nul(data: bytes) -> None:
    assert decode(data, "storage") == "port 1194\n"


def test_the_largest_device() -> None:
    assert decode(b"#" + bytes(MAX_BYTES - 1), "storage") == "#"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "storage: empty"),
        (bytes(512), "storage: empty"),
        (b" \n\n" + bytes(509), "storage: empty"),
        (b"#" * (MAX_BYTES + 1), "storage: larger than 1048576"),
        (b"port 1194\n\0\0dev tun\n", "storage:2: a NUL byte inside"),
        (b"port 1194\n\xff\xfe", "storage:2: not UTF-8"),
        (b"\x7fELF\x02\x01\x01" + b"\xf0" * 100, "storage:1: not UTF-8"),
    ],
)
def test_what_is_no_config(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode(data, "storage")
    assert str(caught.value).startswith(message)
    assert "hognose config embed" in str(caught.value)
