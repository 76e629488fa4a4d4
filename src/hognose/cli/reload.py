"""The config, read at the start and again without a reboot: what changed on the device is parsed and put in force.

A text that begins with its generation (blockfile.py) costs one sector per look and is not taken half written. Another
one is read whole at every look, and taken when two looks in a row have seen the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from hashlib import sha256

from hognose.config import blockfile
from hognose.config.model import ServerConfig
from hognose.config.parser import parse
from hognose.errors import ConfigError, DeviceError
from hognose.events import EventKind
from hognose.host.config_source import HEAD_BYTES, ConfigSource
from hognose.host.console import Console
from hognose.units import SECOND, Nanos, UnixSeconds

CHECK_INTERVAL_NS: Nanos = 30 * SECOND
_GENERATION_CHARS = 12  # of the SHA-256 in the log
_KEPT = "the old config stays in force"
_HAND_MADE = (
    "the text is not the one that its first line tells of, but has not changed since the last look: read as it is"
)

Apply = Callable[[ServerConfig, Nanos, UnixSeconds], None]


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A config and where it came from; file is the name in messages."""

    source: ConfigSource
    file: str
    data: bytes
    config: ServerConfig
    no_authentication: bool  # --really-no-authentication


def load(
    source: ConfigSource, file: str, console: Console, unix: UnixSeconds, *, no_authentication: bool = False
) -> LoadedConfig:
    """Read and parse; warnings go to the log. DeviceError from the source, ConfigError as parse raises it."""
    data = read_text(source)
    return LoadedConfig(source, file, data, _parse(data, file, console, unix, no_authentication), no_authentication)


def read_text(source: ConfigSource) -> bytes:
    """The bytes of the config; DeviceError from the source.

    A text with a generation ends where its digest says: what an older, longer one has left behind it is not read. That
    also keeps solo5-hvt alive, which ends itself when a guest reads where its file has become shorter.
    """
    told = blockfile.generation(source.head()) if source.repeatable else None
    if told is None:
        return source.whole()
    data = bytearray()
    digest = sha256()
    for piece in source.pieces(HEAD_BYTES):
        text = piece if data else piece[piece.find(b"\n") + 1 :]
        data += piece
        digest.update(text.partition(b"\0")[0])
        if digest.digest() == told:
            break
    return bytes(data)


def _parse(data: bytes, file: str, console: Console, unix: UnixSeconds, no_authentication: bool) -> ServerConfig:
    text = blockfile.decode(data, file)
    config, warned = parse(text, file, unix=unix, allow_no_authentication=no_authentication)
    for warning in warned:
        where = f"{file}:{warning.line}" if warning.line else file
        console.event(EventKind.CONFIG_WARNING, where=where, directive=warning.directive, text=warning.text)
    return config


class ConfigReload:
    """The loop's ConfigWatch over what the server has begun with; apply is the gateway's reconfigure.

    Of an exception that is a bug only the type is told: its text could hold keys.
    """

    def __init__(self, loaded: LoadedConfig, *, now: Nanos, apply: Apply, console: Console) -> None:
        self._source = loaded.source
        self._file = loaded.file
        self._config = loaded.config
        self._no_authentication = loaded.no_authentication
        self._apply = apply
        self._console = console
        self._next: Nanos = now + CHECK_INTERVAL_NS
        self._unreadable = False
        self._waiting = b""  # digest of a text that may still be written to
        self._judge(loaded.data)

    @property
    def next_check(self) -> Nanos:
        """0 when somebody has asked for a look at once."""
        return 0 if self._source.requested else self._next

    def check(self, now: Nanos, unix: UnixSeconds) -> None:
        """Look now; what cannot be read or used is told and changes nothing."""
        self._next = now + CHECK_INTERVAL_NS
        try:
            data = self._new_text()
            self._unreadable = False
        except DeviceError as error:
            if not self._unreadable:
                self._unreadable = True
                self._console.event(EventKind.CONFIG_UNREADABLE, text=f"{error}; {_KEPT}")
            return
        if data is not None:
            self._take(data, now, unix)

    def _new_text(self) -> bytes | None:
        """The text when it is another one than before and whole."""
        source = self._source
        asked = source.requested
        if asked:
            source.reopen()
        elif not source.repeatable or (self._whole and source.head() == self._head):
            return None
        data = read_text(source)
        digest = sha256(data).digest()
        if digest == self._digest:
            self._waiting = b""
            return None
        told = blockfile.generation(data[:HEAD_BYTES]) is not None
        whole = told and blockfile.complete(data)
        if not whole and not asked and digest != self._waiting:
            self._waiting = digest
            return None
        if told and not whole:
            self._console.event(EventKind.CONFIG_WARNING, where=self._file, directive="", text=_HAND_MADE)
        return data

    def _take(self, data: bytes, now: Nanos, unix: UnixSeconds) -> None:
        self._judge(data)
        try:
            config = _parse(data, self._file, self._console, unix, self._no_authentication)
            old = self._config
            changed = [name for field in fields(config) if getattr(config, name := field.name) != getattr(old, name)]
            if changed:
                self._apply(config, now, unix)
        except ConfigError as error:
            self._console.event(EventKind.CONFIG_ERROR, text=str(error), effect=_KEPT)
            return
        except Exception as error:
            self._console.event(EventKind.INTERNAL_ERROR, where="reload", error=type(error).__name__, conn=0)
            return
        self._config = config
        self._console.event(
            EventKind.CONFIG_RELOADED,
            generation=self._name[:_GENERATION_CHARS],
            changed=",".join(changed) or "nothing",
        )

    def _judge(self, data: bytes) -> None:
        """Remember a text that was read to its end, whatever comes of it: it is not looked at twice."""
        self._waiting = b""
        self._digest = sha256(data).digest()
        self._head = data[:HEAD_BYTES]
        told = blockfile.generation(self._head)
        self._whole = told is not None and blockfile.complete(data)
        self._name = told.hex() if told is not None and self._whole else self._digest.hex()
