"""The flow table: who owns which flow, in both directions, within bounds and with their deadlines.

Policy at every bound: a new flow is refused, a live one is never evicted (RFC 6888 REQ-11).
"""

from __future__ import annotations

from hognose.drops import Counters, DropReason, Stat
from hognose.limits import NatLimits
from hognose.nat.flow import ClientFlows, Flow, Mapping, mapping_number
from hognose.nat.ports import Ports
from hognose.nat.timers import Wheel, deadline
from hognose.units import Ipv4Int, Nanos, Port, Random
from hognose.wire import ipv4


class FlowTable:
    """All flows of all clients. Bounds: NatLimits.flows in all, NatLimits.flows_per_client each."""

    def __init__(
        self,
        address: Ipv4Int,
        reserved_ports: frozenset[tuple[int, Port]],
        limits: NatLimits,
        random: Random,
        counters: Counters,
    ) -> None:
        self.address = address
        self.clients: dict[int, ClientFlows] = {}
        # protocol -> key as it stands in packets from outside -> flow
        self.inbound: dict[int, dict[bytes, Flow]] = {ipv4.TCP: {}, ipv4.UDP: {}, ipv4.ICMP: {}}
        self.wheel = Wheel()
        self.count = 0
        self._now: Nanos = 0  # of the latest call that brought it
        self._limits = limits
        self._counters = counters
        self._ports = {
            protocol: Ports(protocol, frozenset(port for p, port in reserved_ports if p == protocol), random)
            for protocol in self.inbound
        }

    def is_mapped(self, protocol: int, outside_port: Port) -> bool:
        """True when the outside port belongs to somebody: a packet to it without a flow was filtered."""
        return self._ports[protocol].is_taken(outside_port)

    def open(
        self,
        client: int,
        protocol: int,
        inside: Ipv4Int,
        inside_port: Port,
        remote: Ipv4Int,
        remote_port: Port,
        now: Nanos,
    ) -> Flow | DropReason:
        """A new flow under the mapping of its inside endpoint, made when there is none.

        remote_port is 0 for ICMP. Refusals: NAT_TABLE_FULL, NAT_CLIENT_FULL, NAT_NO_PORT.
        """
        self._now = now
        owner = self.clients.get(client)
        if self.count >= self._limits.flows:
            return DropReason.NAT_TABLE_FULL
        if owner is not None and owner.count >= self._limits.flows_per_client:
            return DropReason.NAT_CLIENT_FULL
        if owner is None:
            owner = ClientFlows(client)
        number = mapping_number(protocol, inside, inside_port)
        mapping = owner.mappings.get(number)
        if mapping is None:
            outside_port = self._ports[protocol].take(inside_port, client, inside, now)
            if outside_port is None:
                return DropReason.NAT_NO_PORT
            mapping = Mapping(owner, protocol, inside, inside_port, outside_port)
            owner.mappings[number] = mapping
        self.clients[client] = owner
        flow = Flow(mapping, self.address, remote, remote_port, now)
        mapping.flows += 1
        owner.count += 1
        self.count += 1
        owner.by_protocol[protocol][flow.out_key] = flow
        self.inbound[protocol][flow.in_key] = flow
        self.wheel.add(flow, deadline(flow))
        self._counters.stats[Stat.NAT_FLOWS_OPENED] += 1
        return flow

    def expire(self, now: Nanos) -> None:
        """End flows whose time is over; a bounded number per call, the wheel keeps the rest due."""
        self._now = now
        for flow in self.wheel.take_due(now):
            when = deadline(flow)
            if when > now:
                self.wheel.add(flow, when)
            else:
                self._unlink(flow)
                self._counters.stats[Stat.NAT_FLOWS_EXPIRED] += 1

    def reschedule(self, flow: Flow) -> None:
        """To be called when a change of state may have brought the deadline forward."""
        self.wheel.move(flow, deadline(flow))

    def forget(self, client: int) -> None:
        """End all flows of a client."""
        owner = self.clients.get(client)
        if owner is None:
            return
        for flows in owner.by_protocol.values():
            for flow in list(flows.values()):
                self.wheel.remove(flow)
                self._unlink(flow)

    def rebind(self, old: int, new: int) -> bool:
        """Give the flows of client `old` to `new`; False when there are none or `new` has flows already."""
        if old not in self.clients or new in self.clients:
            return False
        owner = self.clients.pop(old)
        owner.client = new
        self.clients[new] = owner
        return True

    def _unlink(self, flow: Flow) -> None:
        """Take a flow that stands in no wheel out of every table, and its mapping when it was the last."""
        mapping, owner = flow.mapping, flow.owner
        protocol = mapping.protocol
        del owner.by_protocol[protocol][flow.out_key]
        del self.inbound[protocol][flow.in_key]
        owner.count -= 1
        self.count -= 1
        mapping.flows -= 1
        if not mapping.flows:
            del owner.mappings[mapping_number(protocol, mapping.inside, mapping.inside_port)]
            self._ports[protocol].give_back(mapping.outside_port, owner.client, mapping.inside, self._now)
        if not owner.count:
            del self.clients[owner.client]
