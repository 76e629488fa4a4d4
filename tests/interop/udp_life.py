"""Transfers through a bad link, moves, goodbyes, restarts and drains over UDP, of clients of all releases (needs root).

    python -m tests.interop.udp_life [--loss 0.02] [--reorder 0.05] [--duplicate 0.01] [--rtt-ms 20] [--megabytes 8]
                                     [--seeds 3] [--rounds 3]

Against the hosted server. For each release and seed 1, 2 and so on, bytes both ways through a link that loses, reorders
and repeats frames in each direction, compared by SHA-256. Then for each release a steady ping while the client's port
and address change, on a link that reorders and repeats, but loses nothing: each of the two moves may lose one. Then
`--rounds` times, with all releases at once, until the server has ended the sessions of clients that say goodbye and of
one that is killed (keepalive 1 4: 8 s), and until clients are connected again after a restart, and at their next remote
after a drain. Prints a line of JSON each, seconds. Ends with 1 when one of them is over its bound.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.compat.cells import RELEASES
from tests.interop.cases import MIB, Setting
from tests.interop.udp_cases import FIXED_PORT, MOVES, bytes_through, check_moves, goodbyes, restart_and_drain
from tests.world import old_clients
from tests.world.bad_link import BadLink
from tests.world.topology import Topology

GONE_S = {"2.5": 1.0, "2.6": 6.0, "2.7": 6.0, "killed": 10.0}  # OCC_EXIT, EXIT with its 5 s, twice keepalive's 4 s
BACK_S = 3.0


def say(**fields: object) -> bool:
    """Print a line, and whether it is within its bound."""
    print(json.dumps(fields), flush=True)
    return bool(fields["kept"])


def transfers(setting: Setting, arguments: argparse.Namespace) -> list[bool]:
    """Raises RuntimeError when the bytes are not equal."""
    link = ["--loss", arguments.loss, "--reorder", arguments.reorder, "--duplicate", arguments.duplicate]
    link += ["--delay-ms", str(arguments.rtt_ms / 2), "--reorder-ms", "3"]
    kept = []
    with setting.server("hosted"):
        for release in RELEASES:
            for seed in range(1, arguments.seeds + 1):
                seen = bytes_through(setting, release, arguments.megabytes * MIB, *link, "--seed", str(seed))
                happened = all(seen[name] for name in ("lost", "reordered", "duplicated"))
                kept.append(say(what="transfer", release=release, seed=seed, **seen, kept=happened))
    return kept


def moves(setting: Setting, arguments: argparse.Namespace) -> list[bool]:
    """A client of each release at a server of its own: no client moves to where another one still is."""
    link = ["--reorder", arguments.reorder, "--duplicate", arguments.duplicate, "--reorder-ms", "3"]
    kept = []
    for release in RELEASES:
        name, program = f"roamer-{release}", old_clients.openvpn(release)
        with (
            setting.server("hosted") as server,
            BadLink(setting.topology, "c1", *link, "--delay-ms", str(arguments.rtt_ms / 2)),
            setting.client("c1", extra=FIXED_PORT, common_name=name, program=program) as client,
        ):
            client.connected()
            lost = check_moves(setting, server, client, name)
        kept.append(say(what="moves", release=release, moves=MOVES, pings_lost=lost, kept=lost <= MOVES))
    return kept


def ends(setting: Setting, rounds: int) -> list[bool]:
    """Goodbyes, restarts and drains, with each client's own intervals."""
    kept = []
    for _ in range(rounds):
        with setting.server("hosted", extra=("keepalive 1 4",)) as server:
            gone = goodbyes(setting, server)
        kept.append(say(what="goodbyes", seconds=gone, kept=all(gone[name] <= GONE_S[name] for name in GONE_S)))
        back, away = restart_and_drain(setting)
        kept.append(say(what="restart", seconds=back, kept=max(back.values()) <= BACK_S))
        kept.append(say(what="drain", seconds=away, kept=max(away.values()) <= BACK_S))
    return kept


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, share in (("--loss", "0.02"), ("--reorder", "0.05"), ("--duplicate", "0.01")):
        parser.add_argument(name, default=share)
    parser.add_argument("--rtt-ms", type=float, default=20)
    parser.add_argument("--megabytes", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name, Topology("hn-life", Path(name), clients=4) as topology:
        setting = Setting(topology, Path(name), proto="udp")
        kept = transfers(setting, arguments) + moves(setting, arguments) + ends(setting, arguments.rounds)
    return int(not all(kept))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
