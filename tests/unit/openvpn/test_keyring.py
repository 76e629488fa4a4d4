"""The keys of one session: which of them opens and seals at which moment, what is counted, what is told of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.openvpn import data_packets as by_hand

from hognose.drops import Counters, DropReason, Stat
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring, KeyringState
from hognose.openvpn.data.records import Records
from hognose.wire.openvpn import PING

KEYS = bytes(range(256))
CLIENT = KEYS[:128]
GCM = "AES-256-GCM"
FORM = DataFormat(GCM)
PACKET = b"\x45" + bytes(83)


class World:
    """A keyring and what it has counted; keys are installed by their id, all of the same bytes."""

    def __init__(self) -> None:
        self.counters = Counters()
        self.ring = Keyring(self.counters)
        self._ids = 0

    def install(self, key_id: int, now: int, switch_at: int, expires_at: int) -> None:
        self.ring.install(DataKey.negotiated(key_id, FORM, KEYS), now, switch_at, expires_at)

    @property
    def sealing(self) -> int:
        """Id of the key that seals, as a packet shows it; -1 when none does. At time 0: nothing is due."""
        records = self.ring.seal([PACKET], 0)
        return records[0][0] & 7 if records else -1

    def opens(self, key_id: int) -> bool:
        """A new packet of the peer under this key comes out."""
        self._ids += 1
        opened: list[bytes] = []
        record = by_hand.aead_packet(CLIENT, GCM, self._ids, PACKET, 2, key_id)
        assert self.ring.open([record], 0, opened) == 1
        return opened == [PACKET]


# -- times -------------------------------------------------------------------------------------------------------------


def test_a_fresh_keyring_has_nothing_to_do() -> None:
    world = World()
    assert world.ring.export() == KeyringState((), -1, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert (world.ring.key_bytes, world.ring.key_packets, world.ring.bytes_out, world.ring.packets_out) == (0, 0, 0, 0)
    assert world.ring.next_deadline() is None
    assert not world.ring.worn_out
    world.ring.handle_deadline(1 << 60)
    world.ring.use_newest()
    assert world.sealing == -1
    assert not world.opens(0)


def test_the_only_key_lives_for_ever() -> None:
    world = World()
    world.install(0, 0, 10, 20)  # the times are of the key before it, and there is none
    assert world.ring.next_deadline() is None
    world.ring.handle_deadline(1 << 60)
    assert world.sealing == 0
    assert world.opens(0)
    assert [key.expires_at for key in world.ring.export().keys] == [0]


def test_a_key_that_replaces_another() -> None:
    world = World()
    world.install(0, 0, 0, 0)
    world.install(1, 5, 10, 20)
    assert world.ring.next_deadline() == 10
    world.ring.handle_deadline(9)
    assert world.sealing == 0
    world.ring.handle_deadline(10)
    assert world.sealing == 1
    assert world.ring.next_deadline() == 20
    world.ring.handle_deadline(19)
    assert world.opens(0)
    assert world.opens(1)
    world.ring.handle_deadline(20)
    assert not world.opens(0)
    assert world.opens(1)
    assert world.sealing == 1
    assert world.ring.next_deadline() is None
    assert world.counters.drops[DropReason.NO_DATA_KEY] == 1


def test_the_nearest_time_is_told() -> None:
    world = World()
    world.install(0, 0, 0, 0)
    world.install(1, 0, 30, 20)
    assert world.ring.next_deadline() == 20
    world.ring.handle_deadline(20)
    assert world.sealing == 0, "it has to go on until the next one seals"
    assert world.opens(0)
    world.ring.handle_deadline(30)
    assert world.sealing == 1
    assert not world.opens(0)


@pytest.mark.parametrize(("switch_at", "sealing"), [(9, 1), (10, 1), (11, 0)])
def test_a_key_that_is_due_when_it_comes_seals_at_once(switch_at: int, sealing: int) -> None:
    world = World()
    world.install(0, 0, 0, 0)
    world.install(1, 10, switch_at, 100)
    assert world.sealing == sealing
    world.ring.use_newest()
    assert world.sealing == 1
    assert world.ring.next_deadline() == 100


@pytest.mark.parametrize(("now", "sealing"), [(9, 0), (10, 1), (11, 1)])
def test_sealing_itself_looks_at_the_time(now: int, sealing: int) -> None:
    world = World()
    world.install(0, 0, 0, 0)
    world.install(1, 0, 10, 100)
    assert world.ring.seal([PACKET], now)[0][0] & 7 == sealing


def test_a_third_key_makes_the_second_seal() -> None:
    """Negotiations that follow each other faster than keys change: each key expires at its own time."""
    world = World()
    world.install(0, 0, 0, 0)
    world.install(1, 0, 10, 20)
    world.install(2, 0, 100, 200)
    assert world.sealing == 1
    assert [(key.key_id, key.expires_at) for key in world.ring.export().keys] == [(0, 20), (1, 200), (2, 0)]
    assert [world.opens(key_id) for key_id in (0, 1)] == [True, True]
    world.ring.handle_deadline(20)
    assert [world.opens(key_id) for key_id in (0, 1)] == [False, True]
    assert world.sealing == 1
    assert world.opens(2)
    assert world.sealing == 2, "the peer uses it"
    world.ring.handle_deadline(200)
    assert [world.opens(key_id) for key_id in (1, 2)] == [False, True]


def test_the_same_key_id_again() -> None:
    """Ids go round: 1 … 7, 1; the older key of that id is gone, before its time."""
    world = World()
    for key_id in (1, 2, 3):
        world.install(key_id, 0, 0, 100)
    world.ring.install(DataKey.negotiated(1, FORM, KEYS[::-1]), 0, 10, 20)
    assert not world.opens(1)
    assert world.counters.drops[DropReason.DATA_AUTHENTICATION] == 1
    assert {key.key_id: key.expires_at for key in world.ring.export().keys} == {1: 0, 2: 100, 3: 20}


def test_the_place_of_the_newest_packet() -> None:
    """A packet of a later key is newer than any of an earlier one, also when key ids have gone round."""
    world = World()
    assert world.ring.newest == (-1, 0, 0)
    for key_id in (1, 2):
        world.install(key_id, 0, 0, 100)
    assert world.ring.newest == (-1, 0, 0)
    assert world.opens(1)
    assert world.ring.newest == (0, 0, 1)
    assert world.opens(2)
    assert world.ring.newest == (1, 0, 2)
    assert world.opens(1)
    assert world.ring.newest == (1, 0, 2)
    world.install(1, 0, 10, 20)
    assert world.ring.newest == (0, 0, 2), "2 is the oldest now"
    assert world.opens(1)
    assert world.ring.newest == (1, 0, 4)


@pytest.mark.parametrize("form", [FORM, DataFormat("AES-256-CBC"), DataFormat(GCM, epoch=True)])
def test_the_newest_packet_of_a_format(form: DataFormat) -> None:
    """Epoch, 0 where there are none, and packet id; what is forged or older changes nothing."""
    key = DataKey.negotiated(0, form, KEYS, bytes)
    assert key.records.newest == ((1, 0) if form.epoch else (0, 0))
    for epoch, number in ((1, 5), (1, 3), (3, 2), (1, 6)):
        if form.epoch:
            record = by_hand.epoch_packet(CLIENT, GCM, epoch, number, PACKET)
        elif form.aead:
            record = by_hand.aead_packet(CLIENT, GCM, number, PACKET)
        else:
            record = by_hand.cbc_packet(CLIENT, form.cipher, "SHA1", number, PACKET, bytes(16))
        forged = record[:-1] + bytes((record[-1] ^ 1,))
        key.records.open([forged], 0, [], Counters(), 0)
        key.records.open([record], 0, [], Counters(), 0)
    assert key.records.newest == ((3, 2) if form.epoch else (0, 6))


# -- first bytes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key_id", [0, 1, 7])
def test_what_stands_before_a_packet(key_id: int) -> None:
    """V2: opcode 9 in five bits, key id in three, peer id in 24; V1: opcode 6 and key id (OpenVPN ssl_pkt.h)."""
    ring = Keyring(Counters())
    ring.peer_id = 0xABCDEF
    ring.install(DataKey.negotiated(key_id, FORM, KEYS), 0, 0, 0)
    assert ring.seal([PACKET], 0)[0][:8] == bytes((0x48 | key_id, 0xAB, 0xCD, 0xEF, 0, 0, 0, 1))
    ring.install(DataKey.negotiated(key_id ^ 1, DataFormat(GCM, v2=False), KEYS), 0, 0, 0)
    assert ring.seal([PACKET], 0)[0][:5] == bytes((0x30 | key_id ^ 1, 0, 0, 0, 1))


def test_the_peer_id_in_front_means_nothing_to_the_packet_id() -> None:
    ring = Keyring(Counters())
    key = DataKey.negotiated(0, FORM, KEYS)
    ring.install(key, 0, 0, 0)
    opened: list[bytes] = []
    ring.open([by_hand.aead_packet(CLIENT, GCM, number, PACKET, peer_id=0xFFFFFF) for number in (2, 1)], 0, opened)
    assert len(opened) == 2
    assert not ring.worn_out


def test_what_is_no_data_ends_a_batch() -> None:
    """Any other opcode, with any key id; a data record of an unknown key does not."""
    world = World()
    world.install(0, 0, 0, 0)
    for opcode in range(32):
        for key_id in range(8):
            record = bytes((opcode << 3 | key_id,)) + b"\xff" * 60
            data = opcode in (6, 9)
            assert world.ring.open([b"", record, b""], 0, []) == (3 if data else 1)
    assert world.counters.drops[DropReason.NO_DATA_KEY] == 2 * 7
    assert world.counters.drops[DropReason.DATA_AUTHENTICATION] == 2
    assert world.counters.drops[DropReason.BAD_DATA_PACKET] == 256 + 16


# -- counts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[84], [84, 20], [20, 84], [84, 20, 50], []])
def test_packets_and_bytes_both_ways(sizes: list[int]) -> None:
    world = World()
    world.install(0, 0, 0, 0)
    packets = [b"\x45" * size for size in sizes]
    opened: list[bytes] = []
    world.ring.open([by_hand.aead_packet(CLIENT, GCM, n, one) for n, one in enumerate(packets, 1)], 0, opened)
    assert opened == packets
    assert len(world.ring.seal(packets, 0)) == len(sizes)
    both = (len(sizes), sum(sizes))
    assert (world.ring.payloads.packets_in, world.ring.payloads.bytes_in) == both
    assert (world.ring.packets_out, world.ring.bytes_out) == both
    stats = world.counters.stats
    assert (stats[Stat.DATA_PACKETS_IN], stats[Stat.DATA_BYTES_IN]) == both
    assert (stats[Stat.DATA_PACKETS_OUT], stats[Stat.DATA_BYTES_OUT]) == both
    assert (world.ring.key_packets, world.ring.key_bytes) == (2 * len(sizes), 2 * sum(sizes))


def test_counts_begin_anew_with_each_key() -> None:
    """The cipher's limit counts pings too, reneg-bytes and reneg-pkts do not."""
    world = World()
    world.install(0, 0, 0, 0)
    payloads = (PACKET, PING, PACKET, PACKET)
    world.ring.open([by_hand.aead_packet(CLIENT, GCM, n, one) for n, one in enumerate(payloads, 1)], 0, [])
    world.ring.seal([PACKET, PACKET], 0)
    world.install(1, 0, 10, 20)
    old, new = world.ring.export().keys
    assert (old.bytes_in_before, old.bytes_out_before) == (0, 0)
    assert (new.bytes_in_before, new.bytes_out_before) == (3 * 84 + 16, 2 * 84)
    state = world.ring.export()
    assert (state.bytes_before, state.packets_before) == (5 * 84, 5)
    assert (world.ring.key_bytes, world.ring.key_packets) == (0, 0)


class Told:
    """Records that keep what they are asked about themselves."""

    receiving = exhausted = False

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def worn_out(self, opened_bytes: int, sealed_bytes: int) -> bool:
        self.asked.append((opened_bytes, sealed_bytes))
        return True


def test_bytes_of_the_newest_key() -> None:
    world = World()
    world.install(0, 0, 0, 0)
    world.ring.open([by_hand.aead_packet(CLIENT, GCM, n, one) for n, one in enumerate((PACKET, PING), 1)], 0, [])
    world.ring.seal([PACKET], 0)
    told = Told()
    records: Records = told  # type: ignore[assignment]  # a stand-in
    world.ring.install(DataKey(1, FORM, records), 0, 10, 20)
    assert world.ring.worn_out
    world.ring.open([by_hand.aead_packet(CLIENT, GCM, n, one) for n, one in enumerate((PACKET, PING), 3)], 0, [])
    world.ring.seal([PACKET, PACKET], 0)
    assert world.ring.worn_out
    assert told.asked == [(0, 0), (84 + 16, 2 * 84)]


def test_a_keyring_as_plain_data_has_each_key_once() -> None:
    world = World()
    world.install(3, 0, 0, 0)
    state = world.ring.export()
    assert [key.key_id for key in state.keys] == [3]
    assert (state.current, state.next) == (3, -1)
    [key] = state.keys
    assert (key.expires_at, key.bytes_in_before, key.bytes_out_before) == (0, 0, 0)
    world.install(4, 0, 10, 20)
    state = world.ring.export()
    assert (state.current, state.next, state.switch_at) == (3, 4, 10)


def test_every_count_goes_along() -> None:
    """Each with a number of its own, so that none stands for another."""
    world = World()
    world.install(2, 0, 0, 0)
    world.install(3, 0, 40, 50)
    state = replace(
        world.ring.export(), peer_id=60, bytes_in=61, bytes_out=62, packets_in=63, packets_out=64, control_bytes=65,
        bytes_before=66, packets_before=67,
    )  # fmt: skip
    made = Keyring(Counters())
    made.restore(state)
    assert made.export() == state
    assert (made.payloads.bytes_in, made.payloads.packets_in, made.payloads.control_bytes) == (61, 63, 65)
    assert (made.bytes_out, made.packets_out, made.peer_id) == (62, 64, 60)
    assert (made.key_bytes, made.key_packets) == (61 + 62 - 66, 63 + 64 - 67)
    assert made.next_deadline() == 40
