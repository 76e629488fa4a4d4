"""The agreement on cipher and protocol flags, and our options string."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.openvpn.link import profile

from hognose.drops import DropReason
from hognose.openvpn.control import agreement
from hognose.openvpn.control.agreement import Agreement, Disagreement, agree
from hognose.openvpn.control.key_exchange import ClientKeyMessage

# IV_PROTO bits of OpenVPN's ssl.h.
DATA_V2, EXPORT, CC_EXIT, DYNAMIC, EPOCH = 1 << 1, 1 << 3, 1 << 7, 1 << 9, 1 << 10


def client(bits: int = DATA_V2, options: str = "", more: Mapping[str, str] | None = None) -> ClientKeyMessage:
    """The first key message of a client."""
    info = {"IV_PROTO": str(bits), "IV_CIPHERS": "AES-256-GCM", **(more or {})}
    return ClientKeyMessage(b"", b"", b"", options, "", "", info, 0)


def test_ciphers_by_what_the_client_says() -> None:
    ours = ("AES-256-GCM", "AES-128-GCM")
    choose = agreement.choose_cipher
    assert choose(ours, {"IV_CIPHERS": "aes-128-gcm:AES-256-GCM"}, "") == "AES-256-GCM"
    assert choose(ours, {"IV_NCP": "2"}, "") == "AES-256-GCM"
    assert choose(ours, {"IV_NCP": "x"}, "V4,cipher AES-128-GCM") == "AES-128-GCM"
    assert choose(ours, {"IV_CIPHERS": "BF-CBC"}, "V4,cipher AES-128-GCM") is None
    assert choose(ours, {}, "V4") is None
    assert choose(ours, {"IV_NCP": "1"}, "") is None
    assert choose(ours, {"IV_NCP": "3"}, "") == "AES-256-GCM"
    assert choose(ours, {"IV_NCP": "2"}, "V4,cipher BF-CBC") == "AES-256-GCM"
    assert choose(("AES-192-GCM", *ours), {"IV_NCP": "2"}, "V4,cipher aes-192-gcm") == "AES-192-GCM"
    assert choose(ours, {"IV_CIPHERS": " AES-128-GCM :"}, "") == "AES-128-GCM"


def test_the_fallback_is_for_clients_that_name_no_cipher() -> None:
    """OpenVPN ssl_ncp.c ncp_get_best_cipher."""
    choose = agreement.choose_cipher
    ours = ("AES-256-GCM", "AES-128-GCM")
    assert choose(ours, {}, "V4,dev-type tun", "AES-256-CBC") == "AES-256-CBC"
    assert choose(ours, {"IV_CIPHERS": ""}, "", "AES-256-CBC") == "AES-256-CBC"
    assert choose(ours, {}, "V4,cipher AES-128-GCM", "AES-256-CBC") == "AES-128-GCM"
    assert choose(ours, {}, "V4,cipher BF-CBC", "AES-256-CBC") is None
    assert choose(ours, {"IV_CIPHERS": "BF-CBC"}, "", "AES-256-CBC") is None
    assert choose(ours, {"IV_CIPHERS": "AES-128-GCM"}, "", "AES-256-CBC") == "AES-128-GCM"


@pytest.mark.parametrize(
    ("info", "wanted"),
    [
        ({"IV_CIPHERS": "X"}, True),
        ({"IV_CIPHERS": ""}, True),
        ({"IV_NCP": "2"}, True),
        ({"IV_NCP": "1"}, False),
        ({}, False),
    ],
)
def test_the_cipher_is_pushed_to_clients_that_negotiate(info: dict[str, str], wanted: bool) -> None:
    assert agreement.wants_cipher_pushed(info) == wanted


def test_proto_bits_and_options() -> None:
    assert agreement.proto_bits({"IV_PROTO": "990"}) == 990
    assert agreement.proto_bits({"IV_PROTO": "9" * 40}) == 0
    assert agreement.proto_bits({"IV_PROTO": "4294967295"}) == 0xFFFFFFFF
    assert agreement.proto_bits({"IV_PROTO": "10000000000"}) == 0
    for word in ("-1", "x", "", "\u0662", "\u00b2"):
        assert agreement.proto_bits({"IV_PROTO": word}) == 0
    assert agreement.proto_bits({}) == 0
    assert agreement.option_value("V4,comp-lzo,cipher X", "comp-lzo") == ""
    assert agreement.option_value("V4,comp-lzo,cipher X", "cipher") == "X"
    assert agreement.option_value("V4,ifconfig 10.8.0.0 255.255.255.0 x", "ifconfig") == "10.8.0.0 255.255.255.0 x"
    assert agreement.option_value("V4,cipher X", "dev-type") is None
    text = agreement.options_string(profile("tls-auth"), None)
    assert text == (
        "V4,dev-type tun,link-mtu 1543,tun-mtu 1500,proto TCPv4_SERVER,keydir 0,auth SHA1,keysize 128,tls-auth,"
        "key-method 2,tls-server"
    )


@pytest.mark.parametrize("bits", [DATA_V2 | EXPORT | EPOCH, DATA_V2 | EPOCH, EXPORT | EPOCH, EPOCH, DATA_V2 | EXPORT])
@pytest.mark.parametrize("cipher", ["AES-256-GCM", "AES-256-CBC"])
def test_the_epoch_format_needs_all_that_it_is_made_of(bits: int, cipher: str) -> None:
    """Keying-material export, packets with a peer id, an AEAD cipher (OpenVPN push.c, multi_client_set_protocol)."""
    found = agree(profile(ciphers=("AES-256-GCM", "AES-256-CBC")), client(bits, more={"IV_CIPHERS": cipher}))
    assert isinstance(found, Agreement)
    wanted = bits == DATA_V2 | EXPORT | EPOCH and cipher == "AES-256-GCM"
    assert found.epoch == wanted
    assert any("aead-epoch" in option for option in found.push) == wanted


@pytest.mark.parametrize(
    ("bits", "pushed"),
    [
        (DATA_V2, ()),
        (CC_EXIT, ("protocol-flags cc-exit",)),
        (EXPORT, ("key-derivation tls-ekm",)),
        (EXPORT | CC_EXIT, ("protocol-flags cc-exit tls-ekm",)),
        (EXPORT | DYNAMIC, ("key-derivation tls-ekm", "protocol-flags dyn-tls-crypt")),
        (DYNAMIC, ("protocol-flags dyn-tls-crypt",)),
        (DATA_V2 | EXPORT | CC_EXIT | DYNAMIC | EPOCH, ("protocol-flags cc-exit tls-ekm dyn-tls-crypt aead-epoch",)),
        (DATA_V2 | EXPORT | EPOCH, ("key-derivation tls-ekm", "protocol-flags aead-epoch")),
    ],
)
def test_flags_that_are_pushed(bits: int, pushed: tuple[str, ...]) -> None:
    """OpenVPN push.c prepare_push_reply."""
    found = agree(profile(), client(bits))
    assert isinstance(found, Agreement)
    assert found.push == ("cipher AES-256-GCM", *pushed)
    assert (found.v2, found.use_export, found.dynamic_tls_crypt) == (
        bool(bits & DATA_V2), bool(bits & EXPORT), bool(bits & DYNAMIC),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "reason", "words"),
    [
        ("V4,dev-type tap", DropReason.BAD_KEY_METHOD, "this server is for dev tun"),
        ("V4,dev-type tun,mtu-dynamic", DropReason.FRAMING_MISMATCH, "remove `fragment` from the client's config"),
        ("V4,mtu-dynamic 1300", DropReason.FRAMING_MISMATCH, "remove `fragment` from the client's config"),
        ("V4,comp-lzo", DropReason.FRAMING_MISMATCH, "compression is not enabled on the server"),
    ],
)
def test_what_no_server_here_can_do(options: str, reason: DropReason, words: str) -> None:
    found = agree(profile(), client(options=options))
    assert isinstance(found, Disagreement)
    assert (found.reason, found.to_client) == (reason, words)
    assert isinstance(agree(profile(), client(options="V4,dev-type tun")), Agreement)


@pytest.mark.parametrize("push", ["compress stub-v2", "comp-lzo no"])
def test_a_client_with_compression_may_come_when_another_framing_is_pushed_to_it(push: str) -> None:
    assert isinstance(agree(profile(push=(push,)), client(options="V4,comp-lzo")), Agreement)
    assert isinstance(agree(profile(push=("route 10.0.0.0",)), client(options="V4,comp-lzo")), Disagreement)


@pytest.mark.parametrize(
    ("ours", "options", "info", "framing", "push"),
    [
        ("none", "V4", {}, "none", ()),
        ("stub", "V4,comp-lzo", {}, "stub", ()),
        ("stub", "V4", {}, "stub", ()),
        ("migrate", "V4", {"IV_COMP_STUBv2": "1"}, "none", ()),
        ("migrate", "V4,comp-lzo", {"IV_COMP_STUBv2": "1"}, "stub-v2", ("compress stub-v2",)),
        ("migrate", "V4,comp-lzo", {"IV_COMP_STUBv2": "0"}, "comp-lzo", ("comp-lzo no",)),
        ("migrate", "V4,comp-lzo", {}, "comp-lzo", ("comp-lzo no",)),
    ],
)
def test_framings(ours: str, options: str, info: dict[str, str], framing: str, push: tuple[str, ...]) -> None:
    """OpenVPN 2.5's `compress migrate` (options.c, check_compression_settings_valid; push.c)."""
    found = agree(profile(framing=ours), client(options=options, more=info))
    assert isinstance(found, Agreement)
    assert (found.framing, found.push) == (framing, (*push, "cipher AES-256-GCM"))


@pytest.mark.parametrize(
    ("wrap", "changes", "cipher", "text"),
    [
        ("none", {}, "AES-256-GCM", "cipher AES-256-GCM,auth SHA1,keysize 128"),
        ("none", {"framing": "stub"}, None, "comp-lzo,auth SHA1,keysize 128"),
        ("none", {"framing": "comp-lzo"}, None, "comp-lzo,auth SHA1,keysize 128"),
        ("none", {"framing": "stub-v2"}, None, "auth SHA1,keysize 128"),
        ("tls-auth", {"digest": "SHA256"}, None, "keydir 0,auth SHA256,keysize 128,tls-auth"),
        ("tls-auth", {"direction": None}, None, "auth SHA1,keysize 128,tls-auth"),
        ("tls-crypt", {"direction": 0}, None, "auth SHA1,keysize 128"),
    ],
)
def test_our_options_string(wrap: str, changes: dict[str, Any], cipher: str | None, text: str) -> None:
    """OpenVPN options.c, options_string."""
    found = agreement.options_string(profile(wrap, tun_mtu=1400, **changes), cipher)
    beginning = "V4,dev-type tun,link-mtu 1443,tun-mtu 1400,proto TCPv4_SERVER"
    assert found == f"{beginning},{text},key-method 2,tls-server"
