# hot
"""NAT of TCP, UDP and ICMP between the clients' addresses and our one outside address (RFC 4787, 5382, 5508).

The engine knows packets, clients by their addresses, and time as an argument; it knows no sessions, devices or
neighbours. Reasons that a method returns are counted by the caller.
"""

from __future__ import annotations

from hognose.address import Address, Prefix
from hognose.drops import Counters, DropReason
from hognose.limits import NatLimits
from hognose.link import Outgoing
from hognose.nat import flow_keys, icmp_translation, inbound, outbound, rewrite
from hognose.nat.filtering import Filtering
from hognose.nat.flow import ANSWERED, TTL_STEP
from hognose.nat.hairpin import Hairpin
from hognose.nat.inbound import SEGMENTS_MOST
from hognose.nat.saved_state import SavedNat
from hognose.nat.table import FlowTable
from hognose.nat.tracking import note_answer, track_inbound, track_outbound
from hognose.units import Buffer, Nanos, Port, Random
from hognose.wire import icmpv4, ipv4, virtio_net
from hognose.wire.segmentation import cut, cut_datagrams
from hognose.wire.tcp import FIN, RST, SYN

_CHANGES = SYN | FIN | RST  # the flags by which a connection's state changes
_NO_TUNNEL = Prefix(bytes(4), 8)


class Nat:
    """The translator of one outside address.

    reserved_ports: (protocol, port) of our own endpoints at `address`, never given to a mapping. tunnel: the clients'
    network, from which nothing comes in, as from the broadcasts of the link (both matter with
    NatLimits.endpoint_independent_filtering only).
    """

    def __init__(
        self,
        *,
        address: Address,
        reserved_ports: frozenset[tuple[int, Port]],
        limits: NatLimits,
        random: Random,
        counters: Counters,
        tunnel: Prefix = _NO_TUNNEL,
        broadcasts: frozenset[Address] = frozenset(),
    ) -> None:
        self.address = address
        self._ident = int.from_bytes(random(2), "big")
        self._ident_step = int.from_bytes(random(2), "big") | 1  # odd: visits every ID
        self._table = FlowTable(address, reserved_ports, limits, random, counters)
        self._clients = self._table.clients
        self._inbound = self._table.inbound
        self._filtering = Filtering(self._table, tunnel, broadcasts, limits.endpoint_independent_filtering)
        self._hairpin = Hairpin(self._table, self._filtering, reserved_ports)

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

    def outbound(self, client: Address, packets: list[bytes], now: Nanos, out: list[Outgoing]) -> list[bytes]:
        """Translate what belongs to flows of this client and append it to out; the rest comes back (nat.outbound)."""
        owner = self._clients.get(client)
        return packets if owner is None else outbound.translate(owner, packets, now, out)

    def open_outbound(self, client: Address, packet: bytes, now: Nanos, out: list[Outgoing]) -> DropReason | None:
        """Translate one whole packet from inside, opening a flow when there is none; append it to out.

        The caller has validated the IPv4 header, reassembled fragments and checked the source address. None, or a
        reason: TTL_EXCEEDED (ICMP 11/0 is due), NAT_TABLE_FULL, NAT_CLIENT_FULL, NAT_NO_PORT (3/13 is due: RFC 5508
        REQ-8, RFC 6888 REQ-11), NAT_BAD_PACKET, UNKNOWN_PROTOCOL, NO_ROUTE (to our own address: see hairpin), and for
        ICMP BAD_ICMP, BAD_ICMP_CHECKSUM, NAT_NO_MAPPING.
        """
        parsed = flow_keys.parse(packet)
        if isinstance(parsed, DropReason):
            return parsed
        l4, end, protocol, _, _, _ = parsed
        if packet[16:20] == self.address:
            return DropReason.NO_ROUTE
        if protocol == ipv4.ICMP and end - l4 >= 1 and packet[l4] != icmpv4.ECHO_REQUEST:
            return self._outbound_error(client, packet, l4, end, now, out)
        key = flow_keys.outbound(packet, l4, end, protocol)
        if isinstance(key, DropReason):
            return key
        owner = self._clients.get(client)
        known = None if owner is None else owner.by_protocol[protocol].get(key)
        flow = known or self._table.open(client, protocol, key, now)
        if isinstance(flow, DropReason):
            return flow
        flow.last_out = now
        # A first packet without FIN and RST leaves a new flow where it was filed.
        if protocol == ipv4.TCP and track_outbound(flow, packet, l4, end, now) and (known is not None or flow.state):
            self._table.reschedule(flow)
        translated = rewrite.generic(packet, 0, l4, end, flow.out_wire, flow.out_ip_delta, flow.out_l4_delta)
        out.append((flow.remote, virtio_net.PLAIN, [translated]))
        return None

    def hairpin(self, client: Address, packet: bytes, now: Nanos) -> tuple[Address, bytes] | DropReason:
        """(client, packet) for one whole packet from inside to our own address; client is the owner of the port.

        Bounds and refusals are those of open_outbound; DESTINATION_PROHIBITED for a reserved port (ICMP 3/13 is due: no
        mapping of a client is told by it), NAT_NO_MAPPING for another port without a mapping (no flow is opened for
        either), NAT_FILTERED where the other side has not sent to us yet (the flow is opened, so that both can meet).
        """
        return self._hairpin.translate(client, packet, now)

    def inbound(
        self, frame: Buffer, l3: int, end: int, gso_size: int, partial_checksum: bool, now: Nanos
    ) -> tuple[Address, list[bytes]] | DropReason:
        """(client, inner packets) of one packet or super-segment from outside to our address.

        The caller has validated the IPv4 header (end = l3 + total length) and reassembled fragments. gso_size: payload
        bytes per segment of a TCPv4 super-segment, or of each datagram of a super-frame, else 0. partial_checksum: the
        L4 checksum field holds the pseudo-header sum. Reasons: NAT_NO_MAPPING, NAT_FILTERED (a client's port without a
        flow to this peer: RFC 4787 REQ-8), TTL_EXCEEDED, NAT_BAD_PACKET, UNKNOWN_PROTOCOL.
        """
        protocol = frame[l3 + 9]
        l4 = l3 + (frame[l3] & 15) * 4
        if l4 - l3 == 20 and protocol != ipv4.ICMP and end - l4 >= 8:
            key = bytes(frame[l3 + 12 : l3 + 24])
        else:
            found = flow_keys.inbound(frame, l3, l4, end, protocol)
            if isinstance(found, DropReason):
                return found
            key = found
        flows = self._inbound.get(protocol)
        if flows is None:
            return DropReason.UNKNOWN_PROTOCOL
        flow = flows.get(key)
        if flow is None:
            implied = self._filtering.flow_from_outside(protocol, key, now)
            if isinstance(implied, DropReason):
                return implied
            if frame[l3 + 8] <= 1:
                return DropReason.TTL_EXCEEDED
            if protocol == ipv4.TCP and end - l4 < 20:
                return DropReason.NAT_BAD_PACKET
            flow = implied
        elif frame[l3 + 8] <= 1:
            return DropReason.TTL_EXCEEDED
        elif protocol == ipv4.TCP:
            if end - l4 < 20:
                return DropReason.NAT_BAD_PACKET
            flags = frame[l4 + 13]
            if (flags & _CHANGES or not flow.state & ANSWERED) and track_inbound(flow, frame, l4, end, now):
                self._table.reschedule(flow)
            if gso_size and end - l3 > 40 + gso_size:
                packets = cut(frame, l3, end, gso_size, most=SEGMENTS_MOST, wire=flow.in_wire, ttl_step=TTL_STEP)
                if packets is None:
                    return DropReason.NAT_BAD_PACKET
                return flow.owner.client, packets
        elif not flow.state:
            note_answer(flow, now)
            self._table.reschedule(flow)
        if gso_size and protocol == ipv4.UDP and end - l3 > 28 + gso_size:
            most = virtio_net.UDP_L4_MOST
            packets = cut_datagrams(frame, l3, end, gso_size, most=most, wire=flow.in_wire, ttl_step=TTL_STEP)
            return DropReason.NAT_BAD_PACKET if packets is None else (flow.owner.client, packets)
        return flow.owner.client, [inbound.single(frame, l3, l4, end, partial_checksum, flow)]

    def awaits(self, data: Buffer, l3: int, l4: int) -> Address | DropReason | None:
        """The client for whose flow a first fragment from outside is; its L4 header is whole, ICMP is an echo reply.

        None where only a mapping takes it, which any host may send to (NatLimits.endpoint_independent_filtering); else
        the reasons of `inbound`.
        """
        protocol = data[l3 + 9]
        flows = self._inbound.get(protocol)
        if flows is None:
            return DropReason.UNKNOWN_PROTOCOL
        if protocol != ipv4.ICMP:
            key = bytes(data[l3 + 12 : l3 + 20]) + bytes(data[l4 : l4 + 4])
        else:
            key = bytes(data[l3 + 12 : l3 + 20]) + bytes(data[l4 + 4 : l4 + 6])
        flow = flows.get(key)
        if flow is not None:
            return flow.owner.client
        implied = self._filtering.flow_from_outside(protocol, key, 0)
        return implied if isinstance(implied, DropReason) else None

    def inbound_error(self, frame: Buffer, l3: int, end: int, now: Nanos) -> tuple[Address, bytes] | DropReason:
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
        error = bytes(frame[l3:end])
        # The quoted packet gets back the fields with which it came from inside.
        packet = icmp_translation.translate(
            error, l4 - l3, error[12:16], flow.mapping.inside, flow.out_key, -flow.out_l4_delta
        )
        return flow.owner.client, packet

    def export(self) -> SavedNat:
        """All flows, ports and times as plain values, between two calls of other methods; nothing changes."""
        return SavedNat(self._ident, self._ident_step, self._table.export())

    def restore(self, saved: SavedNat) -> None:
        """Go on where the exported NAT was; this one is new and has the same address, and the clock goes on.

        ValueError for another address, a NAT that has flows, values that contradict each other, reserved ports, and
        more flows than the bounds allow; a NAT that has raised it is not to be used.
        """
        self._table.restore(saved.table)
        self._ident, self._ident_step = saved.ident, saved.ident_step

    def forget(self, client: Address) -> None:
        """End all flows of a client whose session is over; at most NatLimits.flows_per_client of work."""
        self._table.forget(client)

    def end_flows_to(self, remotes: frozenset[Address], remote_port: Port) -> None:
        """End all TCP and UDP flows to one port of these addresses, in the next calls of handle_deadline."""
        self._table.end_flows_to(remotes, remote_port)

    def next_deadline(self) -> Nanos | None:
        """Time at which handle_deadline has work; not later than now while it left some undone."""
        return 0 if self._table.ending else self._table.wheel.next_deadline()

    def handle_deadline(self, now: Nanos) -> None:
        """End idle flows and those of end_flows_to, at most flow_timeouts.EXPIRE_BATCH of each per call."""
        self._table.expire(now)
        self._table.end_some()

    def _outbound_error(
        self, client: Address, packet: bytes, l4: int, end: int, now: Nanos, out: list[Outgoing]
    ) -> DropReason | None:
        """Send an error from inside about a packet that passed the filter from our address (RFC 5508 REQ-5).

        It goes to the sender of that packet and nowhere else (RFC 1122 section 3.2.2).
        """
        quoted = icmp_translation.parse(packet, l4, end)
        if isinstance(quoted, DropReason):
            return quoted
        protocol, source, key = quoted
        owner = self._clients.get(client)
        flow = None if owner is None else owner.by_protocol[protocol].get(key)
        if flow is None:
            flow = self._filtering.flow_from_inside(client, protocol, key, now)
        if flow is None or packet[16:20] != source:
            return DropReason.NAT_NO_MAPPING
        error = icmp_translation.translate(packet[:end], l4, self.address, source, flow.in_key, flow.out_l4_delta)
        out.append((flow.remote, virtio_net.PLAIN, [error]))
        return None
