"""Runs pytest on dist/hognose-python: the interpreter linked from the very objects of the image's.

The standard library is the one it was built with. A static program loads no shared objects, so the test tools are
pure Python releases, in a folder of their own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.image_python import INTERPRETER, REPO, build, environment  # found through the path above

TOOLS = ("pytest==9.2.0", "pytest-timeout==2.4.0", "hypothesis==6.122.3", "scapy==2.8.0")


def main(words: list[str]) -> int:
    """Run a pytest for each group of words between `--`, at the same time; 1 when one of them fails."""
    groups: list[list[str]] = [[]]
    for word in words:
        if word == "--":
            groups.append([])
        else:
            groups[-1].append(word)
    command = [INTERPRETER, "-S", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tools = environment(test_tools(build.CACHE))
    running = [
        subprocess.Popen([*command, *group], env=tools, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for group in groups
    ]
    for process in running:
        output, _ = process.communicate()
        print(output.decode(errors="replace"), flush=True)
    return int(any(process.returncode for process in running))


def test_tools(cache: Path) -> Path:
    """The folder with TOOLS, made once."""
    target = cache / ("test-tools-" + "-".join(tool.partition("==")[2] for tool in TOOLS))
    with build.exclusive("test-tools"):
        if not target.exists():
            partial = target.with_suffix(".part")
            command = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--target", str(partial), *TOOLS]
            subprocess.run(command, check=True)
            partial.rename(target)
    return target


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
