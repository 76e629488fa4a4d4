"""NUL-terminated strings on the control channel (OpenVPN forward.c check_incoming_control_channel)."""

from __future__ import annotations

from hognose.drops import Counters, DropReason

MESSAGE_MAX = 4096  # bytes of one string; a longer one is thrown away


class MessageReader:
    """Cuts plaintext into strings. Bound: MESSAGE_MAX bytes of an unfinished string are kept."""

    __slots__ = ("_counters", "_rest", "_skipping")

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._rest = b""
        self._skipping = False  # inside a string that is too long: up to its NUL nothing is kept

    def feed(self, data: bytes) -> list[str]:
        """Complete printable strings; one with control characters is ignored whole (CVE-2024-5594)."""
        parts = (self._rest + data).split(b"\0")
        self._rest = parts.pop()
        messages = []
        for part in parts:
            if self._skipping:
                self._skipping = False
                continue
            text = part.rstrip(b"\r\n").decode("utf-8", "replace")
            if len(part) > MESSAGE_MAX or (text and not text.isprintable()):
                self._counters.drop(DropReason.BAD_CONTROL_MESSAGE)
            elif text:
                messages.append(text)
        if self._skipping:
            self._rest = b""
        elif len(self._rest) > MESSAGE_MAX:
            self._rest = b""
            self._skipping = True
            self._counters.drop(DropReason.BAD_CONTROL_MESSAGE)
        return messages
