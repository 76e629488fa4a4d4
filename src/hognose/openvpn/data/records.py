"""The interface of the three record formats, and the choice of one: AEAD, CBC, epochs."""

from __future__ import annotations

from typing import Protocol

from hognose.drops import Counters
from hognose.openvpn.data.aead import AeadRecords, AeadState
from hognose.openvpn.data.cbc import CbcRecords, CbcState
from hognose.openvpn.data.epoch import EpochRecords, EpochState
from hognose.openvpn.data.formats import DataFormat
from hognose.units import Nanos, Random

RecordsState = AeadState | CbcState | EpochState


class Records(Protocol):
    """Both directions of one negotiated key: records to payloads and back, in batches."""

    def open(self, records: list[bytes], index: int, payloads: list[bytes], counters: Counters, now: Nanos) -> int:
        """Open the records from `index` on that have the same first byte; returns the index after them, or sooner.

        records[index] is a data record, not empty. Payloads of authentic records are appended, every other record is
        counted: BAD_DATA_PACKET, BAD_DATA_EPOCH, DATA_REPLAY, DATA_AUTHENTICATION. now: for the replay window's time.
        """

    def seal(self, head: bytes, payloads: list[bytes]) -> list[bytes]:
        """Records for payloads, in order; [] when the key is used up. head: op/key(1), for V2 and peer id(3)."""

    def worn_out(self, opened_bytes: int, sealed_bytes: int) -> bool:
        """True when a new key is wanted; bytes: of this key's payloads so far, or more."""

    @property
    def receiving(self) -> bool:
        """True when an authentic record has come: the peer has this key too."""

    @property
    def newest(self) -> tuple[int, int]:
        """Epoch, 0 without epochs, and packet id of the newest authentic record; (0, 0) before the first."""

    @property
    def exhausted(self) -> bool:
        """True when the key must not open anything any more."""

    def export(self) -> RecordsState:
        """The key as plain data."""


def make_records(form: DataFormat, keys: bytes, random: Random | None) -> Records:
    """Records of a key of 256 bytes, each half cipher(64) and HMAC or IV(64); half 0 opens, half 1 seals.

    random makes the IVs of CBC; ValueError when it is needed and missing.
    """
    if form.epoch:
        return EpochRecords(form, keys)
    if form.aead:
        return AeadRecords(form, keys)
    if random is None:
        raise ValueError("CBC needs a source of random IVs")
    return CbcRecords(form, keys, random)


def restore_records(form: DataFormat, state: RecordsState, random: Random | None) -> Records:
    """Records that go on after an exported key; ValueError when state is of another format."""
    if form.epoch and isinstance(state, EpochState):
        epochs = EpochRecords(form, state.keys)
        epochs.restore(state)
        return epochs
    if form.aead and not form.epoch and isinstance(state, AeadState):
        aead = AeadRecords(form, state.keys)
        aead.restore(state)
        return aead
    if not form.aead and isinstance(state, CbcState) and random is not None:
        cbc = CbcRecords(form, state.keys, random)
        cbc.restore(state)
        return cbc
    raise ValueError(f"{type(state).__name__} is not of {form.cipher}, or a source of random IVs is missing")
