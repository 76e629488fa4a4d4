"""Super-frames of datagrams on their way in: which engine gets them with which size, which cannot be, which wait."""

from __future__ import annotations

import struct

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.packet import Raw
from tests.unit.router.lone_ingress import (
    CLIENT,
    HOST,
    PORT,
    TUN_MTU,
    US,
    LoneIngress,
    Server,
    answer,
    frame,
    ip,
    segment,
    vnet,
)

from hognose.drops import DropReason, Stat


def super_frame(size: int, gso: int, port: int = 5000, kind: int = 5, csum: int = 1, **fields: object) -> bytes:
    """`size` bytes of payload in datagrams of `gso` bytes, as a device gives them."""
    head = struct.pack("<BBHHHHH", csum, kind, 42, gso, 34, 6, 0)
    return frame(ip(**fields) / UDP(sport=443, dport=port) / Raw(bytes(size)), head)


@pytest.mark.parametrize("csum", [0, 1, 2])
@pytest.mark.parametrize(("size", "gso"), [(4200, 1400), (4201, 1400), (128, 1), (1400, 1400), (9, 1400), (9, 65_535)])
def test_the_server_of_the_port_and_the_nat_are_told_the_size(size: int, gso: int, csum: int) -> None:
    server = Server()
    lone = LoneIngress(1000, answer(), udp={PORT: server})
    lone.take(super_frame(size, gso, PORT, csum=csum), super_frame(size, gso, csum=csum))
    assert server.calls == [(26, 46, 54 + size, gso, csum > 0, 100_000_000_000)]
    assert lone.engines.calls == [("nat", 26, 54 + size, gso, csum == 1)]
    assert (lone.drops, lone.came) == ({}, (2, 2 * (12 + 14 + 28 + size), 2))


@pytest.mark.parametrize(
    "data",
    [
        super_frame(129, 1),
        super_frame(65_000, 1),
        super_frame(1400, 0),
        super_frame(1400, 700, kind=1),
        super_frame(1400, 700, kind=3),
        super_frame(1400, 700, kind=4),
        super_frame(1400, 700, kind=0x80),
        super_frame(1400, 700, PORT, kind=1),
        super_frame(1400, 700, options=[b"\1\1\1\0"]),
        super_frame(1400, 700, kind=1, options=[b"\1\1\1\0"]),
        frame(segment(bytes(99)), vnet(1, 5, 9)),
        frame(segment(bytes(99)), vnet(1, 4, 9)),
        frame(segment(bytes(99), options=[b"\1\1\1\0"]), vnet(1, 5, 9)),
        frame(ip() / ICMP() / Raw(bytes(99)), vnet(1, 5, 9)),
        frame(ip() / ICMP() / Raw(bytes(99)), vnet(1, 1, 9)),
    ],
)
def test_what_cannot_be_a_super_frame(data: bytes) -> None:
    """It is one drop, whatever it says of itself, and what comes after it is taken."""
    server = Server()
    lone = LoneIngress(100, udp={PORT: server})
    lone.take(data, frame(segment()))
    assert lone.drops == {"BAD_VNET_HEADER": 1}
    assert (server.calls, [call[0] for call in lone.engines.calls]) == ([], ["tcp"])
    assert lone.came == (2, len(data) + 66, 0)


@pytest.mark.parametrize("data", [super_frame(99, 9, dst="10.0.0.3"), super_frame(99, 9, dst="10.0.0.3", kind=7)])
def test_super_frames_for_other_hosts_are_theirs(data: bytes) -> None:
    lone = LoneIngress()
    lone.take(data)
    assert lone.drops == {"NOT_FOR_US": 1}


def test_datagrams_of_a_step_are_bounded_before_they_are_cut() -> None:
    """100 packets in a step here; TCP's count with them."""
    server = Server()
    many = answer(count=40)
    lone = LoneIngress(100, many, many, many, many, many, udp={PORT: server})
    small = super_frame(60, 1)
    lone.take(super_frame(30, 1, PORT), small, super_frame(10, 1, PORT), super_frame(1, 1), frame(segment()))
    assert (len(server.calls), len(lone.engines.calls), len(lone.ingress.held)) == (2, 1, 2)
    assert lone.came[0] == 3
    lone.take()
    assert [call[0] for call in lone.engines.calls] == ["nat", "nat", "tcp"]
    assert lone.ingress.held == []
    tcp = frame(segment(bytes(99), port=80), vnet(1, 1, 9))
    lone.take(tcp, super_frame(60, 1, PORT), super_frame(1, 1, PORT))
    assert len(lone.ingress.held) == 1


def test_one_super_frame_is_taken_however_large() -> None:
    server = Server()
    lone = LoneIngress(100, udp={PORT: server})
    lone.take(super_frame(128, 1, PORT))
    assert (len(server.calls), lone.ingress.held) == (1, [])


# -- larger than the tunnel --------------------------------------------------------------------------------------------


def cut(*sizes: int, flags: str = "DF") -> tuple[bytes, list[bytes]]:
    """Answer of the NAT for a super-frame: packets of these sizes."""
    return CLIENT, [bytes(IP(src=HOST, dst="10.8.0.2", flags=flags) / UDP() / Raw(bytes(size - 28))) for size in sizes]


def test_datagrams_that_fit_are_left_alone() -> None:
    lone = LoneIngress(100, cut(TUN_MTU, TUN_MTU, 100))
    assert [len(one) for one in lone.take(super_frame(2816, 1372)).to_clients[CLIENT]] == [TUN_MTU, TUN_MTU, 100]
    assert (lone.sent, lone.drops) == ([], {})


def test_those_that_do_not_are_cut() -> None:
    lone = LoneIngress(100, cut(TUN_MTU + 1, TUN_MTU + 1, 100, flags=""))
    got = lone.take(super_frame(2818, 1373)).to_clients[CLIENT]
    assert [len(one) for one in got] == [1396, 25, 1396, 25, 100]
    assert (lone.sent, lone.drops) == ([], {})


def test_with_df_the_first_one_is_quoted_as_its_sender_sent_it() -> None:
    """The last one fits and goes on. The quoted header is the datagram's, not the whole's (RFC 1191)."""
    lone = LoneIngress(100, cut(TUN_MTU + 1, TUN_MTU + 1, 100))
    routed = lone.take(super_frame(2818, 1373, flags="DF", id=77))
    assert [len(one) for one in routed.to_clients[CLIENT]] == [100]
    [error] = lone.sent
    assert (error.dst, error[ICMP].type, error[ICMP].code, error[ICMP].nexthopmtu) == (HOST, 3, 4, TUN_MTU)
    quoted = IP(bytes(error[ICMP].payload))
    assert (quoted.src, quoted.dst, quoted.id, quoted.len) == (HOST, US, 77, TUN_MTU + 1)
    assert (quoted[UDP].sport, quoted[UDP].dport, quoted[UDP].len) == (443, 5000, TUN_MTU - 19)
    assert (lone.drops, lone.counters.stats[Stat.ICMP_ERRORS_SENT]) == ({"TOO_BIG": 2}, 1)


def test_an_exceeded_ttl_is_told_of_the_first_one() -> None:
    lone = LoneIngress(100, DropReason.TTL_EXCEEDED)
    lone.take(super_frame(2818, 1373))
    [error] = lone.sent
    quoted = IP(bytes(error[ICMP].payload))
    assert (error[ICMP].type, error[ICMP].code, quoted.len, quoted[UDP].len) == (11, 0, 1401, 1381)
    assert lone.drops == {"TTL_EXCEEDED": 1}


# -- more than 64 frames -----------------------------------------------------------------------------------------------


def datagram() -> bytes:
    return frame(ip() / UDP(sport=443, dport=PORT) / Raw(b"record"))


def numbers(lone: LoneIngress, server: Server) -> tuple[int, int, int]:
    """Datagrams that our port got, packets that the NAT got, frames that are held."""
    return len(server.calls), sum(call[0] == "nat" for call in lone.engines.calls), len(lone.ingress.held)


def other() -> bytes:
    return frame(ip() / UDP(sport=443, dport=5000) / Raw(b"answer"))


def test_a_stretch_of_a_batch_is_taken_in_a_step() -> None:
    lone = LoneIngress(frames=8, datagrams=100)
    server = Server()
    lone.take(*[other()] * 20)
    assert numbers(lone, server) == (0, 8, 12)
    lone.take()
    assert numbers(lone, server) == (0, 16, 4)
    assert lone.came[0] == 16
    lone.take(*[other()] * 5)
    assert numbers(lone, server) == (0, 24, 1)
    lone.take()
    assert (numbers(lone, server), lone.came[0]) == ((0, 25, 0), 25)


@pytest.mark.parametrize(("frames", "held"), [(7, 0), (8, 0), (9, 1)])
def test_the_first_stretch_is_taken_however_many_wait(frames: int, held: int) -> None:
    server = Server(keeps=True, waiting=1000)
    lone = LoneIngress(udp={PORT: server}, frames=8, datagrams=100)
    lone.take(*[datagram()] * frames)
    assert numbers(lone, server) == (frames - held, 0, held)


@pytest.mark.parametrize(("waiting", "taken"), [(0, 100), (1, 99), (60, 40), (92, 8), (100, 8)])
def test_datagrams_are_taken_until_enough_wait(waiting: int, taken: int) -> None:
    """Of a batch that begins with them; the order stays."""
    server = Server(keeps=True, waiting=waiting)
    lone = LoneIngress(udp={PORT: server}, frames=8, datagrams=100)
    lone.take(*[datagram()] * 120)
    assert numbers(lone, server) == (taken, 0, 120 - taken)
    assert lone.came[0] == taken


def test_datagrams_that_are_not_kept_are_work_like_others() -> None:
    """Strangers, floods of a client whose queue is full."""
    server = Server()
    lone = LoneIngress(udp={PORT: server}, frames=8, datagrams=100)
    lone.take(*[datagram()] * 120)
    assert numbers(lone, server) == (8, 0, 112)


def test_other_frames_between_datagrams_are_counted() -> None:
    server = Server(keeps=True)
    lone = LoneIngress(udp={PORT: server}, frames=8, datagrams=100)
    lone.take(*[datagram(), other()] * 60)
    datagrams, others, held = numbers(lone, server)
    assert (others, held) == (8, 120 - datagrams - others)
    assert datagrams in (8, 9)


def test_datagrams_of_super_frames_count_one_by_one() -> None:
    """One of 10 makes room for no further frames of other kinds."""
    server = Server(keeps=True)
    lone = LoneIngress(1000, udp={PORT: server}, frames=8, datagrams=100)
    lone.take(super_frame(10, 1, PORT), *[other()] * 20)
    assert numbers(lone, server) == (1, 8, 12)


@pytest.mark.parametrize(("waiting", "taken"), [(0, 9), (5, 8), (50, 4), (95, 1), (200, 1)])
def test_a_super_frame_that_is_too_much_waits(waiting: int, taken: int) -> None:
    """Until the peers' turns; the first one is taken in any case. Each of the frames may be one more."""
    server = Server(keeps=True, waiting=waiting)
    lone = LoneIngress(1000, udp={PORT: server}, frames=8, datagrams=100)
    lone.take(*[super_frame(10, 1, PORT)] * 8, *[super_frame(10, 1, PORT)] * 8)
    assert numbers(lone, server) == (taken, 0, 16 - taken)
