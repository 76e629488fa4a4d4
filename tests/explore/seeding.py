"""Seeds from one seed: each part, process and round has its own, and none depends on the clock or on the others."""

from __future__ import annotations

import os
import random
from hashlib import sha256

SEED_BITS = 32


def fresh() -> int:
    """A seed that nothing has seen before, short enough to be typed."""
    return int.from_bytes(os.urandom(SEED_BITS // 8), "big")


def derived(seed: int, *names: str | int) -> int:
    """The seed of what the names say."""
    text = " ".join(map(str, (seed, *names)))
    return int.from_bytes(sha256(text.encode()).digest()[: SEED_BITS // 8], "big")


def seed_urandom(seed: int) -> None:
    """Let `os.urandom` follow from a seed too: models of clients draw from it. OpenSSL's own randomness does not."""
    os.urandom = random.Random(seed).randbytes
