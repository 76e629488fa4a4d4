"""Coalescing outward and segmentation inward: super-segments are exactly the translated originals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.packet import Packet, Raw
from tests.unit.nat.nat_packets import (
    CLIENT,
    NOTHING,
    OTHER,
    OUTSIDE,
    SERVER,
    TIMESTAMP,
    Bench,
    named,
    rebuilt,
    tcp,
    udp,
)

from hognose.address import parse_ipv4
from hognose.drops import DropReason
from hognose.ip.offload import lower
from hognose.link import GSO_MAX_BYTES
from hognose.nat.outbound import RUN_MAX_BYTES
from hognose.wire import virtio_net
from hognose.wire.checksum import pseudo_sum

START = 2**32 - 3000  # the sequence numbers wrap within a run


def segments(
    payload: bytes, mss: int, *, sport: int = 5000, push: bool = True, ident: int = 65530, **fields: Any
) -> list[IP]:
    """The data packets of one write, as a TCP sender cuts them."""
    packets = []
    for index, at in enumerate(range(0, len(payload), mss)):
        last = at + mss >= len(payload)
        packets.append(
            tcp(
                sport,
                flags="PA" if last and push else "A",
                payload=payload[at : at + mss],
                seq=(START + at) % 2**32,
                ident=(ident + index) % 65536,
                **fields,
            )
        )
    return packets


def opened(*sports: int, client: int = 1, src: str = CLIENT) -> Bench:
    bench = Bench()
    for sport in sports or (5000,):
        bench.send(tcp(sport, flags="S", src=src), client=client)
    return bench


def translated(packet: IP, sport: int | None = None) -> bytes:
    """Expected translation of an outbound packet, by scapy."""
    copy = IP(bytes(packet))
    copy.src, copy.ttl = OUTSIDE, copy.ttl - 1
    copy.sport = sport or copy.sport
    return rebuilt(copy)


def sizes(out: list) -> list[int]:
    return [len(pieces) - 1 if vnet != virtio_net.PLAIN else 1 for _, vnet, pieces in out]


@given(st.binary(min_size=1, max_size=6000), st.integers(1, 1400), st.sampled_from(([], TIMESTAMP)), st.booleans())
def test_a_run_comes_out_as_its_translated_originals(payload: bytes, mss: int, options: object, push: bool) -> None:
    packets = segments(payload[: mss * 100], mss, options=options, push=push)
    bench = opened()
    out, rest = bench.hot(*packets)
    assert rest == []
    assert [b"".join(pieces) for _, _, pieces in lower(out, NOTHING)] == [translated(packet) for packet in packets]
    # the sender's push stands on the last, or the last is alone: then it is no super-segment
    assert len(out) == 1


def test_a_run_is_one_super_segment_for_the_device() -> None:
    payload = bytes(range(256)) * 40
    packets = segments(payload, 1348, options=TIMESTAMP)
    bench = opened()
    ((next_hop, vnet, pieces),), _ = bench.hot(*packets)
    assert next_hop == bytes([1, 2, 3, 4])
    flags, gso_type, hdr_len, gso_size, csum_start, csum_offset, _ = virtio_net.HEADER.unpack(vnet)
    assert (flags, gso_type, hdr_len, gso_size, csum_start, csum_offset) == (1, 1, 14 + 52, 1348, 34, 16)
    assert len(pieces[0]) == 52
    assert b"".join(pieces[1:]) == payload
    head = IP(pieces[0])
    assert head.len == 52 + len(payload)
    assert head.chksum == IP(rebuilt(head)).chksum
    assert head[TCP].chksum == pseudo_sum(parse_ipv4(OUTSIDE), next_hop, 6, 32 + len(payload))
    assert str(head[TCP].flags) == "PA"


def test_interleaved_flows_make_a_run_each() -> None:
    bench = opened(5000, 5001, 5002)
    flows = [segments(bytes(4000), 500, sport=sport) for sport in (5000, 5001, 5002)]
    packets = [packet for row in zip(*flows, strict=True) for packet in row]
    out, rest = bench.hot(*packets)
    assert rest == []
    assert sizes(out) == [8, 8, 8]


def test_order_within_a_flow_is_kept() -> None:
    bench = opened()
    one = segments(bytes(1000), 500, push=False)
    ack = tcp(seq=(START + 1000) % 2**32, ack=77)
    out, _ = bench.hot(*one, ack, *segments(bytes(1000), 500))
    assert sizes(out) == [2, 1, 2]
    assert b"".join(out[1][2]) == translated(ack)


CHANGES = {
    "ack": {"ack": 10},
    "tos": {"tos": 8},
    "lowest bit of tos": {"tos": 1},
    "tos and push": {"tos": 1, "flags": "PA"},
    "ttl": {"ttl": 60},
    "options": {"options": [("NOP", None), ("NOP", None), ("Timestamp", (1, 3))]},
    "data offset": {"options": []},
    "larger": {"payload": bytes(501)},
    "gap": {"seq": 1},
    "fragmentable": {"ipflags": 0},
    "urgent flag": {"flags": "UA"},
    "congestion echo": {"flags": "EA"},
    "empty": {"payload": b""},
    "window": {"window": 501},
    "window and push": {"window": 501, "flags": "PA"},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_packet_that_differs_ends_the_run(change: dict[str, Any]) -> None:
    bench = opened()
    first, second, third, fourth = segments(bytes(2000), 500, options=TIMESTAMP, push=False)
    fields: dict[str, Any] = {
        "flags": "A",
        "payload": bytes(500),
        "seq": third.seq,
        "ident": third.id,
        "options": TIMESTAMP,
    }
    odd = tcp(**{**fields, **{name: value for name, value in change.items() if name != "window"}})
    odd[TCP].window = change.get("window", odd[TCP].window)
    out, rest = bench.hot(first, second, odd, fourth)
    assert rest == []
    assert sizes(out)[0] == 2
    lowered = [b"".join(pieces) for _, _, pieces in lower(out, NOTHING)]
    assert lowered == [translated(packet) for packet in (first, second, odd, fourth)]


@pytest.mark.parametrize(
    "change",
    [
        {"chksum": 1},
        {"len": 539, "tos": 1},  # the same header sum
        {"trailer": b"pad"},
        {"ipflags": 0, "ttl": 128, "chksum": "kept"},  # the same header sum as DF with TTL 64
    ],
)
def test_a_deceptive_packet_is_not_taken_into_a_run(change: dict[str, Any]) -> None:
    bench = opened()
    packets = [bytes(packet) for packet in segments(bytes(2000), 500, push=False)]
    change = dict(change)
    trailer = change.pop("trailer", b"")
    if change.get("chksum") == "kept":
        change["chksum"] = int.from_bytes(packets[2][10:12], "big")
    odd = tcp(payload=bytes(500), seq=(START + 1000) % 2**32, ident=65532, **change)
    packets[2] = bytes(odd) + trailer
    out, rest = bench.hot(*packets)
    assert sizes(out)[0] == 2
    assert rest == ([packets[2]] if "ipflags" not in change else [])


def test_urgent_pointer_without_flag_is_kept() -> None:
    bench = opened()
    packets = segments(bytes(1500), 500)
    packets[1][TCP].urgptr = 5
    out, _ = bench.hot(*packets)
    assert [b"".join(pieces) for _, _, pieces in out] == [translated(packet) for packet in packets]
    for pointer in (5, 0x500):  # in each byte of the field, and the same in all
        for packet in packets:
            packet[TCP].urgptr = pointer
        out, _ = bench.hot(*packets)
        assert [b"".join(pieces) for _, _, pieces in out] == [translated(packet) for packet in packets]


def test_identification_of_atomic_datagrams_may_be_renumbered() -> None:
    # RFC 6864 section 4.1; senders that put 0 into every DF packet are coalesced as well
    bench = opened()
    packets = segments(bytes(1500), 500)
    for packet in packets:
        packet.id = 0
    out, _ = bench.hot(*packets)
    assert [IP(b"".join(pieces)).id for _, _, pieces in lower(out, NOTHING)] == [0, 1, 2]


def test_without_df_every_packet_keeps_its_own_identification() -> None:
    bench = opened()
    packets = segments(bytes(1500), 500, ipflags=0)
    out, _ = bench.hot(*packets)
    assert [b"".join(pieces) for _, _, pieces in out] == [translated(packet) for packet in packets]


def test_push_ends_a_run() -> None:
    bench = opened()
    packets = segments(bytes(2000), 500, push=False)
    packets[1][TCP].flags = "PA"
    out, _ = bench.hot(*packets)
    assert sizes(out) == [2, 2]


def test_runs_stay_within_the_size_of_an_ip_packet() -> None:
    bench = opened()
    out, _ = bench.hot(*segments(bytes(1400 * 100), 1400))
    assert all(sum(map(len, pieces)) <= RUN_MAX_BYTES <= GSO_MAX_BYTES for _, _, pieces in out)
    assert sum(sizes(out)) == 100
    assert len(out) == 3


def test_huge_packets_are_runs_only_when_two_fit() -> None:
    bench = opened()
    out, _ = bench.hot(*segments(bytes(120_000), 31_000))
    assert sizes(out) == [2, 2]
    out, _ = bench.hot(*segments(bytes(120_000), 32_000))
    assert sizes(out) == [1, 1, 1, 1]


def test_runs_stay_within_the_number_of_pieces() -> None:
    bench = opened()
    out, _ = bench.hot(*segments(bytes(300), 1))
    assert sizes(out) == [128, 128, 44]


@pytest.mark.stress
@given(st.integers(0, 4), st.integers(0, 499), st.integers(1, 255))
def test_a_corrupt_packet_in_a_run_is_never_repaired(index: int, at: int, flip: int) -> None:
    payload = bytes(i & 0xFF for i in range(2500))
    packets = [bytes(packet) for packet in segments(payload, 500)]
    corrupt = bytearray(packets[index])
    corrupt[40 + at] ^= flip
    packets[index] = bytes(corrupt)
    bench = opened()
    out, rest = bench.hot(*packets)
    assert rest == []
    lowered = [IP(b"".join(pieces)) for _, _, pieces in lower(out, NOTHING)]
    assert len(lowered) == 5
    for number, packet in enumerate(lowered):
        assert (bytes(packet) == rebuilt(packet)) == (number != index)
        assert bytes(packet)[40:] == packets[number][40:]


@pytest.mark.parametrize(
    "packet",
    [
        tcp(flags="S"),
        tcp(flags="FA"),
        tcp(flags="R"),
        tcp(6000),  # no flow
        tcp(ttl=1),
        tcp(ipflags="MF"),
        tcp(ipflags="DF", frag=3),
        tcp(ipflags="evil"),
        tcp(chksum=5),  # of the IPv4 header
        tcp(len=41),
        tcp(version=6),
        bytes(tcp())[:39],
        bytes(tcp()) + b"padding",
        bytes(IP(src=CLIENT, dst=SERVER, flags="DF") / TCP(sport=5000, dport=80, flags="A", dataofs=4)),
        bytes(IP(src=CLIENT, dst=SERVER, flags="DF") / TCP(sport=5000, dport=80, flags="A", dataofs=6)),
        udp(5000, 80),
        IP(src=CLIENT, dst=SERVER, proto=47) / Raw(bytes(40)),
        b"",
    ],
)
def test_the_rest_is_returned_untouched(packet: Packet | bytes) -> None:
    bench = opened()
    data = [bytes(tcp(6001)), bytes(packet), bytes(tcp(6002))]
    out, rest = bench.hot(data[0], tcp(), data[1], data[2])
    assert sorted(rest) == sorted(data)
    assert rest.index(data[0]) < rest.index(data[2])  # order within a protocol
    assert len(out) == 1


@pytest.mark.parametrize(
    "packet",
    [
        udp(5000, 81),
        udp(ttl=1),
        udp(flags="MF"),
        udp(frag=1),
        udp(chksum=5),
        udp(len=30),
        bytes(udp())[:27],
        IP(src=CLIENT, dst=SERVER, id=7, proto=17) / Raw(bytes(udp())[20:24] + b"\0\7" + bytes(udp())[26:]),
        IP(src=CLIENT, dst=SERVER, id=7, proto=17) / Raw(bytes(udp())[20:24] + b"\0\x0d" + bytes(udp())[26:]),
    ],
)
def test_the_rest_of_udp(packet: Packet | bytes) -> None:
    bench = Bench()
    bench.send(udp())
    out, rest = bench.hot(packet, udp())
    assert rest == [bytes(packet)]
    assert len(out) == 1


def test_a_client_without_flows_gets_its_list_back() -> None:
    bench = Bench()
    packets = [bytes(udp())]
    assert bench.nat.outbound(named(1), packets, 0, []) is packets


# inbound


@given(
    st.binary(max_size=5000),
    st.integers(1, 1400),
    st.sampled_from(("A", "PA", "FPA", "CEPA")),
    st.sampled_from(([], TIMESTAMP)),
    st.sampled_from((bytes, bytearray, memoryview)),
)
def test_a_super_segment_becomes_inner_packets(
    payload: bytes, gso: int, flags: str, options: object, kind: type
) -> None:
    bench = Bench()
    bench.send(tcp(5000, src=OTHER), client=2)
    (left,) = bench.send(tcp(5000))  # its port is translated
    payload = payload[: gso * 30]
    fields: dict[str, Any] = {
        "flags": flags,
        "seq": START,
        "options": options,
        "ident": 65530,
        "src": SERVER,
        "dst": OUTSIDE,
        "tos": 4,
    }
    whole = tcp(80, left.sport, payload=payload, **fields)
    data = bytes(26) + bytes(whole)
    result = bench.nat.inbound(kind(data), 26, len(data), gso, True, bench.now)
    assert isinstance(result, tuple)
    client, inner = result
    assert client == named(1)
    expected = []
    starts = range(0, len(payload), gso) or (0,)
    partial = len(starts) == 1  # then the engine completes the field as it stands, which here is not partial
    for index, at in enumerate(starts):
        last = at + gso >= len(payload)
        mask = (0xFFFF if last else ~0x09) & (0xFFFF if index == 0 else ~0x80)
        piece = tcp(80, 5000, payload=payload[at : at + gso], **{**fields, "dst": CLIENT, "ttl": 63})
        piece[TCP].flags = int(whole[TCP].flags) & mask
        piece[TCP].seq = (START + at) % 2**32
        piece[IP].id = (65530 + index) % 65536
        expected.append(bytes(piece))
    if partial:
        inner = [rebuilt(packet) for packet in inner]
    assert inner == expected
    assert all(type(packet) is bytes for packet in inner)


def test_sequence_numbers_wrap_within_a_super_segment() -> None:
    bench = opened()
    whole = tcp(80, 5000, payload=bytes(300), seq=2**32 - 100, src=SERVER, dst=OUTSIDE)
    _, inner = bench.accept(whole, 100)
    assert [packet.seq for packet in inner] == [2**32 - 100, 0, 100]
    assert all(bytes(packet) == rebuilt(packet) for packet in inner)


def test_one_segment_keeps_every_flag() -> None:
    bench = opened()
    fields: dict[str, Any] = {"payload": bytes(100), "flags": "CEPA", "options": TIMESTAMP, "src": SERVER}
    _, (inner,) = bench.accept(tcp(80, 5000, dst=OUTSIDE, **fields), 100)
    assert bytes(inner) == bytes(tcp(80, 5000, dst=CLIENT, ttl=63, **fields))


def test_a_super_segment_with_a_bad_header() -> None:
    bench = opened()
    whole = tcp(80, 5000, payload=bytes(3000), src=SERVER, dst=OUTSIDE)
    for offset in (4, 15):
        whole[TCP].dataofs = offset
        assert bench.receive(bytes(whole)[:70] if offset == 15 else whole, 10) is DropReason.NAT_BAD_PACKET
    whole[TCP].dataofs = 5
    whole[IP].options = b"\x01\x01\x01\x01"
    assert bench.receive(whole, 1000) is DropReason.NAT_BAD_PACKET


@pytest.mark.parametrize(("segments_in_it", "taken"), [(1024, True), (1025, False)])
def test_a_super_segment_is_cut_into_1024_packets_at_most(segments_in_it: int, taken: bool) -> None:
    """One frame is one piece of work; a device that has more of them in one says nothing that we believe."""
    bench = opened()
    result = bench.receive(tcp(80, 5000, payload=bytes(2 * segments_in_it - 1), src=SERVER, dst=OUTSIDE), 2)
    assert (isinstance(result, tuple) and len(result[1]) == segments_in_it) is taken
    assert taken or result is DropReason.NAT_BAD_PACKET


def test_a_super_segment_of_header_only_is_one_packet() -> None:
    bench = opened()
    options = [("NOP", None)] * 20
    result = bench.receive(tcp(80, 5000, src=SERVER, dst=OUTSIDE, options=options), 1)
    assert isinstance(result, tuple)
    assert bytes(result[1][0]) == rebuilt(result[1][0])
