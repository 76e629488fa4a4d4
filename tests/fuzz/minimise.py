"""The committed corpora from a work folder's: `python -m tests.fuzz.minimise build/fuzz [TARGET …]`.

Inputs that are committed already and those of the work folder are tried, the smallest first; one is kept when it takes
a step from one line of ours to another that none before it took. Seeds of seeds.py and inputs that once failed
(`finding-…`) stay in any case.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

import hognose

CORPUS = Path(__file__).resolve().parent / "corpus"
SOURCE = str(Path(hognose.__file__).parent)
MAX_BYTES = 4500  # of one committed input
Step = tuple[str, int, int]


def steps(target: Callable[[bytes], None], data: bytes) -> set[Step]:
    """Steps from line to line of our modules."""
    found: set[Step] = set()

    def local(frame: FrameType, event: str, _: object) -> object:
        if event == "line":
            found.add((frame.f_code.co_filename, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        return local

    def called(frame: FrameType, _event: str, _: object) -> object:
        return local if frame.f_code.co_filename.startswith(SOURCE) else None

    last: dict[FrameType, int] = {}
    sys.settrace(called)  # type: ignore[arg-type]  # a tracer of calls only
    try:
        target(data)
    finally:
        sys.settrace(None)
    return found


def minimise(name: str, work: Path) -> None:
    """One target's corpus."""
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    kept_by_name = {path.name: path.read_bytes() for path in folder.iterdir()}
    inputs = {*seeds()[name], *kept_by_name.values()}
    if (work / "corpus" / name).is_dir():
        inputs |= {path.read_bytes() for path in (work / "corpus" / name).iterdir()}
    keep = {file: data for file, data in kept_by_name.items() if file.startswith("finding-")}
    seen: set[Step] = set()
    for data in keep.values():
        seen |= steps(TARGETS[name], data)
    wanted = set(seeds()[name])
    for data in sorted(inputs, key=lambda data: (data not in wanted, len(data), data)):
        if len(data) > MAX_BYTES and data not in wanted:
            continue
        new = steps(TARGETS[name], data) - seen
        if new or data in wanted:
            keep[hashlib.sha256(data).hexdigest()[:16]] = data
            seen |= new
    for file in kept_by_name:
        if file not in keep:
            (folder / file).unlink()
    for file, data in keep.items():
        (folder / file).write_bytes(data)
    print(f"{name}: {len(inputs)} inputs, {len(keep)} kept, {sum(map(len, keep.values()))} bytes", flush=True)


if __name__ == "__main__":
    for chosen in sys.argv[2:] or TARGETS:
        minimise(chosen, Path(sys.argv[1]))
