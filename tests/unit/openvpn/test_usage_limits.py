"""Limits on the use of one data key, with the numbers themselves: a new key is asked for long before the end.

Packet ids end at 0xFF000000 (OpenVPN packet_id.h PACKET_ID_WRAP_TRIGGER), GCM at 2**36 - 1 blocks and packets (crypto.c
cipher_get_aead_limits), wrong tags at 2**36 (crypto.c cipher_decrypt_verify_fail_exceeded). A new key is asked for at
0xF0000000, at seven eighths, and at half of the wrong tags.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.openvpn import data_packets as by_hand

from hognose.drops import Counters, DropReason
from hognose.openvpn.data.aead import AeadRecords, AeadState
from hognose.openvpn.data.epoch import EpochKeyState, EpochRecords
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.records import Records, make_records, restore_records
from hognose.openvpn.data.replay import ReplayState
from hognose.openvpn.data.usage_limits import gcm_use

KEYS = bytes(range(256))
CLIENT, SERVER = KEYS[:128], KEYS[128:]
GCM, CHACHA, CBC = DataFormat("AES-256-GCM"), DataFormat("CHACHA20-POLY1305"), DataFormat("AES-256-CBC")
EPOCH = DataFormat("AES-256-GCM", epoch=True)
ALL = {"GCM": GCM, "GCM V1": replace(GCM, v2=False), "ChaCha20": CHACHA, "CBC": CBC, "epoch": EPOCH}
PACKET = b"\x45" + bytes(83)
HEAD = b"\x48\0\0\0"
SEVEN_EIGHTHS = 60_129_542_137  # of 2**36 - 1
LAST_COUNTER = 2**48 - 1


def records(form: DataFormat) -> Records:
    return make_records(form, KEYS, bytes)


def used(form: DataFormat, next_id: int = 1, highest: int = 0, failures: int = 0) -> Records:
    """A key that has been in use for long."""
    made = records(form)
    made.next_id, made.replay.highest = next_id, highest  # type: ignore[attr-defined]  # of those without epochs
    if isinstance(made, AeadRecords):
        made.failures = failures
    return made


# -- packet ids --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [GCM, replace(GCM, v2=False), CHACHA, CBC], ids=["GCM", "V1", "ChaCha20", "CBC"])
def test_the_last_packet_id(form: DataFormat) -> None:
    head = HEAD if form.v2 else HEAD[:1]
    made = used(form, 0xFF000000 - 2)
    assert made.seal(head, [PACKET] * 3) == []
    assert len(made.seal(head, [PACKET] * 2)) == 2
    assert made.seal(head, [PACKET]) == []
    assert made.seal(head, []) == []


@pytest.mark.parametrize("form", [CHACHA, CBC], ids=["ChaCha20", "CBC"])
def test_a_new_key_before_packet_ids_end(form: DataFormat) -> None:
    """In either direction; bytes do not count for these ciphers."""
    assert not used(form, 0xF0000000 - 1, 0xF0000000 - 1).worn_out(1 << 60, 1 << 60)
    assert used(form, 0xF0000000, 1).worn_out(0, 0)
    assert used(form, 1, 0xF0000000).worn_out(0, 0)


# -- blocks of GCM -----------------------------------------------------------------------------------------------------


def test_what_a_packet_counts_for() -> None:
    """Two and a sixteenth of its bytes: the packet itself, its whole blocks, and one more for the last or none."""
    assert [gcm_use(1, size) for size in (0, 15, 16, 84, 1500)] == [2, 2, 3, 7, 95]
    assert (gcm_use(10, 1600), gcm_use(0, 0)) == (120, 0)


@pytest.mark.parametrize("packets", [1, 1000])
def test_a_new_gcm_key_before_its_blocks_end(packets: int) -> None:
    """Each direction by itself: its bytes, and its packets twice."""
    most = 16 * (SEVEN_EIGHTHS - 2 * packets) + 15  # bytes that are just not too many
    assert not used(GCM, packets, packets).worn_out(most, most)
    assert used(GCM, packets, 0).worn_out(0, most + 1)
    assert used(GCM, 1, packets).worn_out(most + 1, 0)
    assert not used(CHACHA, packets, packets).worn_out(most + 1, most + 1)


# -- wrong tags --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [GCM, CHACHA], ids=["GCM", "ChaCha20"])
def test_wrong_tags_before_a_new_key_and_before_the_end(form: DataFormat) -> None:
    assert not used(form, failures=2**35).worn_out(0, 0)
    assert used(form, failures=2**35 + 1).worn_out(0, 0)
    forged = by_hand.aead_packet(CLIENT, form.cipher, 1, PACKET)[:-1] + b"?"
    made = used(form, failures=2**36 - 1)
    assert made.open([forged], 0, [], Counters(), 0) == 1
    assert not made.exhausted
    assert made.open([forged, forged], 0, [], Counters(), 0) == 1, "nothing is opened after the last"
    assert made.exhausted


@pytest.mark.parametrize(("failures", "exhausted"), [(0, False), (2**36, False), (2**36 + 1, True)])
def test_a_restored_key_knows_its_wrong_tags(failures: int, exhausted: bool) -> None:
    state = records(GCM).export()
    assert isinstance(state, AeadState)
    made = restore_records(GCM, replace(state, failures=failures), None)
    assert made.exhausted is exhausted


# -- epochs ------------------------------------------------------------------------------------------------------------


def at(epoch: int, counter: int = 1, use: int = 0, failures: int = 0) -> EpochKeyState:
    return EpochKeyState(epoch, bytes(range(50, 82)), counter, use, failures, ReplayState())


def epochs(send: EpochKeyState, receive: EpochKeyState, form: DataFormat = EPOCH) -> EpochRecords:
    """A key both of whose directions have been in use for long."""
    made = records(form)
    assert isinstance(made, EpochRecords)
    made.restore(replace(made.export(), send=send, receive=receive))
    return made


def sealed(made: EpochRecords, count: int = 1, size: int = 84) -> tuple[int, int] | None:
    """Epoch and counter of the first record; None when there is none."""
    found = made.seal(HEAD, [bytes(size)] * count)
    return (int.from_bytes(found[0][4:6], "big"), int.from_bytes(found[0][6:12], "big")) if found else None


def test_a_new_key_before_epochs_end() -> None:
    assert not epochs(at(0xEFFF), at(0xEFFF)).worn_out(1 << 60, 1 << 60)
    assert epochs(at(0xF000), at(1)).worn_out(0, 0)
    assert epochs(at(1), at(0xF000)).worn_out(0, 0)


def test_counters_of_48_bits() -> None:
    assert sealed(epochs(at(3, LAST_COUNTER), at(3))) == (3, LAST_COUNTER)
    assert sealed(epochs(at(3, LAST_COUNTER - 1), at(3)), 2) == (3, LAST_COUNTER - 1)
    assert sealed(epochs(at(3, LAST_COUNTER), at(3)), 2) == (4, 1)
    assert sealed(epochs(at(3, LAST_COUNTER + 1), at(3))) == (4, 1)


def test_blocks_of_an_epoch() -> None:
    """A packet of 84 bytes counts for 7."""
    full = 2**36 - 1
    assert sealed(epochs(at(3, 9, full - 7), at(3))) == (3, 9)
    assert sealed(epochs(at(3, LAST_COUNTER, full - 7), at(3))) == (3, LAST_COUNTER)
    assert sealed(epochs(at(3, 9, full - 6), at(3))) == (4, 1)
    assert sealed(epochs(at(3, 9, full - 13), at(3)), 2) == (4, 1)
    chacha = DataFormat("CHACHA20-POLY1305", epoch=True)
    assert sealed(epochs(at(3, 9, full), at(3, use=full), chacha)) == (3, 9)


@pytest.mark.parametrize("near", [9, LAST_COUNTER], ids=["a fresh key", "a key near its end"])
def test_the_peer_is_told_of_its_worn_key(near: int) -> None:
    """By a later epoch of ours, once; our own key may be near its end meanwhile."""
    half, most = 2**35, SEVEN_EIGHTHS
    assert sealed(epochs(at(3, near), at(3, use=most, failures=half))) == (3, near)
    assert sealed(epochs(at(3, near), at(3, use=most + 1))) == (4, 1)
    assert sealed(epochs(at(3, near), at(3, failures=half + 1))) == (4, 1)
    assert sealed(epochs(at(4, near), at(3, use=most + 1))) == (4, near)
    assert sealed(epochs(at(4, near), at(3, failures=half + 1))) == (4, near)
    chacha = DataFormat("CHACHA20-POLY1305", epoch=True)
    assert sealed(epochs(at(3, near), at(3, use=most + 1), chacha)) == (3, near)
    assert sealed(epochs(at(3, near), at(3, failures=half + 1), chacha)) == (4, 1)


def test_the_last_epoch() -> None:
    """Four less than 0xFFFF minus one: the window's keys have to have a number (crypto_epoch.c)."""
    last = 0xFFFA
    assert sealed(epochs(at(last - 1, LAST_COUNTER + 1), at(1))) == (last, 1)
    assert sealed(epochs(at(last, LAST_COUNTER), at(1))) == (last, LAST_COUNTER)
    assert sealed(epochs(at(last, LAST_COUNTER + 1), at(1))) is None
    assert sealed(epochs(at(last, 9, 2**36 - 1), at(1))) is None
    assert sealed(epochs(at(last - 1), at(last - 1, failures=2**35 + 1))) == (last, 1)
    assert sealed(epochs(at(last), at(last, failures=2**35 + 1))) == (last, 1)
    assert sealed(epochs(at(1), at(last))) == (last, 1)


def test_wrong_tags_of_an_epoch() -> None:
    counters = Counters()
    secret = bytes(range(50, 82))
    good = by_hand.epoch_packet(CLIENT, EPOCH.cipher, 3, 1, PACKET, secret)
    for failures, opens in ((2**36, True), (2**36 + 1, False)):
        payloads: list[bytes] = []
        assert epochs(at(1), at(3, failures=failures)).open([good], 0, payloads, counters, 0) == 1
        assert (payloads == [PACKET]) is opens
    assert counters.drops[DropReason.BAD_DATA_EPOCH] == 1


def test_what_is_opened_counts_for_the_epochs_key() -> None:
    made = epochs(at(1), at(1))
    secret = bytes(range(50, 82))
    arrived = [by_hand.epoch_packet(CLIENT, EPOCH.cipher, 1, n, bytes(84 + n), secret) for n in range(1, 4)]
    forged = arrived[0][:-1] + bytes((arrived[0][-1] ^ 1,))
    made.open([forged, forged, *arrived], 0, [], Counters(), 0)
    state = made.export().receive
    assert (state.used, state.failures) == (3 * 7, 2)
    fresh = records(EPOCH).export()
    assert isinstance(fresh, type(made.export()))
    assert (fresh.send.used, fresh.send.failures, fresh.receive.used, fresh.receive.failures) == (0, 0, 0, 0)


# -- of every kind -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ALL.values(), ids=ALL)
def test_a_fresh_key(form: DataFormat) -> None:
    """Nothing has come, it is not worn out, it can open; the first authentic packet shows that the peer has it."""
    made = records(form)
    assert not made.receiving
    assert not made.exhausted
    assert not made.worn_out(0, 0)
    version = 2 if form.v2 else 1
    if form.epoch:
        first = by_hand.epoch_packet(CLIENT, form.cipher, 1, 1, PACKET)
    elif form.aead:
        first = by_hand.aead_packet(CLIENT, form.cipher, 1, PACKET, version)
    else:
        first = by_hand.cbc_packet(CLIENT, form.cipher, form.digest, 1, PACKET, bytes(16), version)
    forged = first[:-1] + bytes((first[-1] ^ 1,))
    assert made.open([forged], 0, [], Counters(), 0) == 1
    assert not made.receiving
    assert made.open([first], 0, [], Counters(), 0) == 1
    assert made.receiving
    assert not made.exhausted
