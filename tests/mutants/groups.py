"""Groups of modules whose mutants are judged together, and which of them a run takes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256

from tests.mutants.operators import Mutant

SIZE = 40  # mutants of each set
FIXED_SEED = 20261201


@dataclass(frozen=True)
class Group:
    """Modules by patterns of their dotted names, and folders of unit tests that see them besides their own files."""

    patterns: tuple[str, ...]
    folders: tuple[str, ...]
    bar: int  # per cent of the mutants that tests have to notice


# A module belongs to the first group that has it.
GROUPS = {
    "nat": Group(("nat.*",), ("nat",), 90),
    "tcp": Group(("tcp.*",), ("tcp",), 90),
    "control-wrap": Group(("openvpn.control.*wrap", "openvpn.control.tls_crypt_v2"), ("openvpn",), 90),
    "records": Group(("openvpn.data.*",), ("openvpn",), 90),
    "router": Group(("router.*",), ("router", "gateway"), 85),
    "vpn": Group(("vpn.*",), ("vpn", "gateway"), 85),
    "certificates": Group(("openvpn.tls.*",), ("openvpn",), 85),
    "session": Group(("openvpn.*",), ("openvpn",), 85),
    "config": Group(("config.*",), ("config",), 85),
}


def group_of(module: str) -> str:
    """The group of a module, or nothing."""
    return next((name for name, group in GROUPS.items() if any(fnmatchcase(module, one) for one in group.patterns)), "")


def modules_of(name: str, modules: Iterable[str]) -> list[str]:
    """Modules of a group."""
    return [module for module in modules if group_of(module) == name]


def fixed_and_fresh(
    mutants: Collection[Mutant], seed: int, size: int = SIZE, fixed_seed: int = FIXED_SEED
) -> Iterator[tuple[str, list[Mutant]]]:
    """The two sets of a group, which have no mutant in common; smaller where there are not enough.

    Each mutant has a rank by its own name alone: one of code that does not change leaves the fixed set only when
    changes elsewhere bring mutants of a lower rank.
    """
    fixed = sorted(mutants, key=lambda mutant: _rank(fixed_seed, mutant))[:size]
    taken = {mutant.name for mutant in fixed}
    yield "fixed", fixed
    rest = [mutant for mutant in mutants if mutant.name not in taken]
    yield "fresh", sorted(rest, key=lambda mutant: _rank(seed, mutant))[:size]


def _rank(seed: int, mutant: Mutant) -> bytes:
    return sha256(f"{seed} {mutant.name}".encode()).digest()
