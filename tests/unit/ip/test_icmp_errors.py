"""ICMP errors: what is quoted, what is never answered, and the rate limits."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw

from hognose.address import parse_ipv4
from hognose.ip.icmp_errors import OUTSIDE, RATE_CLIENTS, RateLimiter, build_error, echo_reply
from hognose.limits import IpLimits
from hognose.units import SECOND
from hognose.wire import icmpv4, ipv4

US = parse_ipv4("10.8.0.1")
ONE, TWO = parse_ipv4("10.8.0.2"), parse_ipv4("10.8.0.3")


def packet(payload: object = None, **fields: Any) -> bytes:
    return bytes(
        IP(**{"src": "10.8.0.2", "dst": "1.2.3.4", **fields}) / (payload or UDP(sport=1, dport=2) / Raw(b"data"))
    )


def error(original: bytes, icmp_type: int = 3, code: int = 1, rest: int = 0) -> IP | None:
    built = build_error(original, source=US, icmp_type=icmp_type, code=code, rest=rest, ident=77)
    if built is None:
        return None
    assert isinstance(ipv4.parse(built, 0, len(built)), tuple)
    assert isinstance(icmpv4.parse(built, 20, len(built)), tuple)
    return IP(built)


def test_a_short_packet_is_quoted_whole() -> None:
    original = packet()
    answer = error(original, icmpv4.UNREACHABLE, icmpv4.PORT_UNREACHABLE)
    assert answer is not None
    assert (answer.src, answer.dst, answer.tos, answer.id, answer.ttl) == ("10.8.0.1", "10.8.0.2", 0xC0, 77, 64)
    assert (answer[ICMP].type, answer[ICMP].code) == (3, 3)
    assert bytes(answer)[28:] == original


def test_a_long_packet_is_quoted_to_576_bytes() -> None:
    original = packet(UDP() / Raw(b"x" * 1400))
    answer = error(original)
    assert answer is not None
    assert answer.len == 576
    assert bytes(answer)[28:] == original[:548]


def test_next_hop_mtu() -> None:
    answer = error(packet(), icmpv4.UNREACHABLE, icmpv4.FRAGMENTATION_NEEDED, 1400)
    assert answer is not None
    assert answer[ICMP].nexthopmtu == 1400


@pytest.mark.parametrize(
    "original",
    [
        packet(ICMP(type=3) / Raw(b"q" * 28)),
        packet(ICMP(type=5) / Raw(b"q" * 28)),
        packet(ICMP(type=11) / Raw(b"q" * 28)),
        packet(Raw(b""), proto=1),  # an ICMP message without a type
        packet(frag=10),
        packet(dst="224.0.0.1"),
        packet(dst="239.255.255.255"),
        packet(dst="255.255.255.255"),
        packet(dst="0.0.0.0"),
        packet(src="0.0.0.0"),
        packet(src="0.1.2.3"),
        packet(src="240.0.0.1"),
        packet(src="127.0.0.1"),
        packet(src="224.0.0.1"),
        packet(src="255.255.255.255"),
    ],
)
def test_never_answered(original: bytes) -> None:
    assert error(original) is None


@pytest.mark.parametrize(
    "original",
    [
        packet(ICMP(type=8)),
        packet(flags="MF"),
        packet(TCP()),
        packet(src="169.254.1.1"),
        packet(dst="240.1.2.3"),  # neither multicast nor broadcast: RFC 1122 section 3.2.2 does not forbid it
        packet(dst="0.0.0.1"),
    ],
)
def test_answered(original: bytes) -> None:
    assert error(original) is not None


@given(st.binary(min_size=20, max_size=100))
def test_garbage_never_raises(data: bytes) -> None:
    built = build_error(data, source=US, icmp_type=3, code=1)
    assert built is None or built[28:] == data


@given(st.integers(0, 65535), st.integers(0, 65535), st.binary(max_size=1400), st.sampled_from(("DF", 0)))
def test_echo_reply(identifier: int, sequence: int, payload: bytes, flags: object) -> None:
    echo = ICMP(type=8, id=identifier, seq=sequence) / Raw(payload)
    request = packet(echo, tos=0x28, flags=flags, ttl=3)
    reply = IP(echo_reply(b"frame" + request + b"pad", 5, 25, 5 + len(request), ident=9))
    expected = IP(src="1.2.3.4", dst="10.8.0.2", tos=0x28, flags=flags, ttl=64, id=9) / ICMP(
        type=0, id=identifier, seq=sequence
    ) / Raw(payload)  # fmt: skip
    assert bytes(reply) == bytes(expected)


def test_rate_per_client() -> None:
    limiter = RateLimiter(IpLimits(icmp_errors_per_second=50, icmp_errors_per_client_per_second=10))
    assert [limiter.allow(ONE, 0) for _ in range(12)] == [True] * 10 + [False] * 2
    assert limiter.allow(TWO, 0)
    assert limiter.allow(OUTSIDE, 0)
    assert not limiter.allow(ONE, SECOND // 10 - 1)
    assert limiter.allow(ONE, SECOND // 10)
    assert not limiter.allow(ONE, SECOND // 10)


def test_rate_of_all() -> None:
    limiter = RateLimiter(IpLimits(icmp_errors_per_second=20, icmp_errors_per_client_per_second=10))
    assert sum(limiter.allow(bytes((client,)), 0) for client in range(4) for _ in range(10)) == 20
    assert sum(limiter.allow(bytes((client,)), 100 * SECOND) for client in range(4) for _ in range(10)) == 20


def test_a_flood_of_one_client_leaves_tokens_to_others() -> None:
    limiter = RateLimiter(IpLimits(icmp_errors_per_second=20, icmp_errors_per_client_per_second=10))
    for _ in range(1000):
        limiter.allow(ONE, 0)
    assert limiter.allow(TWO, 0)


def test_clock_that_stands_still_or_goes_back() -> None:
    limiter = RateLimiter(IpLimits(icmp_errors_per_client_per_second=1))
    assert limiter.allow(ONE, SECOND)
    assert not limiter.allow(ONE, 0)
    assert limiter.allow(ONE, 2 * SECOND)


def test_bound_on_buckets_evicts_the_least_recently_used() -> None:
    limiter = RateLimiter(IpLimits(icmp_errors_per_second=10**6, icmp_errors_per_client_per_second=1))
    first, second, *others, last = (number.to_bytes(4, "big") for number in range(RATE_CLIENTS + 1))
    for client in (first, second, *others):
        assert limiter.allow(client, 0)
    assert not limiter.allow(first, 0)
    assert limiter.allow(last, 0)  # evicts the second client
    assert not limiter.allow(first, 0)
    assert limiter.allow(second, 0)
