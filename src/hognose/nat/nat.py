"""NAT of TCP, UDP and ICMP between the clients' addresses and our one outside address (RFC 4787, 5382, 5508).

The engine knows packets, clients as numbers, and time as an argument; it knows no sessions, devices or neighbours.
Reasons that a method returns are counted by the caller.
"""

from __future__ import annotations

from hognose.drops import Counters, DropReason
from hognose.limits import NatLimits
from hognose.link import Outgoing
from hognose.nat import errors, inbound, outbound, rewrite
from hognose.nat.flow import ANSWERED, FIN_IN, FIN_OUT, RESET, Flow
from hognose.nat.table import FlowTable
from hognose.units import Buffer, Ipv4Int, Nanos, Port, Random
from hognose.wire import icmpv4, ipv4, udp, virtio_net

_SYN, _FIN, _RST = 2, 1, 4


class Nat:
    """The translator behind one outside address. reserved_ports: (protocol, port) that are never given to a mapping."""

    def __init__(
        self,
        *,
        address: Ipv4Int,
        reserved_ports: frozenset[tuple[int, Port]],
        limits: NatLimits,
        random: Random,
        counters: Counters,
    ) -> None:
        self._address = address
        self._table = FlowTable(address, reserved_ports, limits, random, counters)
        self._clients = self._table.clients
        self._inbound = self._table.inbound

    @property
    def flows(self) -> int:
        """Flows of all clients."""
        return self._table.count

    def client_flows(self, client: int) -> int:
        """Flows of one client."""
        owner = self._clients.get(client)
        return owner.count if owner is not None else 0

    def outbound(self, client: int, packets: list[bytes], now: Nanos, out: list[Outgoing]) -> list[bytes]:
        """Translate what belongs to flows of this client and append it to out; the rest comes back (nat.outbound)."""
        owner = self._clients.get(client)
        return packets if owner is None else outbound.translate(owner, packets, now, out)

    def open_outbound(self, client: int, packet: bytes, now: Nanos, out: list[Outgoing]) -> DropReason | None:
        """Translate one whole packet from inside, opening a flow when there is none; append it to out.

        The caller has validated the IPv4 header, reassembled fragments and checked the source address. None, or why
        not: TTL_EXCEEDED (ICMP 11/0 is due), NAT_TABLE_FULL, NAT_CLIENT_FULL, NAT_NO_PORT (3/13 is due: RFC 5508
        REQ-8, RFC 6888 REQ-11), NAT_BAD_PACKET, UNKNOWN_PROTOCOL, NO_ROUTE (to our own outside address: no hairpin),
        and for ICMP BAD_ICMP, BAD_ICMP_CHECKSUM, NAT_NO_MAPPING.
        """
        parsed = ipv4.parse(packet, 0, len(packet))
        if isinstance(parsed, DropReason):
            return parsed
        l4, end, protocol, fragment, inside, remote = parsed
        if fragment & ipv4.FRAGMENTED:
            return DropReason.NAT_BAD_PACKET
        if packet[8] <= 1:
            return DropReason.TTL_EXCEEDED
        if remote == self._address:
            return DropReason.NO_ROUTE
        if protocol == ipv4.ICMP and end - l4 >= 1 and packet[l4] != icmpv4.ECHO_REQUEST:
            return self._outbound_error(client, packet, l4, end, out)
        ports = _ports(packet, l4, end, protocol)
        if isinstance(ports, DropReason):
            return ports
        flow = self._find(client, protocol, errors.key(protocol, inside, remote, *ports))
        if flow is None:
            opened = self._table.open(client, protocol, inside, ports[0], remote, ports[1], now)
            if isinstance(opened, DropReason):
                return opened
            flow = opened
        if protocol == ipv4.TCP:
            self._track_outbound(flow, packet[l4 + 13], now)
        flow.last_out = now
        translated = rewrite.generic(packet, 0, l4, end, flow.out_wire, flow.out_ip_delta, flow.out_l4_delta)
        out.append((remote, virtio_net.PLAIN, [translated]))
        return None

    def inbound(
        self, frame: Buffer, l3: int, end: int, gso_size: int, partial_checksum: bool, now: Nanos
    ) -> tuple[int, list[bytes]] | DropReason:
        """(client, inner packets) of one packet or super-segment from outside to our address.

        The caller has validated the IPv4 header (end = l3 + total length) and reassembled fragments. gso_size: payload
        bytes per segment of a TCPv4 super-segment, else 0. partial_checksum: the L4 checksum field holds the
        pseudo-header sum. Reasons: NAT_NO_MAPPING, NAT_FILTERED (somebody's port, but not this peer's: RFC 4787 REQ-8),
        TTL_EXCEEDED, NAT_BAD_PACKET, UNKNOWN_PROTOCOL.
        """
        protocol = frame[l3 + 9]
        l4 = l3 + (frame[l3] & 15) * 4
        if l4 - l3 == 20 and protocol != ipv4.ICMP and end - l4 >= 8:
            key = bytes(frame[l3 + 12 : l3 + 24])
        else:
            found = _unusual_inbound_key(frame, l3, l4, end, protocol)
            if isinstance(found, DropReason):
                return found
            key = found
        flows = self._inbound.get(protocol)
        if flows is None:
            return DropReason.UNKNOWN_PROTOCOL
        flow = flows.get(key)
        if flow is None:
            outside_port = key[8:10] if protocol == ipv4.ICMP else key[10:12]
            mapped = self._table.is_mapped(protocol, int.from_bytes(outside_port, "big"))
            return DropReason.NAT_FILTERED if mapped else DropReason.NAT_NO_MAPPING
        if frame[l3 + 8] <= 1:
            return DropReason.TTL_EXCEEDED
        if protocol == ipv4.TCP:
            if end - l4 < 20:
                return DropReason.NAT_BAD_PACKET
            if frame[l4 + 13] & (_SYN | _FIN | _RST) or not flow.state & ANSWERED:
                self._track_inbound(flow, frame[l4 + 13], now)
            if gso_size and end - l3 > 40 + gso_size:
                packets = inbound.split(frame, l3, end, gso_size, flow)
                if isinstance(packets, DropReason):
                    return packets
                return flow.owner.client, packets
        return flow.owner.client, [inbound.single(frame, l3, l4, end, partial_checksum, flow)]

    def inbound_error(self, frame: Buffer, l3: int, end: int, now: Nanos) -> tuple[int, bytes] | DropReason:
        """(client, translated error) of an ICMP error from outside about a packet that we translated.

        Reasons: BAD_ICMP, BAD_ICMP_CHECKSUM, NAT_NO_MAPPING, TTL_EXCEEDED (nothing is sent about an error).
        """
        l4 = l3 + (frame[l3] & 15) * 4
        quoted = errors.parse(frame, l4, end)
        if isinstance(quoted, DropReason):
            return quoted
        protocol, _, key = quoted
        # The quoted packet left us; the flow is known by the packets that answer it.
        flow = self._inbound[protocol].get(key)
        if flow is None:
            return DropReason.NAT_NO_MAPPING
        if frame[l3 + 8] <= 1:
            return DropReason.TTL_EXCEEDED
        sender = int.from_bytes(frame[l3 + 12 : l3 + 16], "big")
        inside = flow.mapping.inside
        # The quoted packet gets back the fields with which it came from inside.
        packet = errors.translate(frame, l3, l4, end, sender, inside, flow.out_key, -flow.out_l4_delta)
        return flow.owner.client, packet

    def forget(self, client: int) -> None:
        """End all flows of a client whose session is over; at most NatLimits.flows_per_client of work."""
        self._table.forget(client)

    def rebind(self, old: int, new: int) -> bool:
        """Hand the flows of a replaced session to its successor (same user, same inside address); True when done."""
        return self._table.rebind(old, new)

    def next_deadline(self) -> Nanos | None:
        """When handle_deadline has work; not later than now while it left some undone."""
        return self._table.wheel.next_deadline()

    def handle_deadline(self, now: Nanos) -> None:
        """End idle flows, at most timers.EXPIRE_BATCH per call."""
        self._table.expire(now)

    def _find(self, client: int, protocol: int, key: bytes) -> Flow | None:
        owner = self._clients.get(client)
        return None if owner is None else owner.by_protocol[protocol].get(key)

    def _outbound_error(self, client: int, packet: bytes, l4: int, end: int, out: list[Outgoing]) -> DropReason | None:
        """An error from inside about a packet that we let in; it leaves from our address (RFC 5508 REQ-5).

        It goes to the sender of that packet and nowhere else (RFC 1122 section 3.2.2).
        """
        quoted = errors.parse(packet, l4, end)
        if isinstance(quoted, DropReason):
            return quoted
        protocol, source, key = quoted
        flow = self._find(client, protocol, key)
        destination = int.from_bytes(packet[16:20], "big")
        if flow is None or destination != source:
            return DropReason.NAT_NO_MAPPING
        translated = errors.translate(packet, 0, l4, end, self._address, destination, flow.in_key, flow.out_l4_delta)
        out.append((destination, virtio_net.PLAIN, [translated]))
        return None

    def _track_outbound(self, flow: Flow, flags: int, now: Nanos) -> None:
        if flags & _RST:
            flow.state |= RESET
        elif flags & _SYN:
            flow.state = 0  # a new connection on the same ports
        elif flags & _FIN:
            flow.state |= FIN_OUT
        else:
            return
        flow.changed = now
        self._table.reschedule(flow)

    def _track_inbound(self, flow: Flow, flags: int, now: Nanos) -> None:
        before = flow.state
        if flags & _RST:
            flow.state |= RESET
        else:
            flow.state |= ANSWERED | (FIN_IN if flags & _FIN else 0)
        if flow.state != before:
            flow.changed = now
            self._table.reschedule(flow)


def _ports(packet: Buffer, l4: int, end: int, protocol: int) -> tuple[int, int] | DropReason:
    """Ports of a TCP or UDP packet, (identifier, 0) of an echo; the L4 header is whole, else a reason."""
    if protocol == ipv4.UDP:
        parsed = udp.parse(packet, l4, end)
        return parsed if isinstance(parsed, DropReason) else parsed[:2]
    if protocol == ipv4.TCP:
        if end - l4 < 20 or not 20 <= (packet[l4 + 12] >> 4) * 4 <= end - l4:
            return DropReason.NAT_BAD_PACKET
        return int.from_bytes(packet[l4 : l4 + 2], "big"), int.from_bytes(packet[l4 + 2 : l4 + 4], "big")
    if protocol == ipv4.ICMP:
        if end - l4 < icmpv4.HEADER_LEN:
            return DropReason.BAD_ICMP
        return int.from_bytes(packet[l4 + 4 : l4 + 6], "big"), 0
    return DropReason.UNKNOWN_PROTOCOL


def _unusual_inbound_key(frame: Buffer, l3: int, l4: int, end: int, protocol: int) -> bytes | DropReason:
    """Flow key of an echo reply, of a packet with IPv4 options, or why a short or strange one is refused."""
    if protocol not in (ipv4.TCP, ipv4.UDP, ipv4.ICMP):
        return DropReason.UNKNOWN_PROTOCOL
    if end - l4 < 8:
        return DropReason.NAT_BAD_PACKET
    if protocol != ipv4.ICMP:
        return bytes(frame[l3 + 12 : l3 + 20]) + bytes(frame[l4 : l4 + 4])
    if frame[l4] != icmpv4.ECHO_REPLY:
        return DropReason.NAT_NO_MAPPING
    return bytes(frame[l3 + 12 : l3 + 20]) + bytes(frame[l4 + 4 : l4 + 6])
