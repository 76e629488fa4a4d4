"""The config's file: read again without opening it, opened again on request."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hognose.errors import DeviceError
from hognose.host.config_source import CONFIG_MAX_BYTES, HEAD_BYTES, ConfigSource


def test_what_is_written_in_place_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"a" * 1000)
    source = ConfigSource(str(path), "config")
    assert (source.head(), source.whole()) == (b"a" * HEAD_BYTES, b"a" * 1000)
    assert source.whole() == b"a" * 1000
    path.write_bytes(b"b" * 300_000)
    assert (source.head(), source.whole()) == (b"b" * HEAD_BYTES, b"b" * 300_000)
    path.write_bytes(b"")
    assert (source.head(), source.whole()) == (b"", b"")


def test_a_replaced_file_is_seen_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"old")
    source = ConfigSource(str(path), "config")
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").rename(path)
    assert source.whole() == b"old"
    source.request()
    assert source.requested
    source.reopen()
    assert (source.requested, source.whole()) == (False, b"new")


def test_a_path_that_is_gone_leaves_the_old_file_open(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"old")
    source = ConfigSource(str(path), "the config")
    path.unlink()
    source.request()
    with pytest.raises(DeviceError, match=r"^the config: No such file or directory$"):
        source.reopen()
    assert (source.requested, source.whole()) == (False, b"old")


def test_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"^x: No such file or directory$"):
        ConfigSource(str(tmp_path / "none"), "x")
    with pytest.raises(DeviceError, match=r"^x: Is a directory$"):
        ConfigSource(str(tmp_path), "x").whole()
    path = tmp_path / "large"
    path.write_bytes(b"#" * (CONFIG_MAX_BYTES + 1))
    with pytest.raises(DeviceError, match=r"^x holds more than 1048576 bytes$"):
        ConfigSource(str(path), "x").whole()
    path.write_bytes(b"#" * CONFIG_MAX_BYTES)
    assert len(ConfigSource(str(path), "x").whole()) == CONFIG_MAX_BYTES


def test_the_cache_is_forgotten_before_each_look(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"a" * 600_000)
    forgotten: list[int] = []
    source = ConfigSource(str(path), "config", forgotten.append)
    source.whole()
    source.head()
    source.head()
    assert len(forgotten) == 3
    assert len(set(forgotten)) == 1


def test_a_cache_that_cannot_be_forgotten_is_an_error_of_the_device(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"a")

    def refuse(fd: int) -> None:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(DeviceError, match=r"^config: Permission denied$"):
        ConfigSource(str(path), "config", refuse).head()


def test_a_pipe_is_read_once() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"text")
    os.close(writing)
    source = ConfigSource(f"/dev/fd/{reading}", "pipe")
    os.close(reading)
    assert not source.repeatable
    assert source.whole() == b"text"


def test_the_first_bytes_as_far_as_there_are_any(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(bytes(range(256)) * 2400)
    source = ConfigSource(str(path), "config")
    for size in (0, 1, 512, 300_000, 614_400, 700_000):
        assert source.first(size) == path.read_bytes()[:size]
    os.truncate(path, 700)  # it shrinks while it is open
    assert source.first(1024) == path.read_bytes()
    os.truncate(path, 0)
    assert source.first(1024) == source.head() == b""
    path.unlink()
    assert source.first(1024) == b""
    with pytest.raises(DeviceError, match=r"^config: No such file or directory$"):
        source.reopen()


def test_what_is_a_block_device(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_bytes(b"text")
    assert not ConfigSource(str(path), "config").block_device
    assert ConfigSource(str(path), "config", block_device=True).block_device
