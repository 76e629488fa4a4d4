"""The `hognose` command."""

from __future__ import annotations

import sys
from collections.abc import Callable

import hognose
from hognose.cli import config_tool, reference
from hognose.host.status import ExitStatus

USAGE = """usage: hognose serve ...         serve on a tap or macvtap of this machine
       hognose config ...        embed or check a config
       hognose events            every event of the log, as a table
       hognose --version"""


def main() -> None:
    """Entry point."""
    sys.exit(guarded(run, sys.argv[1:]))


def guarded(command: Callable[[list[str]], int], words: list[str]) -> int:
    """The command's exit status; an interrupt or a closed output ends it without a traceback."""
    try:
        status = command(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except OSError as error:  # the reader of our output has closed it, or its disk is full
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"hognose: {error.strerror or error}\n")
        _forget_output()
        return ExitStatus.INTERNAL
    return status


def _forget_output() -> None:
    """Discard buffered output that cannot be written; the interpreter must not try it again at its end."""
    try:
        sys.stdout.close()
    except OSError:
        pass


def run(words: list[str]) -> int:
    """Dispatch; the exit status."""
    command, rest = (words[0], words[1:]) if words else ("", [])
    if command == "serve":
        from hognose.cli import serve  # the engines take their time to import

        return serve.run(rest)
    if command == "config":
        return config_tool.run(rest)
    if words == ["events"]:
        sys.stdout.write(reference.event_table())
        return ExitStatus.OK
    if words == ["--version"]:
        sys.stdout.write(f"hognose {hognose.__version__}\n")
        return ExitStatus.OK
    if command in ("--help", "-h"):
        sys.stdout.write(USAGE + "\n")
        return ExitStatus.OK
    sys.stderr.write(USAGE + "\n")
    return ExitStatus.ARGUMENTS


if __name__ == "__main__":
    main()
