"""A probe: a row of the requirements, a sentence, what must come back, and the function that finds it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.probes.peer import Peer, Wrong

Script = Callable[[Peer], str]


@dataclass(frozen=True)
class Linux:
    """Answer of the control, and why that is no fault of either."""

    expected: str
    why: str


@dataclass(frozen=True)
class Probe:
    """One probe; alone: nothing else runs at the time, long: it takes so long that it begins first."""

    name: str
    row: str
    sentence: str
    expected: str
    linux: Linux | None
    script: Script
    alone: bool
    long: bool

    def expected_of(self, target: str) -> str:
        """Answer demanded of the target of this name."""
        return self.linux.expected if target == "linux" and self.linux is not None else self.expected

    def verdict(self, peer: Peer) -> str:
        """Answer of the target."""
        try:
            return self.script(peer)
        except Wrong as error:
            return f"no answer to the question: {error}"


REGISTERED: list[Probe] = []


def probe(
    row: str, expected: str, *, linux: Linux | None = None, alone: bool = False, long: bool = False
) -> Callable[[Script], Script]:
    """Register a script; its docstring is the sentence."""

    def register(script: Script) -> Script:
        sentence = " ".join((script.__doc__ or "").split())
        REGISTERED.append(Probe(script.__name__, row, sentence, expected, linux, script, alone, long))
        return script

    return register
