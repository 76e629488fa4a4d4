# hot
"""The data channel: data packets of one session under its keys (OpenVPN crypto.c openvpn_encrypt_aead).

AEAD V2: op/key(1) peer-id(3) packet id(4) tag(16) ciphertext, the first 8 bytes are the associated data. V1: op/key(1)
packet id(4) tag(16) ciphertext, only the packet id is. Nonce: packet id(4) and the key's implicit IV(8). This format
has its loops here; cbc.py and epoch.py have those of their formats, compression.py the compression framing.
"""

from __future__ import annotations

from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from hognose.drops import Counters, DropReason, Stat
from hognose.openvpn.data.cbc import CbcRecords
from hognose.openvpn.data.compression import framer, unframe
from hognose.openvpn.data.epoch import EpochRecords
from hognose.openvpn.data.formats import TAG_LEN, V2_HEAD_LEN, DataFormat
from hognose.openvpn.data.replay import ReplayWindow
from hognose.openvpn.data.usage_limits import (
    FAILED_TAGS_LIMIT,
    FAILED_TAGS_RENEGOTIATE_AT,
    GCM_RENEGOTIATE_AT,
    LAST_PACKET_ID,
    RENEGOTIATE_AT,
    gcm_use,
)
from hognose.units import SECOND, Nanos, Random
from hognose.wire.openvpn import DATA_V1, DATA_V2, OCC_EXIT, OCC_MAGIC, PING, first_byte

_IV_LEN = 8
_V2_HEAD = 8  # op/key, peer id, packet id
_V2_BODY = _V2_HEAD + TAG_LEN
_V1_HEAD = 5
_IPV4 = 0x45
_EMPTY, _NO_BYTE = -1, -2  # in place of a first byte
_HEAD = Struct(">II")
_DATA_OPCODES = (DATA_V1, DATA_V2)


class DataKey:
    """Both directions of one negotiated key: the AEAD parts here, or all of it in `format_engine`."""

    __slots__ = (
        "bytes_in_before", "bytes_out_before", "expires_at", "failures", "form", "format_engine", "frame", "key_id",
        "needs_slow_seal", "next_id", "open_aead", "open_iv", "plain_first_byte", "replay", "seal_aead", "seal_iv",
    )  # fmt: skip

    def __init__(self, key_id: int, form: DataFormat, keys: bytes, random: Random | None = None) -> None:
        """keys: 256 bytes; we open with half 0 (client to server) and seal with half 1.

        random makes the IVs of CBC; ValueError when it is needed and missing.
        """
        self.key_id = key_id
        self.form = form
        self.replay = ReplayWindow(form.replay_window, form.replay_time * SECOND)
        self.next_id = 1
        self.failures = 0  # tags that were wrong
        self.expires_at: Nanos = 0  # of a key that was replaced; 0 = in use
        self.bytes_in_before = 0  # the channel's counts when this key was installed
        self.bytes_out_before = 0
        self.frame = framer(form.framing)
        self.needs_slow_seal = form.epoch or not form.aead or not form.v2 or form.framing != "none"
        # The first byte of a payload that is an IPv4 packet as it is, without a framing byte or IPv4 options.
        self.plain_first_byte = _IPV4 if form.framing in ("none", "stub-v2") else _NO_BYTE
        self.format_engine: CbcRecords | EpochRecords | None = None
        if form.epoch:
            self.format_engine = EpochRecords(form, keys)
            return
        if not form.aead:
            if random is None:
                raise ValueError("CBC needs a source of random IVs")
            self.format_engine = CbcRecords(form, keys, random)
            return
        aead = AESGCM if form.gcm else ChaCha20Poly1305
        self.open_aead = aead(keys[0 : form.key_len])
        self.seal_aead = aead(keys[128 : 128 + form.key_len])
        self.open_iv = keys[64 : 64 + _IV_LEN]
        self.seal_iv = keys[192 : 192 + _IV_LEN]

    @property
    def opened(self) -> bool:
        """True when an authentic record has come: the peer has this key too."""
        if self.format_engine is not None:
            return self.format_engine.receiving
        return self.replay.highest > 0


class DataChannel:
    """Open and seal batches. Bound: one key per key id, at most three alive (old, current, next)."""

    __slots__ = (
        "_aead_keys", "_bytes_before", "_control_bytes_in", "_counters", "_current", "_head", "_keys", "_next",
        "_packets_before", "_switch_at", "_v2_word", "bytes_in", "bytes_out", "control_payloads_in", "exit_seen",
        "packets_in", "packets_out", "peer_id",
    )  # fmt: skip

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._keys: dict[int, DataKey] = {}
        self._aead_keys: dict[int, DataKey] = {}  # those that open_run's loop is for, by the first byte of a V2 record
        self._current: DataKey | None = None  # seals
        self._next: DataKey | None = None  # seals from _switch_at on
        self._switch_at: Nanos = 0
        self._v2_word = 0  # of what is sealed now: op/key, peer id
        self._head = b""  # the same as bytes; only op/key for V1
        self._control_bytes_in = 0  # bytes of control_payloads_in
        self._bytes_before = 0  # both directions, when the newest key was installed
        self._packets_before = 0
        self.peer_id = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.packets_in = 0
        self.packets_out = 0
        self.control_payloads_in = 0  # authentic payloads that were for us, or unreadable
        self.exit_seen = False

    @property
    def established(self) -> bool:
        """True when there is a key to seal with."""
        return self._current is not None

    @property
    def key_bytes(self) -> int:
        """Inner bytes of both directions since the newest key was installed (`reneg-bytes`)."""
        return self.bytes_in + self.bytes_out - self._bytes_before

    @property
    def key_packets(self) -> int:
        """Inner packets of both directions since the newest key was installed (`reneg-pkts`)."""
        return self.packets_in + self.packets_out - self._packets_before

    @property
    def worn_out(self) -> bool:
        """True when the newest key has sealed or opened enough, or failed often enough, that another is wanted.

        The bounds are those of usage_limits.py. Use of the key before it after the change counts too, never too little.
        """
        key = self._next or self._current
        if key is None:
            return False
        if key.format_engine is not None:
            return key.format_engine.worn_out
        sent, received = key.next_id, key.replay.highest
        if max(sent, received) >= RENEGOTIATE_AT or key.failures > FAILED_TAGS_RENEGOTIATE_AT:
            return True
        use_out = gcm_use(sent, self.bytes_out - key.bytes_out_before)
        use_in = gcm_use(received, self.bytes_in + self._control_bytes_in - key.bytes_in_before)
        return key.form.gcm and max(use_out, use_in) > GCM_RENEGOTIATE_AT

    def install(self, key: DataKey, now: Nanos, switch_at: Nanos, expires_at: Nanos) -> None:
        """Take a new key: it opens at once, seals from switch_at on; the one before it lives until expires_at."""
        self._forget(key.key_id)
        self._keys[key.key_id] = key
        if key.format_engine is None:
            self._aead_keys[first_byte(DATA_V2, key.key_id)] = key
        key.bytes_in_before = self.bytes_in + self._control_bytes_in
        key.bytes_out_before = self.bytes_out
        self._bytes_before = self.bytes_in + self.bytes_out
        self._packets_before = self.packets_in + self.packets_out
        if self._current is None:
            self._use(key)
            return
        if self._next is not None:
            self._switch()  # negotiations may follow each other faster than keys are switched
        self._current.expires_at = expires_at
        self._next = key
        self._switch_at = switch_at
        if switch_at <= now:
            self._switch()

    def use_newest(self) -> None:
        """Seal with the newest key from now on: when a further negotiation begins, a peer forgets all older ones.

        OpenVPN ssl.c key_state_soft_reset: the primary key becomes the lame duck, the lame duck before it is freed.
        """
        if self._next is not None:
            self._switch()

    def next_deadline(self) -> Nanos | None:
        """Time at which a key is to be switched to or forgotten; None when there is no such key."""
        times = [key.expires_at for key in self._keys.values() if key.expires_at]
        if self._next is not None:
            times.append(self._switch_at)
        return min(times, default=None)

    def handle_deadline(self, now: Nanos) -> None:
        """Switch to a newer key, forget expired ones."""
        if self._next is not None and self._switch_at <= now:
            self._switch()
        for key_id in [key_id for key_id, key in self._keys.items() if key.expires_at and key.expires_at <= now]:
            if self._keys[key_id] is not self._current:
                self._forget(key_id)

    def open_run(self, records: list[bytes], index: int, packets: list[bytes], now: Nanos = 0) -> int:
        """Open data records from `index` on, appending inner packets; returns the index of the first other record.

        Every record that does not open is counted and passed over: NO_DATA_KEY, BAD_DATA_PACKET, BAD_DATA_EPOCH,
        DATA_REPLAY, DATA_AUTHENTICATION, COMPRESSED, BAD_COMPRESSION_BYTE. now: for the replay window's time.
        """
        counters = self._counters
        count = len(records)
        append = packets.append
        before = len(packets)
        opened_bytes = 0
        expected = _NO_BYTE
        while index < count:
            record = records[index]
            first = record[0] if record else _EMPTY
            if first != expected:
                found = self._aead_keys.get(first)
                if found is None:
                    if record and first >> 3 not in _DATA_OPCODES:
                        break
                    index = self._open_slow(records, index, packets, now)
                    expected = _NO_BYTE
                    continue
                key, replay, expected = found, found.replay, first
                if now >= replay.tick_at:
                    replay.tick(now)
                decrypt, iv, plain_first = key.open_aead.decrypt, key.open_iv, key.plain_first_byte
                highest, mask = replay.highest, replay.mask
            index += 1
            packet_id = int.from_bytes(record[4:8], "big")
            if packet_id <= highest and not replay.is_new(packet_id):
                counters.drop(DropReason.DATA_REPLAY if len(record) >= _V2_BODY else DropReason.BAD_DATA_PACKET)
                continue
            try:
                plain = decrypt(record[4:8] + iv, record[24:] + record[8:24], record[:8])
            except (InvalidTag, ValueError):
                self._failed(key, record)
                if key.failures > FAILED_TAGS_LIMIT:
                    expected = _NO_BYTE
                continue
            if packet_id == highest + 1:
                replay.highest = highest = packet_id
                replay.seen = (replay.seen << 1 | 1) & mask
            elif not replay.accept(packet_id):
                counters.drop(DropReason.DATA_REPLAY)
                continue
            else:
                highest = replay.highest
            if plain and plain[0] == plain_first:
                append(plain)
                opened_bytes += len(plain)
            else:
                self._take_payload(key, plain, packets)
        if self._next is not None and self._next.opened:
            self._switch()  # the peer seals with it, so it opens with it too; it may soon forget the one before
        self.bytes_in += opened_bytes
        opened = len(packets) - before
        self.packets_in += opened
        counters.stats[Stat.DATA_PACKETS_IN] += opened
        counters.stats[Stat.DATA_BYTES_IN] += opened_bytes
        return index

    def seal(self, packets: list[bytes], now: Nanos) -> list[bytes]:
        """Records for packets, in order; [] and NO_DATA_KEY when there is no key or its ids are used up."""
        if self._next is not None and self._switch_at <= now:
            self._switch()
        key = self._current
        if key is None or key.next_id + len(packets) > LAST_PACKET_ID:
            self._counters.drop(DropReason.NO_DATA_KEY, len(packets))
            return []
        inner_bytes = 0
        if key.needs_slow_seal:
            if key.format_engine is not None or not key.form.v2:
                return self._seal_slow(key, packets)
            inner_bytes = sum(map(len, packets))
            packets = key.frame(packets)
        records: list[bytes] = []
        append = records.append
        encrypt, iv, word, pack = key.seal_aead.encrypt, key.seal_iv, self._v2_word, _HEAD.pack
        packet_id = key.next_id
        sealed_bytes = 0
        for packet in packets:
            head = pack(word, packet_id)
            sealed = encrypt(head[4:] + iv, packet, head)
            append(head + sealed[-16:] + sealed[:-16])
            sealed_bytes += len(packet)
            packet_id += 1
        key.next_id = packet_id
        self._count_out(len(packets), inner_bytes or sealed_bytes)  # the framing is no traffic
        return records

    def ping(self, now: Nanos) -> list[bytes]:
        """A keepalive record; it does not count as traffic."""
        packets, size = self.packets_out, self.bytes_out
        records = self.seal([PING], now)
        self.packets_out, self.bytes_out = packets, size
        return records

    def _count_out(self, packets: int, size: int) -> None:
        self.packets_out += packets
        self.bytes_out += size
        self._counters.stats[Stat.DATA_PACKETS_OUT] += packets
        self._counters.stats[Stat.DATA_BYTES_OUT] += size

    def _forget(self, key_id: int) -> None:
        self._keys.pop(key_id, None)
        self._aead_keys.pop(first_byte(DATA_V2, key_id), None)

    def _use(self, key: DataKey) -> None:
        self._current = key
        self._v2_word = first_byte(DATA_V2, key.key_id) << 24 | self.peer_id
        word = self._v2_word.to_bytes(V2_HEAD_LEN, "big")
        self._head = word if key.form.v2 else bytes((first_byte(DATA_V1, key.key_id),))

    def _switch(self) -> None:
        assert self._next is not None
        self._use(self._next)
        self._next = None

    def _take_payload(self, key: DataKey, payload: bytes, packets: list[bytes]) -> None:
        """Take a payload that is no plain IPv4 packet: ping, OCC message, IP options, IPv6, framed packet."""
        packet = unframe(key.form.framing, payload)
        if isinstance(packet, DropReason):
            self._counters.drop(packet)
        elif packet.startswith(PING):
            pass
        elif packet.startswith(OCC_MAGIC):
            kind = packet[len(OCC_MAGIC) : len(OCC_MAGIC) + 1]  # a request for our options gets no answer
            self.exit_seen |= kind == bytes((OCC_EXIT,))
        else:
            packets.append(packet)
            self.bytes_in += len(packet)
            self._counters.stats[Stat.DATA_BYTES_IN] += len(packet)
            return
        self.control_payloads_in += 1
        self._control_bytes_in += len(payload)

    def _failed(self, key: DataKey, record: bytes) -> None:
        """Count a wrong tag, or a record too short for one; a key beyond FAILED_TAGS_LIMIT is forgotten."""
        if len(record) < (_V2_BODY if record[0] >> 3 == DATA_V2 else _V1_HEAD + TAG_LEN):
            self._counters.drop(DropReason.BAD_DATA_PACKET)
            return
        self._counters.drop(DropReason.DATA_AUTHENTICATION)
        key.failures += 1
        if key.failures > FAILED_TAGS_LIMIT:
            self._forget(key.key_id)

    def _open_slow(self, records: list[bytes], index: int, packets: list[bytes], now: Nanos) -> int:
        """Open a record that open_run's loop is not for, and those like it after it; returns the index after them."""
        record = records[index]
        key = self._keys.get(record[0] & 7) if record else None
        if key is None:
            self._counters.drop(DropReason.NO_DATA_KEY if record else DropReason.BAD_DATA_PACKET)
            return index + 1
        payloads: list[bytes] = []
        if key.format_engine is None:
            index += 1
            self._open_v1(key, record, payloads, now)
        elif key.form.epoch and record[0] >> 3 == DATA_V1:
            index += 1
            self._counters.drop(DropReason.BAD_DATA_PACKET)
        else:
            index = key.format_engine.open_records(records, index, payloads, self._counters, now)
        plain_first, size = key.plain_first_byte, 0
        for payload in payloads:
            if payload and payload[0] == plain_first:
                packets.append(payload)
                size += len(payload)
            else:
                self._take_payload(key, payload, packets)
        self.bytes_in += size
        self._counters.stats[Stat.DATA_BYTES_IN] += size
        return index

    def _open_v1(self, key: DataKey, record: bytes, payloads: list[bytes], now: Nanos) -> None:
        replay = key.replay
        if now >= replay.tick_at:
            replay.tick(now)
        number, tag_end = record[1:_V1_HEAD], _V1_HEAD + TAG_LEN
        packet_id = int.from_bytes(number, "big")
        if len(record) >= tag_end and not replay.is_new(packet_id):
            self._counters.drop(DropReason.DATA_REPLAY)
            return
        try:
            plain = key.open_aead.decrypt(number + key.open_iv, record[tag_end:] + record[_V1_HEAD:tag_end], number)
        except (InvalidTag, ValueError):
            self._failed(key, record)
            return
        if replay.accept(packet_id):
            payloads.append(plain)
        else:
            self._counters.drop(DropReason.DATA_REPLAY)

    def _seal_slow(self, key: DataKey, packets: list[bytes]) -> list[bytes]:
        """V1, CBC and epochs; [] and NO_DATA_KEY when ids or epochs are used up."""
        payloads = key.frame(packets)
        if key.format_engine is None:
            records = _seal_v1(key, self._head, payloads)
        else:
            records = key.format_engine.seal_records(self._head, payloads)
        if records:
            self._count_out(len(packets), sum(map(len, packets)))
        else:
            self._counters.drop(DropReason.NO_DATA_KEY, len(packets))
        return records


def _seal_v1(key: DataKey, head: bytes, payloads: list[bytes]) -> list[bytes]:
    records = []
    for payload in payloads:
        number = key.next_id.to_bytes(4, "big")
        sealed = key.seal_aead.encrypt(number + key.seal_iv, payload, number)
        records.append(head + number + sealed[-TAG_LEN:] + sealed[:-TAG_LEN])
        key.next_id += 1
    return records
