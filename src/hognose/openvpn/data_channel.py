# hot
"""The data channel: AEAD records of one session under its keys (OpenVPN crypto.c openvpn_encrypt_aead).

V2: op/key(1) peer-id(3) packet id(4) tag(16) ciphertext, the first 8 bytes are the associated data. V1: op/key(1)
packet id(4) tag(16) ciphertext, only the packet id is. Nonce: packet id(4) and the key's implicit IV(8).
"""

from __future__ import annotations

from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from hognose.drops import Counters, DropReason, Stat
from hognose.openvpn.replay import WINDOW, ReplayWindow
from hognose.units import Nanos
from hognose.wire.openvpn import DATA_V1, DATA_V2, OCC_EXIT, OCC_MAGIC, PING, first_byte

KEY_LENGTHS = {"AES-256-GCM": 32, "AES-128-GCM": 16, "CHACHA20-POLY1305": 32}
TAG_LEN = 16
_IV_LEN = 8
_V2_HEAD = 8  # op/key, peer id, packet id
_V2_BODY = _V2_HEAD + TAG_LEN
_V1_HEAD = 5
_IPV4 = 0x45
_HEAD = Struct(">II")
# A packet id never comes near its end: no id above this is sent, and renegotiation is asked for before.
LAST_PACKET_ID = 0xFF000000
RENEGOTIATE_AT = 0xF0000000


class DataKey:
    """Both directions of one negotiated key."""

    __slots__ = ("expires_at", "key_id", "next_id", "open_aead", "open_iv", "replay", "seal_aead", "seal_iv")

    def __init__(self, key_id: int, cipher: str, keys: bytes) -> None:
        """keys: 256 bytes; half 0 (client to server) is what we open with, half 1 what we seal with."""
        size = KEY_LENGTHS[cipher]
        aead = ChaCha20Poly1305 if cipher == "CHACHA20-POLY1305" else AESGCM
        self.key_id = key_id
        self.open_aead = aead(keys[0:size])
        self.seal_aead = aead(keys[128 : 128 + size])
        self.open_iv = keys[64 : 64 + _IV_LEN]
        self.seal_iv = keys[192 : 192 + _IV_LEN]
        self.replay = ReplayWindow()
        self.next_id = 1
        self.expires_at: Nanos = 0  # of a key that was replaced; 0 = in use


class DataChannel:
    """Open and seal batches. Bound: one key per key id, at most three alive (old, current, next)."""

    __slots__ = (
        "_counters", "_current", "_keys", "_next", "_switch_at", "_v2_word", "bytes_in", "bytes_out", "exit_seen",
        "packets_in", "packets_out", "peer_id", "unusual_in", "v2",
    )  # fmt: skip

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._keys: dict[int, DataKey] = {}
        self._current: DataKey | None = None  # seals
        self._next: DataKey | None = None  # seals from _switch_at on
        self._switch_at: Nanos = 0
        self._v2_word = 0
        self.v2 = True
        self.peer_id = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.packets_in = 0
        self.packets_out = 0
        self.unusual_in = 0  # authentic records that were no plain IPv4 packet
        self.exit_seen = False

    @property
    def established(self) -> bool:
        """There is a key to seal with."""
        return self._current is not None

    @property
    def worn_out(self) -> bool:
        """The current key has sealed or opened so much that a new one is wanted."""
        key = self._current
        return key is not None and max(key.next_id, key.replay.highest) >= RENEGOTIATE_AT

    def install(self, key: DataKey, now: Nanos, switch_at: Nanos, expires_at: Nanos) -> None:
        """A new key: opens at once, seals from switch_at on; the one before it lives until expires_at."""
        self._keys[key.key_id] = key
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

    def next_deadline(self) -> Nanos | None:
        """When a key is to be switched to or forgotten."""
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
                del self._keys[key_id]

    def open_run(self, records: list[bytes], index: int, packets: list[bytes]) -> int:
        """Open data records from `index` on, appending inner packets; returns the index of the first other record.

        Every record that does not open is counted and passed over: NO_DATA_KEY, BAD_DATA_PACKET, DATA_REPLAY,
        DATA_AUTHENTICATION.
        """
        counters = self._counters
        count = len(records)
        append = packets.append
        start, before = index, len(packets)
        opened_bytes = 0
        key: DataKey | None = None
        expected = -1
        while index < count:
            record = records[index]
            first = record[0]
            if first != expected:
                opcode = first >> 3
                if opcode != DATA_V2:
                    if opcode != DATA_V1:
                        break
                    self._open_v1(record, packets)
                    index += 1
                    continue
                key = self._keys.get(first & 7)
                if key is None:
                    counters.drop(DropReason.NO_DATA_KEY)
                    index += 1
                    continue
                expected = first
                decrypt, iv, replay = key.open_aead.decrypt, key.open_iv, key.replay
                highest = replay.highest
            index += 1
            packet_id = int.from_bytes(record[4:8], "big")
            if packet_id <= highest and not _is_new(replay, packet_id):
                counters.drop(DropReason.DATA_REPLAY)
                continue
            try:
                plain = decrypt(record[4:8] + iv, record[24:] + record[8:24], record[:8])
            except (InvalidTag, ValueError):
                short = len(record) < _V2_BODY
                counters.drop(DropReason.BAD_DATA_PACKET if short else DropReason.DATA_AUTHENTICATION)
                continue
            if packet_id == highest + 1:
                replay.highest = highest = packet_id
                replay.seen = (replay.seen << 1 | 1) & 0xFFFFFFFFFFFFFFFF
            elif not replay.accept(packet_id):
                counters.drop(DropReason.DATA_REPLAY)
                continue
            else:
                highest = replay.highest
            if plain and plain[0] == _IPV4:
                append(plain)
                opened_bytes += len(plain)
            else:
                self._unusual(plain, packets)
        self.bytes_in += opened_bytes
        opened = len(packets) - before
        self.packets_in += opened
        counters.stats[Stat.DATA_PACKETS_IN] += opened
        counters.stats[Stat.DATA_BYTES_IN] += opened_bytes
        return index if index > start else start

    def seal(self, packets: list[bytes], now: Nanos) -> list[bytes]:
        """Records for packets, in order; [] and NO_DATA_KEY when there is no key or its ids are used up."""
        if self._next is not None and self._switch_at <= now:
            self._switch()
        key = self._current
        if key is None or key.next_id + len(packets) > LAST_PACKET_ID:
            self._counters.drop(DropReason.NO_DATA_KEY, len(packets))
            return []
        if not self.v2:
            return self._seal_v1(key, packets)
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
        self._count_out(len(packets), sealed_bytes)
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

    def _use(self, key: DataKey) -> None:
        self._current = key
        self._v2_word = first_byte(DATA_V2, key.key_id) << 24 | self.peer_id

    def _switch(self) -> None:
        assert self._next is not None
        self._use(self._next)
        self._next = None

    def _unusual(self, plain: bytes, packets: list[bytes]) -> None:
        """Pings, OCC messages, IP options, IPv6: whatever is not a plain IPv4 packet."""
        self.unusual_in += 1
        if plain.startswith(PING):
            return
        if plain.startswith(OCC_MAGIC):
            if plain[len(OCC_MAGIC) : len(OCC_MAGIC) + 1] == bytes((OCC_EXIT,)):
                self.exit_seen = True
            return
        if plain[:1] in (b"\xfa", b"\xfb", b"\x66", b"\x69", b"\x50"):
            self._counters.drop(DropReason.COMPRESSED)
            return
        packets.append(plain)

    def _open_v1(self, record: bytes, packets: list[bytes]) -> None:
        key = self._keys.get(record[0] & 7)
        if key is None:
            self._counters.drop(DropReason.NO_DATA_KEY)
            return
        if len(record) < _V1_HEAD + TAG_LEN:
            self._counters.drop(DropReason.BAD_DATA_PACKET)
            return
        number, tag_end = record[1:_V1_HEAD], _V1_HEAD + TAG_LEN
        try:
            plain = key.open_aead.decrypt(number + key.open_iv, record[tag_end:] + record[_V1_HEAD:tag_end], number)
        except InvalidTag:
            self._counters.drop(DropReason.DATA_AUTHENTICATION)
            return
        if not key.replay.accept(int.from_bytes(number, "big")):
            self._counters.drop(DropReason.DATA_REPLAY)
            return
        if plain and plain[0] == _IPV4:
            packets.append(plain)
            self.bytes_in += len(plain)
        else:
            self._unusual(plain, packets)

    def _seal_v1(self, key: DataKey, packets: list[bytes]) -> list[bytes]:
        records = []
        first = bytes((first_byte(DATA_V1, key.key_id),))
        for packet in packets:
            number = key.next_id.to_bytes(4, "big")
            sealed = key.seal_aead.encrypt(number + key.seal_iv, packet, number)
            records.append(first + number + sealed[-TAG_LEN:] + sealed[:-TAG_LEN])
            key.next_id += 1
        self._count_out(len(packets), sum(map(len, packets)))
        return records


def _is_new(replay: ReplayWindow, packet_id: int) -> bool:
    """Whether an id at or below the highest could still be accepted; spares the AEAD for replays."""
    behind = replay.highest - packet_id
    return packet_id > 0 and behind < WINDOW and not replay.seen >> behind & 1
