"""Sessions stopped at every stage of their life, each with its model client, for tests that attack them there."""

from __future__ import annotations

import os

from tests.unit.openvpn.client import PEER_INFO, ModelClient, _Negotiation
from tests.unit.openvpn.link import ADMISSION, SECOND, START, Link, kit, profile
from tests.world.today import UNIX

from hognose.drops import Counters, DropReason
from hognose.openvpn.session import Session
from hognose.openvpn.session_events import Authenticated, Established, Renegotiated
from hognose.wire import openvpn as wire

PACKET = b"\x45" + bytes(99)
WRAPS = ["none", "tls-auth", "tls-crypt", "tls-crypt-v2"]
EPOCH = PEER_INFO.replace("IV_PROTO=990", "IV_PROTO=8094")
CBC = PEER_INFO.replace("AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305", "AES-256-CBC")
OLD = "IV_PROTO=2\nIV_NCP=2\n"
STAGES = (
    "fresh", "reset", "TLS", "not admitted", "not acknowledged", "established", "renegotiating", "renegotiated",
    "refused", "ended",
)  # fmt: skip


def at_stage(stage: str, wrap: str = "none", **changes: object) -> Link:
    """A link whose session has come so far and no further; changes: of the client's kit."""
    link = Link(profile(wrap), kit(wrap, **changes), admit=False)
    if stage == "fresh":
        return link
    link.client.start(link.now)
    if stage == "reset":
        link.session.receive(link.client.poll(link.now), link.now, UNIX)
        link.session.poll(link.now, UNIX)
        return link
    if stage == "TLS":
        link.run(
            lambda: link.negotiations.primary is not None and link.negotiations.primary.tls is not None,
            5,
        )
        return link
    if stage == "not acknowledged":
        return _without_acknowledgement(link)
    link.run(lambda: link.has(Authenticated), 10)
    if stage == "not admitted":
        link.rest(1)
    elif stage == "refused":
        link.session.refuse("no", link.now)
        link.rest(1)
    else:
        link.session.admit(ADMISSION, link.now)
        link.run(lambda: link.client.established and link.has(Established), 10)
        _later(link, stage)
    return link


def _later(link: Link, stage: str) -> None:
    link.rest(11)
    if stage == "renegotiating":
        link.client.renegotiate(link.now)
        link.run(
            lambda: link.negotiations.pending is not None and link.negotiations.pending.tls is not None,
            10,
        )
    elif stage == "renegotiated":
        link.client.renegotiate(link.now)
        link.run(lambda: link.has(Renegotiated), 10)
        link.rest(1)
    elif stage == "ended":
        link.client.say("EXIT", link.now)
        link.run(lambda: link.session.ended is not None, 10)


def _without_acknowledgement(link: Link) -> Link:
    """Our key message is out and never acknowledged: the client's later records get lost."""
    while not link.has(Authenticated):
        link.exchange()
        link.now += SECOND // 1000
    link.session.admit(ADMISSION, link.now)
    link.session.poll(link.now, UNIX)
    return link


def control(client: ModelClient, opcode: int, key_id: int, body: bytes) -> bytes:
    """A control packet that the wrap takes, with any body."""
    negotiation = client.negotiations.get(key_id)
    if negotiation is None:
        tls = client.negotiations[0].tls if 0 in client.negotiations else None
        negotiation = _Negotiation(key_id, tls)  # type: ignore[arg-type]  # a stand-in
    return client.wrapped(opcode, negotiation, body)


def body_of(message_id: int, payload: bytes = b"", acks: tuple[int, ...] = (), remote: bytes = bytes(8)) -> bytes:
    """A control packet's body."""
    return wire.build_control_body(acks, remote, message_id, payload)


def drops(link: Link) -> dict[str, int]:
    """Counters above zero."""
    return {reason.name: link.counters.drops[reason] for reason in DropReason if link.counters.drops[reason]}


def whole_life(link: Link, seconds: float = 700) -> None:
    """Nothing more arrives; every timer of the session runs. The session is over in the end."""
    end = link.now + int(seconds * SECOND)
    for _ in range(10_000):
        deadline = link.session.next_deadline()
        if deadline is None:
            assert link.session.ended is not None
            return
        assert deadline < end
        link.now = max(link.now + 1, deadline)
        link.session.handle_deadline(link.now, UNIX)
        link.session.poll(link.now, UNIX)
        link.session.take_events()
    raise AssertionError("timers run without end")


def alive(link: Link) -> None:
    """The session still carries packets both ways."""
    before = len(link.inner), len(link.client.packets)
    link.client.send(PACKET)
    for record in link.session.seal([PACKET], link.now):
        link.send(record, to_server=False)
    link.run(lambda: len(link.inner) > before[0] and len(link.client.packets) > before[1], 5)


def give(link: Link, *records: bytes) -> None:
    """Records for the session, out of turn; what it answers is on its way."""
    link.inner += link.session.receive(list(records), link.now, UNIX)
    while link.session.has_work:
        link.inner += link.session.work(link.now, UNIX)
    for record in link.session.poll(link.now, UNIX):
        link.send(record, to_server=False)


def fresh(wrap: str = "none") -> tuple[Session, Counters]:
    """A session that has heard nothing yet."""
    counters = Counters()
    session = Session(profile(wrap), random=os.urandom, now=START, unix=UNIX, counters=counters)
    return session, counters


def v3_reset() -> bytes:
    """The first record of a tls-crypt-v2 client."""
    link = Link(profile("tls-crypt-v2"), kit("tls-crypt-v2"))
    link.client.start(link.now)
    [record] = link.client.poll(link.now)
    return record
