"""The committed corpora through their targets, on the plain interpreter; and targets that find what is broken."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).resolve().parent / "corpus"


@pytest.mark.parametrize("name", TARGETS)
def test_corpus(name: str) -> None:
    """Every input is fine, as it is, cut short, and with a few bytes changed by a fixed seed."""
    inputs = sorted((CORPUS / name).iterdir())
    assert len(inputs) >= 2
    rng = random.Random(name)
    for path in inputs:
        data = path.read_bytes()
        TARGETS[name](data)
        TARGETS[name](data[: len(data) // 2])
        changed = bytearray(data)
        for _ in range(min(3, len(changed))):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        TARGETS[name](bytes(changed))


def test_every_target_has_seeds_and_every_corpus_a_target() -> None:
    assert set(seeds()) == set(TARGETS)
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
