"""Every captured data packet: opened by us, and sealed by us to the same bytes (tests/vectors/openvpn/SOURCE.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hognose.drops import Counters, DropReason
from hognose.openvpn.data.aead import AeadRecords
from hognose.openvpn.data.cbc import CbcRecords
from hognose.openvpn.data.epoch import EpochKey, EpochRecords, expand_label
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring
from hognose.vocabulary import Framing
from hognose.wire import openvpn as wire

VECTORS = Path(__file__).resolve().parents[2] / "vectors/openvpn"
FRAMINGS: dict[str, Framing] = {"comp-lzo no": "comp-lzo", "compress": "stub", "compress stub-v2": "stub-v2"}


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text())


def scenarios() -> list[Any]:
    found = []
    for case in load("data_aead"):
        found.append(pytest.param(case, DataFormat(case["cipher"]), id=case["scenario"]))
    for case in load("data_cbc"):
        found.append(pytest.param(case, DataFormat(case["cipher"], case["auth"]), id=case["scenario"]))
    for case in load("data_compress_framing"):
        form = DataFormat(case["cipher"], framing=FRAMINGS[case["pushed"]])
        found.append(pytest.param(case, form, id=case["scenario"]))
    for case in load("data_epoch")["captured"]:
        found.append(pytest.param(case, DataFormat(case["cipher"], epoch=True), id=case["scenario"]))
    return found


def inner(framing: Framing, plain: bytes) -> bytes:
    """The packet that the peer had before it framed it."""
    if framing == "comp-lzo":
        assert plain[0] == 0xFA
        return plain[1:]
    if framing == "stub":
        assert plain[0] == 0xFB
        return plain[-1:] + plain[1:-1]
    return plain


def keys_of(case: dict[str, Any], packet: dict[str, Any]) -> bytes:
    """The 256 bytes that a packet was sealed with, halves swapped for the other direction."""
    secret = packet.get("E1") or packet["key"]
    keys = next(bytes.fromhex(k) for k in case["data_keys_256"] if secret in k)
    at = keys.index(bytes.fromhex(secret))
    assert at == (0 if packet["dir"] == "c2s" else 128)
    return keys


def channel_with(form: DataFormat, packet: dict[str, Any], keys: bytes) -> tuple[Keyring, Counters]:
    counters = Counters()
    channel = Keyring(counters)
    channel.peer_id = packet["peer_id"]
    key = DataKey.negotiated(packet["key_id"], form, keys, lambda size: bytes.fromhex(packet["iv"]))
    if isinstance(key.records, EpochRecords):
        assert packet["epoch"] == key.records._send.epoch
        key.records._send.next_counter = packet["packet_id"]
    else:
        assert isinstance(key.records, AeadRecords | CbcRecords)
        key.records.next_id = packet["packet_id"]
    channel.install(key, 0, 0, 0)
    return channel, counters


@pytest.mark.parametrize(("case", "form"), scenarios())
def test_every_captured_packet(case: dict[str, Any], form: DataFormat) -> None:
    for packet in case["packets"]:
        raw, keys = bytes.fromhex(packet["raw"]), keys_of(case, packet)
        swapped = keys[128:] + keys[:128]
        plain = inner(form.framing, bytes.fromhex(packet["plaintext"]))
        assert packet["op"] == wire.DATA_V2
        assert form.record_len(len(plain)) == len(raw)

        opener, counters = channel_with(form, packet, keys if packet["dir"] == "c2s" else swapped)
        opened: list[bytes] = []
        bad = raw[:-1] + bytes([raw[-1] ^ 1])
        assert opener.open([bad, raw, raw], 0, opened) == 3
        assert opened == ([] if plain.startswith((wire.PING, wire.OCC_MAGIC)) else [plain])
        drops = {reason: counters.drops[reason] for reason in DropReason if counters.drops[reason]}
        assert drops == {DropReason.DATA_AUTHENTICATION: 1, DropReason.DATA_REPLAY: 1}

        sealer, _ = channel_with(form, packet, swapped if packet["dir"] == "c2s" else keys)
        assert sealer.seal([plain], 0) == [raw]


def test_the_number_of_captured_packets() -> None:
    """A vector file that lost its packets would pass everything else."""
    counts = [sum(len(case["packets"]) for case in load(name)) for name in ("data_aead", "data_cbc")]
    counts.append(sum(len(case["packets"]) for case in load("data_compress_framing")))
    counts.append(sum(len(case["packets"]) for case in load("data_epoch")["captured"]))
    assert counts == [29, 6, 18, 28]


def test_derived_epochs() -> None:
    vectors = load("data_epoch")
    check = vectors["label_check"]
    secret, want = bytes.fromhex(check["secret"]), bytes.fromhex(check["out"])
    assert expand_label(secret, check["label"].encode(), len(want)) == want
    chain = vectors["derived_chain"]["chain"]
    keys = {}
    for cipher in ("AES-256-GCM", "AES-128-GCM"):
        key = EpochKey(DataFormat(cipher, epoch=True), 1, bytes.fromhex(chain[0]["epoch_key"]))
        for step in chain:
            assert (key.epoch, key.secret.hex()) == (step["epoch"], step["epoch_key"])
            assert key.iv_head.to_bytes(8, "big").hex() + key.iv_tail.hex() == step["data_iv"]
            name = "data_key_aes256" if cipher == "AES-256-GCM" else "data_key_aes128"
            # An AEAD object does not tell its key: what the vector's key seals, it must open.
            sealed = type(key.aead)(bytes.fromhex(step[name])).encrypt(bytes(12), b"epoch", None)
            assert key.aead.decrypt(bytes(12), sealed, None) == b"epoch"
            keys[cipher, key.epoch] = key
            key = key.following()
    assert len(keys) == 12
