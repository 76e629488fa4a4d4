"""Packets of clients for servers of ours on the tunnel's gateway address."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw
from tests.unit.router.lone_ingress import PLAIN, Server
from tests.unit.router.test_forwarding import MAC, OUTSIDE, SERVER, T0, TUNNEL, A, B, World

from hognose.drops import DropReason, Stat
from hognose.ip.fragments import Reassembler, fragment
from hognose.ip.icmp_errors import IcmpRates
from hognose.limits import IpLimits
from hognose.link import LinkCaps
from hognose.router.forwarding import Forwarder
from hognose.router.icmp import TunnelIcmp
from hognose.router.local_endpoints import LocalEndpoints
from hognose.router.routed import Routed
from hognose.units import SECOND

WEB, NAME = 0x1F91, 0x14EA  # no byte of a port is zero, or in both
OPTIONS = [b"\1\1\1\0"]


class Inside:
    """A forwarder with a server of each protocol in the tunnel."""

    def __init__(self) -> None:
        self.web, self.name = Server(), Server()
        self.world = world = World()
        endpoints = LocalEndpoints(tcp={WEB: self.web}, udp={NAME: self.name})  # type: ignore[dict-item]  # stand-ins
        self.forwarder = Forwarder(
            server=SERVER,
            tunnel=TUNNEL,
            clients={A: 1, B: 2},
            client_to_client=False,
            caps=LinkCaps(mac=MAC),
            tun_mtu=1500,
            mss={},
            nat=world.nat,
            endpoints=endpoints,
            icmp=TunnelIcmp(
                address=SERVER,
                tun_mtu=1500,
                endpoints=endpoints,
                rates=IcmpRates(IpLimits()),
                counters=world.counters,
            ),
            reassembler=Reassembler(IpLimits(), world.counters),
            counters=world.counters,
        )

    def send(self, *packets: Packet | bytes) -> Routed:
        return self.forwarder.from_client(A, [bytes(packet) for packet in packets], T0)


def inner(**fields: Any) -> IP:
    return IP(**{"src": "10.8.0.2", "dst": "10.8.0.1", **fields})


@pytest.mark.parametrize("options", [[], OPTIONS], ids=["plain", "options"])
@pytest.mark.parametrize("size", [0, 1, 30])
def test_each_is_given_the_packets_for_its_port(size: int, options: list[bytes]) -> None:
    """No checksum of a client is trusted."""
    inside = Inside()
    l4 = 20 + 4 * len(options)
    routed = inside.send(
        bytes(inner(options=options) / UDP(sport=WEB, dport=NAME) / Raw(bytes(size))) + bytes(9),
        bytes(inner(options=options) / TCP(sport=NAME, dport=WEB, flags="A") / Raw(bytes(size))) + bytes(9),
    )
    assert inside.name.calls == [(0, l4, l4 + 8 + size, 0, False, T0)]
    assert inside.web.calls == [(0, l4, l4 + 20 + size, 0, False, T0)]
    assert routed == ({}, [], [], [])
    assert inside.world.dropped(DropReason.PORT_CLOSED) == 0


@pytest.mark.parametrize(("protocol", "port", "least"), [(17, NAME, 8), (6, WEB, 20)])
def test_none_is_given_a_packet_without_a_whole_header(protocol: int, port: int, least: int) -> None:
    whole = b"\x9c\x40" + port.to_bytes(2, "big") + bytes(20)
    for size in range(least + 2):
        inside = Inside()
        packet = bytes(inner(proto=protocol) / Raw(whole[:size]))
        inside.send(packet, packet + whole[size:])
        assert len(inside.web.calls) + len(inside.name.calls) == (2 if size >= least else 0)
        assert inside.world.dropped(DropReason.PORT_CLOSED) == (0 if size >= least else 2)


def test_a_port_is_one_of_its_protocol() -> None:
    inside = Inside()
    routed = inside.send(
        inner() / UDP(dport=WEB) / Raw(bytes(40)),
        inner() / TCP(dport=NAME) / Raw(bytes(40)),
        inner(proto=47) / UDP(dport=NAME) / Raw(bytes(40)),
    )
    assert (inside.web.calls, inside.name.calls) == ([], [])
    assert [IP(error)[ICMP].code for error in routed.to_clients[A]] == [3, 3, 2]
    assert inside.world.dropped(DropReason.PORT_CLOSED) == 3


def test_a_datagram_in_fragments_is_given_whole() -> None:
    inside = Inside()
    for piece in fragment(bytes(inner(id=9, options=OPTIONS) / UDP(dport=NAME) / Raw(bytes(3000))), 1500):
        assert inside.name.calls == []
        inside.send(piece)
    assert inside.name.calls == [(0, 24, 3032, 0, False, T0)]


def test_the_servers_of_the_gateway_address_are_on_no_other() -> None:
    inside = Inside()
    for to in ("10.8.0.3", "10.0.0.2", OUTSIDE):
        inside.send(inner(dst=to) / UDP(dport=NAME) / Raw(b"x"), inner(dst=to) / TCP(dport=WEB, flags="S"))
    assert (inside.web.calls, inside.name.calls) == ([], [])


QUOTED = bytes(IP(src="10.8.0.1", dst="10.8.0.2") / TCP(sport=WEB, dport=40_000, seq=7))


@pytest.mark.parametrize("kind", range(20))
def test_an_error_about_a_segment_is_told_to_its_server_and_no_other_message(kind: int) -> None:
    """RFC 792: types 3, 4, 5, 11 and 12 quote a packet. The upper half of the second word is not the MTU's."""
    inside = Inside()
    message = IP(bytes(inner() / ICMP(bytes((kind, 4)) + b"\0\0\xff\xff\x03\x85" + QUOTED)))
    del message[ICMP].chksum
    routed = inside.send(message)
    errors = [("error", kind, 4, 901)] if kind in (3, 4, 5, 11, 12) else []
    assert inside.web.calls == errors
    assert list(routed.to_clients) == ([A] if kind == 8 else [])
    assert inside.world.counters.stats[Stat.ECHO_REPLIES] == (kind == 8)


@pytest.mark.parametrize(
    ("quoted", "dst"),
    [
        (bytes(IP(src="10.8.0.9", dst="10.8.0.2") / TCP(sport=WEB)), "10.8.0.1"),
        (bytes(IP(src="10.8.0.1", dst="10.8.0.3") / TCP(sport=WEB)), "10.8.0.1"),
        (bytes(IP(src="10.8.0.1", dst="10.8.0.2") / TCP(sport=WEB + 1)), "10.8.0.1"),
        (bytes(IP(src="10.8.0.1", dst="10.8.0.2") / UDP(sport=WEB)), "10.8.0.1"),
        (QUOTED, "10.0.0.2"),
        (QUOTED[:27], "10.8.0.1"),
    ],
)
def test_an_error_about_no_segment_of_ours_to_this_client_is_told_to_none(quoted: bytes, dst: str) -> None:
    inside = Inside()
    inside.send(inner(dst=dst) / ICMP(type=3, code=4) / Raw(quoted))
    assert inside.web.calls == []


ANSWER = bytes(IP(src="10.8.0.1", dst="10.8.0.2") / TCP(sport=WEB, dport=40_000, flags="A") / Raw(b"answer"))
TO_A = (A, PLAIN, [ANSWER[:40], ANSWER[40:]])


def test_what_a_tcp_server_answers_at_once_is_in_the_answer_of_the_batch() -> None:
    """One poll for each batch that has a segment for it, and none for others."""
    inside = Inside()
    inside.web.unsent = [TO_A]
    assert inside.send(inner() / UDP(dport=NAME) / Raw(b"x")).to_clients == {}
    assert inside.send(inner() / TCP(dport=WEB, flags="A")).to_clients == {A: [ANSWER]}
    inside.web.unsent = [TO_A]
    assert inside.send(inner() / UDP(dport=NAME) / Raw(b"x")).to_clients == {}


@pytest.mark.parametrize(
    ("due", "seconds_later", "first"),
    [(None, None, None), (T0 + 7, None, 7), (T0 + 7, 1, 7), (None, 1, 0), (T0 - 1, 1, -1)],
)
def test_the_earlier_of_two_deadlines_is_the_next(
    due: int | None, seconds_later: int | None, first: int | None
) -> None:
    """Of the servers' timers and of an incomplete datagram, whose time-out is some seconds away."""
    inside = Inside()
    inside.web.due = due
    if seconds_later is not None:
        inside.send(fragment(bytes(inner(dst=OUTSIDE) / UDP() / Raw(bytes(3000))), 1500)[0])
    found = inside.forwarder.next_deadline()
    if first is None:
        assert found is None
    elif first:
        assert found == T0 + first
    else:
        assert found is not None
        assert found > T0 + SECOND


def test_the_timers_of_servers_run_and_what_they_send_is_in_the_answer() -> None:
    inside = Inside()
    inside.web.unsent, inside.name.unsent = [TO_A], [TO_A]
    assert inside.forwarder.next_deadline() == 0  # a datagram waits
    assert inside.forwarder.expire(T0).to_clients == {A: [ANSWER, ANSWER]}
    assert (inside.web.calls, inside.name.calls) == ([("timer", T0)], [])
    assert inside.forwarder.next_deadline() is None
