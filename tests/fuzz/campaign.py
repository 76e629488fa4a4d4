"""All targets in turn: `python -m tests.fuzz.campaign --minutes N [--work FOLDER] [--seed N] [TARGET …]`.

The work folder keeps what was found: corpora that grew, inputs that failed (`findings`), and a line for every run
(`runs.jsonl`). A failure ends one run, not the campaign; the exit status is 1 when there was one.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz import seeds
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).resolve().parent / "corpus"
EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")
MAX_LEN = 6000  # above the largest bound of a parser
# Of targets that look at every byte several times; longer inputs of theirs stand in the corpora.
SHORTER = {"framing": 800, "control-strings": 800, "tcp-reassembly": 600, "config-lines": 2000, "config-text": 1500}


def run(name: str, work: Path, seconds: int, seed: int) -> dict[str, object]:
    """One run of one target; what it did."""
    corpus, findings = work / "corpus" / name, work / "findings" / name
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    committed = [str(CORPUS / name)] if (CORPUS / name).is_dir() else []
    command = [
        sys.executable, "-m", "tests.fuzz.run", name, str(corpus), *committed,
        f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={SHORTER.get(name, MAX_LEN)}",
        f"-artifact_prefix={findings}/", "-print_final_stats=1", "-timeout=60", "-rss_limit_mb=1024", "-verbosity=0",
    ]  # fmt: skip
    started = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode("utf-8", "replace")
    executed = EXECUTED.search(text)
    new = sorted(path.name for path in set(findings.iterdir()) - before)
    if done.returncode or new:
        (work / f"{name}-{seed}.log").write_text(text[-20_000:], encoding="utf-8")
    return {
        "target": name,
        "seed": seed,
        "seconds": round(time.monotonic() - started),
        "executions": int(executed[1]) if executed else 0,
        "corpus": len(list(corpus.iterdir())),
        "status": done.returncode,
        "findings": new,
    }


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("targets", nargs="*", default=list(TARGETS))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--work", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    names = arguments.targets or list(TARGETS)
    seconds = max(5, int(arguments.minutes * 60 / len(names)))
    arguments.work.mkdir(parents=True, exist_ok=True)
    seeds.write(arguments.work / "corpus")
    failed = False
    with (arguments.work / "runs.jsonl").open("a", encoding="utf-8") as log:
        for name in names:
            result = run(name, arguments.work, seconds, arguments.seed)
            failed |= bool(result["status"])
            line = json.dumps(result)
            log.write(line + "\n")
            log.flush()
            print(line, flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
