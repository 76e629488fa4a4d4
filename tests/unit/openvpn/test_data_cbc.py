"""CBC data packets against ones made by hand (data_packets.py)."""

from __future__ import annotations

import pytest
from tests.unit.openvpn import data_packets as by_hand

from hognose.drops import Counters, DropReason
from hognose.openvpn.data.cbc import CbcRecords
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring
from hognose.openvpn.data.usage_limits import LAST_PACKET_ID, RENEGOTIATE_AT
from hognose.vocabulary import DIGESTS

KEYS = bytes(range(256))
CLIENT, SERVER = KEYS[:128], KEYS[128:]
IV = bytes(range(100, 116))
PACKET = b"\x45" + bytes(range(83))
CIPHER = "AES-256-CBC"


class Ivs:
    """Randomness that is known: 1, 2, 3 … in all bytes of an IV."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, size: int) -> bytes:
        self.asked.append(size)
        return b"".join(bytes([number]) * 16 for number in range(1, size // 16 + 1))


def channel(form: DataFormat, ivs: Ivs | None = None) -> tuple[Keyring, CbcRecords, Counters]:
    counters = Counters()
    made = Keyring(counters)
    made.peer_id = 7
    key = DataKey.negotiated(3, form, KEYS, ivs or Ivs())
    assert isinstance(key.records, CbcRecords)
    made.install(key, 0, 0, 0)
    return made, key.records, counters


def drops(counters: Counters) -> dict[DropReason, int]:
    return {reason: counters.drops[reason] for reason in DropReason if counters.drops[reason]}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("digest", sorted(DIGESTS))
@pytest.mark.parametrize("cipher", ["AES-128-CBC", "AES-192-CBC", "AES-256-CBC"])
def test_both_directions(cipher: str, digest: str, version: int) -> None:
    form = DataFormat(cipher, digest, v2=version == 2)
    ivs = Ivs()
    made, _, counters = channel(form, ivs)
    plains = [b"\x45" * size for size in range(1, 34)]
    arrived = [
        by_hand.cbc_packet(CLIENT, cipher, digest, number, plain, IV, version, 3)
        for number, plain in enumerate(plains, 1)
    ]
    opened: list[bytes] = []
    assert made.open([*arrived, b"\x20control"], 0, opened) == len(arrived)
    assert opened == plains
    assert drops(counters) == {}
    assert (made.payloads.packets_in, made.payloads.bytes_in) == (33, sum(map(len, plains)))

    sealed = made.seal(plains, 0)
    assert ivs.asked == [33 * 16]
    start = by_hand.head(version, 3, 7)
    want = [(start, number, plain) for number, plain in enumerate(plains, 1)]
    assert [by_hand.open_cbc(SERVER, cipher, digest, record) for record in sealed] == want
    for number, record in enumerate(sealed, 1):
        iv_at = len(start) + DIGESTS[digest]
        assert record[iv_at : iv_at + 16] == bytes([number]) * 16
        assert len(record) == form.record_len(number)


def test_headers_of_both_versions_open() -> None:
    """A client may go on with V1 until it has read its peer id; ids are counted together."""
    made, _, counters = channel(DataFormat(CIPHER, "SHA256"))
    first = by_hand.cbc_packet(CLIENT, CIPHER, "SHA256", 1, PACKET, IV, 1, 3)
    second = by_hand.cbc_packet(CLIENT, CIPHER, "SHA256", 2, PACKET, IV, 2, 3)
    again = by_hand.cbc_packet(CLIENT, CIPHER, "SHA256", 1, PACKET, IV, 2, 3)
    opened: list[bytes] = []
    assert made.open([first, second, again], 0, opened) == 3
    assert opened == [PACKET, PACKET]
    assert drops(counters) == {DropReason.DATA_REPLAY: 1}


def test_whatever_is_covered_may_not_change() -> None:
    made, records, counters = channel(DataFormat(CIPHER, "SHA256"))
    good = by_hand.cbc_packet(CLIENT, CIPHER, "SHA256", 1, PACKET, IV, 2, 3)
    opened: list[bytes] = []
    for at in range(4, len(good)):
        made.open([good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]], 0, opened)
    assert opened == []
    assert drops(counters) == {DropReason.DATA_AUTHENTICATION: len(good) - 4}
    assert records.replay.highest == 0
    for size in range(len(good)):
        made.open([good[:size]], 0, opened)
    assert opened == []
    assert sum(counters.drops) == len(good) - 4 + len(good)
    made.open([good], 0, opened)
    assert opened == [PACKET]


@pytest.mark.parametrize(
    "padded",
    [
        bytes(12) + b"\0\0\0\1" + bytes(16),
        b"\0\0\0\1" + bytes(11) + b"\0",
        b"\0\0\0\1" + bytes(11) + b"\x11",
        b"\0\0\0\1" + bytes(11) + b"\xff",
        b"\0\0\0\1" + bytes(9) + b"\2\3\3",
        b"\0\0\0" + b"\x0d" * 13,
        b"\x10" * 16,
    ],
)
def test_authentic_with_wrong_padding(padded: bytes) -> None:
    """Only a holder of the keys can send these: padding tells others nothing (RFC 7366)."""
    made, _, counters = channel(DataFormat(CIPHER, "SHA1"))
    packet = by_hand.head(2, 3) + by_hand.cbc_body(CLIENT, CIPHER, "SHA1", IV, padded)
    opened: list[bytes] = []
    assert made.open([packet], 0, opened) == 1
    assert opened == []
    assert drops(counters) == {DropReason.BAD_DATA_PACKET: 1}
    good = by_hand.head(2, 3) + by_hand.cbc_body(CLIENT, CIPHER, "SHA1", IV, b"\0\0\0\1\x45" + b"\x0b" * 11)
    assert made.open([good], 0, opened) == 1
    assert opened == [b"\x45"]


def test_ids_never_wrap() -> None:
    made, records, counters = channel(DataFormat(CIPHER))
    assert not made.worn_out
    records.next_id = RENEGOTIATE_AT
    assert made.worn_out
    records.next_id = LAST_PACKET_ID - 1
    [last] = made.seal([PACKET], 0)
    assert by_hand.open_cbc(SERVER, CIPHER, "SHA1", last)[1] == LAST_PACKET_ID - 1
    assert made.seal([PACKET], 0) == []
    assert made.ping(0) == []
    assert drops(counters) == {DropReason.NO_DATA_KEY: 2}
    assert (made.packets_out, made.bytes_out) == (1, len(PACKET))


def test_what_the_peer_sent_wears_a_key_out_too() -> None:
    made, _, _ = channel(DataFormat(CIPHER))
    made.open([by_hand.cbc_packet(CLIENT, CIPHER, "SHA1", RENEGOTIATE_AT, PACKET, IV, 2, 3)], 0, [])
    assert made.worn_out


def test_an_id_of_zero_is_nobodys() -> None:
    made, _, counters = channel(DataFormat(CIPHER))
    made.open([by_hand.cbc_packet(CLIENT, CIPHER, "SHA1", 0, PACKET, IV, 2, 3)], 0, [])
    assert drops(counters) == {DropReason.DATA_REPLAY: 1}


def test_randomness_is_needed() -> None:
    with pytest.raises(ValueError, match="random"):
        DataKey.negotiated(0, DataFormat(CIPHER), KEYS)
