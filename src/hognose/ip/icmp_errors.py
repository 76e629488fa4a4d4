"""ICMP messages of our own: errors about packets that cannot go on, echo replies, and the limits on their rate.

RFC 792, RFC 1122 section 3.2.2 and RFC 1812 section 4.3 (packets that are never answered, length of the quotation, rate
limits), RFC 1191 (next-hop MTU).
"""

from __future__ import annotations

from collections import OrderedDict

from hognose.address import Address
from hognose.address_scope import is_group, is_host
from hognose.base.rate import TokenBucket
from hognose.limits import IpLimits
from hognose.units import SECOND, Buffer, Nanos
from hognose.wire import icmpv4, ipv4

MAX_ERROR_LEN = 576  # of the whole IPv4 packet (RFC 1812 section 4.3.2.3)
ERROR_TOS = 0xC0  # precedence 6, internetwork control (RFC 1812 section 4.3.2.5)
BURST_SECONDS = 1  # seconds of messages that a full bucket holds
RATE_CLIENTS = 4096  # clients with a bucket of their own; the one unused for longest goes

OUTSIDE: Address = b""  # RateLimiter's name for all hosts beyond the NIC
PATH_MTU = (icmpv4.UNREACHABLE, icmpv4.FRAGMENTATION_NEEDED)


def build_error(
    original: Buffer, *, source: Address, icmp_type: int, code: int, rest: int = 0, ident: int = 0
) -> bytes | None:
    """An error from `source` to the sender of `original` (begins with its validated IPv4 header), or None.

    None where RFC 1122 section 3.2.2 forbids an answer: about ICMP errors, later fragments, packets to broadcast or
    multicast addresses, and from a source that is not one host (RFC 1812 section 4.3.2.7). rest: next-hop MTU for
    FRAGMENTATION_NEEDED (RFC 1191), pointer << 24 for PARAMETER_PROBLEM. Quoted is as much as fits into 576 bytes. The
    caller knows the directed broadcast addresses of its networks and the link-layer broadcasts, and asks the
    RateLimiter.
    """
    if not may_answer(original):
        return None
    to = ipv4.source(original)
    quoted = bytes(original[: MAX_ERROR_LEN - ipv4.HEADER_LEN - icmpv4.HEADER_LEN])
    message = icmpv4.build(icmp_type, code, rest, quoted)
    return ipv4.build(source, to, ipv4.ICMP, len(message), ident=ident, tos=ERROR_TOS, dont_fragment=False) + message


def may_answer(original: Buffer) -> bool:
    """False for packets about which no ICMP error is ever sent."""
    if not is_host(ipv4.source(original)) or is_group(ipv4.destination(original)):
        return False
    if (original[6] << 8 | original[7]) & ipv4.OFFSET_MASK:
        return False
    if original[9] != ipv4.ICMP:
        return True
    l4 = (original[0] & 15) * 4
    # RFC 1122 section 3.2.2: not about an error; a message too short to have a type may be one
    return len(original) > l4 and not icmpv4.is_error(original[l4])


def echo_reply(request: Buffer, l3: int, l4: int, end: int, *, ident: int = 0) -> bytes:
    """The reply to a validated echo request, addresses exchanged, same identifier and data (RFC 1122 section 3.2.2.6).

    TOS is kept (RFC 1349 section 5.1); options of the request are not copied; DF is set when the request had it.
    """
    _, tos, _, _, word, _, _, _, source, destination = ipv4.HEADER.unpack_from(request, l3)
    rest = int.from_bytes(request[l4 + 4 : l4 + 8], "big")
    message = icmpv4.build(icmpv4.ECHO_REPLY, 0, rest, bytes(request[l4 + icmpv4.HEADER_LEN : end]))
    dont_fragment = bool(word & ipv4.DONT_FRAGMENT)
    header = ipv4.build(destination, source, ipv4.ICMP, len(message), ident=ident, tos=tos, dont_fragment=dont_fragment)
    return header + message


class IcmpRates:
    """The limits on messages of one gateway, a RateLimiter for each kind, so that none starves another.

    echo: replies to hosts outside. errors: of ours. path_mtu: those of them that say "fragmentation needed" (RFC 1191),
    without which a sender hangs. Errors that come have a limit of all senders, "fragmentation needed" one of its own.
    """

    def __init__(self, limits: IpLimits) -> None:
        self.echo = RateLimiter(limits)
        self.errors = RateLimiter(limits)
        self.path_mtu = RateLimiter(limits)
        most = limits.icmp_errors_received_per_second
        self._errors_come = TokenBucket(most, most, 0)
        self._path_mtu_comes = TokenBucket(most, most, 0)

    def of(self, icmp_type: int, code: int) -> RateLimiter:
        """The limit on an error of ours."""
        return self.path_mtu if (icmp_type, code) == PATH_MTU else self.errors

    def comes(self, icmp_type: int, code: int, now: Nanos) -> bool:
        """Take a token for an error that came from outside; False when there is none."""
        return (self._path_mtu_comes if (icmp_type, code) == PATH_MTU else self._errors_come).take(1, now)


class RateLimiter:
    """Token buckets for ICMP errors: one for all, one per client (RFC 1812 section 4.3.2.8).

    At most RATE_CLIENTS buckets are kept; the least recently used goes, which gives that client a full one.
    """

    def __init__(self, limits: IpLimits) -> None:
        # In nanoseconds: a token is earned in each, and a message costs as many as its rate leaves between two.
        self._cost = SECOND // limits.icmp_errors_per_second
        self._client_cost = SECOND // limits.icmp_errors_per_client_per_second
        self._all = TokenBucket(SECOND, BURST_SECONDS * SECOND, 0)
        self._clients: OrderedDict[Address, TokenBucket] = OrderedDict()

    def allow(self, client: Address, now: Nanos) -> bool:
        """Take a token for an error to this client (OUTSIDE: any host beyond the NIC); False when there is none."""
        bucket = self._clients.get(client)
        if bucket is None:
            if len(self._clients) >= RATE_CLIENTS:
                self._clients.popitem(last=False)
            bucket = self._clients[client] = TokenBucket(SECOND, BURST_SECONDS * SECOND, now)
        self._clients.move_to_end(client)
        # No token is taken unless both have one, so that a flood of one client does not empty the bucket of all.
        if bucket.available(now) < self._client_cost or self._all.available(now) < self._cost:
            return False
        bucket.spend(self._client_cost)
        self._all.spend(self._cost)
        return True
