"""Data records of every length around header, tag and first byte: which are looked at, and the reason of the others."""

from __future__ import annotations

import pytest
from tests.unit.openvpn import data_packets as by_hand
from tests.unit.openvpn.client import PEER_INFO
from tests.unit.openvpn.link import Link, kit, profile
from tests.unit.openvpn.stages import CBC, EPOCH, drops
from tests.world.today import UNIX

from hognose.drops import Counters, DropReason
from hognose.openvpn.data.aead import AeadRecords
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring
from hognose.wire import openvpn as wire

KEYS = bytes(range(256))
CLIENT = KEYS[:128]
PACKET = b"\x45" + bytes(range(83))

# Bytes of the shortest record that has room for all that is not payload: head, packet id, tag.
SHORTEST = {
    "V2": (DataFormat("AES-256-GCM"), 24),
    "V2 ChaCha20": (DataFormat("CHACHA20-POLY1305"), 24),
    "V1": (DataFormat("AES-256-GCM", v2=False), 21),
    "epoch": (DataFormat("AES-256-GCM", epoch=True), 28),
    "CBC V2": (DataFormat("AES-256-CBC", "SHA256"), 68),  # 4, HMAC 32, IV 16, a block
    "CBC V1": (DataFormat("AES-256-CBC", "SHA1", v2=False), 53),
}


def record(form: DataFormat, packet_id: int, payload: bytes = PACKET) -> bytes:
    version = 2 if form.v2 else 1
    if form.epoch:
        return by_hand.epoch_packet(CLIENT, form.cipher, 1, packet_id, payload)
    if form.aead:
        return by_hand.aead_packet(CLIENT, form.cipher, packet_id, payload, version)
    return by_hand.cbc_packet(CLIENT, form.cipher, form.digest, packet_id, payload, bytes(16), version)


def channel(form: DataFormat) -> tuple[Keyring, Counters]:
    counters = Counters()
    made = Keyring(counters)
    made.install(DataKey.negotiated(0, form, KEYS, bytes), 0, 0, 0)
    return made, counters


def reason_of(made: Keyring, counters: Counters, data: bytes) -> str:
    """The one reason that the record is counted by."""
    before = list(counters.drops)
    opened: list[bytes] = []
    assert made.open([data], 0, opened) == 1
    assert opened == []
    [reason] = [one for one in DropReason if counters.drops[one] != before[one]]
    assert counters.drops[reason] == before[reason] + 1
    return reason.name


@pytest.mark.parametrize("again", [False, True], ids=["new id", "seen id"])
@pytest.mark.parametrize("kind", SHORTEST)
def test_records_without_room_for_their_tag_are_no_packets(kind: str, again: bool) -> None:
    """Neither forgeries nor replays, whatever stands where the packet id would be; no wrong tag is counted for them."""
    form, shortest = SHORTEST[kind]
    made, counters = channel(form)
    assert made.open([record(form, 1)], 0, []) == 1
    whole = record(form, 1 if again else 2)
    found = {size: reason_of(made, counters, whole[:size]) for size in range(shortest)}
    assert set(found.values()) == {"BAD_DATA_PACKET"}, found
    key = made._keys[0]
    assert not isinstance(key.records, AeadRecords) or key.records.failures == 0


@pytest.mark.parametrize("kind", SHORTEST)
def test_the_shortest_records_are_looked_at(kind: str) -> None:
    """One with nothing inside is authentic; the same bytes with a wrong tag are a forgery, and again a replay."""
    form, shortest = SHORTEST[kind]
    made, counters = channel(form)
    empty = record(form, 1, b"")
    assert len(empty) == shortest
    forged = empty[:-1] + bytes((empty[-1] ^ 1,))
    assert reason_of(made, counters, forged) == "DATA_AUTHENTICATION"
    opened: list[bytes] = []
    assert made.open([empty], 0, opened) == 1
    assert opened == [b""]
    assert sum(counters.drops) == 1
    assert reason_of(made, counters, empty) == "DATA_REPLAY"


V1 = "IV_PROTO=4\nIV_NCP=2\nIV_CIPHERS=AES-256-GCM\n"  # asks for its options unasked, and knows no peer id


@pytest.mark.parametrize("size", [0, 1, 4, 5, 7, 8, 9, 19])
@pytest.mark.parametrize("info", [PEER_INFO, EPOCH, CBC, V1], ids=["GCM", "epoch", "CBC", "V1"])
def test_short_records_keep_no_session_alive(info: str, size: int) -> None:
    """They are counted, and the time since the last authentic packet goes on; size: bytes after the first one."""
    server = profile(ping_s=0, ping_timeout_s=60, ciphers=("AES-256-GCM", "AES-256-CBC"))
    link = Link(server, kit(peer_info=info))
    link.connect()
    link.rest(50)
    opcode = wire.DATA_V1 if info == V1 else wire.DATA_V2
    for _ in range(3):
        link.session.receive([bytes((opcode << 3,)) + bytes(size)], link.now, UNIX)
    assert drops(link) == {"BAD_DATA_PACKET": 3}
    link.run(lambda: link.session.ended is not None, 11)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.PEER_TIMEOUT
