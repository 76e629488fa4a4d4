#!/usr/bin/env python3
"""The client compatibility matrix, run by hand as root: `python tests/compat/matrix.py`, about half an hour.

Each result is kept in build/compat/ when its cell ends; a second run does the cells that have not passed yet. The
results of Hognose become docs/compatibility.md. With --server=openvpn-2.6 (or 2.7) the real openvpn serves instead:
that proves the clients and this script.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.compat import document, results  # found through the path above
from tests.compat.cells import Cell, all_cells, covering_cells
from tests.world.tender import REPO


def main(argv: list[str]) -> int:
    """0 when no cell failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="hognose", help="hognose, openvpn-2.6 or openvpn-2.7")
    parser.add_argument("--workers", type=int, default=3, help="cells that run at the same time")
    parser.add_argument("--only", default="", metavar="REGEX", help="cells whose name matches: `2.5, .*CBC`")
    parser.add_argument("--subset", action="store_true", help="the covering cells that CI runs")
    parser.add_argument("--again", action="store_true", help="also the cells that have passed before")
    parser.add_argument("--render", action="store_true", help="run nothing, only write the document")
    arguments = parser.parse_args(argv)
    folder = REPO / "build/compat" / arguments.server
    store = folder / "results.json"
    known = results.load(store)
    cells = covering_cells() if arguments.subset else all_cells()
    cells = [cell for cell in cells if re.search(arguments.only, cell.name)]
    if not arguments.again:
        cells = [cell for cell in cells if cell.name not in known or known[cell.name].outcome != results.PASSED]

    def finished(cell: Cell, result: results.Result) -> None:
        known[cell.name] = result
        results.save(store, known)
        print(f"{cell.name}: {result.outcome}, {result.seconds} s {result.reason[:600]}".rstrip(), flush=True)

    if not arguments.render:
        results.run_cells(cells, arguments.server, folder, arguments.workers, finished)
    if arguments.server == "hognose":
        (REPO / "docs/compatibility.md").write_text(document.render(known))
    return int(any(known[cell.name].outcome == results.FAILED for cell in cells if cell.name in known))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
