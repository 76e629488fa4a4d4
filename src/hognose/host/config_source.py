"""The config's bytes, again and again: a file or block device that stays open from the first read to the end."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

from hognose.errors import DeviceError

CONFIG_MAX_BYTES = 1024 * 1024  # a config device or file larger than this is not ours
HEAD_BYTES = 512  # one sector: the least that a block device gives
_CHUNK = 256 * 1024


class ConfigSource:
    """An open config.

    name stands in front of errors. forget is called with the descriptor before each read: it makes the kernel ask the
    device anew (Linux keeps a block device's sectors in memory). block_device: it is one, whatever the system says of
    its path; one is recognised in any case. DeviceError when the path cannot be opened.
    """

    def __init__(
        self, path: str, name: str, forget: Callable[[int], None] | None = None, *, block_device: bool = False
    ) -> None:
        self._path = path
        self._name = name
        self._forget = forget
        self._fd = self._open()
        self.block_device = block_device or stat.S_ISBLK(os.fstat(self._fd).st_mode)
        self.requested = False  # SIGHUP asked for a check at once, of what the path names now
        self.repeatable = self._seekable()  # a pipe can be read once only

    def request(self) -> None:
        """Ask for a check at once (SIGHUP)."""
        self.requested = True

    def head(self) -> bytes:
        """The first HEAD_BYTES, or what there is; DeviceError."""
        return self._read(0, HEAD_BYTES)

    def first(self, size: int) -> bytes:
        """The first `size` bytes, fewer when it ends before; DeviceError."""
        data = bytearray()
        while len(data) < size and (piece := self._read(len(data), min(_CHUNK, size - len(data)))):
            data += piece
        return bytes(data)

    def whole(self) -> bytes:
        """All of it; DeviceError also for more than CONFIG_MAX_BYTES."""
        return b"".join(self.pieces(_CHUNK))

    def pieces(self, size: int) -> Iterator[bytes]:
        """All of it from the beginning, read as it is taken; DeviceError as for whole."""
        position = 0
        while piece := self._read(position, size):
            position += len(piece)
            if position > CONFIG_MAX_BYTES:
                raise DeviceError(f"{self._name} holds more than {CONFIG_MAX_BYTES} bytes")
            yield piece

    def reopen(self) -> None:
        """Go on with what the path names now; on DeviceError the old one stays open."""
        self.requested = False
        fd = self._open()
        os.close(self._fd)
        self._fd = fd
        self.repeatable = self._seekable()

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise DeviceError(f"{self._name}: {error.strerror}") from None

    def _seekable(self) -> bool:
        try:
            os.lseek(self._fd, 0, os.SEEK_SET)
        except OSError:
            return False
        return True

    def _read(self, position: int, size: int) -> bytes:
        try:
            if not self.repeatable:
                return os.read(self._fd, size)
            if self._forget is not None and position == 0:
                self._forget(self._fd)
            return os.pread(self._fd, size, position)
        except OSError as error:
            raise DeviceError(f"{self._name}: {error.strerror}") from None
