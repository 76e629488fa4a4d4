"""Nanoseconds per packet of sealing and opening data packets: python tests/bench/bench_data_channel.py

Batches of 16 packets of 1400 bytes, and lone packets of 64, in every format; CPU time, best of many repetitions.
Compare lines of one run only; the machine is not the unit.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from hognose.drops import Counters
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring

SEED = random.Random(1)
KEYS = SEED.randbytes(256)
RUN, SIZE, SMALL = 16, 1400, 64
BATCHES, ROUNDS = 100, 25
FORMS = {
    "AES-256-GCM": DataFormat("AES-256-GCM"),
    "AES-128-GCM": DataFormat("AES-128-GCM"),
    "CHACHA20-POLY1305": DataFormat("CHACHA20-POLY1305"),
    "AES-256-GCM, V1": DataFormat("AES-256-GCM", v2=False),
    "AES-256-GCM, comp-lzo": DataFormat("AES-256-GCM", framing="comp-lzo"),
    "AES-256-GCM, stub": DataFormat("AES-256-GCM", framing="stub"),
    "AES-256-GCM, stub-v2": DataFormat("AES-256-GCM", framing="stub-v2"),
    "AES-256-GCM, epoch": DataFormat("AES-256-GCM", epoch=True),
    "AES-256-GCM, window 4096": DataFormat("AES-256-GCM", replay_window=4096),
    "AES-256-CBC, SHA1": DataFormat("AES-256-CBC", "SHA1"),
    "AES-256-CBC, SHA256": DataFormat("AES-256-CBC", "SHA256"),
    "AES-256-CBC, SHA512": DataFormat("AES-256-CBC", "SHA512"),
}


def channel(form: DataFormat, keys: bytes) -> Keyring:
    """One with a fresh key."""
    made = Keyring(Counters())
    made.install(DataKey.negotiated(0, form, keys, SEED.randbytes), 0, 0, 0)
    return made


def open_all(server: Keyring, batch: list[bytes]) -> None:
    server.open(batch, 0, [], 1)


def cost(batches: list[list[bytes]], work: Callable[[list[bytes]], object]) -> float:
    begin = time.process_time_ns()
    for batch in batches:
        work(batch)
    return (time.process_time_ns() - begin) / sum(map(len, batches))


def measure(form: DataFormat, count: int, size: int) -> tuple[float, float]:
    """Best of all rounds for sealing and opening batches of `count` packets of `size` bytes."""
    best_seal = best_open = 1e18
    batches = [[b"\x45" + bytes(size - 1)] * count] * (BATCHES * RUN // count)
    for _ in range(ROUNDS):
        client, server = channel(form, KEYS[128:] + KEYS[:128]), channel(form, KEYS)
        best_seal = min(best_seal, cost(batches, partial(server.seal, now=1)))
        sealed = [client.seal(batch, 1) for batch in batches]
        best_open = min(best_open, cost(sealed, partial(open_all, server)))
        assert server.payloads.packets_in == count * len(batches)
    return best_seal, best_open


def main() -> None:
    print(f"ns/packet: seal, open in runs of {RUN} x {SIZE} B; seal, open of single packets of {SMALL} B")
    for name, form in FORMS.items():
        figures = [*measure(form, RUN, SIZE), *measure(form, 1, SMALL)]
        print("".join(f"{figure:8.0f}" for figure in figures) + f"  {name}")


if __name__ == "__main__":
    main()
