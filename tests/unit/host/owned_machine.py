"""The files and system calls of a machine that is all ours, under a folder: what PID 1 finds, and what it does there.

Takes the place of `os` and `open` in a module under test; no path leads out of the folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import IO, Any

import pytest


class OwnedMachine:
    """Absolute paths are those of the folder; device nodes and calls of `_pid1` are kept, and made by nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[tuple[int | bytes, ...]] = []
        self.nodes: list[tuple[str, int, int]] = []
        self.mounted: set[str] = set()
        self.errors: dict[int, OSError] = {}  # of a system call, by its number
        self.path = SimpleNamespace(exists=self._exists, ismount=self.mounted.__contains__)

    def under(self, patch: pytest.MonkeyPatch, *modules: ModuleType) -> OwnedMachine:
        """These modules see this machine, and `import _pid1` has its calls."""
        for module in modules:
            patch.setattr(module, "os", self)
            patch.setattr(module, "open", self.open_file, raising=False)
        self.built_in = SimpleNamespace(syscall=self._syscall)
        patch.setitem(sys.modules, "_pid1", self.built_in)
        return self

    def put(self, path: str, text: str = "") -> Path:
        """A file and the folders above it."""
        file = self._at(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def text(self, path: str) -> str:
        """Content of a file."""
        return self._at(path).read_text()

    def _at(self, path: str) -> Path:
        assert path.startswith("/")
        return self.root / path[1:]

    def __getattr__(self, name: str) -> Any:
        assert name in ("O_RDONLY", "O_WRONLY", "O_NONBLOCK", "O_CLOEXEC", "makedev", "read", "write"), (
            f"os.{name} has no stand-in"
        )
        return getattr(os, name)

    def _exists(self, path: str) -> bool:
        return self._at(path).exists()

    def open_file(self, path: str, mode: str = "r", encoding: str = "") -> IO[str]:
        """A file that is there already, as those of /proc and /sys are."""
        if not self._at(path).exists():
            raise FileNotFoundError(2, "No such file or directory", path)
        return self._at(path).open(mode, encoding=encoding)

    def makedirs(self, path: str, *, exist_ok: bool) -> None:
        self._at(path).mkdir(parents=True, exist_ok=exist_ok)

    def listdir(self, path: str) -> list[str]:
        return os.listdir(self._at(path))

    def open(self, path: str, flags: int) -> int:
        return os.open(self._at(path), flags)

    def unlink(self, path: str) -> None:
        self._at(path).unlink()

    def mknod(self, path: str, mode: int, device: int) -> None:
        self.nodes.append((path, mode, device))
        self._at(path).touch(exist_ok=False)

    def _syscall(self, *words: int | bytes) -> int:
        self.calls.append(words)
        if words[0] in self.errors:
            raise self.errors[int(words[0])]
        return 0
