"""Network namespaces of a test: made under names of its process's own, removed whatever happens."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

_MADE = re.compile(r"hn-[a-z0-9]+-(\d+)-\w+")


def own(prefix: str) -> str:
    """`PREFIX-PID`: two checkouts, and two workers of one, test on the same host at the same time."""
    return f"{prefix}-{os.getpid()}"


def remove_leftovers() -> None:
    """Delete the namespaces of tests whose process was killed; those of living processes stay."""
    for path in Path("/run/netns").glob("hn-*"):
        made = _MADE.fullmatch(path.name)
        if made and not Path(f"/proc/{made[1]}").exists():
            subprocess.run(["ip", "netns", "del", path.name], check=False, capture_output=True)


class Namespaces:
    """A set of namespaces `hn-WORD-PID-name` for the prefix `hn-WORD`; nothing outside them is touched."""

    def __init__(self, prefix: str, names: tuple[str, ...]) -> None:
        self.prefix = own(prefix)
        self.names = names

    def full(self, name: str) -> str:
        """Name under /run/netns."""
        return f"{self.prefix}-{name}"

    def __enter__(self) -> Namespaces:
        self.remove()
        remove_leftovers()
        for name in self.names:
            sh("ip", "netns", "add", self.full(name))
            self.run(name, "ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Delete what is there, links included."""
        for name in self.names:
            if os.path.exists(f"/run/netns/{self.full(name)}"):
                subprocess.run(["ip", "netns", "del", self.full(name)], check=False, capture_output=True)

    def command(self, name: str, *words: str) -> list[str]:
        """A command line that runs inside a namespace."""
        return ["ip", "netns", "exec", self.full(name), *words]

    def run(self, name: str, *words: str, check: bool = True, timeout: float = 60) -> str:
        """Run to the end inside a namespace; standard output and error together."""
        return sh(*self.command(name, *words), check=check, timeout=timeout)

    def veth(self, name: str, interface: str, other: str, other_interface: str) -> None:
        """A cable between two namespaces, both ends up."""
        sh("ip", "-n", self.full(name), "link", "add", interface, "type", "veth", "peer", "name", other_interface,
           "netns", self.full(other))  # fmt: skip
        self.run(name, "ip", "link", "set", interface, "up")
        self.run(other, "ip", "link", "set", other_interface, "up")


def sh(*words: str, check: bool = True, timeout: float = 60) -> str:
    """Run a command to its end; its words and output are in the error when it fails."""
    result = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False
    )
    if check and result.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {result.returncode}: {result.stdout.strip()[-800:]}")
    return result.stdout
