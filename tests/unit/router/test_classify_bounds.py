"""Exact sizes and bits at which the classifier decides."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP
from scapy.packet import Raw
from tests.unit.router.lone_ingress import (
    CLIENT,
    HOST,
    NOW,
    PORT,
    TUN_MTU,
    US,
    LoneIngress,
    answer,
    frame,
    ip,
    segment,
    vnet,
)

from hognose.drops import DropReason
from hognose.units import SECOND

OPTIONS = [b"\x01\x01\x01\x00"]
DATAGRAM = frame(ip() / UDP() / Raw(bytes(20)))


@pytest.mark.parametrize(("size", "mss"), [(44, 1360), (80, 1360), (99, 1360), (100, 1460), (101, 1460)])
def test_a_syn_of_100_bytes_has_data_and_stays_as_it_is(size: int, mss: int) -> None:
    """Two headers with all their options are 80 bytes without those of IPv4."""
    packet = bytes(IP(src=HOST, dst="10.8.0.2") / TCP(flags="S", options=[("MSS", 1460)]) / Raw(bytes(size - 44)))
    assert len(packet) == size
    lone = LoneIngress(100, (CLIENT, [packet]))
    [got] = lone.take(DATAGRAM).to_clients[CLIENT]
    assert dict(IP(got)[TCP].options)["MSS"] == mss


@pytest.mark.parametrize("size", [26, 27, 45])
def test_a_short_frame_of_arp_goes_to_the_table(size: int) -> None:
    """A device may leave out what only fills the frame; what is missing is for the table to see."""
    lone = LoneIngress()
    lone.take(frame(ARP(), ethertype=0x0806)[:size])
    assert (lone.engines.calls, lone.drops) == ([("arp", 26)], {})


@pytest.mark.parametrize("ethertype", [0x0800, 0x0807, 0x0906, 0x0608, 0x0006])
@pytest.mark.parametrize("size", [26, 45])
def test_any_other_short_frame_is_too_short(size: int, ethertype: int) -> None:
    lone = LoneIngress()
    lone.take(frame(ARP(), ethertype=ethertype)[:size])
    assert (lone.engines.calls, lone.drops) == ([], {"FRAME_TOO_SHORT": 1})


@pytest.mark.parametrize("fields", [{"frag": 1}, {"frag": 0x1FFF}, {"frag": 0x1000}, {"flags": "MF"}])
@pytest.mark.parametrize("options", [[], OPTIONS])
def test_a_fragment_is_no_packet(fields: dict[str, Any], options: list[bytes]) -> None:
    lone = LoneIngress()
    lone.take(frame(ip(options=options, **fields) / TCP(dport=PORT) / Raw(bytes(36))))
    assert lone.engines.calls == []


@pytest.mark.parametrize("flags", ["DF", "evil", 0])
@pytest.mark.parametrize("options", [[], OPTIONS])
def test_the_other_flags_make_no_fragment(flags: object, options: list[bytes]) -> None:
    lone = LoneIngress()
    lone.take(frame(ip(options=options, flags=flags) / TCP(dport=PORT)))
    assert [call[0] for call in lone.engines.calls] == ["tcp"]


def test_fragments_that_come_a_minute_apart_are_no_datagram() -> None:
    """RFC 1122 section 3.3.2: the time-out is between 60 and 120 seconds at most; and no error is sent about it."""
    payload = bytes(ip() / UDP(dport=53) / Raw(bytes(88)))[20:]
    first, second = (
        frame(ip(proto=17, id=7, flags="MF") / Raw(payload[:48])),
        frame(ip(proto=17, id=7, frag=6) / Raw(payload[48:])),
    )
    lone = LoneIngress()
    lone.ingress.receive([first], NOW)
    routed = lone.ingress.receive([second], NOW + 121 * SECOND)
    assert (lone.engines.calls, routed.to_link) == ([], [])
    lone.ingress.receive([first], NOW + 122 * SECOND)
    assert [call[0] for call in lone.engines.calls] == ["nat"]


@pytest.mark.parametrize("size", [0x0001, 0x00FF, 0x0100, 0x0503, 0xFEFF, 0xFFFF])
@pytest.mark.parametrize("options", [[], OPTIONS])
def test_the_size_of_a_segment_is_little_endian(size: int, options: list[bytes]) -> None:
    """Virtio 1.2 section 5.1.6: numbers of the header are."""
    lone = LoneIngress()
    lone.take(frame(segment(bytes(100), options=options), vnet(1, 1, size)))
    [call] = lone.engines.calls
    assert call[4] == size


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [({}, [1396, 25]), ({"flags": "evil"}, [1396, 25]), ({"flags": "DF"}, []), ({"frag": 0x100}, [1396, 25])],
)
def test_df_alone_keeps_a_packet_in_one_piece(fields: dict[str, Any], sizes: list[int]) -> None:
    lone = LoneIngress(100, answer(TUN_MTU + 1, **fields))
    assert [len(packet) for packet in lone.take(DATAGRAM).to_clients[CLIENT]] == sizes
    assert lone.drops == ({} if sizes else {"TOO_BIG": 1})


@pytest.mark.parametrize("mtu", [1400, 901, 0xFFFF, 0x0100])
def test_the_mtu_that_an_error_tells_is_in_the_lower_half_of_a_word(mtu: int) -> None:
    """RFC 1191 section 4; the upper half is unused, but may hold a length (RFC 4884)."""
    ours = bytes(IP(src=US, dst="192.0.2.11") / TCP(sport=1194, dport=40_000))
    lone = LoneIngress()
    for upper in (0, 0xFFFF):
        message = b"\3\4\0\0" + upper.to_bytes(2, "big") + mtu.to_bytes(2, "big") + ours
        error = IP(bytes(ip() / ICMP(message)))
        del error[ICMP].chksum
        lone.take(frame(error))
    assert lone.engines.calls == [("tcp error", 3, 4, mtu)] * 2


def test_the_second_word_of_an_error_without_an_mtu_is_zero() -> None:
    """RFC 792: unused."""
    lone = LoneIngress(100, DropReason.TTL_EXCEEDED)
    lone.take(frame(ip(ttl=1) / UDP(sport=53, dport=5000) / Raw(bytes(20))))
    [error] = lone.sent
    assert bytes(error[ICMP])[4:8] == bytes(4)
