"""The system calls of a process that serves: a seccomp filter; no new privileges, no tracer, no core file.

Everything that is not in the list fails with EPERM. What runs here judges hostile bytes: a flaw in it finds no program
to start, no socket to open, no file to write. The list is what `make test` traces (docs/security.md).
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable
from typing import NamedTuple

# System calls of x86-64 that serving makes, each with what makes it.
CALLS: dict[str, tuple[int, str]] = {
    "read": (0, "frames, the config, the power button, signals"),
    "write": (1, "frames, the log"),
    "writev": (20, "frames"),
    "readv": (19, "frames"),
    "poll": (7, "the loop, which waits for all of them"),
    "ppoll": (271, "likewise, of other C libraries"),
    "clock_gettime": (228, "the clocks, where the kernel's page for them is missing"),
    "clock_nanosleep": (230, "a pause while a slow reader takes the log"),
    "restart_syscall": (219, "a wait that a tracer or a stop has interrupted"),
    "pread64": (17, "the look at the config"),
    "lseek": (8, "the whole config, and files of Python"),
    "close": (3, "files that were read"),
    "fstat": (5, "files that are read"),
    "newfstatat": (262, "likewise"),
    "statx": (332, "likewise, of other C libraries"),
    "getdents64": (217, "folders in which Python looks for a module that it loads late"),
    "readlink": (89, "likewise"),
    "pwritev2": (328, "the log, to a terminal that is not to wait"),
    "getrandom": (318, "keys, session ids, sequence numbers"),
    "getpid": (39, "OpenSSL, which asks whether the process was forked"),
    "futex": (202, "locks of OpenSSL and Python"),
    "brk": (12, "memory"),
    "munmap": (11, "memory"),
    "mremap": (25, "memory"),
    "madvise": (28, "memory"),
    "rt_sigaction": (13, "signals, at the end"),
    "rt_sigprocmask": (14, "likewise"),
    "rt_sigreturn": (15, "the end of a signal handler"),
    "sigaltstack": (131, "signals, at the end"),
    "exit_group": (231, "the end"),
}
# Where Python loads shared objects, and not the image, which is one static program.
HOSTED_CALLS: dict[str, tuple[int, str]] = {
    "mmap": (9, "memory; a module of Python that is loaded late maps its program"),
}
# Of a machine that is all ours: its last acts.
MACHINE_CALLS: dict[str, tuple[int, str]] = {
    "sync": (162, "the end of the machine"),
    "reboot": (169, "likewise"),
}


class Ruled(NamedTuple):
    """A system call whose argument decides: without the bits `refused`, or with a value of `allowed`, it passes."""

    number: int
    argument: int
    reason: str
    refused: int = 0
    allowed: tuple[int, ...] = ()


_PROT_EXEC = 4
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
RULED: dict[str, Ruled] = {
    "mmap": Ruled(9, 2, "memory that is no program", _PROT_EXEC),
    "mprotect": Ruled(10, 2, "memory, likewise", _PROT_EXEC),
    "openat": Ruled(257, 2, "the config and modules of Python, to read", _WRITING),
    "ioctl": Ruled(
        16,
        1,
        "BLKFLSBUF: the look at the config; TCGETS: files of Python; TIOCGPGRP: the log on a terminal",
        allowed=(0x1261, 0x5401, 0x540F),
    ),
}  # fmt: skip

# linux/bpf_common.h, linux/seccomp.h, linux/audit.h: struct sock_filter {code, jump if true, jump if false, k}
_FILTER = struct.Struct("=HBBI")
_LOAD, _IS, _HAS, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_X86_64 = 0xC000003E
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001

# linux/prctl.h
_PRCTL = 157
_SET_DUMPABLE, _SET_SECCOMP, _SET_NO_NEW_PRIVS = 4, 22, 38
_MODE_FILTER = 2
_PROGRAM = struct.Struct("=H6xQ")  # struct sock_fprog: number of lines, their address


def program(*, machine: bool) -> bytes:
    """The filter as an array of struct sock_filter, 8 bytes each; machine: with MACHINE_CALLS, not HOSTED_CALLS."""
    lines = [(_LOAD, 0, 0, _ARCH_AT), (_IS, 1, 0, _X86_64), (_RETURN, 0, 0, _EPERM), (_LOAD, 0, 0, _NUMBER_AT)]
    for number, _ in (*CALLS.values(), *(MACHINE_CALLS if machine else HOSTED_CALLS).values()):
        lines += [(_IS, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for ruled in RULED.values():
        verdict = [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * ruled.argument)]
        if ruled.refused:
            verdict += [(_HAS, 0, 1, ruled.refused), (_RETURN, 0, 0, _EPERM)]
        for value in ruled.allowed:
            verdict += [(_IS, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
        verdict.append((_RETURN, 0, 0, _EPERM if ruled.allowed else _ALLOW))
        lines += [(_IS, 0, len(verdict), ruled.number), *verdict]
    lines.append((_RETURN, 0, 0, _EPERM))
    return b"".join(_FILTER.pack(*line) for line in lines)


def confine_with(syscall: Callable[..., int], *, machine: bool) -> None:
    """Confine this process, by `syscall(number, *arguments)`, whose arguments are ints, or bytes as pointers.

    OSError when the kernel cannot; nothing is undone then.
    """
    lines = array("B", program(machine=machine))
    address, size = lines.buffer_info()
    told = _PROGRAM.pack(size // _FILTER.size, address)
    syscall(_PRCTL, _SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    syscall(_PRCTL, _SET_DUMPABLE, 0, 0, 0, 0)
    syscall(_PRCTL, _SET_SECCOMP, _MODE_FILTER, told, 0, 0)


def confine() -> str:
    """Confine this process of a machine that is not ours; `yes`, or why it is not confined, as one word.

    A kernel without seccomp, or of another processor, serves as well: it is said in the log.
    """
    if os.uname().machine != "x86_64":
        return "other_processor"
    try:
        confine_with(_raw_syscall(), machine=False)
    except (ImportError, OSError, AttributeError):
        return "no_seccomp"
    return "yes"


def _raw_syscall() -> Callable[..., int]:
    try:
        import _pid1  # built into the image's interpreter, which is static and has no symbols to look up

        built_in: Callable[..., int] = _pid1.syscall
        return built_in
    except ImportError:
        return _libc_syscall


def _libc_syscall(number: int, *arguments: int | bytes) -> int:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    words = [one if isinstance(one, bytes) else ctypes.c_long(one) for one in arguments]
    result: int = libc.syscall(ctypes.c_long(number), *words)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
