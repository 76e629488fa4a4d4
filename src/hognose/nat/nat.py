"""NAT of TCP, UDP and ICMP between the clients' addresses and our one outside address (RFC 4787, 5382, 5508).

The engine knows packets, clients as numbers, and time as an argument; it knows no sessions, devices or neighbours.
Reasons that a method returns are counted by the caller.
"""

from __future__ import annotations

from hognose.address_scope import is_host
from hognose.drops import Counters, DropReason
from hognose.limits import NatLimits
from hognose.link import Outgoing
from hognose.nat import icmp_translation, inbound, outbound, rewrite
from hognose.nat.flow import ANSWERED, FIN_IN, FIN_OUT, RESET, TTL_STEP, WIRE, Flow, mapping_number
from hognose.nat.table import FlowTable
from hognose.units import Buffer, Ipv4Int, Nanos, Port, Random
from hognose.wire import icmpv4, ipv4, udp, virtio_net

_SYN, _FIN, _RST = 2, 1, 4


class Nat:
    """The translator of one outside address.

    reserved_ports: (protocol, port) that are never given to a mapping. tunnel: network and mask of the clients, from
    which nothing comes in, as from the broadcasts of the link (both matter with
    NatLimits.endpoint_independent_filtering only).
    """

    def __init__(
        self,
        *,
        address: Ipv4Int,
        reserved_ports: frozenset[tuple[int, Port]],
        limits: NatLimits,
        random: Random,
        counters: Counters,
        tunnel: tuple[Ipv4Int, Ipv4Int] = (0, 0xFF000000),
        broadcasts: frozenset[Ipv4Int] = frozenset(),
    ) -> None:
        self.address = address
        self._broadcasts = broadcasts
        self._reserved_ports = reserved_ports
        self._tunnel = tunnel
        self._ident = int.from_bytes(random(2), "big")
        self._ident_step = int.from_bytes(random(2), "big") | 1  # odd: visits every ID
        self._endpoint_independent_filtering = limits.endpoint_independent_filtering
        self._table = FlowTable(address, reserved_ports, limits, random, counters)
        self._clients = self._table.clients
        self._inbound = self._table.inbound

    @property
    def flows(self) -> int:
        """Flows of all clients."""
        return self._table.count

    def fresh_ident(self) -> int:
        """An ID for a packet of a client that leaves in fragments.

        Clients choose theirs without knowing of each other, but the receiver tells datagrams by our one address and the
        ID (RFC 6864 section 5.3). No ID comes again until all others were used; a host that sees none of them cannot
        foresee the order.
        """
        self._ident = (self._ident + self._ident_step) & 0xFFFF
        return self._ident

    def outbound(self, client: int, packets: list[bytes], now: Nanos, out: list[Outgoing]) -> list[bytes]:
        """Translate what belongs to flows of this client and append it to out; the rest comes back (nat.outbound)."""
        owner = self._clients.get(client)
        return packets if owner is None else outbound.translate(owner, packets, now, out)

    def open_outbound(self, client: int, packet: bytes, now: Nanos, out: list[Outgoing]) -> DropReason | None:
        """Translate one whole packet from inside, opening a flow when there is none; append it to out.

        The caller has validated the IPv4 header, reassembled fragments and checked the source address. None, or a
        reason: TTL_EXCEEDED (ICMP 11/0 is due), NAT_TABLE_FULL, NAT_CLIENT_FULL, NAT_NO_PORT (3/13 is due: RFC 5508
        REQ-8, RFC 6888 REQ-11), NAT_BAD_PACKET, UNKNOWN_PROTOCOL, NO_ROUTE (to our own address: see hairpin), and for
        ICMP BAD_ICMP, BAD_ICMP_CHECKSUM, NAT_NO_MAPPING.
        """
        parsed = _parse(packet)
        if isinstance(parsed, DropReason):
            return parsed
        l4, end, protocol, _, inside, remote = parsed
        if remote == self.address:
            return DropReason.NO_ROUTE
        if protocol == ipv4.ICMP and end - l4 >= 1 and packet[l4] != icmpv4.ECHO_REQUEST:
            return self._outbound_error(client, packet, l4, end, now, out)
        ports = _ports(packet, l4, end, protocol)
        if isinstance(ports, DropReason):
            return ports
        flow = self._find(client, protocol, icmp_translation.key(protocol, inside, remote, *ports))
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

    def hairpin(self, client: int, packet: bytes, now: Nanos) -> tuple[int, bytes] | DropReason:
        """(client, packet) for one whole packet from inside to our own address; client is the owner of the port.

        It leaves and comes in at once: its source is our address and the sender's outside port (RFC 4787 REQ-9,
        RFC 5382 REQ-8), the filter is the one of packets from outside, the TTL is decremented once. ICMP errors
        about such packets go back the same way (RFC 5508 REQ-7). Bounds and refusals are those of open_outbound;
        DESTINATION_PROHIBITED for a reserved port (ICMP 3/13 is due: no mapping of a client is told by it),
        NAT_NO_MAPPING for another port without a mapping (no flow is opened for either), NAT_FILTERED where the other
        side has not sent to us yet (the flow is opened, so that both can meet).
        """
        parsed = _parse(packet)
        if isinstance(parsed, DropReason):
            return parsed
        l4, end, protocol, _, inside, _ = parsed
        if protocol == ipv4.ICMP:
            return self._hairpin_error(client, packet, l4, end, now)
        ports = _ports(packet, l4, end, protocol)
        if isinstance(ports, DropReason):
            return ports
        target = self._table.by_port[protocol].get(ports[1])
        if target is None:
            ours = (protocol, ports[1]) in self._reserved_ports
            return DropReason.DESTINATION_PROHIBITED if ours else DropReason.NAT_NO_MAPPING
        address = self.address
        owner = self._clients.get(client)
        found = owner.hairpin[protocol].get(icmp_translation.key(protocol, inside, address, *ports)) if owner else None
        flow = found or self._table.open(client, protocol, inside, ports[0], address, ports[1], now)
        if isinstance(flow, DropReason):
            return flow
        if protocol == ipv4.TCP:
            self._track_outbound(flow, packet[l4 + 13], now)
        flow.last_out = now
        back = self._table.hairpin[protocol].get(flow.out_wire)
        if back is not None:
            if protocol == ipv4.TCP:
                self._track_inbound(back, packet[l4 + 13], now)
        elif self._endpoint_independent_filtering:
            back = Flow(target, address, address, flow.mapping.outside_port, now)
        else:
            return DropReason.NAT_FILTERED
        ip_delta = flow.out_ip_delta + TTL_STEP - back.out_ip_delta
        l4_delta = flow.out_l4_delta - back.out_l4_delta
        return target.owner.client, rewrite.generic(packet, 0, l4, end, back.in_wire, ip_delta, l4_delta)

    def inbound(
        self, frame: Buffer, l3: int, end: int, gso_size: int, partial_checksum: bool, now: Nanos
    ) -> tuple[int, list[bytes]] | DropReason:
        """(client, inner packets) of one packet or super-segment from outside to our address.

        The caller has validated the IPv4 header (end = l3 + total length) and reassembled fragments. gso_size: payload
        bytes per segment of a TCPv4 super-segment, else 0. partial_checksum: the L4 checksum field holds the
        pseudo-header sum. Reasons: NAT_NO_MAPPING, NAT_FILTERED (a client's port without a flow to this peer: RFC 4787
        REQ-8), TTL_EXCEEDED, NAT_BAD_PACKET, UNKNOWN_PROTOCOL.
        """
        protocol = frame[l3 + 9]
        l4 = l3 + (frame[l3] & 15) * 4
        if l4 - l3 == 20 and protocol != ipv4.ICMP and end - l4 >= 8:
            key = bytes(frame[l3 + 12 : l3 + 24])
        else:
            found = _inbound_key(frame, l3, l4, end, protocol)
            if isinstance(found, DropReason):
                return found
            key = found
        flows = self._inbound.get(protocol)
        if flows is None:
            return DropReason.UNKNOWN_PROTOCOL
        flow = flows.get(key)
        if flow is None:
            return self._unsolicited(frame, l3, l4, end, partial_checksum, key, now)
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
        quoted = icmp_translation.parse(frame, l4, end)
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
        packet = icmp_translation.translate(frame, l3, l4, end, sender, inside, flow.out_key, -flow.out_l4_delta)
        return flow.owner.client, packet

    def forget(self, client: int) -> None:
        """End all flows of a client whose session is over; at most NatLimits.flows_per_client of work."""
        self._table.forget(client)

    def end_flows_to(self, remotes: frozenset[Ipv4Int], remote_port: Port) -> None:
        """End all TCP and UDP flows to one port of these addresses, in the next calls of handle_deadline."""
        self._table.end_flows_to(remotes, remote_port)

    def next_deadline(self) -> Nanos | None:
        """Time at which handle_deadline has work; not later than now while it left some undone."""
        return 0 if self._table.ending else self._table.wheel.next_deadline()

    def handle_deadline(self, now: Nanos) -> None:
        """End idle flows and those of end_flows_to, at most flow_timeouts.EXPIRE_BATCH of each per call."""
        self._table.expire(now)
        self._table.end_some()

    def _unsolicited(
        self, frame: Buffer, l3: int, l4: int, end: int, partial_checksum: bool, key: bytes, now: Nanos
    ) -> tuple[int, list[bytes]] | DropReason:
        """Refuse a packet without a flow, or translate it by endpoint-independent filtering.

        A packet that passes leaves no state, so that no outside host can fill a client's table or keep a mapping alive
        (RFC 4787 REQ-6); the answer from inside opens the flow. Not for echo replies and super-segments.
        """
        protocol = frame[l3 + 9]
        port = key[8:10] if protocol == ipv4.ICMP else key[10:12]
        mapping = self._table.by_port[protocol].get(int.from_bytes(port, "big"))
        if mapping is None:
            return DropReason.NAT_NO_MAPPING
        source = int.from_bytes(key[:4], "big")
        if not self._endpoint_independent_filtering or protocol == ipv4.ICMP:
            return DropReason.NAT_FILTERED
        if not self._is_acceptable_source(source):
            return DropReason.NAT_FILTERED
        if frame[l3 + 8] <= 1:
            return DropReason.TTL_EXCEEDED
        if protocol == ipv4.TCP and end - l4 < 20:
            return DropReason.NAT_BAD_PACKET
        flow = Flow(mapping, self.address, source, int.from_bytes(key[8:10], "big"), now)
        return mapping.owner.client, [inbound.single(frame, l3, l4, end, partial_checksum, flow)]

    def _is_acceptable_source(self, source: Ipv4Int) -> bool:
        """False for our own address, the tunnel's, and an address that is not one host's (RFC 1812 section 5.3.7)."""
        network, mask = self._tunnel
        return source != self.address and source & mask != network and is_host(source, self._broadcasts)

    def _find(self, client: int, protocol: int, key: bytes) -> Flow | None:
        owner = self._clients.get(client)
        return None if owner is None else owner.by_protocol[protocol].get(key)

    def _outbound_error(
        self, client: int, packet: bytes, l4: int, end: int, now: Nanos, out: list[Outgoing]
    ) -> DropReason | None:
        """Send an error from inside about a packet that passed the filter from our address (RFC 5508 REQ-5).

        It goes to the sender of that packet and nowhere else (RFC 1122 section 3.2.2).
        """
        quoted = icmp_translation.parse(packet, l4, end)
        if isinstance(quoted, DropReason):
            return quoted
        protocol, source, key = quoted
        flow = self._find(client, protocol, key) or self._implied_flow(client, protocol, key, now)
        destination = int.from_bytes(packet[16:20], "big")
        if flow is None or destination != source:
            return DropReason.NAT_NO_MAPPING
        translated = icmp_translation.translate(
            packet, 0, l4, end, self.address, destination, flow.in_key, flow.out_l4_delta
        )
        out.append((destination, virtio_net.PLAIN, [translated]))
        return None

    def _hairpin_error(
        self, client: int, packet: bytes, l4: int, end: int, now: Nanos
    ) -> tuple[int, bytes] | DropReason:
        """An error from inside about a packet of another client that came in by hairpin, back to that client."""
        quoted = icmp_translation.parse(packet, l4, end)
        if isinstance(quoted, DropReason):
            return quoted
        protocol, source, key = quoted
        owner = self._clients.get(client)
        if owner is None or source != self.address or protocol == ipv4.ICMP:
            return DropReason.NAT_NO_MAPPING
        flow = owner.hairpin[protocol].get(key) or self._implied_flow(client, protocol, key, now)
        # The quoted packet between the two clients: the key of its sender's flow.
        sender = self._table.hairpin[protocol].get(flow.out_wire) if flow is not None else None
        if flow is None or sender is None:
            return DropReason.NAT_NO_MAPPING
        l4_delta = flow.out_l4_delta - sender.out_l4_delta
        error = icmp_translation.translate(
            packet, 0, l4, end, self.address, sender.mapping.inside, sender.out_key, l4_delta
        )
        return sender.owner.client, error

    def _implied_flow(self, client: int, protocol: int, key: bytes, now: Nanos) -> Flow | None:
        """The flow of a packet that endpoint-independent filtering accepts; it stands in no table."""
        owner = self._clients.get(client)
        if not self._endpoint_independent_filtering or owner is None or protocol == ipv4.ICMP:
            return None
        inside, remote, inside_port, remote_port = WIRE.unpack(key)
        mapping = owner.mappings.get(mapping_number(protocol, inside, inside_port))
        return Flow(mapping, self.address, remote, remote_port, now) if mapping is not None else None

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


def _parse(packet: bytes) -> ipv4.Parsed | DropReason:
    """Parse a whole packet from inside; NAT_BAD_PACKET for a fragment, TTL_EXCEEDED for one that ends here."""
    parsed = ipv4.parse(packet, 0, len(packet))
    if isinstance(parsed, DropReason):
        return parsed
    if parsed[3] & ipv4.FRAGMENTED:
        return DropReason.NAT_BAD_PACKET
    return DropReason.TTL_EXCEEDED if packet[8] <= 1 else parsed


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


def _inbound_key(frame: Buffer, l3: int, l4: int, end: int, protocol: int) -> bytes | DropReason:
    """Flow key of an echo reply or of a packet with IPv4 options, or the reason to refuse a short or strange one."""
    if protocol not in (ipv4.TCP, ipv4.UDP, ipv4.ICMP):
        return DropReason.UNKNOWN_PROTOCOL
    if end - l4 < 8:
        return DropReason.NAT_BAD_PACKET
    if protocol != ipv4.ICMP:
        return bytes(frame[l3 + 12 : l3 + 20]) + bytes(frame[l4 : l4 + 4])
    if frame[l4] != icmpv4.ECHO_REPLY:
        return DropReason.NAT_NO_MAPPING
    return bytes(frame[l3 + 12 : l3 + 20]) + bytes(frame[l4 + 4 : l4 + 6])
