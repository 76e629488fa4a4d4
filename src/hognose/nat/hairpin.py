"""Hairpinning: packets from inside to our own outside address, given to the client that has the port.

RFC 4787 REQ-9, RFC 5382 REQ-8, RFC 5508 REQ-7. A packet leaves and comes in at once: its source is our address and the
sender's outside port, the filter is the one of packets from outside, the TTL is decremented once.
"""

from __future__ import annotations

from hognose.address import Address
from hognose.drops import DropReason
from hognose.nat import flow_keys, icmp_translation, rewrite
from hognose.nat.filtering import Filtering
from hognose.nat.flow import TTL_STEP, Flow
from hognose.nat.table import FlowTable
from hognose.nat.tracking import note_answer, track_inbound, track_outbound
from hognose.units import Nanos, Port
from hognose.wire import ipv4


class Hairpin:
    """The way between two clients that meet at the outside address."""

    __slots__ = ("_filtering", "_reserved_ports", "_table")

    def __init__(self, table: FlowTable, filtering: Filtering, reserved_ports: frozenset[tuple[int, Port]]) -> None:
        self._table = table
        self._filtering = filtering
        self._reserved_ports = reserved_ports

    def translate(self, client: Address, packet: bytes, now: Nanos) -> tuple[Address, bytes] | DropReason:
        """(client, packet) of `Nat.hairpin`, with its reasons."""
        parsed = flow_keys.parse(packet)
        if isinstance(parsed, DropReason):
            return parsed
        l4, end, protocol, _, _, _ = parsed
        if protocol == ipv4.ICMP:
            return self._error(client, packet, l4, end, now)
        key = flow_keys.outbound(packet, l4, end, protocol)
        if isinstance(key, DropReason):
            return key
        table = self._table
        port = int.from_bytes(key[10:12], "big")
        target = table.by_port[protocol].get(port)
        if target is None:
            ours = (protocol, port) in self._reserved_ports
            return DropReason.DESTINATION_PROHIBITED if ours else DropReason.NAT_NO_MAPPING
        owner = table.clients.get(client)
        found = owner.hairpin[protocol].get(key) if owner else None
        flow = found or table.open(client, protocol, key, now)
        if isinstance(flow, DropReason):
            return flow
        flow.last_out = now
        if protocol == ipv4.TCP and track_outbound(flow, packet, l4, end, now):
            table.reschedule(flow)
        back = table.hairpin[protocol].get(flow.out_wire)
        if back is not None:
            if protocol != ipv4.TCP:
                if not back.state:
                    note_answer(back, now)
                    table.reschedule(back)
            elif track_inbound(back, packet, l4, end, now):
                table.reschedule(back)
        elif self._filtering.endpoint_independent:
            back = Flow(target, table.address, table.address, flow.mapping.outside_port, now)
        else:
            return DropReason.NAT_FILTERED
        ip_delta = flow.out_ip_delta + TTL_STEP - back.out_ip_delta
        l4_delta = flow.out_l4_delta - back.out_l4_delta
        return target.owner.client, rewrite.generic(packet, 0, l4, end, back.in_wire, ip_delta, l4_delta)

    def _error(
        self, client: Address, packet: bytes, l4: int, end: int, now: Nanos
    ) -> tuple[Address, bytes] | DropReason:
        """An error from inside about a packet of another client that came in by hairpin, back to that client."""
        quoted = icmp_translation.parse(packet, l4, end)
        if isinstance(quoted, DropReason):
            return quoted
        protocol, source, key = quoted
        table = self._table
        owner = table.clients.get(client)
        if owner is None or source != table.address or protocol == ipv4.ICMP:
            return DropReason.NAT_NO_MAPPING
        flow = owner.hairpin[protocol].get(key) or self._filtering.flow_from_inside(client, protocol, key, now)
        # The quoted packet between the two clients: the key of its sender's flow.
        sender = table.hairpin[protocol].get(flow.out_wire) if flow is not None else None
        if flow is None or sender is None:
            return DropReason.NAT_NO_MAPPING
        l4_delta = flow.out_l4_delta - sender.out_l4_delta
        error = icmp_translation.translate(
            packet[:end], l4, table.address, sender.mapping.inside, sender.out_key, l4_delta
        )
        return sender.owner.client, error
