"""The way in by itself: what it answers, whom it tells of what, and what a bug or a flood costs."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Packet, Raw
from tests.unit.router.lone_ingress import HOST, NOW, PORT, US, LoneIngress, frame, ip, segment

from hognose.drops import DropReason, Stat
from hognose.units import ipv4_int

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


RESETS = [b"\x38", b"\x50"]  # hard reset of a client, with tls-crypt-v2 and without, key id 0


def udp(payload: bytes, port: int = PORT, sport: int = 40_000, **fields: object) -> bytes:
    return frame(ip(**fields) / UDP(sport=sport, dport=port) / Raw(payload + bytes(20)))


@pytest.mark.parametrize("options", [[], [b"\1\1\1\0"]], ids=["plain", "options"])
@pytest.mark.parametrize("first", RESETS)
def test_openvpn_clients_over_udp_are_named_once(first: bytes, options: list[bytes]) -> None:
    lone = LoneIngress()
    routed = lone.take(udp(first, options=options, src="192.0.2.9", sport=50_001))
    assert routed.udp_clients == [(ipv4_int("192.0.2.9"), 50_001)]
    assert lone.take().udp_clients == []


@pytest.mark.parametrize(
    "other",
    [udp(b"\x38", port=PORT + 1), udp(b"\x39"), udp(b"\x40"), udp(b"\x28"), frame(ip() / UDP(dport=PORT)),
     frame(segment(b"\x38" * 30, port=5000)), frame(ip(proto=47) / UDP(dport=PORT) / Raw(b"\x38" * 20))],
)  # fmt: skip
def test_other_packets_are_no_clients(other: bytes) -> None:
    lone = LoneIngress()
    assert lone.take(other).udp_clients == []
    assert lone.drops == {"NAT_NO_MAPPING": 1}


def test_eight_clients_over_udp_are_kept_and_all_are_counted() -> None:
    lone = LoneIngress()
    routed = lone.take(*[udp(b"\x38", sport=50_000 + number) for number in range(20)])
    assert [port for _, port in routed.udp_clients] == list(range(50_000, 50_008))
    assert lone.drops == {"NAT_NO_MAPPING": 20}
    assert len(lone.take(udp(b"\x38", sport=50_100)).udp_clients) == 1


# -- floods and bugs ---------------------------------------------------------------------------------------------------

SYN, SYN_OPTIONS = frame(segment(flags="S")), frame(segment(flags="S", options=[b"\1\1\1\0"]))


def test_without_a_flood_there_is_no_sieve() -> None:
    lone = LoneIngress()
    assert lone.ingress.sieve(NOW) is None
    lone.take(SYN_OPTIONS)
    assert [call[0] for call in lone.engines.calls] == ["tcp"]


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_what_the_sieve_takes_out_has_come_and_is_counted(kept: int) -> None:
    lone = LoneIngress()
    lone.engines.overflow_at, lone.engines.kept = NOW, kept
    sieve = lone.ingress.sieve(NOW)
    assert sieve is not None
    frames = [SYN, SYN + bytes(1), SYN + bytes(2)]
    assert sieve(frames) == frames[:kept]
    assert lone.came == (3 - kept, sum(map(len, frames[kept:])), 0)
    assert lone.drops == ({"TCP_SYN_CROWDED": 3 - kept} if kept < 3 else {})


def test_in_a_flood_a_syn_with_options_is_dropped() -> None:
    """The sieve has seen all others; what is no first SYN is let through."""
    lone = LoneIngress()
    lone.engines.overflow_at, lone.engines.kept = NOW, 0
    lone.ingress.sieve(NOW)
    options = [b"\1\1\1\0"]
    lone.take(SYN_OPTIONS)
    assert (lone.engines.calls, lone.drops) == ([], {"TCP_SYN_CROWDED": 1})
    lone.take(SYN, *[frame(segment(flags=flags, options=options)) for flags in ("SA", "A", "SF", "R")])
    assert [call[0] for call in lone.engines.calls] == ["tcp"] * 5
    assert lone.drops == {"TCP_SYN_CROWDED": 1}


def test_a_sieve_that_fails_lets_all_through() -> None:
    lone = LoneIngress()
    lone.engines.overflow_at = NOW
    sieve = lone.ingress.sieve(NOW)
    assert sieve is not None
    assert sieve([SYN]) == [SYN]
    assert (lone.drops, lone.came) == ({"INTERNAL_ERROR": 1}, (0, 0, 0))
    assert [str(error) for error in lone.take().failures] == ["a bug"]
    assert lone.take().failures == []


def test_a_frame_that_an_engine_fails_on_is_lost_alone() -> None:
    lone = LoneIngress(100, (1, 2, 3))  # no answer of a NAT
    routed = lone.take(frame(segment(port=5000)), SYN)
    assert lone.engines.calls[1][0] == "tcp"
    assert (lone.drops, lone.came) == ({"INTERNAL_ERROR": 1}, (2, 132, 0))
    assert [type(error) for error in routed.failures] == [TypeError]
    assert lone.take().failures == []
