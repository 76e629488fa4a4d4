"""Runs pytest on dist/hognose-python: the interpreter linked from the very objects of the image's.

The standard library is the one it was built with. A static program loads no shared objects, so the test tools are
pure Python releases, in a folder of their own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from image_python import INTERPRETER, REPO, build, environment

TOOLS = ("pytest==9.2.0", "pytest-timeout==2.4.0", "hypothesis==6.122.3", "scapy==2.8.0")


def main(words: list[str]) -> int:
    """pytest's status."""
    command = [INTERPRETER, "-S", "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, env=environment(test_tools(build.CACHE)), cwd=REPO, check=False).returncode


def test_tools(cache: Path) -> Path:
    """The folder with TOOLS, made once."""
    target = cache / ("test-tools-" + "-".join(tool.partition("==")[2] for tool in TOOLS))
    if not target.exists():
        partial = target.with_suffix(".part")
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--target", str(partial), *TOOLS]
        subprocess.run(command, check=True)
        partial.rename(target)
    return target


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
