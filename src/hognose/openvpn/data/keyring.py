# hot
"""The data channel's keys of one session: which opens, which seals, and when they change (OpenVPN ssl.c).

A batch goes to the records of its key (records.py: aead.py, cbc.py, epoch.py), what comes out of them to payloads.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from hognose.drops import Counters, DropReason, Stat
from hognose.openvpn.data.compression import frame
from hognose.openvpn.data.formats import V2_HEAD_LEN, DataFormat
from hognose.openvpn.data.payloads import Payloads
from hognose.openvpn.data.records import Records, RecordsState, make_records, restore_records
from hognose.units import Nanos, Random
from hognose.wire.openvpn import DATA_V1, DATA_V2, PING, first_byte

_PACKETS_OUT, _BYTES_OUT = int(Stat.DATA_PACKETS_OUT), int(Stat.DATA_BYTES_OUT)
_DATA_OPCODES = (DATA_V1, DATA_V2)


@dataclass(frozen=True, slots=True)
class DataKeyState:
    """DataKey as plain data."""

    key_id: int
    form: DataFormat
    records: RecordsState
    expires_at: Nanos
    bytes_in_before: int
    bytes_out_before: int


@dataclass(frozen=True, slots=True)
class KeyringState:
    """Keyring as plain data; current, next: key ids, -1 without one. Times in the clock of its caller."""

    keys: tuple[DataKeyState, ...]
    current: int
    next: int
    switch_at: Nanos
    peer_id: int
    bytes_in: int
    bytes_out: int
    packets_in: int
    packets_out: int
    control_bytes: int
    bytes_before: int
    packets_before: int


class DataKey:
    """One negotiated key.

    expires_at: of a key that was replaced, 0 while it is in use. bytes_in_before, bytes_out_before: the keyring's
    counts when this key was installed.
    """

    __slots__ = ("bytes_in_before", "bytes_out_before", "expires_at", "form", "key_id", "records")

    def __init__(self, key_id: int, form: DataFormat, records: Records) -> None:
        self.key_id = key_id
        self.form = form
        self.records = records
        self.expires_at: Nanos = 0
        self.bytes_in_before = 0
        self.bytes_out_before = 0

    @staticmethod
    def negotiated(key_id: int, form: DataFormat, keys: bytes, random: Random | None = None) -> DataKey:
        """A fresh key of 256 bytes; random makes the IVs of CBC (make_records)."""
        return DataKey(key_id, form, make_records(form, keys, random))

    def export(self) -> DataKeyState:
        """The key as plain data, for `restored`."""
        return DataKeyState(
            self.key_id, self.form, self.records.export(), self.expires_at, self.bytes_in_before, self.bytes_out_before
        )

    @staticmethod
    def restored(state: DataKeyState, random: Random | None = None) -> DataKey:
        """The key that was exported, with ciphers made anew."""
        key = DataKey(state.key_id, state.form, restore_records(state.form, state.records, random))
        key.expires_at = state.expires_at
        key.bytes_in_before, key.bytes_out_before = state.bytes_in_before, state.bytes_out_before
        return key


class Keyring:
    """Open and seal batches. Bound: one key per key id, at most three alive (old, current, next).

    current seals; None before the first key. payloads: what has been opened. bytes_out, packets_out: inner, sent.
    """

    __slots__ = (
        "_by_first_byte", "_bytes_before", "_counters", "_head", "_keys", "_next", "_packets_before", "_switch_at",
        "bytes_out", "current", "packets_out", "payloads", "peer_id",
    )  # fmt: skip

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._keys: dict[int, DataKey] = {}
        self._by_first_byte: dict[int, DataKey] = {}  # of a V1 or a V2 record
        self._next: DataKey | None = None  # seals from _switch_at on
        self._switch_at: Nanos = 0
        self._head = b""  # of what is sealed now: op/key, and for V2 the peer id
        self._bytes_before = 0  # both directions, when the newest key was installed
        self._packets_before = 0
        self.current: DataKey | None = None
        self.payloads = Payloads(counters)
        self.peer_id = 0
        self.bytes_out = 0
        self.packets_out = 0

    @property
    def key_bytes(self) -> int:
        """Inner bytes of both directions since the newest key was installed (`reneg-bytes`)."""
        return self.payloads.bytes_in + self.bytes_out - self._bytes_before

    @property
    def key_packets(self) -> int:
        """Inner packets of both directions since the newest key was installed (`reneg-pkts`)."""
        return self.payloads.packets_in + self.packets_out - self._packets_before

    @property
    def worn_out(self) -> bool:
        """True when the newest key has sealed or opened enough, or failed often enough, that another is wanted.

        Use of the key before it after the change counts too, never too little.
        """
        key = self._next or self.current
        if key is None:
            return False
        opened = self.payloads.bytes_in + self.payloads.control_bytes - key.bytes_in_before
        return key.records.worn_out(opened, self.bytes_out - key.bytes_out_before)

    @property
    def newest(self) -> tuple[int, int, int]:
        """Place of the newest authentic record: its key in order of installation, epoch, packet id; (-1, 0, 0) before.

        Places compare as long as no key is installed or forgotten.
        """
        keys = list(self._keys.values())
        for rank in range(len(keys) - 1, -1, -1):
            if keys[rank].records.receiving:
                return rank, *keys[rank].records.newest
        return -1, 0, 0

    def install(self, key: DataKey, now: Nanos, switch_at: Nanos, expires_at: Nanos) -> None:
        """Take a new key: it opens at once, seals from switch_at on; the one before it lives until expires_at."""
        self._forget(key.key_id)  # an older key of this id stands elsewhere in the order
        self._add(key)
        payloads = self.payloads
        key.bytes_in_before = payloads.bytes_in + payloads.control_bytes
        key.bytes_out_before = self.bytes_out
        self._bytes_before = payloads.bytes_in + self.bytes_out
        self._packets_before = payloads.packets_in + self.packets_out
        if self.current is None:
            self._use(key)
            return
        if self._next is not None:
            self._switch()  # negotiations may follow each other faster than keys are switched
        self.current.expires_at = expires_at
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
            if self._keys[key_id] is not self.current:
                self._forget(key_id)

    def open(self, records: list[bytes], index: int, packets: list[bytes], now: Nanos = 0) -> int:
        """Open data records from `index` on, appending inner packets; returns the index of the first other record.

        Every record that does not open is counted and passed over: NO_DATA_KEY and BAD_DATA_PACKET here, the rest by
        Records.open and Payloads.take. now: for the replay window's time.
        """
        counters = self._counters
        count = len(records)
        while index < count:
            record = records[index]
            key = self._by_first_byte.get(record[0]) if record else None
            if key is None:
                if record and record[0] >> 3 not in _DATA_OPCODES:
                    break
                counters.drop(DropReason.NO_DATA_KEY if record else DropReason.BAD_DATA_PACKET)
                index += 1
                continue
            payloads: list[bytes] = []
            index = key.records.open(records, index, payloads, counters, now)
            if payloads:
                self.payloads.take(key.form.framing, payloads, packets)
            if key.records.exhausted:
                self._forget(key.key_id)
        if self._next is not None and self._next.records.receiving:
            self._switch()  # the peer seals with it, so it opens with it too; it may soon forget the one before
        return index

    def seal(self, packets: list[bytes], now: Nanos) -> list[bytes]:
        """Records for packets, in order; [] and NO_DATA_KEY when there is no key or it is used up."""
        if self._next is not None and self._switch_at <= now:
            self._switch()
        key = self.current
        records: list[bytes] = []
        if key is not None:
            framing = key.form.framing
            records = key.records.seal(self._head, packets if framing == "none" else frame(framing, packets))
        if not records:
            self._counters.drop(DropReason.NO_DATA_KEY, len(packets))
            return records
        count = len(packets)
        size = len(packets[0]) if count == 1 else sum(map(len, packets))  # the framing is no traffic
        self.packets_out += count
        self.bytes_out += size
        stats = self._counters.stats
        stats[_PACKETS_OUT] += count
        stats[_BYTES_OUT] += size
        return records

    def ping(self, now: Nanos) -> list[bytes]:
        """A keepalive record; it does not count as traffic."""
        packets, size = self.packets_out, self.bytes_out
        records = self.seal([PING], now)
        self.packets_out, self.bytes_out = packets, size
        return records

    def export(self) -> KeyringState:
        """Keys and counts as plain data, for `restore`."""
        payloads = self.payloads
        keys = list(self._keys.values())
        if self.current is not None and self.current not in keys:
            keys.append(self.current)  # exhausted: it only seals
        return KeyringState(
            keys=tuple(key.export() for key in keys),
            current=-1 if self.current is None else self.current.key_id,
            next=-1 if self._next is None else self._next.key_id,
            switch_at=self._switch_at,
            peer_id=self.peer_id,
            bytes_in=payloads.bytes_in,
            bytes_out=self.bytes_out,
            packets_in=payloads.packets_in,
            packets_out=self.packets_out,
            control_bytes=payloads.control_bytes,
            bytes_before=self._bytes_before,
            packets_before=self._packets_before,
        )

    def restore(self, state: KeyringState, random: Random | None = None) -> None:
        """Take the keys and counts of another keyring; this one is fresh. random: as of DataKey."""
        keys = {one.key_id: DataKey.restored(one, random) for one in state.keys}
        for key in keys.values():
            if not key.records.exhausted:
                self._add(key)
        payloads = self.payloads
        payloads.bytes_in, payloads.packets_in = state.bytes_in, state.packets_in
        payloads.control_bytes = state.control_bytes
        self.bytes_out, self.packets_out, self.peer_id = state.bytes_out, state.packets_out, state.peer_id
        self._bytes_before, self._packets_before = state.bytes_before, state.packets_before
        self._next, self._switch_at = keys.get(state.next), state.switch_at
        if state.current in keys:
            self._use(keys[state.current])

    def _add(self, key: DataKey) -> None:
        self._keys[key.key_id] = key
        for opcode in _DATA_OPCODES:
            self._by_first_byte[first_byte(opcode, key.key_id)] = key

    def _forget(self, key_id: int) -> None:
        self._keys.pop(key_id, None)
        for opcode in _DATA_OPCODES:
            self._by_first_byte.pop(first_byte(opcode, key_id), None)

    def _use(self, key: DataKey) -> None:
        self.current = key
        word = first_byte(DATA_V2, key.key_id) << 24 | self.peer_id
        self._head = word.to_bytes(V2_HEAD_LEN, "big") if key.form.v2 else bytes((first_byte(DATA_V1, key.key_id),))

    def _switch(self) -> None:
        assert self._next is not None
        self._use(self._next)
        self._next = None
