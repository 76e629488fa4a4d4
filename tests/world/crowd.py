"""Strangers by the hundred beside genuine clients: strangers.py in a namespace, and what the server has of memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .namespaces import Namespaces
from .topology import Topology

SCRIPT = str(Path(__file__).with_name("strangers.py"))


def make_room(spaces: Namespaces) -> None:
    """c1 has all of 198.18.0.0/16."""
    spaces.run("c1", "ip", "route", "add", "local", "198.18.0.0/16", "dev", "lo")
    spaces.run("host", "ip", "route", "add", "198.18.0.0/16", "via", "192.0.2.11")


@contextmanager
def crowd(topology: Topology, *words: str) -> Iterator[subprocess.Popen[str]]:
    """The script in c1; ended with the block."""
    command = topology.namespaces.command("c1", sys.executable, SCRIPT, *words)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    """Output of the script when all are there."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def report(process: subprocess.Popen[str], timeout: float = 180) -> dict[str, int]:
    """Last output of the script; silent ones are let go."""
    out, _ = process.communicate(timeout=timeout)
    found: dict[str, int] = json.loads(out.splitlines()[-1])
    return found


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def processor_time(pid: int) -> float:
    """Seconds that a process had the processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def settled(pid: int, most: int, seconds: float) -> int:
    """Resident bytes, once no more than `most` or after `seconds`."""
    deadline = time.monotonic() + seconds
    while (found := resident(pid)) > most and time.monotonic() < deadline:
        time.sleep(0.5)
    return found
