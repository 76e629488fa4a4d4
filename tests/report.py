"""The end of `make test`: every stage with its time, every skip with its reason, what is red and why, one closing line.

Red is a stage that failed or did not run, a stage of tests in which none passed (of exploring: in which no property,
no world or no fuzz target had a turn), and every outcome but "passed" and a skip of the table below: xfail, xpass, a
deselected test, a skip that gives no reason.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Allowed:
    """A skip that is no fault: in which stages, of which file, with which whole reason, and why that is right."""

    stages: tuple[str, ...]
    file: str
    reason: str
    why: str

    def has(self, stage: str, file: str, reason: str) -> bool:
        """The stage, the file and all of the reason."""
        return stage in self.stages and file == self.file and re.fullmatch(self.reason, reason) is not None


# A Debian suite that the mirror lacks is on no list: without the clients of other releases nothing is known of them.
ALLOWED = (
    Allowed(
        ("interop",),
        "tests/interop/test_config_volume.py",
        r"no loop device here: .*",
        "Containers often have none; the machines under qemu have real block devices (tests/vm/test_machines.py).",
    ),
    Allowed(
        ("newest",),
        "tests/unit/config/test_tls_choices.py",
        r"another OpenSSL has other suites than the image's",
        "The table of suites is the image's; with its own library the test runs in the stage `unit`.",
    ),
    Allowed(
        ("newest",),
        "tests/unit/config/test_tls_capabilities.py",
        r"another OpenSSL has other suites than the image's",
        "The table of levels is the image's; with its own library the test runs in the stage `unit`.",
    ),
    Allowed(
        ("machines",),
        "tests/vm/test_machines.py",
        r"the nested machine's block device is a file of its own, out of our reach",
        "Without a usable /dev/kvm the guest runs two machines deep; under qemu the same test runs.",
    ),
    Allowed(
        ("machines",),
        "tests/vm/test_revocation_page.py",
        r"the nested machine's block device is a file of its own, out of our reach",
        "Without a usable /dev/kvm the guest runs two machines deep; under qemu the same test runs.",
    ),
    Allowed(
        ("machines",),
        "tests/hvt/test_guest.py",
        r"the nested machine's tender says it on a console of its own",
        "What the tender itself refuses is its own doing, not the guest's.",
    ),
    Allowed(
        ("machines",),
        "tests/hvt/test_nano_kernel.py",
        r"the guest does not run directly here; the nested machine has no second interface to echo on",
        "The nano-kernel is compared with Linux where the guest runs at speed; nested, the sessions have to do.",
    ),
)
WITHOUT_TESTS = ("image",)  # stages that only build
SHARED_OUT = ("unit", "interop", "machines")  # stages of several runs: what one of them deselects another one has
KNOWN = "passed this week"  # said by a stage that is tried again when its dependencies change, and every week
EXPLORED = (r"properties: [1-9]\d* of \d+ tests, [1-9].*", r"worlds: [1-9].*", r"fuzz: [1-9]\d* targets, [1-9].*")
_SKIP = re.compile(r"SKIPPED \[(\d+)\] (\S+?)(?::\d+)?: (.*)")
_CLOSING = re.compile(r"(?:=+ )?((?:\d+ [a-z ]+, )*\d+ [a-z ]+|no tests ran) in [\d.]+s(?: \([\d:days, ]+\))?(?: =+)?")
_WORD = {"errors": "error", "warnings": "warning"}


def main(folder: Path, expected: Sequence[str], allowed: Sequence[Allowed] = ALLOWED) -> int:
    """0 when every expected stage ran and passed, and nothing was skipped that must not be."""
    log = folder / "test-report"
    stages = log.read_text().split("\n")[:-1] if log.exists() else []
    red = [f"{line} is red" for line in stages if ": exit 0," not in line]
    for name in expected:
        if not any(line.startswith(f"{name}: ") for line in stages):
            stages.append(f"{name}: did not run")
            red.append(stages[-1])
    total: Counter[str] = Counter()
    skips: list[str] = []
    logs = {path.stem: path.read_text(errors="replace") for path in folder.glob("*.log")}
    for name, text in sorted({**dict.fromkeys(expected, ""), **logs}.items()):
        counts, wrong = outcomes(text)
        if name in SHARED_OUT:
            wrong = [line for line in wrong if not line.endswith(" deselected")]
        total += counts
        skips += [f"{name}: {match[0]}" for match in map(_SKIP.fullmatch, text.splitlines()) if match]
        red += [f"{name}: {line}" for line in wrong + unlisted(name, text, allowed)]
        if name in expected and name not in WITHOUT_TESTS and not counts["passed"] and not otherwise_tested(name, text):
            red.append(f"{name}: no test passed")
    print("\n".join(["", "stages:", *stages, "", "skips:", *(skips or ["none"]), "", "red:", *(red or ["none"]), ""]))
    print(f"{total['passed']} passed, {total['failed'] + total['error']} failed, {total['skipped']} skipped")
    return 1 if red else 0


def otherwise_tested(name: str, text: str) -> bool:
    """Log that says without a closing line of pytest what was tried: by exploring, or by `newest` this week."""
    if f"{name}: {KNOWN}" in text:
        return True
    return all(re.search(rf"^{line}$", text, re.MULTILINE) for line in EXPLORED)


def outcomes(text: str) -> tuple[Counter[str], list[str]]:
    """The sum of all closing lines of pytest in a log, and what of them is red."""
    counts: Counter[str] = Counter()
    red = []
    for line in text.splitlines():
        closing = _CLOSING.fullmatch(line)
        if closing and closing[1] == "no tests ran":
            red.append(closing[1])
        for number, word in re.findall(r"(\d+) ([a-z ]+)", closing[1] if closing else ""):
            counts[_WORD.get(word, word)] += int(number)
    good = ("passed", "skipped", "warning")
    return counts, red + [f"{number} {word}" for word, number in counts.items() if word not in good]


def unlisted(stage: str, text: str, allowed: Sequence[Allowed]) -> list[str]:
    """Skips of a log that the table does not have, and those that do not say of themselves why."""
    red, told = [], 0
    for match in map(_SKIP.fullmatch, text.splitlines()):
        if match:
            told += int(match[1])
            if not any(one.has(stage, match[2], match[3]) for one in allowed):
                red.append(f"not an allowed skip: {match[0]}")
    skipped = outcomes(text)[0]["skipped"]
    if skipped != told:
        red.append(f"{skipped} skipped, reasons of {told}")
    return red


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
