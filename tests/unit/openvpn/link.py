"""A session and a model client joined by a link in virtual time; the link may lose, repeat and reorder by seed."""

from __future__ import annotations

import heapq
import hmac
import os
import random
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from tests.unit.openvpn.client import ClientKit, ModelClient
from tests.unit.settings_by_name import changed
from tests.world.pki import SERVER, Authority, Identity
from tests.world.today import UNIX

from hognose.drops import Counters
from hognose.openvpn.control.negotiations import Negotiations
from hognose.openvpn.control.push import Admission
from hognose.openvpn.profile import ServerProfile
from hognose.openvpn.session import Session
from hognose.openvpn.session_events import Authenticated, Established, SessionEvent
from hognose.openvpn.tls.context import TlsContext
from hognose.settings import LivenessSettings, RenegotiationSettings, TlsSettings, WrapSettings

SECOND = 1_000_000_000
KEY = bytes(range(256))
SERVER_V2_KEY = bytes((7 * n + 3) % 256 for n in range(128))
START = 100 * SECOND


@lru_cache(maxsize=1)
def authority() -> Authority:
    """One CA for all tests of the run."""
    return Authority()


@lru_cache(maxsize=1)
def server_identity() -> Identity:
    return authority().issue("server", SERVER, start_days=-400, days=4000)


@lru_cache(maxsize=8)
def client_identity(name: str = "alice") -> Identity:
    return authority().issue(name, start_days=-400, days=4000)


@lru_cache(maxsize=4)
def tls_context(minimum: str = "1.2", maximum: str = "") -> TlsContext:
    identity = server_identity()
    return TlsContext(TlsSettings(authority().pem, identity.cert, identity.key, minimum, maximum))


@lru_cache(maxsize=4)
def wrapped_client_key(metadata: bytes = b"\1" + UNIX.to_bytes(8, "big")) -> tuple[bytes, bytes]:
    """(client key, WKc) under SERVER_V2_KEY, built from the protocol page and nothing of ours."""
    client_key = bytes(range(255, -1, -1))
    length = (32 + 256 + len(metadata) + 2).to_bytes(2, "big")
    tag = hmac.new(SERVER_V2_KEY[64:96], length + client_key + metadata, "sha256").digest()
    stream = Cipher(algorithms.AES(SERVER_V2_KEY[:32]), modes.CTR(tag[:16])).encryptor()
    return client_key, tag + stream.update(client_key + metadata) + length


def profile(wrap: Any = "none", **changes: Any) -> ServerProfile:
    direction = 0 if wrap == "tls-auth" else None
    settings = WrapSettings(wrap, KEY, direction) if wrap != "none" else WrapSettings()
    if wrap == "tls-crypt-v2":
        settings = WrapSettings(v2_key=SERVER_V2_KEY)
    base = ServerProfile(
        tls=tls_context(),
        wrap=settings,
        helpers=("route-gateway 10.8.0.1", "topology subnet"),
        liveness=LivenessSettings(ping_s=10, ping_timeout_s=60),
        renegotiation=RenegotiationSettings(reneg_min_s=3600),  # no interval is drawn
    )
    return changed(base, **changes)


def kit(wrap: str = "none", **changes: Any) -> ClientKit:
    identity = client_identity()
    base = ClientKit(authority().pem, identity.cert, identity.key, wrap, KEY, 1 if wrap == "tls-auth" else None)
    if wrap == "tls-crypt-v2":
        base.static_key, base.wrapped_key = wrapped_client_key()
    return replace(base, **changes)


@dataclass
class Quality:
    """Of the link: probabilities, and delay in nanoseconds."""

    loss: float = 0.0
    repeat: float = 0.0
    reorder: float = 0.0
    delay: int = 1_000_000


class Link:
    """Moves records between the two, jumps to the next thing that happens."""

    def __init__(
        self,
        server: ServerProfile,
        client: ClientKit,
        quality: Quality | None = None,
        seed: int = 1,
        *,
        admit: bool = True,
    ) -> None:
        self.now = START
        self.counters = Counters()
        self.session = Session(server, random=os.urandom, now=self.now, unix=UNIX, counters=self.counters)
        self.client = ModelClient(client)
        self.events: list[SessionEvent] = []
        self.inner: list[bytes] = []  # packets that the session gave out
        self.admit = admit
        self.down = True  # whether records flow at all
        self._quality = quality or Quality()
        self._random = random.Random(seed)
        self.air: list[tuple[int, int, bool, bytes]] = []
        self._number = 0

    @property
    def negotiations(self) -> Negotiations:
        """The session's."""
        return self.session.control.negotiations

    def connect(self) -> None:
        """Until the client has its options."""
        self.client.start(self.now)
        self.run(lambda: self.client.established and self.has(Established), 60)

    def has(self, kind: type) -> bool:
        return any(isinstance(event, kind) for event in self.events)

    def run(self, until, seconds: float) -> None:
        """Run in virtual time until the condition holds; AssertionError when it does not in time."""
        limit = self.now + int(seconds * SECOND)
        while not until():
            self.exchange()
            if until():
                return
            times = [self.air[0][0]] if self.air else []
            deadline = self.session.next_deadline()
            if deadline is not None:
                times.append(deadline)
            times += [
                entry[2] for n in self.client.negotiations.values() for entry in n.unacked.values()
            ]  # fmt: skip
            assert times, "nothing is scheduled, and it is not done"
            self.now = max(self.now, min(times))
            assert self.now <= limit, f"not done after {seconds} s: ended={self.session.ended} {self.client.messages}"

    def rest(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + int(seconds * SECOND)
        while self.now < end:
            self.exchange()
            times = [end] + ([self.air[0][0]] if self.air else [])
            deadline = self.session.next_deadline()
            if deadline is not None:
                times.append(deadline)
            self.now = max(self.now + 1, min(times))

    def exchange(self) -> None:
        arrived: list[bytes] = []
        while self.air and self.air[0][0] <= self.now:
            _, _, to_server, record = heapq.heappop(self.air)
            if to_server:
                arrived.append(record)
            else:
                self.client.receive(record, self.now)
        if arrived:
            self.inner += self.session.receive(arrived, self.now, UNIX)
            while self.session.has_work:
                self.inner += self.session.work(self.now, UNIX)
        deadline = self.session.next_deadline()
        if deadline is not None and deadline <= self.now:
            self.session.handle_deadline(self.now, UNIX)
        for event in self.session.take_events():
            self.events.append(event)
            if isinstance(event, Authenticated) and self.admit:
                self.session.admit(ADMISSION, self.now)
                self.events += self.session.take_events()
        for record in self.session.poll(self.now, UNIX):
            self.send(record, to_server=False)
        for record in self.client.poll(self.now):
            self.send(record, to_server=True)

    def send(self, record: bytes, *, to_server: bool) -> None:
        """Put a record into the air, as the link's quality has it."""
        if not self.down:
            return
        quality = self._quality
        for _ in range(2 if self._random.random() < quality.repeat else 1):
            if self._random.random() < quality.loss:
                continue
            late = 5 * quality.delay if self._random.random() < quality.reorder else 0
            self._number += 1
            heapq.heappush(self.air, (self.now + quality.delay + late, self._number, to_server, record))


ADMISSION = Admission(bytes((10, 8, 0, 2)), bytes((255, 255, 255, 0)), 7)
