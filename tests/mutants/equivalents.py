"""Mutants that change nothing: reviewed by hand, in equivalents.txt, and left out of the gate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.operators import Mutant

TABLE = Path(__file__).with_name("equivalents.txt")


@dataclass(frozen=True)
class Equivalent:
    """A line of the table: module, function, operator, mark, and the reason."""

    module: str  # last word
    function: str
    operator: str
    mark: str
    why: str

    @property
    def name(self) -> str:
        """Name of the mutant."""
        return f"{self.module}:{self.function}:{self.operator}:{self.mark}"


def read(text: str) -> Iterator[Equivalent]:
    """The lines of a table; ValueError for one without a reason."""
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            words = line.split(maxsplit=4)
            if len(words) < 5:
                raise ValueError(f"not `module function operator mark reason`: {line}")
            yield Equivalent(*words)


def without(mutants: Iterable[Mutant], table: Iterable[Equivalent]) -> tuple[list[Mutant], list[Equivalent]]:
    """Mutants that are not in the table, and entries of the mutants' modules that match none of them."""
    mutants = list(mutants)
    modules = {mutant.module.rpartition(".")[2] for mutant in mutants}
    entries = {entry.name: entry for entry in table if entry.module in modules}
    left = [mutant for mutant in mutants if mutant.name not in entries]
    for mutant in mutants:
        entries.pop(mutant.name, None)
    return left, list(entries.values())
