"""The agreement on cipher and protocol flags, and our options string."""

from __future__ import annotations

import pytest
from tests.unit.openvpn.link import profile

from hognose.openvpn.control import agreement
from hognose.openvpn.control.agreement import Agreement, agree
from hognose.openvpn.control.key_exchange import ClientKeyMessage

DATA_V2, EXPORT, EPOCH = 1 << 1, 1 << 3, 1 << 10


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


@pytest.mark.parametrize("bits", [DATA_V2 | EXPORT | EPOCH, DATA_V2 | EPOCH, EXPORT | EPOCH, EPOCH, DATA_V2 | EXPORT])
@pytest.mark.parametrize("cipher", ["AES-256-GCM", "AES-256-CBC"])
def test_the_epoch_format_needs_all_that_it_is_made_of(bits: int, cipher: str) -> None:
    """Keying-material export, packets with a peer id, an AEAD cipher (OpenVPN push.c, multi_client_set_protocol)."""
    client = ClientKeyMessage(b"", b"", b"", "", "", "", {"IV_PROTO": str(bits), "IV_CIPHERS": cipher}, 0)
    found = agree(profile(ciphers=("AES-256-GCM", "AES-256-CBC")), client)
    assert isinstance(found, Agreement)
    wanted = bits == DATA_V2 | EXPORT | EPOCH and cipher == "AES-256-GCM"
    assert found.epoch == wanted
    assert any("aead-epoch" in option for option in found.push) == wanted
