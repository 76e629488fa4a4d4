"""The small parts of the OpenVPN engine, each by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.openvpn.link import profile

from hognose.drops import Counters, DropReason
from hognose.errors import PeerError
from hognose.limits import OpenvpnLimits
from hognose.openvpn.control import agreement
from hognose.openvpn.control.key_exchange import parse_client_message
from hognose.openvpn.control.messages import MessageReader
from hognose.openvpn.control.push import push_replies
from hognose.openvpn.data.aead import AeadRecords
from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.keyring import DataKey, Keyring
from hognose.openvpn.data.replay import WINDOW, ReplayWindow, WrapReplay
from hognose.openvpn.data.usage_limits import LAST_PACKET_ID, RENEGOTIATE_AT
from hognose.openvpn.framing import RecordSplitter, join

RECORDS = st.lists(st.binary(min_size=1, max_size=300), max_size=20)


# -- framing -----------------------------------------------------------------------------------------------------------


@given(RECORDS, st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_any_split_of_a_stream_gives_the_same_records(records: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(join(records))
    splitter, at = RecordSplitter(2048), 0
    found: list[bytes] = []
    while at < len(stream):
        size = cuts[len(found) % len(cuts)]
        found += splitter.feed([stream[at : at + size]])
        at += size
    assert found == records
    assert splitter.pending == 0
    assert RecordSplitter(2048).feed([stream[:1], stream[1:]]) == records


def test_the_splitter_stops_at_the_records_asked_for() -> None:
    splitter = RecordSplitter(2048)
    assert splitter.feed([b"\0\1a\0\1b\0\1c\0\1d"], 2) == [b"a", b"b"]
    assert splitter.full
    assert splitter.pending == 6
    assert splitter.feed([b"\0\1"], 2) == [b"c", b"d"]
    assert splitter.full, "half a record may be a whole one: the caller asks again"
    assert splitter.feed([], 2) == []
    assert not splitter.full
    assert splitter.feed([b"e"], 2) == [b"e"]
    assert not splitter.full, "all is used up"


@pytest.mark.parametrize("head", [b"\0\0", b"\x08\x01", b"\xff\xff", b"GET /"])
def test_lengths_that_are_refused(head: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        RecordSplitter(2048).feed([head])
    assert caught.value.reason is DropReason.BAD_FRAME_LENGTH


def test_records_before_a_bad_length_are_not_lost() -> None:
    splitter = RecordSplitter(2048)
    assert splitter.feed([b"\0\1a\0\2bc\0\0\0\1d"]) == [b"a", b"bc"]
    assert splitter.broken
    for data in ([], [b"\0\1e"]):
        with pytest.raises(PeerError, match="record length 0"):
            splitter.feed(data)


def test_the_largest_record() -> None:
    splitter = RecordSplitter(2048)
    assert splitter.feed([b"\x08\x00" + bytes(2047)]) == []
    assert splitter.pending == 2049
    assert splitter.feed([b"\1"]) == [bytes(2047) + b"\1"]
    assert join([]) == []


# -- replay ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 300), max_size=200))
def test_the_window_agrees_with_a_set(ids: list[int]) -> None:
    window, seen, highest = ReplayWindow(), set(), 0
    for packet_id in ids:
        expected = packet_id > 0 and packet_id not in seen and packet_id > highest - WINDOW
        assert window.accept(packet_id) is expected
        if expected:
            seen.add(packet_id)
            highest = max(highest, packet_id)


def test_wrap_replay_by_time_and_id() -> None:
    replay = WrapReplay()
    assert replay.accept(100, 1)
    assert not replay.accept(100, 1)
    assert replay.accept(100, 2)
    assert not replay.accept(99, 3)
    assert replay.accept(101, 1)
    assert not replay.accept(100, 9)


# -- control strings ---------------------------------------------------------------------------------------------------

MESSAGE_MAX = OpenvpnLimits().control_string


def test_strings_over_records_and_bounds() -> None:
    counters = Counters()
    reader = MessageReader(counters, OpenvpnLimits())
    assert reader.feed(b"PUSH_REQ") == []
    assert reader.feed(b"UEST\0\0EXIT\r\n\0") == ["PUSH_REQUEST", "EXIT"]
    assert reader.feed(b"a\x07\0") == []
    assert reader.feed(b"x" * (MESSAGE_MAX + 1)) == []
    assert reader.feed(b"EXIT\0OK\0") == ["OK"]
    assert reader.feed(b"y" * (MESSAGE_MAX + 1) + b"\0") == []
    assert counters.drops[DropReason.BAD_CONTROL_MESSAGE] == 3


def test_a_string_that_is_too_long_is_one_drop_however_it_comes() -> None:
    """Found by the fuzz target control-strings: its end was taken for a string of its own."""
    for size in (1, 100, MESSAGE_MAX, 20_000):
        counters = Counters()
        reader = MessageReader(counters, OpenvpnLimits())
        stream = b"y" * 3 * MESSAGE_MAX + b"EXIT\0" + b"\n" * 2 * MESSAGE_MAX + b"\0OK\0"
        assert [text for at in range(0, len(stream), size) for text in reader.feed(stream[at : at + size])] == ["OK"]
        assert counters.drops[DropReason.BAD_CONTROL_MESSAGE] == 2
        assert len(reader._rest) == 0


# -- key method 2 ------------------------------------------------------------------------------------------------------

HEAD = bytes(4) + b"\2" + bytes(112)


@pytest.mark.parametrize("data", [b"\1" + bytes(200), bytes(4) + b"\1" + bytes(200), HEAD + b"\x02\x01" + bytes(600)])
def test_key_messages_that_can_never_be_good(data: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        parse_client_message(data)
    assert caught.value.reason is DropReason.BAD_KEY_METHOD


def test_an_old_client_may_leave_out_the_rest() -> None:
    message = parse_client_message(HEAD + b"\0\4V4,\0")
    assert message is not None
    assert (message.options, message.username, message.peer_info) == ("V4,", "", {})
    assert parse_client_message(HEAD + b"\0\4V4,\0" + b"\0") is None


# Strings with their lengths in front, cut short; and one whose length is beyond every bound.
STRINGS = st.lists(st.binary(max_size=20) | st.just(bytes(4097)), min_size=3, max_size=5)
CUT = st.tuples(STRINGS, st.integers(1, 30)).map(
    lambda made: b"".join(len(one).to_bytes(2, "big") + one for one in made[0])[: -made[1]]
)


@given(st.binary(max_size=400) | CUT)
def test_key_message_garbage(data: bytes) -> None:
    """A message, its reason, or None as long as bytes are missing: with enough of them it is not."""
    whole, reasons = HEAD + data, set()
    for text in (whole, whole + bytes(20_000)):
        try:
            message = parse_client_message(text)
        except PeerError as error:
            reasons.add(error.reason)
        else:
            assert message.length <= len(text) if message is not None else text is whole
    assert reasons <= {DropReason.BAD_KEY_METHOD}


# -- negotiation and push ----------------------------------------------------------------------------------------------


def test_ciphers_by_what_the_client_says() -> None:
    ours = ("AES-256-GCM", "AES-128-GCM")
    choose = agreement.choose_cipher
    assert choose(ours, {"IV_CIPHERS": "aes-128-gcm:AES-256-GCM"}, "") == "AES-256-GCM"
    assert choose(ours, {"IV_NCP": "2"}, "") == "AES-256-GCM"
    assert choose(ours, {"IV_NCP": "x"}, "V4,cipher AES-128-GCM") == "AES-128-GCM"
    assert choose(ours, {"IV_CIPHERS": "BF-CBC"}, "V4,cipher AES-128-GCM") is None
    assert choose(ours, {}, "V4") is None


def test_proto_bits_and_options() -> None:
    assert agreement.proto_bits({"IV_PROTO": "990"}) == 990
    assert agreement.proto_bits({"IV_PROTO": "9" * 40}) == 0
    assert agreement.proto_bits({}) == 0
    assert agreement.option_value("V4,comp-lzo,cipher X", "comp-lzo") == ""
    text = agreement.options_string(profile("tls-auth"), None)
    assert text == (
        "V4,dev-type tun,link-mtu 1543,tun-mtu 1500,proto TCPv4_SERVER,keydir 0,auth SHA1,keysize 128,tls-auth,"
        "key-method 2,tls-server"
    )


@given(st.lists(st.text("abc .0123", min_size=1, max_size=200), max_size=60))
def test_push_replies_hold_every_option_once_in_order(options: list[str]) -> None:
    replies = push_replies(options)
    found = []
    for number, reply in enumerate(replies):
        parts = reply.split(",")
        assert parts.pop(0) == "PUSH_REPLY"
        assert len(reply) < 1024
        if len(replies) > 1:
            assert parts.pop() == f"push-continuation {1 if number == len(replies) - 1 else 2}"
        found += parts
    assert found == options


# -- data channel ------------------------------------------------------------------------------------------------------


def test_ids_never_wrap() -> None:
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
