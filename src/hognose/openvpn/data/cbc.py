"""Data packets of the CBC ciphers: encrypt, then HMAC (OpenVPN crypto.c openvpn_encrypt_v1, openvpn_decrypt_v1).

After op/key(1) and, for V2, peer-id(3): HMAC(digest) IV(16) ciphertext. The HMAC covers IV and ciphertext, not the
header. Ciphertext: packet id(4), payload, PKCS #7 padding. The IV is random for each packet.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from hognose.drops import Counters, DropReason
from hognose.openvpn.data.formats import (
    PACKET_ID_LEN,
    V1_HEAD_LEN,
    V2_HEAD_LEN,
    DataFormat,
)
from hognose.openvpn.data.replay import ReplayState, ReplayWindow
from hognose.openvpn.data.usage_limits import LAST_PACKET_ID, RENEGOTIATE_AT
from hognose.units import SECOND, Nanos, Random
from hognose.vocabulary import BLOCK_LEN, DIGESTS
from hognose.wire.openvpn import DATA_V2

_PADDINGS = [b"", *(bytes((size,)) * size for size in range(1, BLOCK_LEN + 1))]


@dataclass(frozen=True, slots=True)
class CbcState:
    """CbcRecords as plain data; keys: 256 bytes."""

    keys: bytes
    next_id: int
    replay: ReplayState


class CbcRecords:
    """Both directions of one key. Bound: one replay window."""

    __slots__ = (
        "_digest", "_digest_len", "_keys", "_open_aes", "_open_hmac", "_random", "_seal_aes", "_seal_hmac", "next_id",
        "replay",
    )  # fmt: skip
    exhausted = False  # a forged record costs an attacker one HMAC: there is no limit of them

    def __init__(self, form: DataFormat, keys: bytes, random: Random) -> None:
        """keys: 256 bytes, each half cipher(64) and HMAC(64); half 0 opens, half 1 seals."""
        self._keys = keys
        self._random = random
        self._digest = form.digest.lower()
        self._digest_len = DIGESTS[form.digest]
        self._open_aes = AES(keys[0 : form.key_len])
        self._seal_aes = AES(keys[128 : 128 + form.key_len])
        self._open_hmac = keys[64 : 64 + self._digest_len]
        self._seal_hmac = keys[192 : 192 + self._digest_len]
        self.replay = ReplayWindow(form.replay_window, form.replay_time * SECOND)
        self.next_id = 1

    @property
    def receiving(self) -> bool:
        """True when an authentic record has come."""
        return self.replay.highest > 0

    @property
    def newest(self) -> tuple[int, int]:
        """No epoch, and the highest packet id that has come."""
        return 0, self.replay.highest

    def worn_out(self, opened_bytes: int, sealed_bytes: int) -> bool:
        """True when one direction has carried RENEGOTIATE_AT packets: a new key is wanted; bytes have no limit."""
        return max(self.next_id, self.replay.highest) >= RENEGOTIATE_AT

    def export(self) -> CbcState:
        """The key as plain data, for `restore`."""
        return CbcState(self._keys, self.next_id, self.replay.export())

    def restore(self, state: CbcState) -> None:
        """Go on after the records of an exported key; the keys are those of the constructor."""
        self.next_id = state.next_id
        self.replay.restore(state.replay)

    def open(self, records: list[bytes], index: int, payloads: list[bytes], counters: Counters, now: Nanos) -> int:
        """Open the records from `index` on that have the same first byte; returns the index after them.

        Payloads of good ones are appended; the others are counted: BAD_DATA_PACKET, DATA_AUTHENTICATION, DATA_REPLAY.
        """
        replay = self.replay
        if now >= replay.tick_at:
            replay.tick(now)
        head = records[index][:1]
        start = V2_HEAD_LEN if head[0] >> 3 == DATA_V2 else V1_HEAD_LEN
        iv_start = start + self._digest_len
        body_start = iv_start + BLOCK_LEN
        count = len(records)
        while index < count:
            record = records[index]
            if record[:1] != head:
                break
            index += 1
            size = len(record) - body_start
            if size <= 0 or size % BLOCK_LEN:
                counters.drop(DropReason.BAD_DATA_PACKET)
                continue
            tag = hmac.digest(self._open_hmac, record[iv_start:], self._digest)
            if not hmac.compare_digest(tag, record[start:iv_start]):
                counters.drop(DropReason.DATA_AUTHENTICATION)
                continue
            context = Cipher(self._open_aes, CBC(record[iv_start:body_start])).decryptor()
            plain = context.update(record[body_start:]) + context.finalize()
            padding = plain[-1]
            end = len(plain) - padding
            if not 0 < padding <= BLOCK_LEN or end < PACKET_ID_LEN or plain[end:] != _PADDINGS[padding]:
                counters.drop(DropReason.BAD_DATA_PACKET)
            elif not replay.accept(int.from_bytes(plain[:PACKET_ID_LEN], "big")):
                counters.drop(DropReason.DATA_REPLAY)
            else:
                payloads.append(plain[PACKET_ID_LEN:end])
        return index

    def seal(self, head: bytes, payloads: list[bytes]) -> list[bytes]:
        """Records for payloads, in order; [] when the packet ids are used up. head: op/key, for V2 with peer id."""
        packet_id = self.next_id
        if packet_id + len(payloads) > LAST_PACKET_ID:
            return []
        ivs = self._random(BLOCK_LEN * len(payloads))
        at = 0
        records: list[bytes] = []
        for payload in payloads:
            iv = ivs[at : at + BLOCK_LEN]
            at += BLOCK_LEN
            padding = _PADDINGS[BLOCK_LEN - (PACKET_ID_LEN + len(payload)) % BLOCK_LEN]
            context = Cipher(self._seal_aes, CBC(iv)).encryptor()
            body = iv + context.update(packet_id.to_bytes(PACKET_ID_LEN, "big") + payload + padding)
            records.append(head + hmac.digest(self._seal_hmac, body, self._digest) + body)
            packet_id += 1
        self.next_id = packet_id
        return records
