"""Messages of routers about the size of our datagrams: believed only about one that was sent, to who is there now."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw
from tests.unit.vpn.test_datagrams import HOME, PORT, US, Place

from hognose.drops import Stat
from hognose.units import SECOND

NEEDED = (3, 4)


def quoted(size: int = 1000, to: tuple[str, int] = HOME, **fields: Any) -> bytes:
    """A datagram of ours with `size` bytes of payload, as a router quotes it."""
    sport = fields.pop("sport", PORT)
    packet = IP(**{"src": US, "dst": to[0], "flags": "DF", **fields}) / UDP(sport=sport, dport=to[1])
    return bytes(packet / Raw(bytes(size)))


def sent(*sizes: int, uso: bool = False) -> Place:
    """A port with a client that was sent datagrams of these sizes."""
    place = Place(uso=uso)
    transport, _ = place.client()
    transport.send([bytes(size) for size in sizes])
    return place


def limit(place: Place) -> int:
    [peer] = place.table.clients.values()
    return peer.transport.record_limit


@pytest.mark.parametrize(
    ("mtu", "record"),
    [
        (1027, 999),
        (900, 872),
        (577, 549),
        (576, 548),
        (575, 548),
        (68, 548),
        (0, 1006 - 28),  # RFC 1191 section 7.1: the plateau below 1028
    ],
)
@pytest.mark.parametrize("length", [28, 100, 1028])
def test_a_router_is_believed(mtu: int, record: int, length: int) -> None:
    place = sent(1000)
    place.port.icmp_error(*NEEDED, mtu, quoted()[:length], place.now)
    assert limit(place) == record
    assert place.drops() == {}
    assert place.counters.stats[Stat.UDP_PATHS_NARROWED] == 1


@pytest.mark.parametrize(
    ("kind", "mtu", "quote", "reason"),
    [
        (NEEDED, 1028, quoted(), "BAD_ICMP"),  # it would have fitted
        (NEEDED, 1400, quoted(), "BAD_ICMP"),
        (NEEDED, 0xFFFF, quoted(), "BAD_ICMP"),
        (NEEDED, 67, quoted(), "BAD_ICMP"),  # no link of IPv4
        (NEEDED, 1, quoted(), "BAD_ICMP"),
        (NEEDED, 900, quoted(999), "BAD_ICMP"),
        (NEEDED, 900, quoted(1001), "BAD_ICMP"),
        (NEEDED, 900, quoted(0), "BAD_ICMP"),
        (NEEDED, 900, quoted(1472), "BAD_ICMP"),
        (NEEDED, 900, quoted(60_000), "BAD_ICMP"),
        (NEEDED, 900, quoted(flags=0), "BAD_ICMP"),
        (NEEDED, 900, quoted(flags="MF"), "BAD_ICMP"),
        (NEEDED, 900, quoted(frag=3), "BAD_ICMP"),
        (NEEDED, 900, quoted(to=("192.0.2.7", 40_001)), "NO_SESSION"),
        (NEEDED, 900, quoted(to=("192.0.2.8", 40_000)), "NO_SESSION"),
        ((3, 3), 900, quoted(to=("192.0.2.8", 40_000)), "NO_SESSION"),
        ((3, 3), 900, quoted(), ""),
        ((3, 2), 900, quoted(), ""),
        ((4, 0), 900, quoted(), ""),
        ((11, 4), 900, quoted(), ""),
        ((12, 4), 900, quoted(), ""),
    ],
)
def test_lies_and_other_errors_change_nothing(kind: tuple[int, int], mtu: int, quote: bytes, reason: str) -> None:
    place = sent(1000)
    place.port.icmp_error(*kind, mtu, quote, place.now)
    assert limit(place) == 0
    assert place.drops() == ({reason: 1} if reason else {})
    assert place.port.closed() == []
    assert len(place.port) == 1


@pytest.mark.parametrize("field", [b"\0\0", b"\0\7", b"\0\10", b"\xff\xff"])
def test_lengths_that_no_datagram_of_ours_has(field: bytes) -> None:
    place = sent(1000)
    place.port.icmp_error(*NEEDED, 576, quoted()[:24] + field + quoted()[26:], place.now)
    assert (limit(place), place.drops()) == (0, {"BAD_ICMP": 1})


def test_a_path_is_only_narrowed() -> None:
    place = sent(1400, 1000)
    for mtu, record in ((1300, 1272), (1350, 1272), (1300, 1272), (1000, 972)):
        place.now += 10 * SECOND
        place.port.icmp_error(*NEEDED, mtu, quoted(1400), place.now)
        assert limit(place) == record
    assert place.drops() == {}
    [peer] = place.table.clients.values()
    assert peer.transport.narrow_until == place.now + 600 * SECOND
    assert place.counters.stats[Stat.UDP_PATHS_NARROWED] == 2


def test_only_the_client_of_that_port_is_concerned() -> None:
    """Clients behind one address have a port each."""
    place = Place()
    clients = [place.client(("192.0.2.7", 40_000 + number), number)[0] for number in range(20)]
    for client in clients:
        client.send([bytes(1000)])
    place.port.icmp_error(*NEEDED, 900, quoted(to=("192.0.2.7", 40_007)), place.now)
    assert [number for number, client in enumerate(clients) if client.record_limit] == [7]


def test_lengths_of_another_address_are_forgotten() -> None:
    place = sent(1000)
    [peer] = place.table.clients.values()
    there = ("198.51.100.3", 5000)
    place.port.icmp_error(*NEEDED, 900, quoted(), place.now)
    assert peer.transport.roam(bytes((198, 51, 100, 3)) + (5000).to_bytes(2, "big"))
    assert limit(place) == 0
    place.port.icmp_error(*NEEDED, 900, quoted(), place.now)
    place.port.icmp_error(*NEEDED, 900, quoted(to=there), place.now)
    assert (limit(place), place.drops()) == (0, {"NO_SESSION": 1, "BAD_ICMP": 1})


def test_larger_records_leave_without_df_until_the_path_is_forgotten() -> None:
    place = sent(1000)
    [peer] = place.table.clients.values()
    place.sent()
    place.port.icmp_error(*NEEDED, 900, quoted(), place.now)
    peer.transport.send([bytes(1000), bytes(872), bytes(873)])
    assert [(len(packet), str(packet.flags), packet.id > 0) for packet in place.sent()] == [
        (1028, "", True),
        (900, "DF", False),
        (901, "", True),
    ]
    peer.transport.widen()
    peer.transport.send([bytes(1000)])
    assert [str(packet.flags) for packet in place.sent()] == ["DF"]


def test_what_left_without_df_was_not_refused_by_a_router() -> None:
    place = sent(1473)  # more than the link takes
    place.port.icmp_error(*NEEDED, 900, quoted(1473), place.now)
    place.port.icmp_error(*NEEDED, 900, quoted(1473, flags=0), place.now)
    assert (limit(place), place.drops()) == (0, {"BAD_ICMP": 2})


@pytest.mark.parametrize("size", [1400, 900, 6500, 5000])
def test_a_super_frame_is_quoted_whole_or_by_one_of_its_datagrams(size: int) -> None:
    place = sent(1400, 1400, 1400, 1400, 900, uso=True)
    place.port.icmp_error(*NEEDED, 800, quoted(size), place.now)
    assert (limit(place), place.drops()) == (772, {})


@pytest.mark.parametrize("size", [1399, 901, 1300, 6501, 65_507])
def test_lengths_of_no_super_frame(size: int) -> None:
    place = sent(1400, 1400, 1400, 1400, 900, uso=True)
    place.port.icmp_error(*NEEDED, 800, quoted(size), place.now)
    assert (limit(place), place.drops()) == (0, {"BAD_ICMP": 1})


def test_super_frames_fit_the_path() -> None:
    place = sent(1400, uso=True)
    [peer] = place.table.clients.values()
    place.port.icmp_error(*NEEDED, 1300, quoted(1400), place.now)
    place.port.poll(place.now)
    peer.transport.send([bytes(1273)] * 3 + [bytes(1272)] * 3)
    assert [(vnet[1], len(b"".join(pieces)), pieces[0][6]) for _, vnet, pieces in place.port.poll(place.now)] == [
        (0, 1301, 0),
        (0, 1301, 0),
        (0, 1301, 0),
        (5, 28 + 3 * 1272, 0x40),
    ]


def test_a_flood_of_lies_leaves_nothing() -> None:
    place = sent(1000)
    for number in range(300):
        there = (f"192.0.{number % 256}.{number // 256}", number)
        place.port.icmp_error(*NEEDED, number, quoted(number % 1400 + 1001, there if number % 2 else HOME), place.now)
    assert limit(place) == 0
    assert sum(place.drops().values()) == 300
    assert (len(place.port), place.port.poll(place.now)[1:]) == (1, [])


@given(
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 0xFFFF),
    st.binary(min_size=8, max_size=60),
    st.one_of(st.just(quoted()[12:24]), st.binary(min_size=12, max_size=12)),
)
@example(3, 4, 900, b"\x45\0\4\4\0\0\x40\0\x40\x11\0\0", quoted()[12:24])
def test_any_quote_at_all(kind: int, code: int, mtu: int, rest: bytes, ends: bytes) -> None:
    """The header, then addresses and ports, then the length and all that follows."""
    place = shared()
    quote = b"\x45" + rest[1:8] + b"\x40\x11\0\0" + ends + rest
    place.port.icmp_error(kind, code, mtu, quote, place.now)
    length = int.from_bytes(rest[:2], "big")
    ours = ends == quoted()[12:24] and (kind, code) == NEEDED and rest[6:8] == b"\x40\0" and length == 1008
    assert (limit(place) > 0) is (ours and (68 <= mtu < 1028 or mtu == 0))
    assert len(place.port) == 1
    [peer] = place.table.clients.values()
    peer.transport.widen()


@cache
def shared() -> Place:
    return sent(1000)


def test_an_old_router_that_quotes_a_super_frame_whole() -> None:
    """The plateau is below one of its datagrams, not below all of them."""
    place = sent(1470, 1470, 1470, uso=True)
    place.port.icmp_error(*NEEDED, 0, quoted(4410), place.now)
    assert (limit(place), place.drops()) == (1492 - 28, {})


def test_super_frames_to_another_address_are_forgotten() -> None:
    place = sent(1400, 1400, uso=True)
    [peer] = place.table.clients.values()
    assert peer.transport.roam(bytes((198, 51, 100, 3)) + (5000).to_bytes(2, "big"))
    place.port.icmp_error(*NEEDED, 900, quoted(2800, ("198.51.100.3", 5000)), place.now)
    assert (limit(place), place.drops()) == (0, {"BAD_ICMP": 1})
