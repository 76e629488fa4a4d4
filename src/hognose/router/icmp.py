"""ICMP for both sides: what the NIC's address and the tunnel's gateway address answer, and errors about packets.

Each side has its own rules for rates. Outside, all hosts share a budget of echo replies, one of errors and one of
"fragmentation needed". In the tunnel, echo replies are free, because a client's packets are bounded by its turns;
errors cost of the budgets of their client.
"""

from __future__ import annotations

from hognose.address import Address
from hognose.address_scope import is_host
from hognose.drops import Counters, DropReason, Stat
from hognose.ip.icmp_errors import OUTSIDE, IcmpRates, build_error, echo_reply, may_answer
from hognose.nat.nat import Nat
from hognose.router.local_endpoints import LocalEndpoints
from hognose.router.routed import Routed
from hognose.units import Buffer, Nanos
from hognose.wire import icmpv4, ipv4, virtio_net

# Type and code of the errors that we send.
Kind = tuple[int, int]
TTL_EXCEEDED: Kind = (icmpv4.TIME_EXCEEDED, icmpv4.TTL_EXCEEDED)
REASSEMBLY_TIMEOUT: Kind = (icmpv4.TIME_EXCEEDED, icmpv4.REASSEMBLY_TIMEOUT)
HOST_UNREACHABLE: Kind = (icmpv4.UNREACHABLE, icmpv4.HOST_UNREACHABLE)
PROTOCOL_UNREACHABLE: Kind = (icmpv4.UNREACHABLE, icmpv4.PROTOCOL_UNREACHABLE)
PORT_UNREACHABLE: Kind = (icmpv4.UNREACHABLE, icmpv4.PORT_UNREACHABLE)
FRAGMENTATION_NEEDED: Kind = (icmpv4.UNREACHABLE, icmpv4.FRAGMENTATION_NEEDED)
ADMIN_PROHIBITED: Kind = (icmpv4.UNREACHABLE, icmpv4.ADMIN_PROHIBITED)


class LinkIcmp:
    """ICMP between the NIC's address and hosts outside (RFC 792, RFC 5508 section 4)."""

    def __init__(
        self,
        *,
        address: Address,
        broadcasts: frozenset[Address],
        endpoints: LocalEndpoints,
        nat: Nat,
        rates: IcmpRates,
        counters: Counters,
    ) -> None:
        """broadcasts: of the link; they are sources of no message."""
        self._address = address
        self._broadcasts = broadcasts
        self._endpoints = endpoints
        self._nat = nat
        self._rates = rates
        self._counters = counters

    def receive(self, data: Buffer, l3: int, l4: int, end: int, routed: Routed, now: Nanos) -> None:
        """Take a message for our address that is no echo reply: answer it, or give an error to its engine.

        A source that is no other host's address makes the message a martian (RFC 1812 section 5.3.7).
        """
        parsed = icmpv4.parse(data, l4, end)
        if isinstance(parsed, DropReason):
            self._counters.drop(parsed)
            return
        source = ipv4.source(data, l3)
        if source == self._address or not is_host(source, self._broadcasts):
            self._counters.drop(DropReason.MARTIAN)
            return
        icmp_type, code, rest = parsed
        if icmp_type == icmpv4.ECHO_REQUEST:
            if not self._rates.echo.allow(OUTSIDE, now):
                self._counters.drop(DropReason.ICMP_RATE_LIMITED)
                return
            self._counters.stats[Stat.ECHO_REPLIES] += 1
            self._send(echo_reply(data, l3, l4, end), routed)
            return
        if not icmpv4.is_error(icmp_type):
            self._counters.drop(DropReason.BAD_ICMP)
            return
        if not self._rates.comes(icmp_type, code, now):
            self._counters.drop(DropReason.ICMP_RATE_LIMITED)
            return
        quoted = bytes(data[l4 + icmpv4.HEADER_LEN : end])
        server = self._endpoints.tcp_sender(quoted) or self._endpoints.udp_sender(quoted)
        if server is not None and ipv4.source(quoted) == self._address:
            server.icmp_error(icmp_type, code, rest & 0xFFFF, quoted, now)
            return
        result = self._nat.inbound_error(data, l3, end, now)
        if isinstance(result, tuple):
            routed.to_clients.setdefault(result[0], []).append(result[1])
        else:
            self._counters.drop(result)

    def error(self, original: Buffer, kind: Kind, routed: Routed, now: Nanos, *, rest: int = 0) -> None:
        """Send an error to the sender of a packet from outside, within the rate limits.

        rest: the second word of the message. The rate is charged also where no error may be sent.
        """
        icmp_type, code = kind
        if not self._rates.of(icmp_type, code).allow(OUTSIDE, now):
            self._counters.drop(DropReason.ICMP_RATE_LIMITED)
            return
        error = build_error(bytes(original), source=self._address, icmp_type=icmp_type, code=code, rest=rest)
        if error is not None:
            self._counters.stats[Stat.ICMP_ERRORS_SENT] += 1
            self._send(error, routed)

    def _send(self, packet: bytes, routed: Routed) -> None:
        routed.to_link.append((ipv4.destination(packet), virtio_net.PLAIN, [packet]))


class TunnelIcmp:
    """ICMP between the tunnel's gateway address and clients."""

    def __init__(
        self,
        *,
        address: Address,
        tun_mtu: int,
        endpoints: LocalEndpoints,
        rates: IcmpRates,
        counters: Counters,
    ) -> None:
        self._address = address
        self._tun_mtu = tun_mtu
        self._endpoints = endpoints
        self._rates = rates
        self._counters = counters

    def receive(self, client: Address, packet: bytes, parsed: ipv4.Parsed, routed: Routed, now: Nanos) -> None:
        """Take a message to the gateway address, or an echo request to the NIC's: echo is answered.

        An error about a segment of a local TCP server goes to it; other messages are not answered.
        """
        l4, end, _, _, _, destination = parsed
        message = icmpv4.parse(packet, l4, end)
        if isinstance(message, DropReason):
            self._counters.drop(message)
            return
        icmp_type, code, rest = message
        if icmp_type == icmpv4.ECHO_REQUEST:
            self._counters.stats[Stat.ECHO_REPLIES] += 1
            routed.deliver(client, echo_reply(packet, 0, l4, end), self._tun_mtu)
        elif icmpv4.is_error(icmp_type) and destination == self._address:
            quoted = packet[l4 + icmpv4.HEADER_LEN : end]
            server = self._endpoints.tcp_sender(quoted)
            ours = server is not None and ipv4.source(quoted) == self._address
            if server is not None and ours and ipv4.destination(quoted) == client:  # not a segment to another client
                server.icmp_error(icmp_type, code, rest & 0xFFFF, quoted, now)

    def error(self, client: Address, packet: bytes, kind: Kind, routed: Routed, now: Nanos, *, rest: int = 0) -> None:
        """Send an error about a client's packet, within the rate limits; rest: the second word of the message."""
        icmp_type, code = kind
        error = build_error(packet, source=self._address, icmp_type=icmp_type, code=code, rest=rest)
        if error is None:
            return
        if not self._rates.of(icmp_type, code).allow(client, now):
            self._counters.drop(DropReason.ICMP_RATE_LIMITED)
            return
        self._counters.stats[Stat.ICMP_ERRORS_SENT] += 1
        routed.to_clients.setdefault(client, []).append(error)

    def outside_error(self, client: Address, packet: bytes, kind: Kind, now: Nanos, *, rest: int = 0) -> bytes | None:
        """An error about a packet to a client from beyond the tunnel, for the NAT; None where none may be sent.

        It costs of the budget of that client.
        """
        if not may_answer(packet):
            return None
        icmp_type, code = kind
        if not self._rates.of(icmp_type, code).allow(client, now):
            self._counters.drop(DropReason.ICMP_RATE_LIMITED)
            return None
        self._counters.stats[Stat.ICMP_ERRORS_SENT] += 1
        return build_error(packet, source=self._address, icmp_type=icmp_type, code=code, rest=rest)
