# hot
"""Data packets of the AEAD ciphers without epochs (OpenVPN crypto.c openvpn_encrypt_aead, openvpn_decrypt_aead).

V2: op/key(1) peer-id(3) packet id(4) tag(16) ciphertext, the first 8 bytes are the associated data. V1: op/key(1)
packet id(4) tag(16) ciphertext, only the packet id is. Nonce: packet id(4) and the key's implicit IV(8). Packet ids of
both versions are counted together.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from hognose.drops import Counters, DropReason
from hognose.openvpn.data.formats import PACKET_ID_LEN, V1_HEAD_LEN, V2_HEAD_LEN, DataFormat
from hognose.openvpn.data.replay import ReplayState, ReplayWindow
from hognose.openvpn.data.usage_limits import (
    FAILED_TAGS_LIMIT,
    FAILED_TAGS_RENEGOTIATE_AT,
    GCM_RENEGOTIATE_AT,
    LAST_PACKET_ID,
    RENEGOTIATE_AT,
)
from hognose.units import SECOND, Nanos
from hognose.vocabulary import TAG_LEN
from hognose.wire.openvpn import DATA_V1

_IV_LEN = 8
_V2_BODY = V2_HEAD_LEN + PACKET_ID_LEN + TAG_LEN
_V1_TAG = V1_HEAD_LEN + PACKET_ID_LEN
_V1_BODY = _V1_TAG + TAG_LEN


@dataclass(frozen=True, slots=True)
class AeadState:
    """AeadRecords as plain data; keys: 256 bytes."""

    keys: bytes
    next_id: int
    failures: int
    replay: ReplayState


class AeadRecords:
    """Both directions of one key. Bound: one replay window.

    exhausted: more than FAILED_TAGS_LIMIT tags were wrong, and nothing is to be opened any more.
    """

    __slots__ = (
        "_gcm", "_keys", "_open_aead", "_open_iv", "_seal_aead", "_seal_iv", "exhausted", "failures", "next_id",
        "replay",
    )  # fmt: skip

    def __init__(self, form: DataFormat, keys: bytes) -> None:
        """keys: 256 bytes, each half cipher(64) and IV(8, of 64); half 0 opens, half 1 seals."""
        aead = AESGCM if form.gcm else ChaCha20Poly1305
        self._gcm = form.gcm
        self._keys = keys
        self._open_aead = aead(keys[0 : form.key_len])
        self._seal_aead = aead(keys[128 : 128 + form.key_len])
        self._open_iv = keys[64 : 64 + _IV_LEN]
        self._seal_iv = keys[192 : 192 + _IV_LEN]
        self.replay = ReplayWindow(form.replay_window, form.replay_time * SECOND)
        self.next_id = 1
        self.failures = 0  # tags that were wrong
        self.exhausted = False

    @property
    def receiving(self) -> bool:
        """True when an authentic record has come."""
        return self.replay.highest > 0

    @property
    def newest(self) -> tuple[int, int]:
        """No epoch, and the highest packet id that has come."""
        return 0, self.replay.highest

    def worn_out(self, opened_bytes: int, sealed_bytes: int) -> bool:
        """True when enough was sealed or opened, or failed often enough, that a new key is wanted (usage_limits.py)."""
        sent, received = self.next_id, self.replay.highest
        if sent >= RENEGOTIATE_AT or received >= RENEGOTIATE_AT or self.failures > FAILED_TAGS_RENEGOTIATE_AT:
            return True
        # Blocks plus packets of one direction as gcm_use has them, without a call.
        most = max(2 * sent + (sealed_bytes >> 4), 2 * received + (opened_bytes >> 4))
        return self._gcm and most > GCM_RENEGOTIATE_AT

    def export(self) -> AeadState:
        """The key as plain data, for `restore`."""
        return AeadState(self._keys, self.next_id, self.failures, self.replay.export())

    def restore(self, state: AeadState) -> None:
        """Go on after the records of an exported key; the keys are those of the constructor."""
        self.next_id, self.failures = state.next_id, state.failures
        self.exhausted = state.failures > FAILED_TAGS_LIMIT
        self.replay.restore(state.replay)

    def open(self, records: list[bytes], index: int, payloads: list[bytes], counters: Counters, now: Nanos) -> int:
        """Open the records from `index` on that have the same first byte; returns the index after them.

        Payloads of good ones are appended; the others are counted: BAD_DATA_PACKET, DATA_AUTHENTICATION, DATA_REPLAY.
        Ends early when the key is exhausted.
        """
        replay = self.replay
        if now >= replay.tick_at:
            replay.tick(now)
        first = records[index][0]
        if first >> 3 == DATA_V1:
            return self._open_v1(records, index, payloads, counters)
        decrypt, iv = self._open_aead.decrypt, self._open_iv
        highest, mask = replay.highest, replay.mask
        append = payloads.append
        count = len(records)
        while index < count:
            record = records[index]
            if not record or record[0] != first:
                break
            index += 1
            packet_id = int.from_bytes(record[4:8], "big")
            if packet_id <= highest and not replay.is_new(packet_id):
                counters.drop(DropReason.DATA_REPLAY if len(record) >= _V2_BODY else DropReason.BAD_DATA_PACKET)
                continue
            try:
                plain = decrypt(record[4:8] + iv, record[24:] + record[8:24], record[:8])
            except (InvalidTag, ValueError):
                self._failed(len(record) >= _V2_BODY, counters)
                if self.exhausted:
                    break
                continue
            if packet_id == highest + 1:
                replay.highest = highest = packet_id
                replay.seen = (replay.seen << 1 | 1) & mask
            elif not replay.accept(packet_id):
                counters.drop(DropReason.DATA_REPLAY)
                continue
            else:
                highest = replay.highest
            append(plain)
        return index

    def _open_v1(self, records: list[bytes], index: int, payloads: list[bytes], counters: Counters) -> int:
        head, replay, decrypt, iv = records[index][:1], self.replay, self._open_aead.decrypt, self._open_iv
        count = len(records)
        while index < count:
            record = records[index]
            if record[:1] != head:
                break
            index += 1
            number = record[V1_HEAD_LEN:_V1_TAG]
            packet_id = int.from_bytes(number, "big")
            if len(record) >= _V1_BODY and not replay.is_new(packet_id):
                counters.drop(DropReason.DATA_REPLAY)
                continue
            try:
                plain = decrypt(number + iv, record[_V1_BODY:] + record[_V1_TAG:_V1_BODY], number)
            except (InvalidTag, ValueError):
                self._failed(len(record) >= _V1_BODY, counters)
                if self.exhausted:
                    break
                continue
            if replay.accept(packet_id):
                payloads.append(plain)
            else:
                counters.drop(DropReason.DATA_REPLAY)
        return index

    def _failed(self, whole: bool, counters: Counters) -> None:
        """Count a wrong tag, or a record too short for one."""
        if not whole:
            counters.drop(DropReason.BAD_DATA_PACKET)
            return
        counters.drop(DropReason.DATA_AUTHENTICATION)
        self.failures += 1
        self.exhausted = self.failures > FAILED_TAGS_LIMIT

    def seal(self, head: bytes, payloads: list[bytes]) -> list[bytes]:
        """Records for payloads, in order; [] when the packet ids are used up. head: op/key, for V2 with peer id."""
        packet_id = self.next_id
        if packet_id + len(payloads) > LAST_PACKET_ID:
            return []
        if len(head) == V1_HEAD_LEN:
            return self._seal_v1(head, payloads)
        encrypt, iv = self._seal_aead.encrypt, self._seal_iv
        records: list[bytes] = []
        append = records.append
        for payload in payloads:
            number = packet_id.to_bytes(4, "big")
            start = head + number
            sealed = encrypt(number + iv, payload, start)
            append(start + sealed[-16:] + sealed[:-16])
            packet_id += 1
        self.next_id = packet_id
        return records

    def _seal_v1(self, head: bytes, payloads: list[bytes]) -> list[bytes]:
        encrypt, iv = self._seal_aead.encrypt, self._seal_iv
        records = []
        for payload in payloads:
            number = self.next_id.to_bytes(PACKET_ID_LEN, "big")
            sealed = encrypt(number + iv, payload, number)
            records.append(head + number + sealed[-TAG_LEN:] + sealed[:-TAG_LEN])
            self.next_id += 1
        return records
