"""`openvpn-config-parser --server FILE`: the reference system's name for `hognose config embed`."""

from __future__ import annotations

import sys

from hognose.cli.config_tool import embed_words

USAGE = "usage: openvpn-config-parser --server [--block-size N] FILE > server.conf.full"


def main() -> None:
    """Entry point."""
    sys.exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """0, 3 for a config error, 2 for arguments; nothing on standard output unless 0."""
    if "--client" in words or "--server" not in words:
        sys.stderr.write(USAGE + "\n")
        return 2
    return embed_words([word for word in words if word != "--server"])
