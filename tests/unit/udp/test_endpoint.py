"""A UDP port by itself: packets made and read by scapy."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Packet, Raw

from hognose.address import Endpoint, parse_ipv4
from hognose.drops import Counters, DropReason
from hognose.limits import UdpLimits
from hognose.udp.endpoint import Datagram, UdpEndpoint
from hognose.wire import virtio_net

US, THEM, PORT = "10.0.0.2", "192.0.2.9", 5353
REMOTE = Endpoint(parse_ipv4(THEM), 40_000)


class Port:
    """An endpoint and its counters."""

    def __init__(self, **limits: int) -> None:
        self.counters = Counters()
        self.endpoint = UdpEndpoint(
            address=parse_ipv4(US), port=PORT, limits=UdpLimits(**limits), random=lambda n: b"\xff" * n,
            counters=self.counters, broadcasts=frozenset((parse_ipv4("10.0.0.255"),)),
        )  # fmt: skip

    def take(self, packet: Packet | bytes, checksum_ok: bool = False, before: int = 0, gso: int = 0) -> list[Datagram]:
        """Datagrams that have come with this packet: `before` bytes stand before it and some after it."""
        raw = bytes(packet)
        l4 = before + (raw[0] & 15) * 4
        self.endpoint.receive(bytes(before) + raw + bytes(9), before, l4, before + len(raw), gso, checksum_ok, 0)
        return self.endpoint.take()

    def sent(self) -> list[IP]:
        found: list[IP] = []
        for to, vnet, pieces in self.endpoint.poll(0):
            packet = IP(b"".join(pieces))
            assert (vnet, to) == (virtio_net.PLAIN, parse_ipv4(packet.dst))
            found.append(packet)
        return found

    @property
    def drops(self) -> dict[str, int]:
        return {reason.name: self.counters.drops[reason] for reason in DropReason if self.counters.drops[reason]}


def packet(payload: bytes = b"query", src: str = THEM, options: list[bytes] | None = None, **fields: Any) -> IP:
    head = IP(src=src, dst=US, options=options or [])
    return IP(bytes(head / UDP(sport=40_000, dport=PORT, **fields) / Raw(payload)))


@pytest.mark.parametrize("before", [0, 26])
@pytest.mark.parametrize("options", [[], [b"\1\1\1\0"]])
@pytest.mark.parametrize("payload", [b"", b"q", b"query", bytes(1472)])
def test_a_datagram_comes_with_its_source(payload: bytes, options: list[bytes], before: int) -> None:
    port = Port()
    assert port.take(packet(payload, options=options), before=before) == [Datagram(REMOTE, payload)]
    assert (port.endpoint.take(), port.drops) == ([], {})


@pytest.mark.parametrize(
    ("checksum", "ok", "drops"),
    [(0, False, {}), (1, True, {}), (1, False, {"BAD_UDP_CHECKSUM": 1})],
    ids=["none", "vouched for", "wrong"],
)
def test_checksums(checksum: int, ok: bool, drops: dict[str, int]) -> None:
    port = Port()
    assert len(port.take(packet(chksum=checksum), ok)) == 1 - len(drops)
    assert port.drops == drops


def test_bytes_after_the_datagram_are_no_payload() -> None:
    """The length of UDP may be less than that of IP (RFC 768); the checksum covers the datagram."""
    long = packet(b"query")
    raw = bytes(IP(bytes(IP(src=THEM, dst=US, proto=17) / (bytes(long[UDP]) + b"more"))))
    port = Port()
    assert port.take(raw) == [Datagram(REMOTE, b"query")]


@pytest.mark.parametrize("length", [0, 7, 14, 65_535])
def test_a_length_out_of_range_is_dropped(length: int) -> None:
    port = Port()
    assert port.take(packet(b"query", len=length, chksum=0)) == []
    assert port.drops == {"BAD_UDP_HEADER": 1}


def test_less_than_a_header_is_dropped() -> None:
    port = Port()
    assert port.take(bytes(packet(b""))[:27]) == []
    assert port.drops == {"BAD_UDP_HEADER": 1}


@pytest.mark.parametrize("source", [US, "0.0.0.0", "127.0.0.1", "224.0.0.251", "255.255.255.255", "10.0.0.255"])
def test_sources_that_are_no_other_host(source: str) -> None:
    port = Port()
    assert port.take(packet(src=source)) == []
    assert port.drops == {"MARTIAN": 1}


def test_the_queue_is_bounded_and_the_newest_is_dropped() -> None:
    port = Port(received=3)
    for number in range(5):
        raw = bytes(packet(bytes((number,))))
        port.endpoint.receive(raw, 0, 20, len(raw), 0, False, 0)
    assert [datagram.payload for datagram in port.endpoint.take()] == [b"\0", b"\1", b"\2"]
    assert port.drops == {"UDP_QUEUE_FULL": 2}
    assert len(port.take(packet())) == 1


@pytest.mark.parametrize(("size", "count"), [(0, 1), (1, 5), (2, 3), (5, 1), (6, 1), (65_535, 1)])
def test_a_super_frame_is_several_datagrams(size: int, count: int) -> None:
    port = Port()
    got = port.take(packet(b"query"), gso=size)
    assert b"".join(datagram.payload for datagram in got) == b"query"
    assert len(got) == count
    assert all(datagram.remote == REMOTE for datagram in got)
    assert all(len(datagram.payload) == size for datagram in got[:-1])


def test_datagrams_of_a_super_frame_beyond_the_bound_are_dropped() -> None:
    port = Port(received=3)
    assert [datagram.payload for datagram in port.take(packet(b"query"), gso=1)] == [b"q", b"u", b"e"]
    assert port.drops == {"UDP_QUEUE_FULL": 2}


@pytest.mark.parametrize("payload", [b"", b"a", b"answer", bytes(3000)])
def test_what_is_sent(payload: bytes) -> None:
    port = Port()
    assert not port.endpoint.waits
    assert port.endpoint.send(Datagram(REMOTE, payload))
    assert port.endpoint.waits
    [sent] = port.sent()
    fields = (sent.src, sent.dst, sent[UDP].sport, sent[UDP].dport, sent.flags)
    assert (*fields, bytes(sent[UDP].payload)) == (US, THEM, PORT, 40_000, 0, payload)
    checksums = (sent.chksum, sent[UDP].chksum)
    del sent.chksum, sent[UDP].chksum
    again = IP(bytes(sent))
    assert (again.chksum, again[UDP].chksum) == checksums
    assert (port.endpoint.waits, port.sent()) == (False, [])


def test_packets_have_ids_of_their_own() -> None:
    port = Port()
    for _ in range(3):
        port.endpoint.send(Datagram(REMOTE, b"a"))
    assert [sent.id for sent in port.sent()] == [0, 1, 2]  # after 0xffff, the first random one


def test_what_waits_to_be_sent_is_bounded() -> None:
    port = Port(unsent=2)
    assert [port.endpoint.send(Datagram(REMOTE, b"%d" % number)) for number in range(3)] == [True, True, False]
    assert [bytes(sent[UDP].payload) for sent in port.sent()] == [b"0", b"1"]
    assert port.drops == {"UDP_QUEUE_FULL": 1}
    assert port.endpoint.send(Datagram(REMOTE, b"3"))
