"""Two trees compared: microseconds per packet of `Gateway.step`, and their ratio.

python -m tests.bench.harness --base TREE --new TREE [--rounds 10] [--steps 300] [--rows up,ping]

The trees take turns, each time in a process of its own; of each row the minima are compared. A tree is a folder with
src/hognose in it. Ends with 1 when a row of the new one is slower than --bar.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Rows = dict[str, float]


def measure(tree: Path, steps: int, names: tuple[str, ...] = ()) -> Rows:
    """One process, all rows or those named; RuntimeError when it fails or measures another tree's source."""
    source = (tree / "src").resolve()
    environment = {**os.environ, "PYTHONPATH": f"{source}:{ROOT}", "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-m", "tests.bench.gateway_frames", str(steps), *names]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{tree}: {done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    if not Path(found["source"]).is_relative_to(source):
        raise RuntimeError(f"{found['source']} was measured, not {source}")
    rows: Rows = found["rows"]
    return rows


def table(base: list[Rows], new: list[Rows]) -> tuple[list[str], float]:
    """Lines to print, and the largest ratio."""
    lines = [f"{'us per packet':14} {'base: min  median':>20} {'new: min  median':>20} {'new / base':>11}"]
    worst = 0.0
    for row in base[0]:
        a, b = [one[row] for one in base], [one[row] for one in new]
        ratio = min(b) / min(a)
        worst = max(worst, ratio)
        sides = [f"{min(side):10.2f} {statistics.median(side):9.2f}" for side in (a, b)]
        lines.append(f"{row:14} {sides[0]} {sides[1]} {ratio:11.3f}")
    return lines, worst


def main() -> int:
    """0 when no row is slower than the bar."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.harness")
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--new", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rows", type=lambda text: tuple(text.split(",")), default=())
    parser.add_argument("--bar", type=float, default=1.03)
    a = parser.parse_args()
    base: list[Rows] = []
    new: list[Rows] = []
    for number in range(a.rounds):
        turns = [(base, a.base), (new, a.new)]
        for rows, tree in turns if number % 2 == 0 else reversed(turns):
            rows.append(measure(tree, a.steps, a.rows))
    lines, worst = table(base, new)
    print("\n".join(lines))
    return int(worst > a.bar)


if __name__ == "__main__":
    sys.exit(main())
