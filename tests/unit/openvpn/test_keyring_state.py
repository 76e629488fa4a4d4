"""Data keys as plain data: exported, restored in another keyring, and traffic goes on, in every format."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest
from tests.unit.openvpn import data_packets as by_hand
from tests.unit.openvpn.test_data_formats import (
    ALL_FORMS,
    CLIENT,
    GCM,
    KEYS,
    PACKET,
    drops,
    framed,
    from_client,
    to_client,
)

from hognose.drops import Counters, DropReason
from hognose.openvpn.data.aead import AeadRecords, AeadState
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring, KeyringState
from hognose.openvpn.data.usage_limits import FAILED_TAGS_LIMIT

SECOND = 1_000_000_000


def moved(keyring: Keyring) -> tuple[Keyring, Counters]:
    """The keyring after a way through bytes."""
    state = pickle.loads(pickle.dumps(keyring.export()))
    counters = Counters()
    made = Keyring(counters)
    made.restore(state, bytes)
    assert made.export() == state == keyring.export()
    return made, counters


def keyring_of(form: DataFormat, key_id: int = 0) -> Keyring:
    made = Keyring(Counters())
    made.peer_id = 5
    made.install(DataKey.negotiated(key_id, form, KEYS, bytes), 0, 0, 0)
    return made


@ALL_FORMS
def test_traffic_goes_on_both_ways(form: DataFormat) -> None:
    old = keyring_of(form)
    records = [from_client(form, number, framed(form.framing, PACKET)) for number in range(1, 6)]
    opened: list[bytes] = []
    assert old.open([records[0], records[2]], 0, opened) == 2
    before = old.seal([PACKET], 0)
    made, counters = moved(old)
    assert made.open(records, 0, opened) == 5
    assert opened == [PACKET] * 5
    assert drops(counters) == {DropReason.DATA_REPLAY: 2}
    after = made.seal([PACKET, PACKET], 0)
    assert [to_client(form, record) for record in after] == [framed(form.framing, PACKET)] * 2
    assert after == old.seal([PACKET, PACKET], 0)
    assert len({*before, *after}) == 3, "no packet id is used twice"
    assert (made.payloads.packets_in, made.packets_out, made.key_packets) == (5, 3, 8)


def test_an_old_key_and_a_coming_one_go_along() -> None:
    form = DataFormat(GCM)
    old = keyring_of(form)
    old.install(DataKey.negotiated(1, DataFormat("AES-128-CBC"), KEYS, bytes), 0, 10, 20)
    made, counters = moved(old)
    assert made.next_deadline() == 10
    assert made.seal([PACKET], 9)[0][:4] == bytes((0x48, 0, 0, 5))
    assert made.seal([PACKET], 10)[0][:4] == bytes((0x49, 0, 0, 5))
    opened: list[bytes] = []
    made.open([from_client(form, 1, PACKET)], 0, opened)
    made.handle_deadline(20)
    made.open([from_client(form, 2, PACKET)], 0, opened)
    assert opened == [PACKET]
    assert drops(counters) == {DropReason.NO_DATA_KEY: 1}


def test_epochs_go_along() -> None:
    old = keyring_of(DataFormat(GCM, epoch=True))
    opened: list[bytes] = []
    good = {epoch: by_hand.epoch_packet(CLIENT, GCM, epoch, 1, PACKET) for epoch in range(1, 9)}
    forged = good[5][:-1] + bytes((good[5][-1] ^ 1,))
    old.open([good[1], good[2], good[3], forged], 0, opened)
    made, counters = moved(old)
    made.open([good[1], good[2], good[3], good[4], good[5]], 0, opened)
    assert opened == [PACKET] * 5
    assert drops(counters) == {DropReason.DATA_REPLAY: 2, DropReason.BAD_DATA_EPOCH: 1}
    assert by_hand.open_epoch(KEYS[128:], GCM, made.seal([PACKET], 0)[0])[0] == 5


def test_times_of_the_replay_window_go_along() -> None:
    """An id that was given up stays so."""
    form = DataFormat(GCM, replay_time=1)
    old = keyring_of(form)
    opened: list[bytes] = []
    for second, number in ((1, 5), (10, 6), (20, 7)):
        old.open([from_client(form, number, PACKET)], 0, opened, second * SECOND)
    made, counters = moved(old)
    made.open([from_client(form, number, PACKET) for number in (2, 8)], 0, opened, 21 * SECOND)
    assert len(opened) == 4
    assert drops(counters) == {DropReason.DATA_REPLAY: 1}


def test_a_key_that_saw_too_many_forgeries_stays_closed() -> None:
    old = keyring_of(DataFormat(GCM))
    assert old.current is not None
    assert isinstance(old.current.records, AeadRecords)
    old.current.records.failures = FAILED_TAGS_LIMIT
    good = from_client(DataFormat(GCM), 1, PACKET)
    opened: list[bytes] = []
    old.open([good[:-1] + bytes((good[-1] ^ 1,))], 0, opened)
    made, counters = moved(old)
    made.open([good], 0, opened)
    assert opened == []
    assert drops(counters) == {DropReason.NO_DATA_KEY: 1}
    assert made.seal([PACKET], 0) != [], "it still seals"


def test_a_fresh_keyring_is_exported_too() -> None:
    made, _ = moved(Keyring(Counters()))
    assert made.current is None
    assert made.seal([PACKET], 0) == []


def test_states_of_another_format_are_refused() -> None:
    state = keyring_of(DataFormat(GCM)).export()
    for form in (DataFormat("AES-256-CBC"), DataFormat(GCM, epoch=True)):
        wrong = replace(state, keys=(replace(state.keys[0], form=form),))
        with pytest.raises(ValueError, match="AeadState is not of"):
            Keyring(Counters()).restore(wrong, bytes)
    cbc = keyring_of(DataFormat("AES-256-CBC")).export()
    with pytest.raises(ValueError, match="random IVs"):
        Keyring(Counters()).restore(cbc)


def test_a_state_does_not_follow_its_keyring() -> None:
    form = DataFormat(GCM, replay_time=5)
    old = keyring_of(form)
    state = old.export()
    before = copy.deepcopy(state)
    old.open([from_client(form, number, PACKET) for number in (1, 2)], 0, [], SECOND)
    old.seal([PACKET], 0)
    assert state == before
    assert isinstance(state, KeyringState)
    assert isinstance(state.keys[0].records, AeadState)
