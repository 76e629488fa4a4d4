"""The MSS of inner TCP: values of OpenVPN 2.6 and 2.7, read from its log and from SYNs in its tunnel."""

from __future__ import annotations

import pytest

from hognose.openvpn.data.formats import DataFormat
from hognose.openvpn.data.sizes import inner_mss
from hognose.settings import DataSettings, MssfixMode
from hognose.vocabulary import Framing, Proto

GCM, CBC = "AES-256-GCM", "AES-256-CBC"


@pytest.mark.parametrize(
    ("proto", "form", "mss"),
    [
        ("udp", DataFormat(GCM), 1400),
        ("udp", DataFormat("CHACHA20-POLY1305"), 1400),
        ("udp", DataFormat(GCM, epoch=True), 1396),
        ("udp", DataFormat(CBC, "SHA1"), 1379),
        ("udp", DataFormat(CBC, "SHA256"), 1363),
        ("udp", DataFormat(CBC, "SHA512"), 1331),
        ("udp", DataFormat(GCM, framing="comp-lzo"), 1399),
        ("tcp", DataFormat(GCM), 1386),
        ("tcp", DataFormat(GCM, epoch=True), 1382),
        ("tcp", DataFormat(CBC, "SHA1"), 1363),
        ("tcp", DataFormat(CBC, "SHA256"), 1347),
        ("tcp", DataFormat(CBC, "SHA512"), 1315),
    ],
)
def test_the_default(proto: Proto, form: DataFormat, mss: int) -> None:
    assert inner_mss(DataSettings(), proto, form) == mss


@pytest.mark.parametrize(
    ("size", "mode", "proto", "mss"),
    [
        (1450, "plain", "udp", 1386),  # the default of 2.5
        (1450, "plain", "tcp", 1384),
        (1450, "mtu", "udp", 1358),
        (1400, "fixed", "udp", 1360),
        (1400, "fixed", "tcp", 1360),
        (604, "plain", "udp", 540),
        (600, "plain", "udp", 536),
        (100, "mtu", "udp", 536),
        (1, "fixed", "tcp", 536),
        (0, "mtu", "udp", 65_495),
        (0, "fixed", "tcp", 65_495),
    ],
)
def test_other_sizes(size: int, mode: MssfixMode, proto: Proto, mss: int) -> None:
    assert inner_mss(DataSettings(mssfix=size, mssfix_mode=mode), proto, DataFormat(GCM)) == mss


@pytest.mark.parametrize(("framing", "mss"), [("none", 1400), ("stub-v2", 1400), ("stub", 1399), ("comp-lzo", 1399)])
def test_a_framing_byte_is_one_less(framing: Framing, mss: int) -> None:
    assert inner_mss(DataSettings(), "udp", DataFormat(GCM, framing=framing)) == mss
