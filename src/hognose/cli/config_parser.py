"""`openvpn-config-parser --server FILE`: the reference system's name for `hognose config embed`."""

from __future__ import annotations

import sys

from hognose.cli.config_tool import EMBED_OPTIONS, embed_words
from hognose.cli.main import guarded
from hognose.host.status import ExitStatus

USAGE = f"usage: openvpn-config-parser --server {EMBED_OPTIONS} CONFIG"


def main() -> None:
    """Entry point."""
    sys.exit(guarded(run, sys.argv[1:]))


def run(words: list[str]) -> int:
    """0, 3 for a config error, 2 for arguments; nothing on standard output unless 0."""
    if "--help" in words or "-h" in words:
        sys.stdout.write(USAGE + "\n")
        return ExitStatus.OK
    if "--client" in words:
        sys.stderr.write(f"--client is not supported (yet)\n{USAGE}\n")
        return ExitStatus.ARGUMENTS
    if "--server" not in words:
        sys.stderr.write(f"--server is missing\n{USAGE}\n")
        return ExitStatus.ARGUMENTS
    return embed_words([word for word in words if word != "--server"], USAGE)
