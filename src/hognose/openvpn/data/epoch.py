"""Data packets of the epoch format: keys that move on within one negotiated key (OpenVPN 2.7 crypto_epoch.c).

op/key(1) peer-id(3) epoch(2) counter(6) ciphertext tag(16); the first 12 bytes are the associated data. Nonce: epoch,
counter and four zero bytes XOR the epoch's IV(12). Epochs and counters begin at 1.

Each side may move on; the other follows when a packet of a later epoch, at most FUTURE_KEYS ahead, was authentic.
Nothing is derived before a packet names it (OpenVPN keeps FUTURE_KEYS keys ready), forged packets have only the window
derived, once; a peer that moves on all the time has FREE_EPOCHS, and one a second more.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from hognose.base.rate import TokenBucket
from hognose.drops import Counters, DropReason
from hognose.openvpn.data.formats import EPOCH_ID_LEN, V2_HEAD_LEN, DataFormat
from hognose.openvpn.data.replay import ReplayState, ReplayWindow
from hognose.openvpn.data.usage_limits import (
    FAILED_TAGS_LIMIT,
    FAILED_TAGS_RENEGOTIATE_AT,
    GCM_LIMIT,
    GCM_RENEGOTIATE_AT,
    gcm_use,
)
from hognose.units import SECOND, Nanos
from hognose.vocabulary import TAG_LEN
from hognose.wire.openvpn import DATA_V1

FUTURE_KEYS = 4
FREE_EPOCHS = 16  # epochs a peer may move on by at once; afterwards one a second, and no peer needs one an hour
LAG = 16  # epochs that the key to seal with may be late, because nothing was sealed
LAST_EPOCH = 0xFFFF - FUTURE_KEYS - 1  # neither sent nor received above (crypto_epoch.c epoch_lookup_decrypt_key)
RENEGOTIATE_EPOCH = 0xF000
LAST_COUNTER = (1 << 48) - 1
SECRET_LEN = 32
_HEAD_LEN = V2_HEAD_LEN + EPOCH_ID_LEN
_IV_LEN = 12


def expand_label(secret: bytes, label: bytes, length: int) -> bytes:
    """TLS 1.3's HKDF-Expand-Label with OpenVPN's prefix and an empty context (RFC 8446 7.1, ovpn_expand_label)."""
    info = length.to_bytes(2, "big") + bytes((5 + len(label),)) + b"ovpn " + label + b"\0"
    return HKDFExpand(SHA256(), length, info).derive(secret)


def next_secret(secret: bytes) -> bytes:
    """The secret of the epoch after that of `secret` (epoch_key_iterate)."""
    return expand_label(secret, b"datakey upd", SECRET_LEN)


@dataclass(frozen=True, slots=True)
class EpochKeyState:
    """EpochKey as plain data."""

    epoch: int
    secret: bytes
    next_counter: int
    used: int
    failures: int
    replay: ReplayState


@dataclass(frozen=True, slots=True)
class EpochState:
    """EpochRecords as plain data; later: keys that packets have named and no authentic one has used yet."""

    keys: bytes
    receive: EpochKeyState
    send: EpochKeyState
    retiring: EpochKeyState | None
    later: tuple[EpochKeyState, ...]


class EpochKey:
    """One direction's key of one epoch. replay and failures matter for opening, next_counter for sealing."""

    __slots__ = ("aead", "epoch", "failures", "form", "iv_head", "iv_tail", "next_counter", "replay", "secret", "used")

    def __init__(self, form: DataFormat, epoch: int, secret: bytes) -> None:
        key = expand_label(secret, b"data_key", form.key_len)
        iv = expand_label(secret, b"data_iv", _IV_LEN)
        self.form = form
        self.epoch = epoch
        self.secret = secret
        self.aead = AESGCM(key) if form.gcm else ChaCha20Poly1305(key)
        self.iv_head = int.from_bytes(iv[:EPOCH_ID_LEN], "big")
        self.iv_tail = iv[EPOCH_ID_LEN:]
        self.replay = ReplayWindow(form.replay_window, form.replay_time * SECOND)
        self.next_counter = 1
        self.used = 0  # blocks plus packets, or a little more
        self.failures = 0  # tags that were wrong

    def export(self) -> EpochKeyState:
        """The key as plain data, for `restored`."""
        return EpochKeyState(self.epoch, self.secret, self.next_counter, self.used, self.failures, self.replay.export())

    @staticmethod
    def restored(form: DataFormat, state: EpochKeyState) -> EpochKey:
        """The key that was exported."""
        key = EpochKey(form, state.epoch, state.secret)
        key.next_counter, key.used, key.failures = state.next_counter, state.used, state.failures
        key.replay.restore(state.replay)
        return key

    def following(self) -> EpochKey:
        """The key of the next epoch."""
        return self.at(self.epoch + 1)

    def at(self, epoch: int) -> EpochKey:
        """The key of this epoch or a later one; one derivation for each epoch between, two for the key."""
        secret = self.secret
        for _ in range(epoch - self.epoch):
            secret = next_secret(secret)
        return EpochKey(self.form, epoch, secret)


class EpochRecords:
    """Both directions of one negotiated key.

    Bounds: six keys to open with (retiring, current, future), one to seal; a call of seal derives LAG epochs at
    most, a packet FUTURE_KEYS of ours and LAG of the peer's.
    """

    __slots__ = ("_derivations", "_form", "_future", "_keys", "_receive", "_retiring", "_secrets", "_send")
    exhausted = False  # wrong tags are limited by epoch

    def __init__(self, form: DataFormat, keys: bytes) -> None:
        """keys: 256 bytes; the first 32 of half 0 are the secret to open with, of half 1 the secret to seal with."""
        self._form = form
        self._keys = keys
        self._receive = EpochKey(form, 1, keys[0:SECRET_LEN])
        self._send = EpochKey(form, 1, keys[128 : 128 + SECRET_LEN])
        self._retiring: EpochKey | None = None
        self._secrets: list[bytes] = []  # of the epochs after _receive's, as far as packets have named them
        self._future: dict[int, EpochKey] = {}  # likewise keys, by epoch
        self._derivations = TokenBucket(1, FREE_EPOCHS, 0)  # epochs that may still be derived

    @property
    def receiving(self) -> bool:
        """True when an authentic record has come."""
        return self._receive.epoch > 1 or self._receive.replay.highest > 0

    @property
    def newest(self) -> tuple[int, int]:
        """The newest epoch of the peer, and the highest packet id that has come in it."""
        return self._receive.epoch, self._receive.replay.highest

    def worn_out(self, opened_bytes: int, sealed_bytes: int) -> bool:
        """True from RENEGOTIATE_EPOCH on: a new negotiated key is wanted; bytes are limited by epoch."""
        return max(self._send.epoch, self._receive.epoch) >= RENEGOTIATE_EPOCH

    def export(self) -> EpochState:
        """The key as plain data, for `restore`."""
        retiring = None if self._retiring is None else self._retiring.export()
        later = tuple(key.export() for key in self._future.values())
        return EpochState(self._keys, self._receive.export(), self._send.export(), retiring, later)

    def restore(self, state: EpochState) -> None:
        """Go on after the records of an exported key; epochs that a peer may make us derive are counted anew."""
        form = self._form
        self._receive = EpochKey.restored(form, state.receive)
        self._send = EpochKey.restored(form, state.send)
        self._retiring = None if state.retiring is None else EpochKey.restored(form, state.retiring)
        self._future = {one.epoch: EpochKey.restored(form, one) for one in state.later}

    def open(self, records: list[bytes], index: int, payloads: list[bytes], counters: Counters, now: Nanos) -> int:
        """Open the records from `index` on that have the same first byte; returns the index after them.

        Payloads of good ones are appended; the others are counted: BAD_DATA_PACKET, BAD_DATA_EPOCH, DATA_REPLAY,
        DATA_AUTHENTICATION. An epoch moves on only after a tag was good.
        """
        head = records[index][:1]
        if head[0] >> 3 == DATA_V1:  # the format has no V1 packets
            counters.drop(DropReason.BAD_DATA_PACKET)
            return index + 1
        count = len(records)
        append = payloads.append
        loaded = -1
        while index < count:
            record = records[index]
            if record[:1] != head:
                break
            index += 1
            if len(record) < _HEAD_LEN + TAG_LEN:
                counters.drop(DropReason.BAD_DATA_PACKET)
                continue
            number = int.from_bytes(record[V2_HEAD_LEN:_HEAD_LEN], "big")
            epoch = number >> 48
            if epoch != loaded:
                found = self._lookup(epoch, now)
                if found is None:
                    counters.drop(DropReason.BAD_DATA_EPOCH)
                    continue
                key, loaded, later = found, epoch, epoch > self._receive.epoch
                decrypt, iv_head, iv_tail, replay = key.aead.decrypt, key.iv_head, key.iv_tail, key.replay
                if now >= replay.tick_at:
                    replay.tick(now)
            counter = number & LAST_COUNTER
            if counter <= replay.highest and not replay.is_new(counter):
                counters.drop(DropReason.DATA_REPLAY)
                continue
            try:
                plain = decrypt(
                    (number ^ iv_head).to_bytes(EPOCH_ID_LEN, "big") + iv_tail, record[_HEAD_LEN:], record[:_HEAD_LEN]
                )
            except InvalidTag:
                key.failures += 1
                loaded = -1  # the counts may have reached the limit
                counters.drop(DropReason.DATA_AUTHENTICATION)
                continue
            if not replay.accept(counter):
                counters.drop(DropReason.DATA_REPLAY)
                continue
            if later:
                self._follow(key)
                later = False
            key.used += 2 + (len(plain) >> 4)  # gcm_use(1, …), without a call
            append(plain)
        return index

    def seal(self, head: bytes, payloads: list[bytes]) -> list[bytes]:
        """Records for payloads, in order; [] when the epochs are used up. head: op/key and peer id."""
        count = len(payloads)
        use = gcm_use(count, sum(map(len, payloads)))
        key, receive = self._send, self._receive
        if (
            key.epoch < receive.epoch
            or key.used + use > GCM_LIMIT
            or key.next_counter + count > LAST_COUNTER
            or receive.used > GCM_RENEGOTIATE_AT
            or receive.failures > FAILED_TAGS_RENEGOTIATE_AT
        ):
            if not self._ready_to_seal(count, use):
                return []
            key = self._send
        encrypt, iv_head, iv_tail = key.aead.encrypt, key.iv_head, key.iv_tail
        number = key.epoch << 48 | key.next_counter
        records: list[bytes] = []
        append = records.append
        for payload in payloads:
            start = head + number.to_bytes(EPOCH_ID_LEN, "big")
            append(start + encrypt((number ^ iv_head).to_bytes(EPOCH_ID_LEN, "big") + iv_tail, payload, start))
            number += 1
        key.next_counter += count
        key.used += use
        return records

    def _ready_to_seal(self, packets: int, use: int) -> bool:
        """Move on if late or near a limit; False if there is no epoch to seal with (epoch_check_send_iterate)."""
        send, receive = self._send, self._receive
        if send.epoch < receive.epoch:
            send = self._send = send.at(receive.epoch)
        if send.next_counter + packets - 1 > LAST_COUNTER or (self._form.gcm and send.used + use > GCM_LIMIT):
            if send.epoch >= LAST_EPOCH:
                return False
            self._send = send.following()
        elif send.epoch == receive.epoch and send.epoch < LAST_EPOCH:
            # The peer cannot know that its packets are too many for its key, or forged: a later epoch of ours tells it.
            worn = self._form.gcm and receive.used > GCM_RENEGOTIATE_AT
            if worn or receive.failures > FAILED_TAGS_RENEGOTIATE_AT:
                self._send = send.following()
        return True

    def _lookup(self, epoch: int, now: Nanos) -> EpochKey | None:
        """The key to try for an epoch that a packet names; None when it is out of reach."""
        receive, retiring = self._receive, self._retiring
        key: EpochKey | None = None
        if epoch == receive.epoch:
            key = receive
        elif retiring is not None and epoch == retiring.epoch:
            key = retiring
        elif receive.epoch < epoch <= min(receive.epoch + FUTURE_KEYS, LAST_EPOCH):
            key = self._future.get(epoch) or self._derive(epoch, now)
        return None if key is None or key.failures > FAILED_TAGS_LIMIT else key

    def _derive(self, epoch: int, now: Nanos) -> EpochKey | None:
        """The key of a later epoch, kept until the window has passed it; None where the peer moves on too fast."""
        ahead = epoch - self._receive.epoch
        missing = max(0, ahead - len(self._secrets))
        if not self._derivations.take(missing, now):
            return None
        for _ in range(missing):
            self._secrets.append(next_secret(self._secrets[-1] if self._secrets else self._receive.secret))
        key = self._future[epoch] = EpochKey(self._form, epoch, self._secrets[ahead - 1])
        return key

    def _follow(self, key: EpochKey) -> None:
        """Follow an authentic packet of a later epoch (crypto_epoch.c epoch_replace_update_recv_key); ours is late."""
        del self._secrets[: key.epoch - self._receive.epoch]
        self._retiring, self._receive = self._receive, key
        self._future = {epoch: future for epoch, future in self._future.items() if epoch > key.epoch}
        if key.epoch - self._send.epoch > LAG:
            self._send = self._send.at(key.epoch)
