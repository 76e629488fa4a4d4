"""Framings, limits, counts and bad bytes of the data channel, in every format."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.openvpn import data_packets as by_hand

from hognose.drops import Counters, DropReason, Stat
from hognose.openvpn.data.aead import AeadRecords
from hognose.openvpn.data.compression import unframe
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring
from hognose.openvpn.data.usage_limits import (
    FAILED_TAGS_LIMIT,
    FAILED_TAGS_RENEGOTIATE_AT,
    GCM_RENEGOTIATE_AT,
    LAST_PACKET_ID,
    RENEGOTIATE_AT,
    gcm_use,
)
from hognose.vocabulary import DATA_CIPHERS, FRAMINGS, Framing
from hognose.wire.openvpn import OCC_EXIT, OCC_MAGIC, PING

KEYS = bytes(range(256))
CLIENT, SERVER = KEYS[:128], KEYS[128:]
GCM = "AES-256-GCM"
PACKET = b"\x45" + bytes(range(83))
IPV6 = b"\x60" + bytes(range(50))
WRAPPINGS = [
    DataFormat(GCM),
    DataFormat("CHACHA20-POLY1305"),
    DataFormat(GCM, v2=False),
    DataFormat(GCM, epoch=True),
    DataFormat("AES-128-CBC", "SHA512"),
    DataFormat("AES-192-CBC", "MD5", v2=False),
]
FORMS = [
    DataFormat(form.cipher, form.digest, framing, form.epoch, form.v2) for form, framing in product(WRAPPINGS, FRAMINGS)
]


def name(form: DataFormat) -> str:
    kind = "epoch" if form.epoch else form.cipher
    return f"{kind}-{'V2' if form.v2 else 'V1'}-{form.framing}"


ALL_FORMS = pytest.mark.parametrize("form", FORMS, ids=map(name, FORMS))


def channel(form: DataFormat, keys: bytes = KEYS) -> tuple[Keyring, DataKey, Counters]:
    counters = Counters()
    made = Keyring(counters)
    key = DataKey.negotiated(0, form, keys, bytes)
    made.install(key, 0, 0, 0)
    return made, key, counters


def from_client(form: DataFormat, packet_id: int, payload: bytes, key_id: int = 0) -> bytes:
    """A record made by hand, payload as it is."""
    version = 2 if form.v2 else 1
    if form.epoch:
        return by_hand.epoch_packet(CLIENT, form.cipher, 1, packet_id, payload, key_id=key_id)
    if form.aead:
        return by_hand.aead_packet(CLIENT, form.cipher, packet_id, payload, version, key_id)
    return by_hand.cbc_packet(CLIENT, form.cipher, form.digest, packet_id, payload, bytes(16), version, key_id)


def to_client(form: DataFormat, record: bytes) -> bytes:
    """The payload of a record of ours, taken apart by hand."""
    if form.epoch:
        return by_hand.open_epoch(SERVER, form.cipher, record)[2]
    if not form.aead:
        return by_hand.open_cbc(SERVER, form.cipher, form.digest, record)[2]
    start = 4 if form.v2 else 1
    number, tag, body = record[start : start + 4], record[start + 4 : start + 20], record[start + 20 :]
    associated = record[:8] if form.v2 else number
    key = by_hand.aead(form.cipher, SERVER[: by_hand.key_size(form.cipher)])
    return key.decrypt(number + SERVER[64:72], body + tag, associated)


def framed(framing: Framing, packet: bytes) -> bytes:
    """Bytes on the wire, as the protocol's description has them."""
    return {
        "none": packet,
        "comp-lzo": b"\xfa" + packet,
        "stub": b"\xfb" + packet[1:] + packet[:1],
        "stub-v2": (b"\x50\0" if packet[0] == 0x50 else b"") + packet,
    }[framing]


def drops(counters: Counters) -> dict[DropReason, int]:
    return {reason: counters.drops[reason] for reason in DropReason if counters.drops[reason]}


# -- framings ----------------------------------------------------------------------------------------------------------


@ALL_FORMS
def test_packets_both_ways(form: DataFormat) -> None:
    made, _, counters = channel(form)
    plains = [PACKET, IPV6, b"\x45", b"\x46options", PACKET[:20]]
    if form.framing != "none":
        plains.append(b"\x50a packet that looks like a marker")
    records = [from_client(form, number, framed(form.framing, plain)) for number, plain in enumerate(plains, 1)]
    opened: list[bytes] = []
    assert made.open(records, 0, opened) == len(records)
    assert opened == plains
    sealed = made.seal(plains, 0)
    assert [to_client(form, record) for record in sealed] == [framed(form.framing, plain) for plain in plains]
    usual = [(plain, record) for plain, record in zip(plains, records, strict=True) if plain[0] != 0x50]
    assert [len(record) for _, record in usual] == [form.record_len(len(plain)) for plain, _ in usual]
    assert drops(counters) == {}
    size = sum(map(len, plains))
    assert (made.payloads.bytes_in, made.payloads.packets_in) == (size, len(plains))
    assert (made.bytes_out, made.packets_out) == (size, len(plains))
    assert counters.stats[Stat.DATA_BYTES_IN] == counters.stats[Stat.DATA_BYTES_OUT] == size
    assert counters.stats[Stat.DATA_PACKETS_IN] == counters.stats[Stat.DATA_PACKETS_OUT] == len(plains)


@ALL_FORMS
def test_pings_and_occ_messages_are_framed_too(form: DataFormat) -> None:
    made, _, counters = channel(form)
    messages = [PING, OCC_MAGIC + b"\0", OCC_MAGIC, OCC_MAGIC + b"\5abcd", OCC_MAGIC + bytes([OCC_EXIT])]
    opened: list[bytes] = []
    for number, message in enumerate(messages, 1):
        assert not made.payloads.exit_seen
        made.open([from_client(form, number, framed(form.framing, message))], 0, opened)
        assert made.payloads.control_payloads == number
    assert made.payloads.exit_seen
    assert opened == []
    assert drops(counters) == {}
    [ping] = made.ping(0)
    assert to_client(form, ping) == framed(form.framing, PING)
    assert (made.payloads.bytes_in, made.bytes_out, made.payloads.packets_in, made.packets_out) == (0, 0, 0, 0)


MARKERS = (b"\x66compressed", b"\x69compressed", b"\x50\1compressed", b"\x50\2compressed", b"\x50\7", b"\x50")


@ALL_FORMS
def test_what_a_peer_compressed_is_dropped(form: DataFormat) -> None:
    made, _, counters = channel(form)
    payloads = [*MARKERS, *(marker for kind, marker in OTHERS if kind != form.framing)]
    opened: list[bytes] = []
    made.open([from_client(form, number, payload) for number, payload in enumerate(payloads, 1)], 0, opened)
    assert opened == []
    assert drops(counters) == {DropReason.COMPRESSED: len(payloads)}
    assert made.payloads.control_payloads == len(payloads)


OTHERS = (("comp-lzo", b"\xfa" + PACKET), ("stub", b"\xfb" + PACKET))


@pytest.mark.parametrize("framing", ["comp-lzo", "stub"])
def test_packets_without_their_framing_are_dropped(framing: Framing) -> None:
    made, _, counters = channel(DataFormat(GCM, framing=framing))
    opened: list[bytes] = []
    records = [from_client(DataFormat(GCM), number, plain) for number, plain in enumerate((PACKET, IPV6, PING), 1)]
    assert made.open(records, 0, opened) == 3
    assert opened == []
    assert drops(counters) == {DropReason.BAD_COMPRESSION_BYTE: 3}


def test_payloads_of_almost_nothing() -> None:
    for framing in FRAMINGS:
        assert unframe(framing, b"") == b""
    assert unframe("comp-lzo", b"\xfa") == b""
    assert unframe("stub", b"\xfb") == b""
    assert unframe("stub", b"\xfbE") == b"E"
    assert unframe("stub-v2", b"\x50\0") == b""
    for framing in FRAMINGS:
        made, _, _ = channel(DataFormat(GCM, framing=framing))
        assert len(made.seal([b""], 0)[0]) == 24


@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_first_byte_of_a_payload(framing: Framing) -> None:
    """OpenVPN comp.h: 66 LZO, 69 LZ4, FA not compressed, FB not compressed and swapped, 50 of stub-v2 and its kind."""
    markers = {0x50, 0x66, 0x69, 0xFA, 0xFB}
    for first in range(256):
        payload = bytes((first, 0x45, 1, 2))
        want: bytes | DropReason = payload if framing in ("none", "stub-v2") else DropReason.BAD_COMPRESSION_BYTE
        if first in markers:
            want = DropReason.COMPRESSED
        if (framing, first) == ("comp-lzo", 0xFA):
            want = b"\x45\1\2"
        if (framing, first) == ("stub", 0xFB):
            want = b"\2\x45\1"
        assert unframe(framing, payload) == want
        made, _, counters = channel(DataFormat(GCM, framing=framing))
        opened: list[bytes] = []
        made.open([from_client(DataFormat(GCM), n, payload) for n in (1, 2)], 0, opened)
        assert opened == ([want] * 2 if isinstance(want, bytes) else [])
        assert drops(counters) == ({} if isinstance(want, bytes) else {want: 2})
        assert (made.payloads.control_payloads, made.payloads.control_bytes) == ((0, 0) if opened else (2, 8))
    for kind in (0, 1, 2):
        plain = framing == "stub-v2" and kind == 0
        assert unframe(framing, bytes((0x50, kind, 0x45))) == (b"\x45" if plain else DropReason.COMPRESSED)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_goodbye_may_have_more_after_it(framing: Framing) -> None:
    """The byte after the magic is the kind of the message (OpenVPN occ.h OCC_EXIT 6), whatever follows it."""
    form = DataFormat(GCM, framing=framing)
    for rest, said in ((b"\6", True), (b"\6more", True), (b"\5\6", False), (b"\7", False), (b"", False)):
        made, _, _ = channel(form)
        made.open([from_client(form, 1, framed(framing, OCC_MAGIC + rest))], 0, [])
        assert made.payloads.exit_seen is said
        made.open([from_client(form, 2, framed(framing, OCC_MAGIC + b"\5"))], 0, [])
        assert made.payloads.exit_seen is said, "it stays so"


# -- formats -----------------------------------------------------------------------------------------------------------


def test_a_format_of_which_nothing_is_said() -> None:
    """OpenVPN's defaults: SHA1, no framing, 64 packets and 15 seconds (packet_id.h)."""
    assert DataFormat(GCM) == DataFormat(GCM, "SHA1", "none", False, True, 64, 15)


@pytest.mark.parametrize(("packets", "seconds"), [(0, 0), (65536, 600), (1, 600), (65536, 1)])
def test_the_bounds_of_the_replay_window_are_inside(packets: int, seconds: int) -> None:
    form = DataFormat(GCM, replay_window=packets, replay_time=seconds)
    assert (form.replay_window, form.replay_time) == (packets, seconds)


def test_one_call_opens_a_whole_batch() -> None:
    """Whatever is bad in between: only another first byte ends it."""
    for form in WRAPPINGS:
        counters, payloads = Counters(), list[bytes]()
        records = DataKey.negotiated(0, form, KEYS, bytes).records
        good = [from_client(form, number, PACKET) for number in range(1, 5)]
        forged, short = good[1][:-1] + bytes((good[1][-1] ^ 1,)), good[1][:9]
        batch = [good[0], forged, good[1], good[0], short, good[2], from_client(form, 0, PACKET), good[3]]
        other = from_client(form, 9, PACKET, key_id=1)
        assert records.open([*batch, other, good[0]], 0, payloads, counters, 0) == len(batch)
        assert payloads == [PACKET] * 4
        assert drops(counters) == {
            DropReason.DATA_AUTHENTICATION: 1, DropReason.DATA_REPLAY: 2, DropReason.BAD_DATA_PACKET: 1,
        }  # fmt: skip
        assert records.open([other, good[0]], 1, payloads, counters, 0) == 2, "an index into the batch"


@pytest.mark.parametrize("cipher", [name for name, facts in DATA_CIPHERS.items() if facts.aead])
def test_ciphers_of_both_versions(cipher: str) -> None:
    for v2 in (True, False):
        form = DataFormat(cipher, v2=v2)
        made, _, _ = channel(form)
        opened: list[bytes] = []
        made.open([from_client(form, 1, PACKET)], 0, opened)
        assert opened == [PACKET]
        assert to_client(form, made.seal([PACKET], 0)[0]) == PACKET


def test_sizes_of_records() -> None:
    """For an 84-byte packet, as measured on real ones."""
    assert DataFormat(GCM).record_len(84) == 108
    assert DataFormat(GCM, epoch=True).record_len(84) == 112
    assert DataFormat("AES-256-CBC", "SHA256").record_len(84) == 148
    assert DataFormat(GCM, framing="comp-lzo").record_len(84) == 109


@ALL_FORMS
def test_the_largest_packet_of_a_record(form: DataFormat) -> None:
    for record_len in (0, 20, 60, *range(1400, 1440)):
        size = form.packet_len(record_len)
        assert size == max((one for one in range(1440) if form.record_len(one) <= record_len), default=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"cipher": "BF-CBC"}, "BF-CBC"),
        ({"cipher": GCM, "digest": "SHA3"}, "SHA3"),
        ({"cipher": GCM, "framing": "lzo"}, "lzo"),
        ({"cipher": "AES-256-CBC", "epoch": True}, "epoch"),
        ({"cipher": GCM, "epoch": True, "v2": False}, "epoch"),
        ({"cipher": GCM, "replay_window": 65537}, "65536"),
        ({"cipher": GCM, "replay_window": -1}, "65536"),
        ({"cipher": GCM, "replay_time": -1}, "600"),
        ({"cipher": GCM, "replay_time": 601}, "600"),
    ],
)
def test_formats_that_cannot_be(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        DataFormat(**arguments)


# -- limits and counts -------------------------------------------------------------------------------------------------


def test_v1_does_not_wrap_either() -> None:
    made, key, counters = channel(DataFormat(GCM, v2=False))
    assert isinstance(key.records, AeadRecords)
    key.records.next_id = LAST_PACKET_ID - 2
    assert len(made.seal([PACKET, PACKET], 0)) == 2
    assert made.seal([PACKET], 0) == []
    assert drops(counters) == {DropReason.NO_DATA_KEY: 1}


def test_what_wears_out_a_gcm_key() -> None:
    for cipher, limited in ((GCM, True), ("CHACHA20-POLY1305", False)):
        for attribute in ("bytes_in", "bytes_out", "control_bytes"):
            made, _, _ = channel(DataFormat(cipher))
            owner = made if attribute == "bytes_out" else made.payloads
            setattr(owner, attribute, GCM_RENEGOTIATE_AT * 16 - 100)
            assert not made.worn_out
            setattr(owner, attribute, GCM_RENEGOTIATE_AT * 16 + 100)
            assert made.worn_out == limited
            made.install(DataKey.negotiated(1, DataFormat(cipher), KEYS), 0, 1 << 60, 1 << 61)
            assert not made.worn_out  # the newest counts, although the other still seals
    made, key, _ = channel(DataFormat(GCM))
    assert isinstance(key.records, AeadRecords)
    key.records.replay.highest = RENEGOTIATE_AT
    assert made.worn_out


@given(st.lists(st.integers(0, 1600), max_size=50))
def test_use_is_never_counted_too_low(sizes: list[int]) -> None:
    assert gcm_use(len(sizes), sum(sizes)) >= sum(-(-size // 16) + 1 for size in sizes)


@pytest.mark.parametrize("v2", [True, False])
def test_wrong_tags(v2: bool) -> None:
    form = DataFormat(GCM, v2=v2)
    made, key, counters = channel(form)
    good = [from_client(form, number, PACKET) for number in (1, 2)]
    bad, worse = (record[:-1] + bytes([record[-1] ^ 1]) for record in good)
    opened: list[bytes] = []
    assert isinstance(key.records, AeadRecords)
    key.records.failures = FAILED_TAGS_RENEGOTIATE_AT - 1
    made.open([bad], 0, opened)
    assert not made.worn_out
    made.open([bad[:20], bad], 0, opened)
    assert made.worn_out
    key.records.failures = FAILED_TAGS_LIMIT - 1
    assert made.open([bad, good[0], worse, good[1]], 0, opened) == 4
    assert opened == [PACKET]
    assert drops(counters)[DropReason.NO_DATA_KEY] == 1
    assert made.seal([PACKET], 0) != []


def test_counts_since_the_newest_key() -> None:
    made, _, _ = channel(DataFormat(GCM))
    made.open([from_client(DataFormat(GCM), 1, PACKET), from_client(DataFormat(GCM), 2, PING)], 0, [])
    made.seal([PACKET, IPV6], 0)
    made.ping(0)
    assert made.payloads.control_bytes == len(PING)  # counts for the cipher's limit only
    assert (made.key_packets, made.key_bytes) == (3, 2 * len(PACKET) + len(IPV6))
    made.install(DataKey.negotiated(1, DataFormat(GCM, epoch=True), KEYS), 0, 1 << 60, 1 << 61)
    assert (made.key_packets, made.key_bytes) == (0, 0)
    made.seal([PACKET], 0)
    assert (made.key_packets, made.key_bytes) == (1, len(PACKET))


def test_keys_of_different_formats_side_by_side() -> None:
    """A renegotiation may agree on another format; a batch may hold both, and a control record ends the run."""
    made, _, counters = channel(DataFormat(GCM))
    new = DataFormat("AES-128-CBC", "SHA256", "comp-lzo")
    made.install(DataKey.negotiated(1, new, KEYS, bytes), 0, 10, 20)
    old_records = [from_client(DataFormat(GCM), number, PACKET) for number in (1, 2)]
    body = [by_hand.cbc_packet(CLIENT, new.cipher, "SHA256", n, b"\xfa" + IPV6, bytes(16), 2, 1) for n in (1, 2)]
    unknown = by_hand.aead_packet(CLIENT, GCM, 1, PACKET, 2, 5)
    opened: list[bytes] = []
    batch = [old_records[0], body[0], b"", body[1], unknown, old_records[1], b"\x21", old_records[0]]
    assert made.open(batch, 0, opened) == 6
    assert opened == [PACKET, IPV6, IPV6, PACKET]
    assert drops(counters) == {DropReason.BAD_DATA_PACKET: 1, DropReason.NO_DATA_KEY: 1}
    assert made.seal([PACKET], 9)[0][0] & 7 == 1  # the peer has the new key: its records have come
    made.handle_deadline(20)
    assert made.open([from_client(DataFormat(GCM), 3, PACKET)], 0, opened) == 1
    assert drops(counters)[DropReason.NO_DATA_KEY] == 2


@ALL_FORMS
def test_the_new_key_seals_from_its_time_on_or_when_the_peer_uses_it(form: DataFormat) -> None:
    for peer_uses_it in (False, True):
        made, _, _ = channel(form)
        made.install(DataKey.negotiated(1, form, KEYS, bytes), 0, 10, 20)
        assert made.seal([PACKET], 9)[0][0] & 7 == 0
        if peer_uses_it:
            record = from_client(form, 1, framed(form.framing, PACKET), key_id=1)
            assert made.open([record[:-1] + bytes((record[-1] ^ 1,))], 0, []) == 1
            assert made.seal([PACKET], 9)[0][0] & 7 == 0  # that was not authentic
            assert made.open([record], 0, []) == 1
        assert made.seal([PACKET], 9)[0][0] & 7 == peer_uses_it
        assert made.seal([PACKET], 10)[0][0] & 7 == 1


def test_ids_of_both_versions_are_counted_together() -> None:
    made, key, counters = channel(DataFormat(GCM))
    one, two, three = (by_hand.aead_packet(CLIENT, GCM, number, PACKET, 1) for number in (1, 2, 3))
    opened: list[bytes] = []
    first, second = (by_hand.aead_packet(CLIENT, GCM, number, PACKET, 2) for number in (1, 2))
    assert made.open([first, two, three, second, three, one], 0, opened) == 6
    assert len(opened) == 3
    assert drops(counters) == {DropReason.DATA_REPLAY: 3}
    assert isinstance(key.records, AeadRecords)
    assert key.records.replay.highest == 3


# -- bad bytes ---------------------------------------------------------------------------------------------------------


@ALL_FORMS
def test_every_length_and_every_byte(form: DataFormat) -> None:
    made, _, counters = channel(form)
    good, opened = from_client(form, 1, framed(form.framing, PACKET)), list[bytes]()
    covered = 4 if form.v2 and not form.aead else 1
    for size in range(len(good)):
        assert made.open([good[:size]], 0, opened) == 1
        assert sum(counters.drops) == size + 1
    for at in range(covered, len(good)):
        assert made.open([good[:at] + bytes([good[at] ^ 0x80]) + good[at + 1 :]], 0, opened) == 1
    assert made.open([good[:1] + bytes(70_000)], 0, opened) == 1
    assert sum(counters.drops) == 2 * len(good) - covered + 1
    assert opened == []
    assert made.open([good], 0, opened) == 1
    assert opened == [PACKET]


@given(
    st.sampled_from(FORMS),
    st.lists(st.tuples(st.sampled_from([b"", b"\x30", b"\x48", b"\x31", b"\x49"]), st.binary(max_size=80)), max_size=8),
    st.integers(0, 1 << 62),
)
def test_no_bytes_do_any_harm(form: DataFormat, pieces: list[tuple[bytes, bytes]], now: int) -> None:
    made, _, counters = channel(form)
    opened: list[bytes] = []
    records = [head + rest for head, rest in pieces]
    data = [record for record in records if not record or record[0] >> 3 in (6, 9)]
    index = 0
    while index < len(records):
        index = made.open(records, index, opened, now) + 1
    assert opened == []
    assert sum(counters.drops) == len(data)


@given(st.sampled_from(FORMS), st.binary(max_size=60), st.integers(1, 1 << 31))
def test_no_authentic_payload_does_any_harm(form: DataFormat, payload: bytes, packet_id: int) -> None:
    made, _, counters = channel(form)
    opened: list[bytes] = []
    assert made.open([from_client(form, packet_id, payload)], 0, opened) == 1
    assert made.payloads.control_payloads + len(opened) >= 1
    assert len(opened) + sum(counters.drops) <= 1


def test_packet_ids_never_wrap() -> None:
    counters = Counters()
    channel = Keyring(counters)
    key = DataKey.negotiated(0, DataFormat("AES-256-GCM"), bytes(range(256)))
    channel.install(key, 0, 0, 0)
    assert not channel.worn_out
    assert isinstance(key.records, AeadRecords)
    key.records.next_id = RENEGOTIATE_AT
    assert channel.worn_out
    key.records.next_id = LAST_PACKET_ID - 1
    assert len(channel.seal([b"a"], 0)) == 1
    assert channel.seal([b"a", b"b"], 0) == []
    assert counters.drops[DropReason.NO_DATA_KEY] == 2
    assert channel.ping(0) == []


def test_v1_records_that_do_not_open() -> None:
    counters = Counters()
    server, client = Keyring(counters), Keyring(counters)
    keys, form = bytes(range(256)), DataFormat("AES-256-GCM", v2=False)
    server.install(DataKey.negotiated(0, form, keys), 0, 0, 0)
    client.install(DataKey.negotiated(0, form, keys[128:] + keys[:128]), 0, 0, 0)
    [good] = client.seal([b"\x45packet"], 0)
    packets: list[bytes] = []
    bad = good[:-1] + bytes((good[-1] ^ 1,))
    assert server.open([bad, good, good, good[:10], b"\x31" + good[1:]], 0, packets) == 5
    assert packets == [b"\x45packet"]
    drops = counters.drops
    assert (drops[DropReason.DATA_AUTHENTICATION], drops[DropReason.DATA_REPLAY]) == (1, 1)
    assert (drops[DropReason.BAD_DATA_PACKET], drops[DropReason.NO_DATA_KEY]) == (1, 1)
