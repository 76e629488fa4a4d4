"""NUL-terminated strings on the control channel (OpenVPN forward.c check_incoming_control_channel)."""

from __future__ import annotations

from hognose.drops import Counters, DropReason
from hognose.limits import OpenvpnLimits


class MessageReader:
    """Cuts plaintext into strings.

    Bounds: an unfinished string keeps `control_string` bytes, one call gives `control_strings` strings (OpenvpnLimits);
    more is counted as BAD_CONTROL_MESSAGE.
    """

    __slots__ = ("_counters", "_limits", "_rest", "_skipping")

    def __init__(self, counters: Counters, limits: OpenvpnLimits) -> None:
        self._counters = counters
        self._limits = limits
        self._rest = b""
        self._skipping = False  # inside a string that is too long: up to its NUL nothing is kept

    def feed(self, data: bytes) -> list[str]:
        """Complete printable strings; one with control characters is ignored whole (CVE-2024-5594)."""
        longest = self._limits.control_string
        parts = (self._rest + data).split(b"\0")
        self._rest = parts.pop()
        if self._skipping and parts:
            self._skipping = False
            parts[0] = b""
        parts = [part for part in parts if part]
        messages = []
        for part in parts[: self._limits.control_strings]:
            text = part.rstrip(b"\r\n").decode("utf-8", "replace")
            if len(part) > longest or (text and not text.isprintable()):
                self._counters.drop(DropReason.BAD_CONTROL_MESSAGE)
            elif text:
                messages.append(text)
        if len(parts) > self._limits.control_strings:
            self._counters.drop(DropReason.BAD_CONTROL_MESSAGE, len(parts) - self._limits.control_strings)
        if self._skipping:
            self._rest = b""
        elif len(self._rest) > longest:
            self._rest = b""
            self._skipping = True
            self._counters.drop(DropReason.BAD_CONTROL_MESSAGE)
        return messages
