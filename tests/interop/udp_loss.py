"""Time that the real openvpn client takes to connect over UDP through a lossy bridge, by seed (needs root).

    python -m tests.interop.udp_loss [--loss 0.2] [--count 20] [--first 1] [--rtt-ms 40] [--server hognose openvpn]

As loss_connects, over UDP: one attempt per seed with the client's default options, to Hognose (hosted, on a macvtap),
then to the real openvpn of this machine, with the same loss of whole frames in each direction. Every lost
control packet waits for its repetition, two seconds for the first one. Prints one line per attempt and one per server:
how many connected within 60 seconds, and median and longest in seconds. In the namespaces of loss_comparison, so not at
the same time as that.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.interop.loss_connects import SERVERS, Attempts

IN_TIME_S = 60.0


def summary(server: str, loss: float, times: list[float]) -> dict[str, Any]:
    """The line about one server; a client that gave up counts as infinitely late."""
    return {
        "server": server,
        "loss": loss,
        "within_60_s": f"{sum(took <= IN_TIME_S for took in times)}/{len(times)}",
        "median": round(statistics.median(times), 2),
        "longest": round(max(times), 2),
        "all": [round(took, 2) for took in times],
    }


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", type=float, default=0.2)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--rtt-ms", type=float, default=40)
    parser.add_argument("--server", nargs="+", choices=list(SERVERS), default=list(SERVERS))
    arguments = parser.parse_args(argv)
    times: dict[str, list[float]] = {server: [] for server in arguments.server}
    with tempfile.TemporaryDirectory() as folder:
        attempts = Attempts(Path(folder), "udp")
        for seed in range(arguments.first, arguments.first + arguments.count):
            for server, found in times.items():
                found.append(attempts.connect(SERVERS[server], arguments.loss, arguments.rtt_ms, seed))
                print(json.dumps({"server": server, "seed": seed, "seconds": round(found[-1], 2)}), flush=True)
    for server, found in times.items():
        print(json.dumps(summary(server, arguments.loss, found)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
