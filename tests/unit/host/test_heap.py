"""The heap keeps what it has: the effect, seen from outside the process."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from hognose.host.heap import keep_memory

PROGRAM = """
import sys
from hognose.host.heap import keep_memory
if len(sys.argv) > 1:
    keep_memory(512 << 20)
block = bytearray(8 << 20)
del block
with open("/proc/self/maps") as maps:
    for line in maps:
        if line.endswith("[heap]\\n"):
            low, high = (int(part, 16) for part in line.split()[0].split("-"))
            print(high - low)
"""


def heap_size(*words: str) -> int:
    result = subprocess.run([sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, check=True)
    return int(result.stdout)


def test_freed_memory_stays_in_the_heap() -> None:
    assert heap_size("keep") > 8 << 20 > heap_size()


@pytest.mark.parametrize(("memory", "step"), [(2 << 30, 16 << 20), (512 << 20, 16 << 20), (64 << 20, 2 << 20)])
def test_what_the_images_own_heap_is_told(monkeypatch: pytest.MonkeyPatch, memory: int, step: int) -> None:
    """Steps of 1/32 of the memory, 16 MiB at the most; the heap never shrinks (malloc.h: -3, -1, -2)."""
    told: dict[int, int] = {}
    monkeypatch.setitem(sys.modules, "_pid1", SimpleNamespace(mallopt=told.__setitem__))
    keep_memory(memory)
    assert told == {-3: 32 << 20, -1: 1 << 30, -2: step}


def test_a_libc_without_these_settings_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[None] = []

    def lookup(name: None) -> object:
        looked.append(name)
        return object()

    monkeypatch.setitem(sys.modules, "_pid1", None)  # its import fails
    monkeypatch.setattr("ctypes.CDLL", lookup)
    keep_memory(512 << 20)
    monkeypatch.setitem(sys.modules, "ctypes", None)  # likewise
    keep_memory(512 << 20)
    assert looked == [None]
