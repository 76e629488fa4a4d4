"""The heap keeps what it has: the effect, seen from outside the process."""

from __future__ import annotations

import subprocess
import sys

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
