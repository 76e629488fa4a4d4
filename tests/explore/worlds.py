"""Worlds that have not been before: `python -m tests.explore.worlds --seed N --seconds 40`.

What a world is like is drawn from the seed. A failure prints the command that runs that one world again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback

from tests.explore import results
from tests.explore.seeding import derived, seed_urandom
from tests.sim.world import SimWorld, WorldSettings


def drawn(seed: int, hours: tuple[float, float]) -> WorldSettings:
    """The settings of one world: a third have too few addresses, a third new configs."""
    rng = random.Random(seed)
    clients = rng.randint(2, 8)
    return WorldSettings(
        seed,
        clients=clients,
        hours=round(rng.uniform(*hours), 2),
        keepalive=rng.choice(((10, 60), (10, 60), (5, 20), (60, 240))),
        reneg_sec=rng.choice((600, 600, 120, 3600)),
        mean_act=rng.choice((20, 20, 5, 120)),
        mean_life=rng.choice((400, 400, 60, 1800)),
        mean_away=rng.choice((30, 30, 2)),
        mean_partition=rng.choice((900, 900, 200)),
        mean_hostile=rng.choice((5, 5, 1, 60)),
        pool=max(1, clients - rng.randint(1, 3)) if rng.random() < 1 / 3 else 0,
        mean_reload=rng.choice((60, 300)) if rng.random() < 1 / 3 else 0,
    )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--until", type=float, help="the monotonic clock at the end, instead")
    arguments = parser.parse_args()
    began = time.monotonic()
    until = arguments.until or began + arguments.seconds
    hours = (0.1, 0.3) if until - began < 300 else (0.1, 1.0)
    worlds, client_hours, longest, failed = 0, 0.0, 0.0, False
    while not failed:
        now = time.monotonic()
        if worlds and now + longest > until:
            break
        seed = derived(arguments.seed, "world", worlds)
        seed_urandom(seed)
        world = SimWorld(drawn(seed, hours))
        try:
            world.run()
        except Exception:
            failed = True
            traceback.print_exc(file=sys.stdout)
            print(f"world {worlds + 1} fails\nalone: {world.command()}", flush=True)
        worlds += 1
        client_hours += world.facts["connected seconds"] / 3600
        longest = max(longest, time.monotonic() - now)
    print(results.line(worlds=worlds, client_hours=client_hours))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
