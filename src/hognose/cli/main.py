"""The `hognose` command."""

from __future__ import annotations

import sys

import hognose
from hognose.cli import config_tool, serve

USAGE = """usage: hognose serve ...         serve on a tap or macvtap of this machine
       hognose config ...        embed or check a config
       hognose --version"""


def main() -> None:
    """Entry point."""
    sys.exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """Dispatch; the exit status."""
    command, rest = (words[0], words[1:]) if words else ("", [])
    if command == "serve":
        return serve.run(rest)
    if command == "config":
        return config_tool.run(rest)
    if command == "--version":
        sys.stdout.write(f"hognose {hognose.__version__}\n")
        return 0
    sys.stderr.write(USAGE + "\n")
    return 0 if command in ("--help", "-h") else 2


if __name__ == "__main__":
    main()
