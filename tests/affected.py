"""The tests that a change can break: `affected.py quick [BASE]` in a minute, `affected.py stages [BASE]` all of them.

What changed is asked of git: everything since BASE, with what is not committed yet. Without BASE it is what is not
committed, or the last commit where all is. The order of floors is that of the import contract in pyproject.toml: unit
tests of a folder are run when it, or anything below it, has changed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
CELL = "tests/interop/test_interop.py::test_cell[tls-crypt-AES-256-GCM-1.3]"
ALL = (
    *("check", "unit", "sim", "clock", "fuzz-corpus", "image"),
    *("packing", "static-interpreter", "interop", "compat", "machines"),
)
# The first pattern that fits a path names the stages that it can break; what fits none can break all.
RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("src/hognose/device/*", ("check", "unit", "image", "packing", "interop", "machines")),
    ("src/hognose/host/*", ("check", "unit", "image", "packing", "interop", "machines")),
    ("src/hognose/cli/*", ("check", "unit", "image", "packing", "interop", "machines")),
    ("src/*", ALL),
    ("initramfs/*", ("check", "image", "packing", "static-interpreter", "machines")),
    ("image/*", ("check", "image", "packing", "static-interpreter", "machines")),
    ("solo5/*", ("check", "image", "packing", "machines")),
    ("tests/unit/*", ("check", "unit", "sim", "fuzz-corpus")),
    ("tests/static/*", ("check",)),
    ("tests/sim/*", ("check", "sim", "clock", "unit")),
    ("tests/fuzz/*", ("check", "fuzz-corpus")),
    ("tests/explore/*", ("check", "unit", "explore")),
    ("tests/mutants/*", ("check", "unit")),
    ("tests/image/*", ("check", "packing")),
    ("tests/interop/*", ("check", "interop", "machines")),
    ("tests/probes/*", ("check", "interop", "machines")),
    ("tests/compat/*", ("check", "compat", "machines")),
    ("tests/vm/*", ("check", "machines")),
    ("tests/hvt/*", ("check", "machines")),
    ("tests/bench/*", ("check", "unit")),
    ("tests/load/*", ("check",)),
    ("tests/architecture.py", ("check",)),
    ("tests/by_module.py", ("check",)),
    ("docs/examples*", ("check", "interop", "machines")),
    ("docs/*", ("check",)),
    ("*.md", ("check",)),
    ("LICENSE", ()),
    (".gitignore", ("check",)),
    (".editorconfig", ("check",)),
    (".clang-format", ("check",)),
    (".pre-commit-config.yaml", ("check",)),
)


def stages(paths: Iterable[str]) -> list[str]:
    """Stages in the order in which CI runs them."""
    wanted: set[str] = set()
    for path in paths:
        wanted.update(next((names for pattern, names in RULES if fnmatch(path, pattern)), ALL))
    return [name for name in (*ALL[:4], "explore", *ALL[4:]) if name in wanted]


def floors() -> list[set[str]]:
    """Names of packages and modules below `hognose`, the topmost floor first."""
    settings = tomllib.loads((REPO / "pyproject.toml").read_text())
    layers = next(one for one in settings["tool"]["importlinter"]["contracts"] if one["type"] == "layers")["layers"]
    return [{name.strip().removeprefix("hognose.") for name in layer.replace("|", ":").split(":")} for layer in layers]


def unit_folders(paths: Iterable[str]) -> list[str]:
    """Folders of unit tests for the code and the tests among paths; `tests/unit` is all of them."""
    found: set[str] = set()
    order = floors()
    for path in paths:
        parts = Path(path).parts
        if parts[:2] == ("src", "hognose"):
            changed = parts[2].removesuffix(".py")
            at = next((number for number, names in enumerate(order) if changed in names), len(order))
            if at >= len(order) - 1:
                return ["tests/unit"]
            found.update({changed}.union(*order[:at]))
        elif parts[:2] == ("tests", "unit") and len(parts) > 3:
            found.add(parts[2])
        elif "unit" in stages([path]):
            return ["tests/unit"]
    return [str(one) for one in sorted(Path("tests/unit") / name for name in found) if (REPO / one).is_dir()]


def changed(base: str) -> list[str]:
    """Paths that differ from BASE, and those that git does not know yet; without BASE those of today's work."""
    new = _git("ls-files", "--others", "--exclude-standard")
    if base:
        return [*_git("diff", "--name-only", base), *new]
    return [*_git("diff", "--name-only", "HEAD"), *new] or _git("diff", "--name-only", "HEAD~1")


def quick(paths: list[str]) -> int:
    """Static checks and unit tests side by side, then one real client; 1 when anything of it failed.

    Where all of the unit tests are asked for, those that a minute has room for are run (quick_budget.py).
    """
    folders = unit_folders(paths)
    commands = [["make", "--no-print-directory", "check"]]
    if folders:
        words = ["-q", "-n", "2", "--maxschedchunk=10", "-p", "tests.quick_budget", "-m", "not stress"]
        commands.append([sys.executable, "-m", "pytest", *words, *folders])
    running = [
        subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for command in commands
    ]
    for command, process in zip(commands, running, strict=True):
        output, _ = process.communicate()
        print(f"== {' '.join(command[-1 - len(folders) :])}\n{output.decode(errors='replace')}", flush=True)
    client = subprocess.run([sys.executable, "-m", "pytest", "-q", CELL], cwd=REPO, check=False)
    interrupted = 2  # pytest's status when the time is up; a test that failed before makes it 1
    checks, *units = [process.returncode for process in running]
    return int(bool(checks or client.returncode or any(one not in (0, interrupted) for one in units)))


def run_stages(paths: list[str]) -> int:
    """The stages one after the other, all of them; 1 when one failed."""
    failed = []
    for name in stages(paths):
        command = ["make", "--no-print-directory", name]
        if name == "unit":
            command = [sys.executable, "-m", "pytest", "-q", "-n", "2", *unit_folders(paths)]
        print(f"== {name}: {' '.join(command)}", flush=True)
        if subprocess.run(command, cwd=REPO, check=False).returncode:
            failed.append(name)
    print(f"failed: {' '.join(failed)}" if failed else "all passed")
    return int(bool(failed))


def _git(*words: str) -> list[str]:
    return subprocess.run(["git", *words], cwd=REPO, check=True, capture_output=True, text=True).stdout.splitlines()


if __name__ == "__main__":
    os.environ.pop("MAKEFLAGS", None)  # of the make that called, whose job server is its own
    changes = changed(sys.argv[2] if len(sys.argv) > 2 else "")
    print(f"{len(changes)} changed: {', '.join(changes[:8])}{', ...' if len(changes) > 8 else ''}", flush=True)
    sys.exit({"quick": quick, "stages": run_stages}[sys.argv[1]](changes))
