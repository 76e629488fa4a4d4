"""The client compatibility matrix, run by hand as root: `python -m tests.compat.matrix`, about half an hour.

Each result is kept in build/compat/ when its cell ends; a second run does the cells that have not passed yet. The
results of Hognose become docs/compatibility.md. With --server=openvpn-2.6 (or 2.7) the real openvpn serves instead:
that proves the clients and this script. Ends with 1 when a cell of those chosen failed, or was not run because its
client cannot be had; which is said at the end.
"""

from __future__ import annotations

import argparse
import re
import sys

from tests.compat import document, results
from tests.compat.cells import Cell, all_cells, covering_cells
from tests.world.tender import REPO


def main(argv: list[str]) -> int:
    """0 when all chosen cells have passed, now or before."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="hognose", help="hognose, openvpn-2.6 or openvpn-2.7")
    parser.add_argument("--workers", type=int, default=3, help="cells that run at the same time")
    parser.add_argument("--only", default="", metavar="REGEX", help="cells whose name matches: `2.5, udp, .*CBC`")
    parser.add_argument("--subset", action="store_true", help="the covering cells that CI runs")
    parser.add_argument("--again", action="store_true", help="also the cells that have passed before")
    parser.add_argument("--render", action="store_true", help="run nothing, only write the document")
    arguments = parser.parse_args(argv)
    folder = REPO / "build/compat" / arguments.server
    store = folder / "results.json"
    known = results.load(store)
    cells = covering_cells() if arguments.subset else all_cells()
    chosen = [cell for cell in cells if re.search(arguments.only, cell.name)]
    if not chosen:
        parser.error(f"no cell's name matches {arguments.only!r}")
    waiting = [cell for cell in chosen if arguments.again or not results.has_passed(cell, known)]

    def finished(cell: Cell, result: results.Result) -> None:
        known[cell.name] = result
        results.save(store, known)
        print(f"{cell.name}: {result.outcome}, {result.seconds} s {result.reason[:600]}".rstrip(), flush=True)

    if not arguments.render:
        results.run_cells(waiting, arguments.server, folder, arguments.workers, finished)
    if arguments.server == "hognose":
        (REPO / "docs/compatibility.md").write_text(document.render(known))
    missing = results.shortfall(chosen, known)
    print("\n".join([f"{len(chosen)} cells chosen", *missing]), flush=True)
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
