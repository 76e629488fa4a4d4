"""Runs cells side by side, each worker with its own topology, and keeps what came of them."""

from __future__ import annotations

import json
import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.compat.cells import Cell
from tests.compat.openvpn_server import host_rules
from tests.compat.session import run_cell
from tests.world import old_clients
from tests.world.tender import REPO
from tests.world.topology import Topology

PASSED, FAILED, NOT_SERVED = "passed", "failed", "not available"


@dataclass(frozen=True)
class Result:
    """Result of one cell; reason is empty when it passed; seconds and the UTC time of its end.

    client and server: versions; Hognose's is the commit, with a `+` when files were changed since.
    """

    outcome: str
    reason: str
    client: str
    server: str
    seconds: float
    when: str


def run_cells(
    cells: Iterable[Cell], kind: str, folder: Path, workers: int, finished: Callable[[Cell, Result], None]
) -> None:
    """Run cells in their order by `workers` workers; `finished` is called by one worker at a time.

    A cell's configs and logs stay in a folder of its own under `folder`.
    """
    waiting: queue.SimpleQueue[Cell] = queue.SimpleQueue()
    for cell in cells:
        waiting.put(cell)
    lock = threading.Lock()

    def work(topology: Topology) -> None:
        while True:
            try:
                cell = waiting.get_nowait()
            except queue.Empty:
                return
            result = _run(cell, kind, topology, folder / cell.name.replace(", ", "-").replace(" ", "-"))
            with lock:
                finished(cell, result)

    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        topologies = []
        for number in range(workers):
            where = folder / f"worker-{number}"
            where.mkdir(exist_ok=True)
            topologies.append(stack.enter_context(Topology(f"hn-matrix{number}", where, clients=1)))
            if kind != "hognose":
                host_rules(topologies[-1].namespaces)
        with ThreadPoolExecutor(workers) as pool:
            for task in [pool.submit(work, topology) for topology in topologies]:
                task.result()


def _run(cell: Cell, kind: str, topology: Topology, folder: Path) -> Result:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    began = time.monotonic()
    outcome, reason, client = PASSED, "", ""
    try:
        program = old_clients.openvpn(cell.release)
        client = f"{old_clients.version(program)} ({old_clients.libraries(program)})"
        run_cell(cell, kind, topology, folder)
    except old_clients.NotServed as error:
        outcome, reason = NOT_SERVED, str(error)
    except (AssertionError, RuntimeError, OSError) as error:
        outcome, reason = FAILED, f"{type(error).__name__}: {error}"
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return Result(outcome, reason, client, _server(kind), round(time.monotonic() - began, 1), when)


def _server(kind: str) -> str:
    if kind != "hognose":
        return kind
    told = subprocess.run(
        ["git", "describe", "--always", "--exclude=*", "--dirty=+"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or "unknown"


def has_passed(cell: Cell, results: dict[str, Result]) -> bool:
    """True if the result that is kept of it says so."""
    return cell.name in results and results[cell.name].outcome == PASSED


def shortfall(cells: Iterable[Cell], results: dict[str, Result]) -> list[str]:
    """A line for each release that cannot be had, and one for each other cell that has not passed."""
    lacking: dict[str, list[str]] = {}
    lines = []
    for cell in cells:
        if has_passed(cell, results):
            continue
        result = results.get(cell.name)
        if result is not None and result.outcome == NOT_SERVED:
            lacking.setdefault(cell.release, []).append(result.reason)
        else:
            lines.append(f"{cell.name}: {'not run' if result is None else result.outcome}")
    absent = [
        f"OpenVPN {release} cannot be had, {len(reasons)} of its cells were not run: {'; '.join(sorted(set(reasons)))}"
        for release, reasons in lacking.items()
    ]
    return [*absent, *lines]


def load(path: Path) -> dict[str, Result]:
    """Results by name of the cell."""
    return {name: Result(**fields) for name, fields in json.loads(path.read_text()).items()} if path.exists() else {}


def save(path: Path, results: dict[str, Result]) -> None:
    """As `load` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({name: asdict(result) for name, result in sorted(results.items())}, indent=1) + "\n")
