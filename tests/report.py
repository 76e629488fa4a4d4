"""The end of `make test`: every stage with its time, every skip with its reason, one closing line."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def main(folder: Path, expected: list[str]) -> int:
    """0 when every expected stage ran and passed."""
    stages = (folder / "test-report").read_text().splitlines()
    missing = [name for name in expected if not any(line.startswith(f"{name}: ") for line in stages)]
    stages += [f"{name}: did not run" for name in missing]
    passed = failed = skipped = 0
    reasons: list[str] = []
    for log in sorted(folder.glob("*.log")):
        text = log.read_text(errors="replace")
        for line in text.splitlines():
            if line.startswith("SKIPPED"):
                reasons.append(f"{log.stem}: {line}")
            if re.search(r"\d+ (passed|failed).* in [\d.]+s", line):
                passed += _count(line, "passed")
                failed += _count(line, "failed") + _count(line, "error")
                skipped += _count(line, "skipped")
    print("\n".join(["", "stages:", *stages, "", "skips:", *(reasons or ["none"]), ""]))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or any("exit 0" not in stage for stage in stages) else 0


def _count(line: str, word: str) -> int:
    found = re.search(rf"(\d+) {word}", line)
    return int(found[1]) if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
