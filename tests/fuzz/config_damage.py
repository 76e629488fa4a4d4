"""Fuzz target of a block device that is cut, flipped and mixed under a server, and at its start.

Whatever is done to embedded texts, what is served is one of them, whole: never a part, never a mixture, never less than
the policy that was in force.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from unittest import mock

from tests.fuzz.reader import Reader
from tests.unit.config.config_samples import config_text
from tests.world.server import with_generation
from tests.world.today import UNIX

from hognose.cli import config_watch
from hognose.config import parser
from hognose.config.model import ServerConfig
from hognose.errors import ConfigError
from hognose.events import EventKind
from hognose.host.config_source import ConfigSource
from hognose.host.console import Console
from hognose.units import SECOND, UnixSeconds

STEPS = 12
DEVICE_BYTES = 16_384
OLD, NEW = "client-to-client\n", "duplicate-cn\n"  # what tells the texts apart; their policy stands at the very end
_POLICY = "<client-config-dir>\n[alice]\n</client-config-dir>\nccd-exclusive\nremote-cert-tls client\nmax-clients 7\n"


class _Device(ConfigSource):
    """Bytes in memory."""

    def __init__(self, data: bytes, *, block_device: bool) -> None:
        self.data = data
        self.requested, self.repeatable, self.block_device = False, True, block_device

    def reopen(self) -> None:
        self.requested = False

    def _read(self, position: int, size: int) -> bytes:
        return self.data[position : position + size]


class _Console(Console):
    """Says nothing."""

    def __init__(self) -> None:
        """Without the queue of lines."""

    def event(self, kind: EventKind, **fields: str | int) -> None:
        """Not printed."""


@lru_cache(maxsize=2)
def _texts(of_0_1: bool) -> tuple[dict[bytes, ServerConfig], list[bytes]]:
    """Each whole text with what it means, and all of them in the order that the fuzzer names them."""
    found = {}
    for extra in (OLD, NEW, NEW + "verb 3\n" * 200):
        text = config_text(extra) + _POLICY
        for data in (_as_before(text), with_generation(text))[not of_0_1 :]:
            found[data] = parser.parse(data.decode(), "f")[0]
    return found, list(found)


def _as_before(text: str) -> bytes:
    """As Hognose 0.1 has embedded it."""
    text += "#\n" * 150
    return b"# hognose sha256 " + sha256(text.encode()).hexdigest().encode() + b"\n" + text.encode()


def config_damage(data: bytes) -> None:
    """Steps of damage to a device, each followed by a start and by looks of a server that has begun before."""
    reader = Reader(data)
    kind = reader.byte()
    of_0_1 = bool(kind & 1)
    genuine, order = _texts(of_0_1)
    flips = 1 if of_0_1 else 2  # in the only mark of 0.1, two well aimed ones leave nothing of it
    begun = order[reader.byte() % len(order)]
    device = _Device(begun, block_device=bool(kind & 2))
    served = [genuine[begun]]

    def parse(text: str, file: str, **options: object) -> tuple[ServerConfig, list[object]]:
        """Only whole texts mean anything; the parser must see to what the marks let through."""
        known = genuine.get(text.encode())
        if known is None:
            parser.parse(text, file)
            raise AssertionError("a damaged text was taken")
        return known, []

    def apply(config: ServerConfig, now: int, unix: UnixSeconds) -> None:
        served.append(config)

    with mock.patch.object(config_watch, "parse", parse):
        now = SECOND
        loaded = config_watch.load(device, "f", _Console(), UNIX)
        watch = config_watch.ConfigReload(loaded, now=now, apply=apply, console=_Console())
        for _ in range(STEPS):
            if not reader:
                break
            choice = reader.byte() % 7
            if choice == 1:
                flips -= 1
            if choice != 1 or flips >= 0:
                _damage(choice, reader, device, order)
            for _ in range(1 + reader.byte() % 3):
                now += config_watch.CHECK_INTERVAL_NS
                watch.check(now, UNIX)
            _start(device, genuine)
    assert all(config.admission.ccd_exclusive and config.tls.rules.remote_cert_tls for config in served)
    assert all(config.admission.max_clients == 7 for config in served)


def _damage(choice: int, reader: Reader, device: _Device, order: list[bytes]) -> None:
    data = bytearray(device.data)
    if choice == 0:  # the device becomes too small
        del data[reader.number(2) :]
    elif choice == 1:
        at = reader.number(2) % len(data) if data else 0
        data[at : at + 1] = bytes(each ^ 1 << reader.byte() % 8 for each in data[at : at + 1])
    elif choice == 2:  # a part of another text where it belongs: the writer was interrupted, or overtaken
        other = order[reader.byte() % len(order)]
        first = min(reader.number(2), len(data))
        part = other[first : reader.number(2)]
        data[first : first + len(part)] = part
    elif choice == 3:  # sectors that read as zeros
        first = reader.number(2) % 64 * 512
        data[first : first + 512] = bytes(len(data[first : first + 512]))
        del data[reader.number(2) or DEVICE_BYTES :]
    elif choice == 4:  # the whole of another text, over what was there
        other = order[reader.byte() % len(order)]
        data[: len(other)] = other
    elif choice == 5:
        device.request()
    else:
        data += bytes(512)
    device.data = bytes(data[:DEVICE_BYTES])


def _start(device: _Device, genuine: dict[bytes, ServerConfig]) -> None:
    """A server that begins now takes a whole text, or none."""
    try:
        config = config_watch.load(device, "f", _Console(), UNIX).config
    except ConfigError as error:
        assert str(error).startswith("f")
        return
    assert config in genuine.values()
