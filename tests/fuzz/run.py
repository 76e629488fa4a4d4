"""One target under atheris: `python -m tests.fuzz.run TARGET [libFuzzer's arguments]`; see docs/dev/test-records.md."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["hognose"]):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    target = TARGETS[sys.argv[1]]
    target(b"")  # what is made once is made before anything is counted
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()
