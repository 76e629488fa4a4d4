"""The C heap: what was used once stays ours, so that serving makes no memory system calls.

glibc gives the top of its heap back and takes it again, batch by batch; every page of it then costs a fault. On an
interpreter without glibc nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable

from hognose.units import MIB

# malloc.h
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_NEVER = 1 << 30
_MMAP_THRESHOLD_MAX = 32 * MIB  # the largest that glibc accepts


def keep_memory(memory_bytes: int) -> None:
    """From now on the heap grows in steps of 1/32 of the machine's memory (16 MiB at most) and never shrinks."""
    mallopt = _mallopt()
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_MAX)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)
        mallopt(_M_TOP_PAD, min(16 * MIB, memory_bytes // 32))


def _mallopt() -> Callable[[int, int], object] | None:
    try:
        import _pid1  # built into the image's interpreter only

        built_in: Callable[[int, int], object] = _pid1.mallopt
        return built_in
    except ImportError:
        pass
    try:
        import ctypes

        function: Callable[[int, int], object] = ctypes.CDLL(None).mallopt
        return function
    except (ImportError, OSError, AttributeError):
        return None
