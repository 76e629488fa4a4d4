"""The engine against packets of real peers (tests/vectors/openvpn/SOURCE.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hognose.drops import DropReason
from hognose.openvpn.control.key_exchange import ServerKeyMessage, parse_client_message, prf_keys
from hognose.openvpn.control.prf import tls1_prf
from hognose.openvpn.control.wrap import make_wrap
from hognose.settings import WrapSettings
from hognose.wire import openvpn as wire

VECTORS = Path(__file__).resolve().parents[2] / "vectors/openvpn"


def load(name: str) -> list[dict[str, Any]]:
    found = json.loads((VECTORS / f"{name}.json").read_text())
    return found if isinstance(found, list) else found["scenarios"]


def swap_halves(key: bytes) -> bytes:
    return key[128:] + key[:128]


def client_view(settings: WrapSettings) -> WrapSettings:
    """Our wrap is a server's; with halves or direction swapped it opens what servers sent."""
    if settings.kind == "tls-crypt":
        return WrapSettings("tls-crypt", swap_halves(settings.key))
    direction = None if settings.direction is None else 1 - settings.direction
    return WrapSettings("tls-auth", settings.key, direction, settings.digest)


def wrap_cases() -> list[tuple[str, WrapSettings, list[dict[str, Any]]]]:
    cases = []
    for scenario in load("tls_auth"):
        directions = scenario["key_direction"]
        direction = directions["server"] if isinstance(directions, dict) else directions
        settings = WrapSettings(
            "tls-auth", bytes.fromhex(scenario["static_key"]), direction, scenario["digest"].upper()
        )
        cases.append((scenario["scenario"], settings, scenario["packets"]))
    for scenario in load("tls_crypt"):
        settings = WrapSettings("tls-crypt", bytes.fromhex(scenario["static_key"]))
        cases.append((scenario["scenario"], settings, scenario["packets"]))
    return cases


@pytest.mark.parametrize(("name", "settings", "packets"), wrap_cases())
def test_wraps_open_and_rebuild_real_packets(name: str, settings: WrapSettings, packets: list[dict[str, Any]]) -> None:
    for direction, view in (("c2s", settings), ("s2c", client_view(settings))):
        ours = make_wrap(view)
        for packet in (p for p in packets if p["dir"] == direction):
            raw = bytes.fromhex(packet["raw"])
            opened = ours.open(raw)
            assert not isinstance(opened, DropReason), (name, packet)
            session_id, body = opened
            assert session_id.hex() == packet["sid"]
            parsed = wire.parse_control_body(packet["op"], body)
            assert parsed is not None
            assert list(parsed.acks) == packet["acks"]
            assert parsed.payload.hex() == packet.get("payload", parsed.payload.hex())
            if packet.get("msg_id") is not None:
                assert parsed.message_id == packet["msg_id"]
            assert wire.build_control_body(*parsed) == body
            assert ours.open(raw) is DropReason.CONTROL_REPLAY
            tampered = raw[:-1] + bytes((raw[-1] ^ 1,))
            assert ours.open(tampered) is DropReason.BAD_HMAC
            assert ours.open(raw[:20]) is DropReason.BAD_CONTROL_PACKET


@pytest.mark.parametrize(("name", "settings", "packets"), wrap_cases())
def test_what_we_seal_has_the_bytes_of_a_real_server(
    name: str, settings: WrapSettings, packets: list[dict[str, Any]]
) -> None:
    """A server's first packet, sealed again from its decoded fields at its time, is the same record."""
    packet = next(p for p in packets if p["dir"] == "s2c" and p["pid"] == 1)
    wrap = make_wrap(settings)
    opened = make_wrap(client_view(settings)).open(bytes.fromhex(packet["raw"]))
    assert not isinstance(opened, DropReason)
    sealed = wrap.seal(wire.first_byte(packet["op"], packet["key_id"]), opened[0], opened[1], packet["time"])
    assert sealed.hex() == packet["raw"]


@pytest.mark.parametrize("case", [v for v in load("key_method2") if v["dir"] == "c2s"])
def test_client_key_messages(case: dict[str, Any]) -> None:
    raw, want = bytes.fromhex(case["raw"]), case["parsed"]
    message = parse_client_message(raw)
    assert message is not None
    assert message.length == len(raw)
    assert (message.pre_master.hex(), message.random1.hex(), message.random2.hex()) == (
        want["pre_master"], want["random1"], want["random2"]
    )  # fmt: skip
    assert message.options == want["options"]
    assert message.username == want["username"]
    lines = [line for line in want["peer_info"].split("\n") if line]
    assert [f"{name}={value}" for name, value in message.peer_info.items()] == lines
    for cut in range(0, len(raw), 7):
        partial = parse_client_message(raw[:cut])
        assert partial is None or partial.length <= cut


@pytest.mark.parametrize("case", [v for v in load("key_method2") if v["dir"] == "s2c"])
def test_our_key_message_has_the_form_of_a_real_servers(case: dict[str, Any]) -> None:
    want = case["parsed"]
    ours = ServerKeyMessage(bytes.fromhex(want["random1"]), bytes.fromhex(want["random2"])).build(want["options"])
    assert ours.hex() == case["raw"]


@pytest.mark.parametrize("case", load("prf"))
def test_prf_and_key_expansion(case: dict[str, Any]) -> None:
    client, server = case["client"], case["server"]
    master = tls1_prf(
        bytes.fromhex(client["pre_master"]),
        b"OpenVPN master secret",
        bytes.fromhex(client["random1"] + server["random1"]),
        48,
    )
    assert master.hex() == case["master_secret"]
    message = next(
        parsed
        for parsed in (parse_client_message(bytes.fromhex(v["raw"])) for v in load("key_method2") if v["dir"] == "c2s")
        if parsed is not None
    )
    from dataclasses import replace

    message = replace(
        message,
        pre_master=bytes.fromhex(client["pre_master"]),
        random1=bytes.fromhex(client["random1"]),
        random2=bytes.fromhex(client["random2"]),
    )
    answer = ServerKeyMessage(bytes.fromhex(server["random1"]), bytes.fromhex(server["random2"]))
    keys = prf_keys(message, answer, bytes.fromhex(case["client_sid"]), bytes.fromhex(case["server_sid"]))
    assert keys.hex() == case["key_expansion"]
