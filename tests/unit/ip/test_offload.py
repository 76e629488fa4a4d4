"""Software segmentation and checksums against scapy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Raw

from hognose.errors import LocalError
from hognose.ip.offload import complete, lower, segment
from hognose.link import LinkCaps, Outgoing
from hognose.wire import virtio_net
from hognose.wire.checksum import pseudo_sum

MAC = b"\2\0\0\0\0\1"
ALL = LinkCaps(MAC)
CSUM_ONLY = LinkCaps(MAC, tx_tso4=False)
NOTHING = LinkCaps(MAC, tx_csum=False, tx_tso4=False)

HOP, OTHER_HOP = bytes((10, 0, 0, 5)), bytes((10, 0, 0, 6))


def partial(packet: bytes, offset: int) -> bytes:
    """The packet as an engine makes it: pseudo-header sum in the checksum field."""
    pseudo = pseudo_sum(packet[12:16], packet[16:20], packet[9], len(packet) - 20)
    return packet[: 20 + offset] + pseudo.to_bytes(2, "big") + packet[22 + offset :]


def tcp(payload: bytes, flags: str = "A", options: object = (), **fields: Any) -> IP:
    ip = IP(**{"src": "10.0.0.2", "dst": "1.2.3.4", "id": 65534, "flags": "DF", "tos": 4, "ttl": 63, **fields})
    return (
        ip / TCP(sport=40000, dport=80, seq=2**32 - 500, ack=77, flags=flags, window=99, options=options) / Raw(payload)
    )


def outgoing(packet: IP, gso_size: int, cuts: int = 3) -> Outgoing:
    data = partial(bytes(packet), 16)
    header_len = 20 + (data[32] >> 4) * 4
    body = data[header_len:]
    size = max(1, -(-len(body) // cuts))
    pieces = [data[:header_len], *(body[at : at + size] for at in range(0, len(body), size))]
    return HOP, virtio_net.tcp_super_segment(14 + header_len, gso_size, 34), pieces


def expected(packet: IP, payload: bytes, gso_size: int) -> list[bytes]:
    """Segments by RFC 9293 and virtio, built by scapy one by one."""
    flags = packet[TCP].flags
    packets = []
    for index, at in enumerate(range(0, len(payload), gso_size)):
        piece = packet.copy()
        piece[TCP].remove_payload()
        last = at + gso_size >= len(payload)
        mask = (0xFFFF if last else ~0x09) & (0xFFFF if index == 0 else ~0x80)
        piece[TCP].flags = int(flags) & mask
        piece[TCP].seq = (packet[TCP].seq + at) % 2**32
        piece[IP].id = (packet[IP].id + index) % 65536
        packets.append(bytes(piece / Raw(payload[at : at + gso_size])))
    return packets


@given(
    st.binary(min_size=1, max_size=4000),
    st.integers(1, 700),
    st.sampled_from(("A", "PA", "FPA", "CEPA", "CA", "FA")),
    st.sampled_from(([], [("NOP", None), ("NOP", None), ("Timestamp", (11, 12))])),
)
def test_segments_are_those_of_a_device(payload: bytes, gso_size: int, flags: str, options: object) -> None:
    payload = payload[: gso_size * 20]
    packet = tcp(payload, flags, options)
    lowered = lower([outgoing(packet, gso_size)], NOTHING)
    assert [b"".join(pieces) for _, _, pieces in lowered] == expected(packet, payload, gso_size)
    assert all(hop == HOP and vnet == virtio_net.PLAIN for hop, vnet, _ in lowered)


def test_a_device_with_everything_gets_the_same_list() -> None:
    packets = [outgoing(tcp(b"x" * 3000), 1000)]
    assert lower(packets, ALL) is packets


def test_checksum_only_device_still_completes_its_own() -> None:
    single: Outgoing = (HOP, virtio_net.partial_checksum(34, 16), [partial(bytes(tcp(b"abc")), 16)])
    lowered = lower([single, outgoing(tcp(b"x" * 30), 10)], CSUM_ONLY)
    assert lowered[0] is single
    assert len(lowered) == 4


def test_device_without_checksums() -> None:
    packet = bytes(tcp(b"abc"))
    plain: Outgoing = (OTHER_HOP, virtio_net.PLAIN, [packet])
    half = partial(packet, 16)
    single: Outgoing = (HOP, virtio_net.partial_checksum(34, 16), [half[:40], half[40:]])
    assert lower([plain, single], NOTHING) == [plain, (HOP, virtio_net.PLAIN, [packet])]


def test_syn_without_payload_is_not_lost() -> None:
    packet = tcp(b"", "SA")
    assert lower([outgoing(packet, 1000)], NOTHING)[0][2] == [bytes(packet)]


@given(st.binary(max_size=100))
def test_complete_tcp_and_udp(payload: bytes) -> None:
    packet = bytes(tcp(payload))
    assert complete(partial(packet, 16), 20, 16) == packet
    datagram = bytes(IP(src="1.2.3.4", dst="5.6.7.8") / UDP(sport=1, dport=2) / Raw(payload))
    assert complete(bytearray(partial(datagram, 6)), 20, 6) == datagram


def test_complete_never_writes_no_checksum_for_udp() -> None:
    bare = bytes(IP(src="1.2.3.4", dst="5.6.7.8") / UDP(sport=1, dport=2, chksum=0) / Raw(b"\0\0"))
    sum_without = (0x0102 + 0x0304 + 0x0506 + 0x0708 + 17 + 10 + 1 + 2 + 10) % 0xFFFF
    datagram = bare[:28] + (0xFFFF - sum_without).to_bytes(2, "big")
    assert complete(partial(datagram, 6), 20, 6)[26:28] == b"\xff\xff"


@pytest.mark.parametrize(
    ("pieces", "gso_size"),
    [([bytes(tcp(b"x" * 9))], 0), ([bytes(39)], 5), ([b"\x46" + bytes(tcp(b"x" * 9))[1:]], 5)],
)
def test_what_no_engine_may_make(pieces: list[bytes], gso_size: int) -> None:
    with pytest.raises(LocalError):
        segment(pieces, gso_size)
