"""Abilities of a confined process. The kernel judges: the rows run in a process that is confined."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from types import SimpleNamespace

import pytest

from hognose.host import confinement

# Expressions with the outcome of each, hosted and on a machine of ours.
REFUSED, DONE = "PermissionError", "done"
ROWS: dict[str, tuple[str, str]] = {
    "os.fork()": (REFUSED, REFUSED),
    "os.execv('/bin/true', ['true'])": (REFUSED, REFUSED),
    "os.posix_spawn('/bin/true', ['true'], {})": (REFUSED, REFUSED),
    "socket.socket()": (REFUSED, REFUSED),
    "os.kill(1, 0)": (REFUSED, REFUSED),
    "os.open('/dev/null', os.O_WRONLY)": (REFUSED, REFUSED),
    "os.open('/dev/null', os.O_RDWR)": (REFUSED, REFUSED),
    "os.open('/tmp/a_file_that_is_not_there', os.O_RDONLY | os.O_CREAT)": (REFUSED, REFUSED),
    "os.unlink('/tmp/a_file_that_is_not_there')": (REFUSED, REFUSED),
    "os.setuid(0)": (REFUSED, REFUSED),
    "fcntl.ioctl(0, 0x5413, bytes(8))": (REFUSED, REFUSED),  # TIOCGWINSZ
    "mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC)": (DONE, REFUSED),
    "os.open('/dev/null', os.O_RDONLY)": (DONE, DONE),
    "os.fstat(0)": (DONE, DONE),
    "os.urandom(32)": (DONE, DONE),
    "os.read(0, 1)": (DONE, DONE),
    "os.write(2, b'')": (DONE, DONE),
    "select.poll().poll(0)": (DONE, DONE),
    "time.sleep(0.001)": (DONE, DONE),  # the call itself is what is tried
    "bytearray(50_000_000)": (DONE, DONE),
    "mmap.mmap(-1, 4096)": (DONE, DONE),
    "hashlib.sha256(b'').digest()": (DONE, DONE),
    "open('/proc/self/status').read().index('NoNewPrivs:\\t1')": (DONE, DONE),
    "open('/proc/self/status').read().index('Seccomp:\\t2')": (DONE, DONE),
}
SCRIPT = """
import fcntl, hashlib, mmap, os, select, socket, sys, time
from hognose.host import confinement
program = confinement.program
confinement.program = lambda *, machine: program(machine={machine})
print("answer", confinement.confine())
for row in {rows!r}:
    try:
        eval(row)
        print("done")
    except Exception as error:
        print(type(error).__name__)
"""


@cache
def outcomes(machine: bool) -> list[str]:
    script = SCRIPT.format(machine=machine, rows=list(ROWS))
    command = [sys.executable, "-c", script]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("machine", [False, True])
def test_what_a_confined_process_can_do(row: str, machine: bool) -> None:
    assert outcomes(machine)[0] == "answer yes"
    assert outcomes(machine)[1 + list(ROWS).index(row)] == ROWS[row][machine]


def test_every_call_has_a_reason_and_a_number_of_its_own() -> None:
    tables = (confinement.CALLS, confinement.HOSTED_CALLS, confinement.MACHINE_CALLS)
    rows = [row for table in tables for row in table.values()]
    assert len({number for number, _ in rows}) == len(rows)
    assert all(re.fullmatch(r"[A-Z]?[a-zA-Z][^.]*", reason) for _, reason in rows)


def test_only_a_machine_of_ours_may_be_switched_off() -> None:
    reboot = bytes((0x15, 0, 0, 1)) + (169).to_bytes(4, "little")  # if (number == SYS_reboot)
    assert reboot in confinement.program(machine=True)
    assert reboot not in confinement.program(machine=False)


def test_the_image_s_interpreter_has_a_call_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int | bytes, ...]] = []

    def syscall(*words: int | bytes) -> int:
        calls.append(words)
        return 0

    monkeypatch.setitem(sys.modules, "_pid1", SimpleNamespace(syscall=syscall))
    assert confinement.confine() == "yes"
    assert [words[:2] for words in calls] == [(157, 38), (157, 4), (157, 22)]


@pytest.mark.parametrize("error", [OSError(22, "Invalid argument"), AttributeError("syscall")])
def test_a_kernel_or_a_library_that_cannot_is_named(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(*words: int | bytes) -> int:
        raise error

    monkeypatch.setitem(sys.modules, "_pid1", SimpleNamespace(syscall=refuse))
    assert confinement.confine() == "no_seccomp"


def test_another_processor_is_served_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere:
        machine = "aarch64"

    monkeypatch.setattr(confinement.os, "uname", Elsewhere)
    assert confinement.confine() == "other_processor"
