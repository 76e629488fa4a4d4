"""One UDP port of the VPN: the peer of each datagram, packets of none, the bounds; scapy is the other end."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw
from tests.unit.openvpn.client import ModelClient
from tests.unit.openvpn.link import START, kit, profile
from tests.world.today import UNIX

from hognose.base.journal import Journal
from hognose.base.numbering import Numbering
from hognose.drops import Counters, DropReason, Stat
from hognose.errors import LocalError
from hognose.limits import DatagramLimits
from hognose.units import MS, SECOND
from hognose.vpn.datagram_transport import DatagramTransport
from hognose.vpn.datagrams import DatagramPort
from hognose.vpn.initial_limits import InitialLimits
from hognose.vpn.initial_rate import InitialRate
from hognose.vpn.look_time import LookTime
from hognose.vpn.peer import Peer
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.stateless_handshake import StatelessHandshake

US, PORT = "10.0.0.2", 1194
HOME = ("192.0.2.7", 40_000)
DATA_V1, DATA_V2 = 6 << 3, 9 << 3


def key_of(source: tuple[str, int]) -> bytes:
    return bytes(map(int, source[0].split("."))) + source[1].to_bytes(2, "big")


class Place:
    """A port, its table, and packets from anywhere."""

    def __init__(self, wrap: str = "none", *, uso: bool = False, **limits: int) -> None:
        self.counters = Counters()
        self.peer_id = 0  # of the next client
        self.table = PeerTable(lambda size: self.peer_id.to_bytes(size, "big"))
        self.limits = replace(DatagramLimits(), **limits)
        self.now = START
        self.journal = Journal(20, self.counters)
        self.port = DatagramPort(
            address=key_of((US, 0))[:4],
            port=PORT,
            mtu=1500,
            uso=uso,
            table=self.table,
            handshake=StatelessHandshake(profile(wrap).over("udp"), os.urandom(32)),
            strangers=InitialLimits(
                resets=InitialRate(2000, SECOND, os.urandom(8), START),
                proofs=InitialRate(2000, SECOND, os.urandom(8), START),
                time=LookTime(100, lambda: 0, START),
            ),
            now=START,
            limits=self.limits,
            numbering=Numbering(),
            journal=self.journal,
            random=lambda size: b"\xff" * size,
            counters=self.counters,
            broadcasts=frozenset((key_of(("10.0.0.255", 0))[:4],)),
        )

    def take(self, datagram: bytes, source: tuple[str, int] = HOME, **fields: Any) -> None:
        """A packet as scapy builds it; gso: payload bytes of each datagram of a super-frame."""
        gso, trusted = fields.pop("gso", 0), fields.pop("trusted", False)
        packet = IP(src=source[0], dst=US) / UDP(sport=source[1], dport=PORT, **fields) / Raw(datagram)
        raw = bytes(packet)
        self.port.receive(bytes(3) + raw + bytes(5), 3, 23, 3 + len(raw), gso, trusted, self.now)

    def accepted(self) -> list[DatagramTransport]:
        return self.port.accepted(self.now, UNIX)

    def sent(self) -> list[Any]:
        """Packets as they leave, their UDP checksum completed as a device does; scapy has read them."""
        found = []
        for to, vnet, pieces in self.port.poll(self.now):
            assert vnet == bytes.fromhex("01 00 0000 0000 2200 0600 0000")
            packet = IP(b"".join(pieces))
            assert key_of((packet.dst, 0))[:4] == to
            partial = packet[UDP].chksum
            header_sum = packet.chksum
            del packet.chksum, packet[UDP].chksum
            whole = IP(bytes(packet))
            assert whole.chksum == header_sum
            assert partial == pseudo(packet)
            found.append(whole)
        return found

    def drops(self) -> dict[str, int]:
        return {reason.name: count for reason, count in zip(DropReason, self.counters.drops, strict=True) if count}

    def transport(self, source: tuple[str, int] = HOME) -> DatagramTransport:
        """One of a client that has proved its address; its first packet is taken."""
        client = ModelClient(kit())
        client.start(self.now)
        self.take(client.poll(self.now)[0], source)
        assert self.accepted() == []
        for packet in self.sent():
            client.receive(bytes(packet[UDP].payload), self.now)
        self.take(client.poll(self.now)[0], source)
        [made] = self.accepted()
        assert len(made.take(10)) == 1
        self.port.readable()
        return made

    def client(self, source: tuple[str, int] = HOME, peer_id: int = 5) -> tuple[DatagramTransport, Peer]:
        """An authenticated one."""
        made = self.transport(source)
        peer = Peer(made, START)
        self.peer_id = peer_id
        self.table.add(peer)
        self.table.admit(peer, bytes((10, 8, 0, peer_id + 2)))
        made.trust(peer_id)
        return made, peer


def pseudo(packet: Any) -> int:
    """Folded sum of the pseudo-header (RFC 768)."""
    length = len(packet[UDP])
    data = (
        key_of((packet.src, 0))[:4] + key_of((packet.dst, 0))[:4] + (17).to_bytes(2, "big") + length.to_bytes(2, "big")
    )
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, 12, 2))
    return (total >> 16) + (total & 0xFFFF)


def data(peer_id: int, rest: bytes = b"sealed") -> bytes:
    return bytes((DATA_V2,)) + peer_id.to_bytes(3, "big") + rest


# -- whose it is -----------------------------------------------------------------------------------------------------


def test_data_goes_to_the_client_of_its_peer_id() -> None:
    place = Place()
    alice, _ = place.client(HOME, 5)
    bob, _ = place.client(("192.0.2.7", 40_001), 6)
    place.take(data(5))
    place.take(data(6), ("192.0.2.7", 40_001))
    place.take(data(5, b"again"))
    assert place.port.readable() == [alice, bob]
    assert (alice.take(9), bob.take(9)) == ([data(5), data(5, b"again")], [data(6)])
    assert not alice.has_input
    assert place.port.readable() == []


def test_data_without_a_peer_id_goes_by_address() -> None:
    place = Place()
    alice, _ = place.client()
    old = bytes((DATA_V1,)) + b"sealed"
    undefined = data(0xFFFFFF)
    for datagram in (old, undefined):
        place.take(datagram)
        place.take(datagram, ("192.0.2.8", 40_000))
    assert alice.take(9) == [old, undefined]
    assert place.drops() == {"NO_SESSION": 2}


@pytest.mark.parametrize(
    "datagram", [b"", b"\x48", b"\x48\0\0", b"\x48\0\0\5", b"\x38", b"\x38" + bytes(12), b"\0" * 40]
)
def test_short_and_odd_datagrams(datagram: bytes) -> None:
    place = Place()
    alice, _ = place.client()
    place.take(datagram, ("192.0.2.99", 1))
    place.take(datagram)
    assert place.accepted() == []
    assert place.sent() == []
    assert alice.take(9) == ([datagram] if datagram == b"\x48\0\0\5" else [])
    assert place.drops() in ({"NO_SESSION": 2}, {"NO_SESSION": 1})


@pytest.mark.parametrize("opcode", range(32))
def test_every_opcode_and_key_id_of_a_stranger(opcode: int) -> None:
    place = Place()
    for key_id in range(8):
        place.take(bytes((opcode << 3 | key_id,)) + b"client!!" + b"\0" + bytes(4) + b"x" * 20)
    assert place.accepted() == []
    assert len(place.sent()) == (opcode == 7)
    assert len(place.port) == 0
    assert sum(place.drops().values()) == (7 if opcode == 7 else 8)


def test_data_from_elsewhere_may_show_a_move() -> None:
    place = Place()
    alice, _ = place.client()
    place.client(("192.0.2.9", 9), 6)
    place.take(data(5), ("192.0.2.8", 40_000))
    place.take(data(5), ("192.0.2.9", 9))
    place.take(data(7), ("192.0.2.8", 40_000))
    assert place.port.readable() == [alice]
    assert alice.take_roaming() == [(key_of(("192.0.2.8", 40_000)), data(5))]
    assert alice.take(9) == []
    assert place.drops() == {"FLOAT_REFUSED": 1, "NO_SESSION": 1}
    assert alice.roam(key_of(("192.0.2.8", 40_000)))
    assert str(alice.endpoint) == "192.0.2.8:40000"
    assert not alice.roam(key_of(("192.0.2.9", 9)))
    place.take(data(5), ("192.0.2.8", 40_000))
    assert alice.take(9) == [data(5)]
    alice.send([b"answer"])
    assert [(one.dst, one[UDP].dport) for one in place.sent()] == [("192.0.2.8", 40_000)]


# -- packets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sum_", "trusted", "good"),
    [(0x1234, False, False), (0x0034, False, False), (0x1200, False, False), (0x1234, True, True), (0, False, True)],
)
def test_the_checksum(sum_: int, trusted: bool, good: bool) -> None:
    place = Place()
    alice, _ = place.client()
    place.take(data(5), chksum=sum_, trusted=trusted)
    assert place.drops() == ({} if good else {"BAD_UDP_CHECKSUM": 1})
    assert bool(alice.take(9)) is good


@pytest.mark.parametrize("length", [0, 7, 100, 65_535])
def test_a_length_that_cannot_be(length: int) -> None:
    place = Place()
    alice, _ = place.client()
    place.take(data(5), len=length)
    assert place.drops() == {"BAD_UDP_HEADER": 1}
    assert not alice.has_input


def test_bytes_after_the_datagram_are_none_of_it() -> None:
    place = Place()
    alice, _ = place.client()
    place.take(data(5) + b"padding", len=8 + len(data(5)), chksum=0)
    assert alice.take(9) == [data(5)]


@pytest.mark.parametrize("size", [1, 29, 30, 31, 100])
def test_a_super_frame_is_many_datagrams(size: int) -> None:
    """Type GSO_UDP_L4: the last one may be shorter."""
    place = Place()
    alice, _ = place.client()
    record = data(5, bytes(26))
    whole = record * 3 + data(5, b"last")
    place.take(whole, gso=size, trusted=True)
    expected = [whole[at : at + size] for at in range(0, len(whole), size)]
    ours = [one for one in expected if one[:4] == data(5, b"") and len(one) > 4]
    assert alice.take(999) == ours
    assert place.drops().get("NO_SESSION", 0) == len(expected) - len(ours)


def test_what_is_sent_has_df_where_it_fits_the_link() -> None:
    place = Place()
    alice, _ = place.client()
    alice.send([b"x" * 1472, b"y" * 1473, b"z" * 1472, b"", b"z"])
    packets = place.sent()
    assert [(one.flags.DF, one.id != 0) for one in packets] == [
        (True, False), (False, True), (True, False), (True, False), (True, False),
    ]  # fmt: skip
    assert [bytes(one[UDP].payload) for one in packets] == [b"x" * 1472, b"y" * 1473, b"z" * 1472, b"", b"z"]
    assert {(one.src, one[UDP].sport, one.ttl, one.tos) for one in packets} == {(US, PORT, 64, 0)}


def test_ids_of_packets_that_may_be_cut_follow_each_other_and_are_never_0() -> None:
    """The first follows 0xFFFF, which is what the port has drawn."""
    place = Place()
    alice, _ = place.client()
    alice.send([b"x" * 1473, b"y" * 1473, b"z" * 1473])
    assert [one.id for one in place.sent()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("sizes", "runs"),
    [
        ([100], [1]),
        ([100, 100], [2]),
        ([100, 100, 100], [3]),
        ([100, 100, 60], [3]),
        ([100, 60, 100], [2, 1]),
        ([60, 100], [1, 1]),
        ([100, 100, 60, 60, 100, 100], [3, 1, 2]),
        ([1473, 1473], [1, 1]),  # cut by IP on their way, each for itself
        ([1472] * 50, [44, 6]),
        ([10] * 300, [128, 128, 44]),
        ([0, 0, 5, 0], [1, 1, 1, 1]),
    ],
)
def test_runs_of_one_size_leave_as_super_frames(sizes: list[int], runs: list[int]) -> None:
    place = Place(uso=True)
    alice, _ = place.client()
    records = [bytes((number % 251,)) * size for number, size in enumerate(sizes)]
    alice.send(records)
    room = alice.room(1 << 20)
    found: list[bytes] = []
    counts = []
    for to, vnet, pieces in place.port.poll(place.now):
        whole = IP(b"".join(pieces))
        payload = bytes(whole[UDP].payload)
        assert (whole.dst, whole[UDP].dport, whole[UDP].len) == (*HOME, 8 + len(payload))
        assert to == key_of(HOME)[:4]
        assert whole[UDP].chksum == pseudo(whole)
        flags, gso_type, hdr_len, gso_size, start, offset, _ = struct.unpack("<BBHHHHH", vnet)
        assert (flags, start, offset) == (1, 34, 6)
        step = gso_size if gso_type else len(payload) or 1
        assert (gso_type, hdr_len) == ((5, 42) if gso_type else (0, 0))
        cut = [payload[at : at + step] for at in range(0, len(payload), step)] or [b""]
        counts.append(len(cut))
        found += cut
    assert found == records
    assert counts == runs
    assert room == place.limits.step_bytes - sum(sizes)


# -- bounds ----------------------------------------------------------------------------------------------------------


def test_the_queue_of_a_client_and_of_all_are_bounded() -> None:
    place = Place(waiting=14, waiting_of_client=8, waiting_at_first=2)
    alice, _ = place.client()
    bob = place.transport(("192.0.2.8", 8))
    hello = bytes((4 << 3,)) + bob.remote_id + b"\0" + bytes(5)
    for _ in range(4):
        place.take(hello, ("192.0.2.8", 8))
    for number in range(10):
        place.take(data(5, b"%d" % number))
    assert place.drops() == {"DATAGRAM_QUEUE_FULL": 4}
    assert (len(alice.waiting), len(bob.waiting), place.port.waiting) == (8, 2, 10)
    carol, _ = place.client(("192.0.2.9", 9), 6)
    for number in range(6):
        place.take(data(6, b"%d" % number), ("192.0.2.9", 9))
    assert len(carol.waiting) == 4
    assert alice.take(3) == [data(5, b"0"), data(5, b"1"), data(5, b"2")]
    assert alice.has_input
    bob.discard()
    assert place.port.waiting == 9


def test_packets_from_elsewhere_are_bounded() -> None:
    place = Place(roaming=3)
    alice, _ = place.client()
    for number in range(5):
        place.take(data(5), ("198.51.100.1", 1000 + number))
    assert place.port.readable() == [alice]
    assert len(alice.take_roaming()) == 3
    assert place.drops() == {"DATAGRAM_QUEUE_FULL": 2}


def test_packets_of_no_session_in_a_step_are_bounded() -> None:
    place = Place(initial=3)
    for number in range(5):
        place.take(bytes((7 << 3,)) + b"client!!" + bytes(5), (f"11.0.{number}.1", 1))
    assert place.accepted() == []
    assert len(place.sent()) == 3
    assert place.drops() == {"INITIAL_CROWDED": 2}


def test_what_one_client_is_sent_in_a_step_is_bounded() -> None:
    place = Place(step_bytes=3000)
    alice, _ = place.client()
    assert (alice.room(2000), alice.room(9000)) == (2000, 3000)
    alice.send([bytes(1000), bytes(500)])
    assert alice.room(9000) == 1500
    assert len(place.sent()) == 2
    assert alice.room(9000) == 3000


@pytest.mark.parametrize("source", ["10.0.0.2", "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "10.0.0.255"])
def test_sources_that_are_no_hosts_get_no_answer(source: str) -> None:
    place = Place()
    place.take(bytes((7 << 3,)) + b"client!!" + bytes(5), (source, 7))
    assert place.accepted() == []
    assert place.sent() == []
    assert place.drops() == {"MARTIAN": 1}


def test_port_zero_gets_no_answer() -> None:
    place = Place()
    place.take(bytes((7 << 3,)) + b"client!!" + bytes(5), ("192.0.2.7", 0))
    place.accepted()
    assert (place.sent(), place.drops()) == ([], {"MARTIAN": 1})


def test_after_the_stop_only_packets_of_sessions_are_taken() -> None:
    place = Place()
    alice, _ = place.client()
    place.port.stop()
    place.take(bytes((7 << 3,)) + b"client!!" + bytes(5), ("192.0.2.8", 7))
    place.take(data(5))
    assert place.accepted() == []
    assert place.sent() == []
    assert alice.take(10) == [data(5)]
    assert place.drops() == {"SERVER_STOPPING": 1}


# -- lives -----------------------------------------------------------------------------------------------------------


def test_a_repeated_proof_does_not_open_twice() -> None:
    place = Place()
    client = ModelClient(kit())
    client.start(START)
    place.take(client.poll(START)[0])
    place.accepted()
    client.receive(bytes(place.sent()[0][UDP].payload), START)
    third = client.poll(START)[0]
    for _ in range(3):
        place.take(third)
    [made] = place.accepted()
    assert made.take(9) == [third] * 3
    assert len(place.port) == 1
    assert place.counters.stats[Stat.UDP_COOKIES_SENT] == 1


def test_a_newcomer_at_a_clients_address_takes_over_when_it_is_trusted() -> None:
    place = Place()
    old, _ = place.client()
    first, second = place.transport(), place.transport()
    assert place.port.closed() == [first]  # one newcomer at a time
    assert first.close_reason == "replaced"
    place.take(data(5))
    assert old.take(9) == [data(5)]
    hello = bytes((4 << 3,)) + second.remote_id + b"\0" + bytes(5)
    place.take(hello)
    assert second.take(9) == [hello]
    second.trust(6)
    assert place.port.closed() == [old]
    assert len(place.port) == 1
    place.take(data(6))
    assert second.peer_word == b"\0\0\6"


def test_a_newcomer_stays_when_the_client_before_it_goes() -> None:
    place = Place()
    old, _ = place.client()
    new = place.transport()
    old.close(START)
    old.close(START)
    assert place.port.closed() == [old]
    hello = bytes((4 << 3,)) + new.remote_id + b"\0" + bytes(5)
    place.take(hello)
    assert new.take(9) == [hello]
    new.abort(START)
    assert (place.port.closed(), len(place.port), new.close_reason) == ([new], 0, "aborted")


def test_only_its_own_transports_are_opened() -> None:
    place, other = Place(), Place()
    made = place.transport()
    assert place.port.open(made) is made
    with pytest.raises(LocalError):
        other.port.open(made)


def test_the_port_waits_for_the_step_while_it_has_something() -> None:
    place = Place()
    assert not place.port.waits
    place.take(bytes((7 << 3,)) + b"client!!" + bytes(5))
    assert place.port.waits
    place.accepted()
    assert place.port.waits
    place.sent()
    assert not place.port.waits
    place.now += MS
    place.transport().close(place.now)
    assert place.port.waits


def test_a_refused_packet_leaves_a_line() -> None:
    place = Place("tls-crypt")
    place.take(bytes((7 << 3,)) + b"client!!" + bytes(5))
    place.accepted()
    [line] = place.journal.take()
    assert line.fields["peer"] == "192.0.2.7:40000"
    assert "tls-crypt" in str(line.fields["detail"])


def test_a_peer_with_a_session_is_known_by_address_and_port() -> None:
    """To what asks about fragments; a peer whose address is not proved is none."""
    place = Place()
    client = ModelClient(kit())
    client.start(place.now)
    place.take(client.poll(place.now)[0])
    assert place.accepted() == []
    assert (len(place.sent()), place.port.knows(key_of(HOME))) == (1, False)
    place.transport()
    others = [(HOME[0], HOME[1] + 1), ("192.0.2.8", HOME[1])]
    assert [place.port.knows(key_of(source)) for source in (HOME, *others)] == [True, False, False]
