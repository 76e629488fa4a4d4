"""The line by which a process of a run says what it has done, and the sums of such lines."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

MARK = "explored: "
NAMED = 10  # properties that no process has come to


def line(**fields: object) -> str:
    """The line."""
    return MARK + json.dumps(fields)


def without(output: str) -> str:
    """Further output of a process."""
    return "\n".join(each for each in output.splitlines() if not each.startswith(MARK))


@dataclass
class Sums:
    """Work of all processes together."""

    properties: Counter[str] = field(default_factory=Counter)  # examples by test
    collected: set[str] = field(default_factory=set)  # all property tests
    rounds: int = 0
    worlds: int = 0
    client_hours: float = 0.0
    fuzz: Counter[str] = field(default_factory=Counter)  # executions by target

    def add(self, output: str) -> int:
        """Take the lines from an output; how many there were."""
        found = [each.removeprefix(MARK) for each in output.splitlines() if each.startswith(MARK)]
        for each in found:
            values = json.loads(each)
            self.properties.update(values.get("properties", {}))
            self.collected.update(values.get("collected", ()))
            self.rounds += values.get("rounds", 0)
            self.worlds += values.get("worlds", 0)
            self.client_hours += values.get("client_hours", 0.0)
            self.fuzz.update(values.get("fuzz", {}))
        return len(found)

    def text(self) -> list[str]:
        """One line for each part; properties that no process has come to are named."""
        missed = sorted(self.collected - set(self.properties))
        return [
            f"properties: {len(self.properties)} of {len(self.collected)} tests, "
            f"{self.properties.total():,} examples, {self.rounds} rounds",
            *(f"properties: not reached: {name}" for name in missed[:NAMED]),
            *([f"properties: not reached: {len(missed) - NAMED} more"] if len(missed) > NAMED else []),
            f"worlds: {self.worlds}, {self.client_hours:.1f} connected client-hours",
            f"fuzz: {len(self.fuzz)} targets, {self.fuzz.total():,} executions "
            f"({', '.join(f'{name} {count:,}' for name, count in self.fuzz.items())})",
        ]
