"""The control channel of real sessions: tls-crypt-v2, dynamic tls-crypt, control strings, message and packet ids.

The vectors' source is described in tests/vectors/openvpn/SOURCE.md.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.openvpn.link import ADMISSION, profile
from tests.unit.openvpn.test_vectors import VECTORS, load, swap_halves
from tests.unit.settings_by_name import changed

from hognose.config.keys import parse_tls_crypt_v2_key
from hognose.drops import Counters, DropReason
from hognose.limits import OpenvpnLimits
from hognose.openvpn.control import agreement
from hognose.openvpn.control.agreement import Agreement, Disagreement
from hognose.openvpn.control.key_exchange import ClientKeyMessage
from hognose.openvpn.control.messages import MessageReader
from hognose.openvpn.control.push import push_options, push_replies
from hognose.openvpn.control.reliability import Reliability
from hognose.openvpn.control.session_wrap import DYNAMIC_LABEL, SessionWrap
from hognose.openvpn.control.tls_crypt_v2 import split_wrapped_key, unwrap_client_key
from hognose.openvpn.control.wrap import TlsCryptWrap, make_wrap
from hognose.openvpn.data.replay import WrapReplay
from hognose.settings import WrapSettings
from hognose.wire import openvpn as wire

V2 = load("tls_crypt_v2")
DYNAMIC = load("dyn_tls_crypt")
FLOWS: dict[str, dict[str, Any]] = json.loads((VECTORS / "control_messages_and_flows.json").read_text())
WITH_KEY = (wire.HARD_RESET_CLIENT_V3, wire.CONTROL_WKC_V1)


def check_body(packet: dict[str, Any], session_id: bytes, body: bytes) -> None:
    assert session_id.hex() == packet["sid"]
    parsed = wire.parse_control_body(packet["op"], body)
    assert parsed is not None
    assert list(parsed.acks) == packet["acks"]
    assert parsed.remote_session_id.hex() == packet.get("ack_sid", "")
    wanted = packet.get("msg_id")
    assert parsed.message_id == (-1 if wanted is None else wanted)
    assert parsed.payload.hex() == packet.get("payload", "")
    assert wire.build_control_body(*parsed) == body


def seal_again(key: bytes, packet: dict[str, Any], body: bytes) -> bytes:
    """The packet as its sender made it: his key, ids, time."""
    wrap = TlsCryptWrap(key if packet["dir"] == "s2c" else swap_halves(key))
    wrap._ids._next, wrap._ids._time = packet["pid"] - 1, packet["time"]
    return wrap.seal(wire.first_byte(packet["op"], packet["key_id"]), bytes.fromhex(packet["sid"]), body, 0)


# -- tls-crypt-v2 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", V2, ids=lambda case: case["scenario"])
def test_key_files_and_wrapped_keys(case: dict[str, Any]) -> None:
    server_key = parse_tls_crypt_v2_key(case["server_key_file"])
    assert server_key.hex() == case["server_key"]
    body = re.search(r"client key-----\n(.*)\n-----END", case["client_key_file"], re.DOTALL)
    assert body is not None
    client_file = base64.b64decode(body[1])
    found = 0
    for packet in (p for p in case["packets"] if "wkc" in p):
        raw, want = bytes.fromhex(packet["raw"]), packet["wkc"]
        parts = split_wrapped_key(raw)
        assert parts is not None
        assert parts[0] + parts[1] == raw
        assert parts[1].hex() == want["raw"]
        assert len(parts[1]) == want["len"]
        client = unwrap_client_key(server_key, parts[1])
        assert client is not None
        assert (client.key.hex(), client.metadata.hex()) == (want["Kc"], want["metadata"])
        assert client.key + parts[1] == client_file
        assert client.made_at == int(want["metadata"][2:], 16)
        assert unwrap_client_key(server_key[::-1], parts[1]) is None
        found += 1
    assert found


@pytest.mark.parametrize("case", V2, ids=lambda case: case["scenario"])
def test_a_session_opens_what_tls_crypt_v2_clients_sent(case: dict[str, Any]) -> None:
    wrap = SessionWrap(WrapSettings(v2_key=bytes.fromhex(case["server_key"])))
    packets = [p for p in case["packets"] if p["dir"] == "c2s"]
    first = packets[0]
    opened = wrap.open_first(bytes.fromhex(first["raw"]), first["time"])
    check_body(first, *opened)
    assert wrap.kind == "tls-crypt-v2"
    assert wrap.metadata == f"time:{int(first['wkc']['metadata'][2:], 16)}"
    for packet in packets[1:]:
        raw = bytes.fromhex(packet["raw"])
        again = wrap.open(raw)
        assert not isinstance(again, DropReason)
        check_body(packet, *again)
        assert wrap.open(raw) is DropReason.CONTROL_REPLAY
        assert wrap.open(raw[:20] + bytes((raw[20] ^ 1,)) + raw[21:]) is DropReason.BAD_HMAC
    assert {p["op"] for p in packets} <= {4, 5, 10, 11}


@pytest.mark.parametrize("case", V2, ids=lambda case: case["scenario"])
def test_every_tls_crypt_v2_packet_is_opened_and_sealed_to_the_same_bytes(case: dict[str, Any]) -> None:
    client_key = bytes.fromhex(case["packets"][0]["wkc"]["Kc"])
    openers = {"c2s": TlsCryptWrap(client_key), "s2c": TlsCryptWrap(swap_halves(client_key))}
    for packet in case["packets"]:
        raw = bytes.fromhex(packet["raw"])
        wrapped = bytes.fromhex(packet["wkc"]["raw"]) if packet["op"] in WITH_KEY else b""
        assert raw.endswith(wrapped)
        opened = openers[packet["dir"]].open(raw[: len(raw) - len(wrapped)])
        assert not isinstance(opened, DropReason)
        check_body(packet, *opened)
        assert seal_again(client_key, packet, opened[1]) + wrapped == raw


# -- dynamic tls-crypt -------------------------------------------------------------------------------------------------


def base_settings(case: dict[str, Any]) -> WrapSettings:
    if case["base_wrap"] == "tls-auth":
        return WrapSettings("tls-auth", bytes.fromhex(case["base_key"]), 0)
    return WrapSettings()


def dynamic_session(case: dict[str, Any]) -> SessionWrap:
    """A session's wrap at the moment at which its first keys are there."""
    wrap = SessionWrap(base_settings(case))
    if "v2" in case["base_wrap"]:
        first = next(v for v in V2 if v["scenario"] == case["scenario"])
        wrap = SessionWrap(WrapSettings(v2_key=bytes.fromhex(first["server_key"])))
        wrap.open_first(bytes.fromhex(first["packets"][0]["raw"]), 0)
    elif case["base_wrap"] == "tls-auth":
        # As open_first leaves it.
        wrap._base, wrap._base_key, wrap.kind = make_wrap(wrap._settings), wrap._settings.key, "tls-auth"
    wrap.use_dynamic(bytes.fromhex(case["exported"]))
    return wrap


@pytest.mark.parametrize("case", DYNAMIC, ids=lambda case: case["scenario"])
def test_dynamic_keys_and_their_packets(case: dict[str, Any]) -> None:
    exported, effective = bytes.fromhex(case["exported"]), bytes.fromhex(case["effective_key"])
    base = bytes.fromhex(case["base_key"]) if case["base_key"] else bytes(256)
    assert bytes(a ^ b for a, b in zip(exported, base, strict=True)) == effective
    assert case.get("exporter_label", DYNAMIC_LABEL) == DYNAMIC_LABEL
    wrap = dynamic_session(case)
    client_side = TlsCryptWrap(swap_halves(effective))
    for packet in case["packets"]:
        raw = bytes.fromhex(packet["raw"])
        opened = wrap.open(raw) if packet["dir"] == "c2s" else client_side.open(raw)
        assert not isinstance(opened, DropReason), packet
        check_body(packet, *opened)
        if packet["dir"] == "s2c":  # our session seals the same record
            assert wrap._dynamic is not None
            wrap._dynamic._ids._next, wrap._dynamic._ids._time = packet["pid"] - 1, packet["time"]
            first = wire.first_byte(packet["op"], packet["key_id"])
            assert wrap.seal(first, opened[0], opened[1], 0) == raw
        else:
            assert seal_again(effective, packet, opened[1]) == raw


def test_openvpn_3_says_exit_with_key_id_0_under_the_dynamic_key() -> None:
    case = next(case for case in DYNAMIC if case["scenario"] == "o3taudp26")
    packet = case["packets"][-1]
    assert (packet["key_id"], packet["op"]) == (0, wire.CONTROL_V1)
    raw = bytes.fromhex(packet["raw"])
    wrap = dynamic_session(case)
    opened = wrap.open(raw)
    assert not isinstance(opened, DropReason)
    check_body(packet, *opened)
    assert isinstance(wrap.open(raw), DropReason)  # once


def test_that_exit_is_understood_without_a_wrap_too() -> None:
    """Without a wrap everything looks like an open packet; the dynamic key must be asked first."""
    case = next(case for case in DYNAMIC if case["scenario"] == "o3taudp26")
    packet = case["packets"][-1]
    wrap = SessionWrap(WrapSettings())
    wrap.use_dynamic(bytes.fromhex(case["effective_key"]))
    opened = wrap.open(bytes.fromhex(packet["raw"]))
    assert not isinstance(opened, DropReason)
    check_body(packet, *opened)


# -- control strings ---------------------------------------------------------------------------------------------------

INFO_25 = {"IV_VER": "2.5.1", "IV_PROTO": "6", "IV_NCP": "2", "IV_CIPHERS": "AES-256-GCM:AES-128-GCM"}
INFO_26 = {"IV_VER": "2.6.14", "IV_PROTO": "990", "IV_MTU": "1600", "IV_NCP": "2"} | {
    "IV_CIPHERS": "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305"
}
INFO_27 = INFO_26 | {"IV_VER": "2.7.8", "IV_PROTO": "8094"}
INFO_3 = INFO_27 | {"IV_VER": "3.12_git"}
COMP = {"IV_COMP_STUB": "1", "IV_COMP_STUBv2": "1"}
OCC = "V4,dev-type tun,tun-mtu 1500,auth SHA1,key-method 2,tls-client"
# session -> the client's peer info, its options string, and our profile where it is not the default
SESSIONS: dict[str, tuple[dict[str, str], str, dict[str, Any]]] = {
    "authreneg": (INFO_26, OCC, {"ciphers": ("AES-128-GCM",)}),
    "cbc25": (INFO_25 | {"IV_CIPHERS": "AES-256-CBC"}, OCC, {"ciphers": ("AES-256-CBC",)}),
    "complzo": (INFO_25 | COMP, OCC + ",comp-lzo", {"framing": "comp-lzo"}),
    "compmig": (INFO_25 | COMP, OCC + ",comp-lzo", {"framing": "migrate"}),
    "compstub": (INFO_25 | COMP, OCC + ",comp-lzo", {"framing": "stub"}),
    "compv2": (INFO_25 | COMP, OCC + ",comp-lzo", {"framing": "stub-v2"}),
    "nonereneg": (INFO_26, OCC, {}),
    "o3tctcp26": (INFO_3 | {"IV_PROTO": "990"}, OCC, {"push": ("dhcp-option DNS 10.8.0.1",)}),
    "o3v2udp27": (INFO_3, OCC, {}),
    "prf25tcp": (INFO_25, OCC, {}),
    "pushcont": (INFO_26, OCC, {}),
    "tlsauth": (INFO_26, OCC, {"ciphers": ("AES-256-GCM",)}),
    "tlscrypt": (INFO_26, OCC, {"ciphers": ("CHACHA20-POLY1305",)}),
    "v2old": (INFO_25, OCC, {}),
    "v2tcp26": (INFO_26, OCC, {}),
    "v2tcp27": (INFO_27, OCC, {}),
    "v2udp": (INFO_26, OCC, {}),
    "v2udp27": (INFO_27, OCC, {}),
}
# What these servers said is not in our repertoire: other topologies, IPv6, tokens, passwords; or it is no PUSH_REPLY.
OTHERS = {"net30", "p2ptop", "restart27", "userpass", "userbad", "nocipher"}


def agreed(name: str) -> tuple[Any, Agreement | Disagreement, dict[str, str]]:
    info, options, changes = SESSIONS[name]
    pushed = tuple(re.findall(r'^push "(.*)"$', FLOWS[name]["server_conf"] or "", re.MULTILINE))
    helpers = ("route-gateway 10.8.0.1", "topology subnet", "ping 5", "ping-restart 30")
    ours = changed(profile(), **({"push": pushed, "helpers": helpers} | changes))
    client = ClientKeyMessage(b"", b"", b"", options, "", "", info, 0)
    return ours, agreement.agree(ours, client), info


@pytest.mark.parametrize("name", sorted(SESSIONS))
def test_the_push_reply_is_that_of_a_real_server(name: str) -> None:
    ours, agreement, info = agreed(name)
    assert isinstance(agreement, Agreement)
    admission = replace(ADMISSION, address=bytes((10, 8, 0, 2)), peer_id=0)
    replies = push_replies(push_options(ours, admission, agreement, info))
    want = [text for direction, text in FLOWS[name]["messages"] if direction == "s2c" and text.startswith("PUSH_REPLY")]
    if name == "compmig":  # theirs has it before what is the client's own; the order means nothing
        replies, want = [",".join(sorted(text.split(","))) for text in replies], [",".join(sorted(want[0].split(",")))]
    assert replies == want


def test_push_continuation_has_the_chunks_of_a_real_server() -> None:
    texts = [text for _, text in FLOWS["pushcont"]["messages"] if text.startswith("PUSH_REPLY")]
    assert [len(text) for text in texts] == [948, 723]
    assert [text.rpartition(",")[2] for text in texts] == ["push-continuation 2", "push-continuation 1"]


def test_a_client_without_a_shared_cipher_hears_what_openvpn_says() -> None:
    info = INFO_25 | {"IV_CIPHERS": "AES-256-CBC"}
    client = ClientKeyMessage(b"", b"", b"", OCC + ",cipher AES-256-CBC", "", "", info, 0)
    found = agreement.agree(profile(ciphers=("AES-256-GCM",)), client)
    assert isinstance(found, Disagreement)
    assert [["s2c", f"AUTH_FAILED,{found.to_client}"]] == FLOWS["nocipher"]["messages"]


@pytest.mark.parametrize("name", sorted(FLOWS))
def test_every_control_string_passes_the_reader(name: str) -> None:
    assert set(FLOWS) == set(SESSIONS) | OTHERS
    counters = Counters()
    for cut in (1, 7, 5000):
        reader, got = MessageReader(counters, OpenvpnLimits()), []
        stream = b"".join(text.encode() + b"\0" for _, text in FLOWS[name]["messages"])
        for at in range(0, len(stream), cut):
            got += reader.feed(stream[at : at + cut])
        assert got == [text for _, text in FLOWS[name]["messages"]]
    assert sum(counters.drops) == 0
    assert {text for direction, text in FLOWS[name]["messages"] if direction == "c2s"} <= {"EXIT", "PUSH_REQUEST"}


# -- message and packet ids --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("us", ["c2s", "s2c"])
@pytest.mark.parametrize("name", sorted(FLOWS))
def test_recorded_flows_through_the_reliability_layer(name: str, us: str) -> None:
    """Every message that a real peer sent is taken in order, every one that we sent is acknowledged in the end."""
    limits = OpenvpnLimits()
    layers: dict[int, Reliability] = {}
    windows: dict[str, WrapReplay] = {}
    sent: dict[int, set[int]] = {}
    taken: dict[int, list[int]] = {}
    owed: dict[int, set[int]] = {}
    for seconds, direction, opcode, key_id, packet_id, acks, message_id, _, size in FLOWS[name]["control_flow"]:
        if opcode == "HARD_RESET_CLIENT_V2" and layers:
            break  # the client began anew
        now = int(seconds * 1_000_000_000)
        layer = layers.setdefault(key_id, Reliability(limits, 2_000_000_000))
        seen = taken.setdefault(key_id, [])
        if packet_id is not None:
            # Key ids from 1 on may be under another wrap; each counts on its own.
            window = windows.setdefault(f"{direction}{key_id > 0}", WrapReplay())
            assert window.accept(1, packet_id)
        assert size <= limits.record_len
        assert len(acks) <= wire.MAX_ACKS
        if direction == us:
            known = sent.setdefault(key_id, set())
            if message_id is not None and message_id not in known:
                assert message_id == len(known)  # ids begin at 0 without gaps
                known.add(message_id)
                layer.queue(wire.CONTROL_V1, bytes(8))
            for _, _, _, ours in layer.poll(now):
                owed.setdefault(key_id, set()).difference_update(ours)
            assert set(acks) <= set(seen)
            continue
        layer.acknowledged(tuple(acks))
        assert set(acks) <= sent.get(key_id, set())
        if message_id is not None:
            assert layer.receive(message_id, wire.CONTROL_V1, b"")
            owed.setdefault(key_id, set()).add(message_id)
            if message_id not in seen:
                seen.append(message_id)
            while layer.take() is not None:
                pass
    for key_id, layer in layers.items():
        assert taken[key_id] == list(range(len(taken[key_id])))
        assert layer._next_receive == len(taken[key_id])
        for _, _, _, ours in layer.poll(1 << 62):
            owed.setdefault(key_id, set()).difference_update(ours)
        assert not owed.get(key_id)
