"""Files and devices that an embedded config goes to: replaced as a whole, or rewritten under a running machine.

In place, the order of the writes decides that no half of a text is ever taken: the last sector with its mark first, so
that text without marks has one in it from the first moment on, then the body, at last the first sector, which a server
checks. What is neither the old nor the new text is refused by every server (config/blockfile.py).
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hognose.config import blockfile
from hognose.config.directives import DIRECTIVES
from hognose.config.embed import SECTOR
from hognose.config.lexer import lex
from hognose.errors import ConfigError


def replace_file(path: str, data: bytes) -> None:
    """Write a new file, mode 0600, and give it the name; an old one is there, whole, until then. ConfigError."""
    with _told(path, "write"):
        target = os.path.realpath(path)
        old = os.stat(target) if os.path.exists(target) else None
        if old is not None and not stat.S_ISREG(old.st_mode):
            raise ConfigError("is no file; for a block device write `--update` instead of `-o`", file=path)
        folder = os.path.dirname(target)
        fd, temporary = tempfile.mkstemp(prefix=f".{os.path.basename(target)}.", dir=folder)
        try:
            with open(fd, "wb") as file:
                if old is not None and (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                    _give(fd, old)
                file.write(data)
                file.flush()
                os.fsync(fd)
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def size_of(path: str) -> int:
    """Bytes of a file or block device that a text may fill: whole sectors. ConfigError for anything else."""
    with _told(path, "open"):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return _size(fd, path)
        finally:
            os.close(fd)


def rewrite(path: str, data: bytes) -> None:
    """Write a marked text, whole sectors, over what a file or block device holds; its size stays. ConfigError.

    The bytes after the text become NUL, as far as a server ever reads.
    """
    with _told(path, "write"):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            end = min(_size(fd, path), blockfile.MAX_BYTES)
            if len(data) > end:
                raise ConfigError(f"the device has {end} bytes, the config {len(data)}", file=path)
            if not _is_ours(_read(fd, blockfile.MAX_BYTES)):
                raise ConfigError("holds something else than a config: it is left as it is", file=path)
            last = max(SECTOR, len(data) - SECTOR)
            _write(fd, data[last:], last)
            _write(fd, data[SECTOR:] + bytes(end - len(data)), SECTOR)
            _write(fd, data[:SECTOR], 0)
        finally:
            os.close(fd)


def is_open_to_others(target: str | int) -> bool:
    """True for a file that its group or all may read, and for a block device that all may read."""
    try:
        mode = os.stat(target).st_mode
    except OSError:
        return False
    return bool((stat.S_ISREG(mode) and mode & 0o044) or (stat.S_ISBLK(mode) and mode & 0o004))


def _is_ours(data: bytes) -> bool:
    """True when nothing but a config, whole or half written, or NULs would be overwritten."""
    if not data.strip(b"\0") or blockfile.has_traces(data):
        return True
    try:
        directives = lex(blockfile.decode(data, ""), "")
    except ConfigError:
        return False
    return all(directive.name in DIRECTIVES for directive in directives)


def _size(fd: int, path: str) -> int:
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise ConfigError("is neither a file nor a block device", file=path)
    return os.lseek(fd, 0, os.SEEK_END) // SECTOR * SECTOR


def _read(fd: int, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (piece := os.pread(fd, size - len(data), len(data))):
        data += piece
    return bytes(data)


def _write(fd: int, data: bytes, position: int) -> None:
    """All of it, and on the disk when it returns."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, position)
        view = view[written:]
        position += written
    os.fsync(fd)


def _give(fd: int, old: os.stat_result) -> None:
    """Owner and group of the file that is replaced, where we may."""
    try:
        os.fchown(fd, old.st_uid, old.st_gid)
    except PermissionError:
        pass


@contextmanager
def _told(path: str, what: str) -> Iterator[None]:
    """ConfigError with the path instead of an OSError."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"cannot {what}: {error.strerror or error}", file=path) from None
