"""The epoch format against packets made by hand (data_packets.py): keys that move on, and when they must not."""

from __future__ import annotations

import pytest
from tests.unit.openvpn import data_packets as by_hand

from hognose.drops import Counters, DropReason
from hognose.openvpn.data import epoch as data_epoch
from hognose.openvpn.data.epoch import (
    FREE_EPOCHS,
    FUTURE_KEYS,
    LAG,
    LAST_COUNTER,
    LAST_EPOCH,
    RENEGOTIATE_EPOCH,
    EpochKey,
    EpochRecords,
)
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring
from hognose.openvpn.data.usage_limits import (
    FAILED_TAGS_LIMIT,
    FAILED_TAGS_RENEGOTIATE_AT,
    GCM_LIMIT,
    GCM_RENEGOTIATE_AT,
)

KEYS = bytes(range(256))
CLIENT, SERVER = KEYS[:128], KEYS[128:]
PACKET = b"\x45" + bytes(range(83))
GCM = "AES-256-GCM"
SECRET = bytes(range(50, 82))  # of an epoch far away


class World:
    """One key in a channel."""

    def __init__(self, cipher: str = GCM) -> None:
        self.cipher = cipher
        self.now = 0
        self.counters = Counters()
        self.channel = Keyring(self.counters)
        key = DataKey.negotiated(0, DataFormat(cipher, epoch=True), KEYS)
        assert isinstance(key.records, EpochRecords)
        self.records = key.records
        self.channel.install(key, 0, 0, 0)

    @property
    def epoch(self) -> int:
        """Latest epoch of an authentic packet of the client."""
        return self.records._receive.epoch

    def arrive(self, epoch: int, counter: int, secret: bytes = b"") -> DropReason | None:
        """A good packet of the client; None when it came out whole, or why it was dropped."""
        return self.take(by_hand.epoch_packet(CLIENT, self.cipher, epoch, counter, PACKET, secret))

    def take(self, record: bytes) -> DropReason | None:
        before, opened = list(self.counters.drops), list[bytes]()
        assert self.channel.open([record], 0, opened, self.now) == 1
        found = [reason for reason in DropReason if self.counters.drops[reason] != before[reason]]
        assert opened == ([] if found else [PACKET])
        return found[0] if found else None

    def sent(self, secret: bytes = b"", count: int = 1) -> tuple[int, int]:
        """Epoch and counter of the first of `count` packets that we send now, which are good."""
        found = [by_hand.open_epoch(SERVER, self.cipher, r, secret) for r in self.channel.seal([PACKET] * count, 0)]
        first = found[0]
        assert found == [(first[0], first[1] + number, PACKET) for number in range(count)]
        return first[:2]

    def receive_at(self, epoch: int) -> None:
        """The state of a session in which epochs have come far."""
        self.records._receive = EpochKey(self.records._form, epoch, SECRET)
        self.records._secrets, self.records._future = [], {}

    def send_at(self, epoch: int) -> EpochKey:
        self.records._send = EpochKey(self.records._form, epoch, SECRET)
        return self.records._send


def after(steps: int) -> bytes:
    """SECRET, `steps` epochs later."""
    return by_hand.epoch_secret(SECRET, 1 + steps)


@pytest.mark.parametrize("cipher", ["AES-128-GCM", "AES-192-GCM", GCM, "CHACHA20-POLY1305"])
def test_both_directions(cipher: str) -> None:
    world = World(cipher)
    assert [world.arrive(1, counter) for counter in (1, 2, 5, 3)] == [None] * 4
    assert world.sent(count=5) == (1, 1)
    assert world.sent() == (1, 6)
    assert not world.channel.worn_out


@pytest.mark.parametrize("ahead", range(1, FUTURE_KEYS + 1))
def test_a_jump(ahead: int) -> None:
    """Exactly FUTURE_KEYS ahead must work too (CVE-2025-15497 was a mistake there)."""
    world = World()
    assert world.arrive(1, 1) is None
    assert world.arrive(1 + ahead, 1) is None
    assert world.epoch == 1 + ahead
    assert world.sent() == (1 + ahead, 1)  # ours follows, and its counter begins anew
    assert world.arrive(1, 2) is None  # the one before it still opens
    assert world.arrive(1, 1) is DropReason.DATA_REPLAY  # with its own window
    assert world.arrive(1 + ahead, 1) is DropReason.DATA_REPLAY
    assert world.arrive(1 + ahead, 2) is None
    if ahead > 1:
        assert world.arrive(2, 1) is DropReason.BAD_DATA_EPOCH  # passed over
    assert world.arrive(1 + ahead + FUTURE_KEYS, 1) is None
    assert world.arrive(1, 3) is DropReason.BAD_DATA_EPOCH


def test_ours_may_be_ahead() -> None:
    world = World()
    world.records._send = world.records._send.following().following()
    assert world.arrive(2, 1) is None
    assert world.sent() == (3, 1)


@pytest.mark.parametrize("epoch", [0, 1 + FUTURE_KEYS + 1, 0x8000, 0xFFFF])
def test_epochs_that_are_not_looked_at(epoch: int) -> None:
    world = World()
    assert world.arrive(epoch, 1, SECRET) is DropReason.BAD_DATA_EPOCH
    assert world.epoch == 1


def test_only_a_good_tag_moves_anything() -> None:
    world = World()
    good = by_hand.epoch_packet(CLIENT, GCM, 3, 1, PACKET)
    for at in range(1, len(good)):
        reason = world.take(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        assert reason in (DropReason.DATA_AUTHENTICATION, DropReason.BAD_DATA_EPOCH)
    for size in range(len(good)):
        reason = world.take(good[:size])
        assert reason is (DropReason.BAD_DATA_PACKET if size < 28 else DropReason.DATA_AUTHENTICATION)
    assert world.epoch == 1
    assert world.sent() == (1, 1)
    assert world.take(good) is None


def test_a_record_of_version_1_is_none() -> None:
    assert World().take(bytes([6 << 3]) + bytes(60)) is DropReason.BAD_DATA_PACKET


def test_a_counter_of_zero_is_nobodys() -> None:
    assert World().arrive(1, 0) is DropReason.DATA_REPLAY


def test_counters_have_48_bits() -> None:
    world = World()
    assert world.arrive(1, LAST_COUNTER) is None
    assert world.arrive(1, 1) is DropReason.DATA_REPLAY  # far older
    assert world.arrive(1, LAST_COUNTER - 63) is None
    assert world.arrive(1, LAST_COUNTER - 64) is DropReason.DATA_REPLAY
    world.records._send.next_counter = LAST_COUNTER - 1
    assert world.sent(count=2) == (1, LAST_COUNTER - 1)
    assert world.sent() == (2, 1)
    world.records._send.next_counter = LAST_COUNTER
    assert world.sent(count=2) == (3, 1)


def test_a_gcm_key_is_not_used_beyond_its_limit() -> None:
    world = World()
    world.records._send.used = GCM_LIMIT - 7  # what one packet of 84 bytes counts for: 6 blocks and itself
    assert world.sent() == (1, 1)
    assert world.records._send.used == GCM_LIMIT
    assert world.sent() == (2, 1)
    assert world.records._send.used == 7
    other = World("CHACHA20-POLY1305")
    other.records._send.used = GCM_LIMIT
    assert other.sent() == (1, 1)


@pytest.mark.parametrize(("used", "failures"), [(GCM_RENEGOTIATE_AT, 0), (0, FAILED_TAGS_RENEGOTIATE_AT)])
def test_the_peer_is_told_that_its_key_is_worn(used: int, failures: int) -> None:
    world = World()
    world.records._receive.used, world.records._receive.failures = used, failures
    assert world.sent() == (1, 1)
    world.records._receive.used += bool(used)
    world.records._receive.failures += bool(failures)
    assert world.sent() == (2, 1)
    assert world.sent() == (2, 2)  # told once
    assert world.arrive(2, 1) is None
    assert world.sent() == (2, 3)


def test_a_key_with_too_many_wrong_tags_opens_nothing() -> None:
    world = World()
    bad = by_hand.epoch_packet(CLIENT, GCM, 1, 1, PACKET)[:-1] + b"?"
    world.records._receive.failures = FAILED_TAGS_LIMIT
    opened: list[bytes] = []
    good = by_hand.epoch_packet(CLIENT, GCM, 1, 2, PACKET)
    assert world.channel.open([good, bad, by_hand.epoch_packet(CLIENT, GCM, 1, 3, PACKET)], 0, opened) == 3
    assert opened == [PACKET]
    assert world.counters.drops[DropReason.DATA_AUTHENTICATION] == 1
    assert world.counters.drops[DropReason.BAD_DATA_EPOCH] == 1
    assert world.arrive(2, 1) is None  # the next epoch's key is another


def test_the_end_of_the_epochs() -> None:
    assert LAST_EPOCH == 65535 - 4 - 1
    world = World()
    world.receive_at(LAST_EPOCH - 1)
    world.send_at(LAST_EPOCH - 1)
    assert world.channel.worn_out
    for beyond in (LAST_EPOCH + 1, LAST_EPOCH + 2, 0xFFFF):
        assert world.arrive(beyond, 1, after(beyond - LAST_EPOCH + 1)) is DropReason.BAD_DATA_EPOCH
    assert world.arrive(LAST_EPOCH, 1, after(1)) is None
    assert world.sent(after(1)) == (LAST_EPOCH, 1)
    world.records._receive.failures = FAILED_TAGS_RENEGOTIATE_AT + 1
    assert world.sent(after(1)) == (LAST_EPOCH, 2)  # nothing to tell with, but nothing stops
    world.records._send.next_counter = LAST_COUNTER + 1
    assert world.channel.seal([PACKET] * 3, 0) == []
    assert world.counters.drops[DropReason.NO_DATA_KEY] == 3


def test_a_new_negotiation_is_asked_for() -> None:
    world = World()
    world.send_at(RENEGOTIATE_EPOCH - 1)
    assert not world.channel.worn_out
    world.send_at(RENEGOTIATE_EPOCH)
    assert world.channel.worn_out


def test_bursts_of_several_epochs() -> None:
    """Epochs change within a batch; order within the batch is kept."""
    world = World()
    numbers = [(1, 1), (2, 1), (1, 2), (2, 2), (6, 1), (2, 3), (1, 3), (6, 2)]
    opened: list[bytes] = []
    burst = [by_hand.epoch_packet(CLIENT, GCM, e, c, b"\x45" + bytes([e, c])) for e, c in numbers]
    assert world.channel.open(burst, 0, opened) == len(burst)
    assert [(p[1], p[2]) for p in opened] == [n for n in numbers if n != (1, 3)]
    assert world.counters.drops[DropReason.BAD_DATA_EPOCH] == 1


# -- what a peer can make us derive ------------------------------------------------------------------------------------


@pytest.fixture
def derived(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Labels of derivations, as they are made."""
    labels: list[bytes] = []
    original = data_epoch.expand_label

    def counted(secret: bytes, label: bytes, length: int) -> bytes:
        labels.append(label)
        return original(secret, label, length)

    monkeypatch.setattr(data_epoch, "expand_label", counted)
    return labels


def test_nothing_is_derived_before_it_is_needed(derived: list[bytes]) -> None:
    world = World()
    assert len(derived) == 4  # key and IV of both directions
    for counter in range(1, 100):
        assert world.arrive(1, counter) is None
    world.sent(count=50)
    assert len(derived) == 4
    assert world.arrive(4, 1) is None
    assert derived[4:] == [b"datakey upd"] * 3 + [b"data_key", b"data_iv"]
    assert world.sent() == (4, 1)
    assert derived[9:] == [b"datakey upd"] * 3 + [b"data_key", b"data_iv"]


def test_forged_packets_have_the_window_derived_once(derived: list[bytes]) -> None:
    """Four epochs and their keys, whatever comes and however often; nothing beyond the window."""
    world = World()
    del derived[:]
    for number in range(2000):
        epoch = number % 3000
        world.take(bytes([0x48, 0, 0, 0]) + epoch.to_bytes(2, "big") + bytes(6) + bytes(40))
        world.take(bytes([0x48, 0, 0, 0]) + (number % 7).to_bytes(2, "big") + number.to_bytes(6, "big") + bytes(40))
    assert len(derived) == FUTURE_KEYS * 3
    assert world.arrive(3, 1) is None
    assert len(derived) == FUTURE_KEYS * 3  # derived before
    assert world.arrive(1 + 2 * FUTURE_KEYS - 1, 1) is DropReason.BAD_DATA_EPOCH
    assert world.arrive(7, 1) is None


@pytest.mark.stress
def test_a_peer_that_jumps_all_the_time(derived: list[bytes]) -> None:
    """It has its free epochs, then one a second; the epochs between stay good, and so does ours."""
    world = World()
    del derived[:]
    came = [world.arrive(epoch, 1) for epoch in range(5, 4000, FUTURE_KEYS)]
    good = came.count(None)
    assert good == FREE_EPOCHS // FUTURE_KEYS
    assert world.epoch == 1 + FREE_EPOCHS
    assert set(came[good:]) == {DropReason.BAD_DATA_EPOCH}
    assert len(derived) == FREE_EPOCHS + 2 * good
    assert world.arrive(world.epoch, 2) is None
    assert world.sent() == (1 + FREE_EPOCHS, 1)
    world.now = 1_000_000_000
    assert world.arrive(3 + FREE_EPOCHS, 1) is DropReason.BAD_DATA_EPOCH  # two ahead, and only one is free
    assert world.arrive(2 + FREE_EPOCHS, 1) is None
    assert world.arrive(3 + FREE_EPOCHS, 1) is DropReason.BAD_DATA_EPOCH
    world.now *= 3600
    assert world.arrive(6 + FREE_EPOCHS, 1) is None


def test_no_more_than_sixteen_epochs_are_saved_up_in_quiet(derived: list[bytes]) -> None:
    """After an hour without a packet the peer may move on by as many as at first."""
    world = World()
    assert world.arrive(1, 1) is None
    world.now = 3600 * 1_000_000_000
    came = [world.arrive(epoch, 1) for epoch in range(5, 60, 4)]
    assert came == [None] * 4 + [DropReason.BAD_DATA_EPOCH] * 10
    assert world.epoch == 17
    world.now += 2 * 1_000_000_000
    assert world.arrive(20, 1) is DropReason.BAD_DATA_EPOCH
    assert world.arrive(19, 1) is None


def test_ours_is_never_late_by_more_than_sixteen(derived: list[bytes]) -> None:
    world = World()
    for epoch in range(2, 200):
        world.now += 1_000_000_000
        before = len(derived)
        assert world.arrive(epoch, 1) is None
        assert len(derived) - before <= 3 + LAG + 1 + 2
        assert world.epoch - world.records._send.epoch <= LAG
    assert world.sent() == (199, 1)


def test_the_first_epoch_that_is_earned_comes_after_a_whole_second(derived: list[bytes]) -> None:
    world = World()
    assert [world.arrive(epoch, 1) for epoch in (5, 9, 13, 17)] == [None] * 4
    world.now = 999_999_999
    assert world.arrive(18, 1) is DropReason.BAD_DATA_EPOCH
    world.now = 1_000_000_000
    assert world.arrive(18, 1) is None


def test_ours_is_late_by_sixteen_and_then_follows() -> None:
    world = World()
    sent = []
    for epoch in range(2, 20):
        world.now += 1_000_000_000
        assert world.arrive(epoch, 1) is None
        sent.append(world.records.export().send.epoch)
    assert sent == [1] * 16 + [18] * 2


# -- keys that are kept ------------------------------------------------------------------------------------------------


def test_the_key_before_stays_while_the_new_one_is_used() -> None:
    """However many packets the new one opens, in one batch or in several."""
    world = World()
    opened: list[bytes] = []
    batch = [by_hand.epoch_packet(CLIENT, GCM, epoch, n, PACKET) for epoch, n in ((1, 1), (2, 1), (2, 2), (2, 3))]
    assert world.channel.open(batch, 0, opened) == 4
    assert world.arrive(1, 2) is None
    assert world.arrive(2, 4) is None
    assert world.arrive(2, 5) is None
    assert world.arrive(1, 3) is None
    assert world.arrive(4, 1) is None
    assert world.arrive(2, 6) is None
    assert world.arrive(1, 4) is DropReason.BAD_DATA_EPOCH


def forged(epoch: int, counter: int = 1) -> bytes:
    return by_hand.epoch_packet(CLIENT, GCM, epoch, counter, PACKET)[:-1] + b"?"


def test_the_nearer_epochs_of_a_far_one_are_derived_once(derived: list[bytes]) -> None:
    world = World()
    del derived[:]
    keys = [b"data_key", b"data_iv"]
    for epoch, labels in (
        (5, [b"datakey upd"] * 4 + keys),
        (3, keys),
        (5, []),
        (2, keys),
        (4, keys),
    ):
        assert world.take(forged(epoch)) is DropReason.DATA_AUTHENTICATION
        assert derived == labels
        del derived[:]
    assert world.arrive(4, 1) is None
    assert world.take(forged(8)) is DropReason.DATA_AUTHENTICATION
    assert derived == [b"datakey upd"] * 3 + keys, "5 was known, 6 to 8 were not"
    del derived[:]
    assert world.take(forged(6)) is DropReason.DATA_AUTHENTICATION
    assert derived == keys


def test_keys_of_epochs_that_were_passed_over_are_forgotten() -> None:
    world = World()
    for epoch in (2, 3, 4, 5):
        world.take(forged(epoch))
    assert [key.epoch for key in world.records.export().later] == [2, 3, 4, 5]
    assert world.arrive(4, 1) is None
    state = world.records.export()
    assert [key.epoch for key in state.later] == [5]
    assert (state.receive.epoch, state.retiring and state.retiring.epoch, state.send.epoch) == (4, 1, 1)
    assert world.arrive(5, 1) is None
    assert world.records.export().later == ()


def test_epoch_0_after_a_forgery_is_out_of_reach() -> None:
    world = World()
    assert world.channel.open([forged(1), forged(0), forged(1, 2), forged(0)], 0, []) == 4
    assert world.counters.drops[DropReason.DATA_AUTHENTICATION] == 2
    assert world.counters.drops[DropReason.BAD_DATA_EPOCH] == 2


def test_one_call_passes_over_what_is_out_of_reach() -> None:
    """An epoch beyond the window, and an id that a strict window does not take: the batch goes on after them."""
    strict = DataKey.negotiated(0, DataFormat(GCM, epoch=True, replay_window=0), KEYS).records
    batch = [by_hand.epoch_packet(CLIENT, GCM, epoch, n, PACKET) for epoch, n in ((1, 5), (9, 1), (1, 7), (1, 6))]
    counters, opened = Counters(), list[bytes]()
    assert strict.open(batch, 0, opened, counters, 0) == 4
    assert len(opened) == 2
    assert (counters.drops[DropReason.BAD_DATA_EPOCH], counters.drops[DropReason.DATA_REPLAY]) == (1, 1)
