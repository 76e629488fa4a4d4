"""The config, read at the start and again without a reboot: a changed text is parsed and put in force.

A text between its marks (blockfile.py) costs one sector per check, and is taken as soon as they are true. Any other one
is read whole when its first sector changes, and every WHOLE_INTERVAL_NS. Text without marks is taken when it has been
the same for as long; one whose marks are not true is refused when the next check finds it unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from hognose.config import blockfile
from hognose.config.changes import changed_settings
from hognose.config.model import ServerConfig
from hognose.config.parser import parse
from hognose.destinations import Destinations
from hognose.errors import ConfigError, DeviceError
from hognose.events import EventKind
from hognose.host.config_source import HEAD_BYTES, ConfigSource
from hognose.host.console import Console
from hognose.units import SECOND, Nanos, UnixSeconds

CHECK_INTERVAL_NS: Nanos = 5 * SECOND
WHOLE_INTERVAL_NS: Nanos = 30 * SECOND  # between reads of all of a text whose first sector does not tell a change
READ_TRIES = 3  # reads of a text that another one replaces meanwhile
_GENERATION_CHARS = 12  # of the SHA-256 in the log
_KEPT = "the old config stays in force"

Apply = Callable[[ServerConfig, Nanos, UnixSeconds], None]


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A config and where it came from; file is the name in messages."""

    source: ConfigSource
    file: str
    data: bytes
    config: ServerConfig
    no_authentication: bool  # --really-no-authentication
    destinations: Destinations  # of --clients-may-reach


def load(
    source: ConfigSource,
    file: str,
    console: Console,
    unix: UnixSeconds,
    *,
    no_authentication: bool = False,
    destinations: Destinations | None = None,
) -> LoadedConfig:
    """Read and parse; warnings go to the log. DeviceError from the source, ConfigError as parse raises it.

    destinations: the rule for what clients may reach, without the tunnel; pushed routes must agree with it.
    """
    data = read_text(source)
    rule = destinations or Destinations()
    config = _parse(data, source, file, console, unix=unix, no_authentication=no_authentication, destinations=rule)
    return LoadedConfig(source, file, data, config, no_authentication, rule)


def read_text(source: ConfigSource) -> bytes:
    """The bytes of the config; DeviceError from the source.

    A text with marks ends where they say, and what an older, longer one has left after it is not read. That also keeps
    solo5-hvt alive, which ends itself when a guest reads where its file has become shorter.
    """
    data = b""
    for _ in range(READ_TRIES):
        mark = blockfile.first_mark(source.head()) if source.repeatable else None
        if mark is None:
            return source.whole()
        data = source.first(min(mark.length, blockfile.MAX_BYTES)) if mark.length else _by_digest(source, mark.digest)
        if blockfile.first_mark(data) == mark:
            break
    return data


def _by_digest(source: ConfigSource, told: bytes) -> bytes:
    """A text of Hognose 0.1, sector by sector until its digest is reached; all of it when that never happens."""
    data = bytearray()
    digest = sha256()
    for piece in source.pieces(HEAD_BYTES):
        text = piece if data else piece[piece.find(b"\n") + 1 :]
        data += piece
        digest.update(text.partition(b"\0")[0])
        if digest.digest() == told:
            break
    return bytes(data)


def _parse(
    data: bytes,
    source: ConfigSource,
    file: str,
    console: Console,
    *,
    unix: UnixSeconds,
    no_authentication: bool,
    destinations: Destinations,
) -> ServerConfig:
    text = blockfile.decode(data, file, block_device=source.block_device)
    config, warned = parse(text, file, unix=unix, allow_no_authentication=no_authentication, destinations=destinations)
    for warning in warned:
        where = f"{file}:{warning.line}" if warning.line else file
        console.event(EventKind.CONFIG_WARNING, where=where, directive=warning.directive, text=warning.text)
    return config


class ConfigReload:
    """The loop's ConfigWatch over what the server has begun with; apply is the gateway's reconfigure.

    Of an exception that is a bug only the type is logged: its text could hold keys.
    """

    def __init__(self, loaded: LoadedConfig, *, now: Nanos, apply: Apply, console: Console) -> None:
        self._source = loaded.source
        self._file = loaded.file
        self._config = loaded.config
        self._no_authentication = loaded.no_authentication
        self._destinations = loaded.destinations
        self._apply = apply
        self._console = console
        self._next: Nanos = now + CHECK_INTERVAL_NS
        self._whole_at: Nanos = now + WHOLE_INTERVAL_NS  # when all of a text is read whose head tells nothing
        self._unreadable = False
        self._waiting = b""  # digest of a text that may still be written to, until _ripe_at
        self._ripe_at: Nanos = 0
        self._judge(loaded.data)

    @property
    def next_check(self) -> Nanos:
        """Time of the next check; 0 after SIGHUP, for at once."""
        return 0 if self._source.requested else self._next

    def check(self, now: Nanos, unix: UnixSeconds) -> None:
        """Check now; a text that cannot be read or used is logged and changes nothing."""
        self._next = now + CHECK_INTERVAL_NS
        try:
            data = self._new_text(now)
            self._unreadable = False
        except DeviceError as error:
            if not self._unreadable:
                self._unreadable = True
                self._console.event(EventKind.CONFIG_UNREADABLE, text=f"{error}; {_KEPT}")
            return
        if data is not None:
            self._take(data, now, unix)

    def _new_text(self, now: Nanos) -> bytes | None:
        """The text when it has changed and needs no further wait, else None."""
        source = self._source
        asked = source.requested
        if asked:
            source.reopen()
        elif not source.repeatable or (source.head() == self._head and (self._complete or now < self._whole_at)):
            return None
        data = read_text(source)
        digest = sha256(data).digest()
        self._note(data)
        self._whole_at = now + WHOLE_INTERVAL_NS
        if digest == self._digest:
            self._waiting = b""
            return None
        if asked or self._complete:
            return data
        if digest != self._waiting:
            self._waiting = digest
            told = blockfile.first_mark(data) is not None
            self._ripe_at = now + (CHECK_INTERVAL_NS if told else WHOLE_INTERVAL_NS)
        elif now >= self._ripe_at:
            return data
        self._whole_at = self._ripe_at
        return None

    def _take(self, data: bytes, now: Nanos, unix: UnixSeconds) -> None:
        self._judge(data)
        try:
            config = _parse(
                data,
                self._source,
                self._file,
                self._console,
                unix=unix,
                no_authentication=self._no_authentication,
                destinations=self._destinations,
            )
            old = self._config
            changed = changed_settings(old, config)
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
        """Remember a text that was read to its end, whatever comes of it: it is not judged twice."""
        self._waiting = b""
        self._digest = sha256(data).digest()
        self._note(data)
        mark = blockfile.first_mark(data)
        self._name = mark.digest.hex() if mark is not None and self._complete else self._digest.hex()

    def _note(self, data: bytes) -> None:
        """Remember what tells that a text is still there: its head, which is enough for one with true marks."""
        self._head = data[:HEAD_BYTES]
        self._complete = blockfile.complete(data)
