"""ICMP of the link by itself: what is answered, the engine that is told of an error, and the rates."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw
from tests.unit.router.lone_ingress import CLIENT, HOST, PORT, US, LoneIngress, Server, frame, ip

from hognose.drops import DropReason, Stat

# -- ICMP --------------------------------------------------------------------------------------------------------------


def echo(**fields: object) -> bytes:
    return frame(ip(**fields) / ICMP(type=8, id=5, seq=6) / Raw(bytes(40)))


def test_echo_within_the_rate() -> None:
    lone = LoneIngress()
    lone.take(*[echo()] * 5)
    assert [reply[ICMP].type for reply in lone.sent] == [0, 0, 0]
    assert {reply.dst for reply in lone.sent} == {HOST}
    assert lone.counters.stats[Stat.ECHO_REPLIES] == 3
    assert lone.drops == {"ICMP_RATE_LIMITED": 2}


@pytest.mark.parametrize("source", [US, "10.0.0.255", "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"])
def test_echo_of_martians(source: str) -> None:
    lone = LoneIngress()
    lone.take(echo(src=source))
    assert (lone.engines.calls, lone.drops) == ([], {"MARTIAN": 1})


def test_kinds_of_icmp() -> None:
    """Replies are the NAT's; errors are those of RFC 792; all else is thrown away, as is what does not sum up."""
    for kind, called, reason in (
        (0, ["nat"], "NAT_NO_MAPPING"), (1, [], "BAD_ICMP"), (3, ["nat error"], "NAT_FILTERED"),
            (5, ["nat error"], "NAT_FILTERED"), (11, ["nat error"], "NAT_FILTERED"), (13, [], "BAD_ICMP"),
    ):  # fmt: skip
        lone = LoneIngress()
        lone.take(frame(ip() / ICMP(type=kind) / IP(src=US) / UDP() / Raw(bytes(20))))
        assert ([call[0] for call in lone.engines.calls], lone.drops) == (called, {reason: 1})
    lone = LoneIngress()
    lone.take(frame(ip() / ICMP(type=8, chksum=1) / Raw(bytes(20))))
    assert (lone.engines.calls, lone.drops) == ([], {"BAD_ICMP_CHECKSUM": 1})


# -- errors that quote our packets -------------------------------------------------------------------------------------


def quoting(packet: Packet | bytes, kind: int = 3, code: int = 4) -> bytes:
    return frame(ip() / ICMP(type=kind, code=code, nexthopmtu=900) / Raw(bytes(packet)))


NAME = 0x14EA  # a port of UDP
OURS = bytes(IP(src=US, dst="192.0.2.11") / TCP(sport=PORT, dport=40_000, seq=7))


@pytest.mark.parametrize(
    ("quoted", "engine"),
    [
        (OURS, "tcp error"),
        (OURS[:28], "tcp error"),  # header and eight bytes: the least that RFC 792 promises
        (OURS[:27], "nat error"),
        (b"\x65" + OURS[1:], "nat error"),
        (bytes(IP(src=US, dst="192.0.2.11", options=[b"\1\1\1\0"]) / TCP(sport=PORT, dport=40_000)), "tcp error"),
        (bytes(IP(src=US, dst="192.0.2.11") / UDP(sport=PORT, dport=40_000)), "nat error"),
        (bytes(IP(src="10.0.0.3", dst="192.0.2.11") / TCP(sport=PORT, dport=40_000)), "nat error"),
        (bytes(IP(src=US, dst="192.0.2.11") / TCP(sport=PORT + 1, dport=40_000)), "nat error"),
        (bytes(IP(src=US, dst="192.0.2.11") / TCP(sport=40_000, dport=PORT)), "nat error"),
    ],
)
def test_errors_about_our_own_connections_are_tcps(quoted: bytes, engine: str) -> None:
    lone = LoneIngress()
    lone.take(quoting(quoted))
    [call] = lone.engines.calls
    assert call[0] == engine
    if engine == "tcp error":
        assert call[1:] == (3, 4, 900)
        assert lone.drops == {}
    else:
        assert lone.drops == {"NAT_FILTERED": 1}


DATAGRAM = bytes(IP(src=US, dst="192.0.2.11", flags="DF") / UDP(sport=NAME, dport=40_000) / Raw(bytes(100)))


@pytest.mark.parametrize(
    ("quoted", "ours"),
    [
        (DATAGRAM, True),
        (DATAGRAM[:28], True),
        (DATAGRAM[:27], False),
        (b"\x65" + DATAGRAM[1:], False),
        (b"\x44" + DATAGRAM[1:], False),
        (bytes(IP(src=US, options=[b"\1\1\1\0"]) / UDP(sport=NAME) / Raw(bytes(100))), False),  # we send none
        (bytes(IP(src="10.0.0.3") / UDP(sport=NAME)), False),
        (bytes(IP(src=US) / UDP(sport=NAME + 1)), False),
        (bytes(IP(src=US) / UDP(sport=40_000, dport=NAME)), False),
        (bytes(IP(src=US) / TCP(sport=NAME)), False),
    ],
)
def test_errors_about_our_datagrams_are_for_their_port(quoted: bytes, ours: bool) -> None:
    server = Server()
    lone = LoneIngress(udp={NAME: server})
    lone.take(quoting(quoted))
    assert server.calls == ([("error", 3, 4, 900)] if ours else [])
    assert [call[0] for call in lone.engines.calls] == ([] if ours else ["nat error"])
    assert lone.drops == ({} if ours else {"NAT_FILTERED": 1})


# -- what the NAT refuses ----------------------------------------------------------------------------------------------


def test_an_ended_ttl_is_told_within_the_rate_and_all_else_is_silence() -> None:
    udp = frame(ip(ttl=1) / UDP(sport=53, dport=5000) / Raw(bytes(20)))
    lone = LoneIngress(100, *[DropReason.TTL_EXCEEDED] * 5, DropReason.NAT_FILTERED)
    lone.take(*[udp] * 6)
    errors = lone.sent
    assert [(error.src, error.dst, error[ICMP].type, error[ICMP].code) for error in errors] == [(US, HOST, 11, 0)] * 3
    assert lone.counters.stats[Stat.ICMP_ERRORS_SENT] == 3
    assert lone.drops == {"TTL_EXCEEDED": 5, "ICMP_RATE_LIMITED": 2, "NAT_FILTERED": 1}


def test_nothing_is_said_about_an_error() -> None:
    """RFC 1122 section 3.2.2: no error about an error, and the rate is charged for it all the same."""
    lone = LoneIngress(100, DropReason.TTL_EXCEEDED)
    lone.take(frame(ip(ttl=1) / ICMP(type=0)))  # a reply is no error: it is told
    assert len(lone.sent) == 1
    lone.engines.inbound_answers.append(DropReason.TTL_EXCEEDED)
    lone.take(frame(ip(ttl=1, dst=US, src="224.0.0.5") / UDP(sport=53, dport=5000) / Raw(bytes(20))))
    assert len(lone.sent) == 1
    assert lone.counters.stats[Stat.ICMP_ERRORS_SENT] == 1


# -- kinds that do not starve each other -------------------------------------------------------------------------------

BIG = frame(ip(flags="DF") / UDP(sport=53, dport=5000) / Raw(bytes(1450)))


def too_big() -> tuple[bytes, list[bytes]]:
    """An answer of the NAT that is larger than the tunnel."""
    return CLIENT, [bytes(IP(src=HOST, dst="10.8.0.2", flags="DF") / UDP(sport=53, dport=5000) / Raw(bytes(1450)))]


def test_echo_errors_and_fragmentation_needed_have_a_rate_each() -> None:
    """RFC 1191: a sender that does not hear of a smaller MTU hangs, however often others ping."""
    ttl = [DropReason.TTL_EXCEEDED] * 9
    lone = LoneIngress(100, *ttl, *[too_big() for _ in range(9)])
    lone.take(*[echo()] * 9)
    lone.take(*[frame(ip(ttl=1) / UDP(sport=53, dport=5000) / Raw(bytes(20)))] * 9)
    lone.take(*[BIG] * 9)
    kinds = [(said[ICMP].type, said[ICMP].code) for said in lone.sent]
    assert kinds == [(0, 0)] * 3 + [(11, 0)] * 3 + [(3, 4)] * 3
    assert lone.drops == {"ICMP_RATE_LIMITED": 18, "TTL_EXCEEDED": 9, "TOO_BIG": 9}


@pytest.mark.parametrize(("flood", "other"), [((3, 4), (3, 1)), ((3, 1), (3, 4)), ((11, 0), (3, 4))])
def test_errors_that_come_are_worked_on_within_a_rate(flood: tuple[int, int], other: tuple[int, int]) -> None:
    lone = LoneIngress(frames=2000)
    lone.take(*[quoting(OURS, *flood)] * 1200)
    assert len(lone.engines.calls) == 1000
    assert lone.drops == {"ICMP_RATE_LIMITED": 200}
    lone.take(quoting(OURS, *other))
    assert lone.engines.calls[1000:] == [("tcp error", *other, 900)]
