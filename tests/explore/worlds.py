"""Worlds that have not been before: `python -m tests.explore.worlds --seed N --seconds 40`.

What a world is like is drawn from the seed. A failure prints the command that runs that one world again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace

from tests.explore import results
from tests.explore.seeding import derived, seed_urandom
from tests.sim.world import SimWorld, WorldSettings

SHORT, LONG = (0.1, 0.3), (0.1, 1.0)  # hours of a world
LONG_FROM = 300.0  # seconds of a run in which there are long ones


def drawn(seed: int, hours: tuple[float, float]) -> WorldSettings:
    """The settings of one world: a third each have too few addresses, new configs, new gateways; half clients over UDP.

    A new gateway does not get those: a world has the ones or the others.
    """
    rng = random.Random(seed)
    clients = rng.randint(2, 8)
    settings = WorldSettings(
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
        mean_restore=rng.choice((15, 60, 300)) if rng.random() < 1 / 3 else 0,
    )
    if settings.mean_restore or rng.random() < 0.3:
        return settings
    roamers = rng.randint(1, clients - 1)
    return replace(
        settings,
        clients=clients - roamers,
        roamers=roamers,
        twins=rng.choice((0, 0, 1)),
        mean_roam=rng.choice((5, 30, 120)),
    )


@dataclass
class Worlds:
    """Worlds played; the output of the first that fails, if there is one."""

    count: int = 0
    client_hours: float = 0.0
    failure: str = ""


def explore(seed: int, until: float, hours: tuple[float, float], clock: Callable[[], float] = time.monotonic) -> Worlds:
    """World after world until the time would not do for one as long as the longest, or one fails."""
    done, longest = Worlds(), 0.0
    while not done.failure and (not done.count or clock() + longest <= until):
        began = clock()
        own = derived(seed, "world", done.count)
        seed_urandom(own)
        world = SimWorld(drawn(own, hours))
        try:
            world.run()
        except Exception:
            done.failure = f"{traceback.format_exc()}\nworld {done.count + 1} fails\nalone: {world.command()}"
        done.count += 1
        done.client_hours += world.facts["connected seconds"] / 3600
        longest = max(longest, clock() - began)
    return done


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--until", type=float, help="the monotonic clock at the end, instead")
    a = parser.parse_args()
    now = time.monotonic()
    until = a.until or now + a.seconds
    done = explore(a.seed, until, LONG if until - now > LONG_FROM else SHORT)
    print(done.failure)
    print(results.line(worlds=done.count, client_hours=done.client_hours))
    return int(bool(done.failure))


if __name__ == "__main__":
    sys.exit(main())
