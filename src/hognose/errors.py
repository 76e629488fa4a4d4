"""The exception tree: the party at fault decides the class.

ConfigError: the administrator's file. PeerError: bytes of one peer; ends that session only. LocalError: our own
misuse of an engine (a bug). DeviceError: the machine below. Wire parsers on the hot path raise nothing.
"""

from __future__ import annotations

from hognose.drops import DropReason


class HognoseError(Exception):
    """Root of all errors of this program."""


class ConfigError(HognoseError):
    """A config that cannot be used; its text is `file:line: directive: message` as far as these are known.

    line is 1-based, 0 when the whole file is meant. message says what to write instead.
    """

    def __init__(self, message: str, *, file: str = "", line: int = 0, directive: str = "") -> None:
        self.message = message
        self.file = file
        self.line = line
        self.directive = directive
        where = file or "config"
        if line:
            where += f":{line}"
        super().__init__(": ".join(part for part in (where, directive, message) if part))


class PeerError(HognoseError):
    """A peer broke a rule; the caller ends that one session and counts `reason`."""

    def __init__(self, reason: DropReason, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason.name.lower()}{': ' + detail if detail else ''}")


class LocalError(HognoseError):
    """Call of an engine against its contract: a bug of ours."""


class DeviceError(HognoseError):
    """The device or the machine below refused; the text is for the console."""
