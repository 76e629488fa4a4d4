"""The flow table: the flows of each client, in both directions, within bounds and with their deadlines.

Policy at every bound: a finished flow makes room, or a silent one without an answer (nat/eviction.py); a live one never
does, the new one is refused (RFC 6888 REQ-11). Each client has NatLimits.flows_of_own in any case; beyond them none may
hold more flows than are still free, without a part that is kept for those of others (REQ-4).
"""

from __future__ import annotations

from hognose.address import Address, address_text
from hognose.drops import Counters, DropReason, Stat
from hognose.limits import NatLimits
from hognose.nat.eviction import Evictable
from hognose.nat.flow import ECHO_WIRE, WIRE, ClientFlows, Flow, Mapping
from hognose.nat.flow_timeouts import EXPIRE_BATCH, Wheel, deadline, is_dns, is_finished
from hognose.nat.ports import Ports
from hognose.nat.saved_state import EndingFlows, SavedFlow, SavedTable
from hognose.units import Nanos, Port, Random
from hognose.wire import ipv4

_KEPT_FOR = 32  # clients that find all flows of their own however many the others hold


class FlowTable:
    """All flows of all clients. Bounds: NatLimits.flows in all, NatLimits.flows_per_client and the free ones each."""

    def __init__(
        self,
        address: Address,
        reserved_ports: frozenset[tuple[int, Port]],
        limits: NatLimits,
        random: Random,
        counters: Counters,
    ) -> None:
        self.address = address
        self.clients: dict[Address, ClientFlows] = {}
        # protocol -> key as it stands in packets from outside -> flow
        self.inbound: dict[int, dict[bytes, Flow]] = {ipv4.TCP: {}, ipv4.UDP: {}, ipv4.ICMP: {}}
        # The same for flows whose peer is our own address.
        self.hairpin: dict[int, dict[bytes, Flow]] = {ipv4.TCP: {}, ipv4.UDP: {}}
        # protocol -> outside port -> its mapping
        self.by_port: dict[int, dict[Port, Mapping]] = {ipv4.TCP: {}, ipv4.UDP: {}, ipv4.ICMP: {}}
        self.wheel = Wheel()
        self._evictable = Evictable()
        # Flows that stood here when end_flows_to was called, with the addresses and the port; None has ended.
        self.ending: list[tuple[list[Flow | None], frozenset[Address], Port]] = []
        self.count = 0
        self._now: Nanos = 0  # the latest time that a call brought
        self._limits = limits
        # In a small table the parts are small too.
        self._of_own = min(limits.flows_of_own, limits.flows_per_client, limits.flows // (4 * _KEPT_FOR))
        self._kept = self._of_own * _KEPT_FOR
        self._counters = counters
        self._ports = {
            protocol: Ports(protocol, frozenset(port for p, port in reserved_ports if p == protocol), random)
            for protocol in self.inbound
        }

    def open(self, client: Address, protocol: int, key: bytes, now: Nanos) -> Flow | DropReason:
        """A new flow under the mapping of its inside endpoint, made when there is none.

        key: of its packets from inside (flow_keys). Refusals: NAT_TABLE_FULL, NAT_CLIENT_FULL, NAT_NO_PORT.
        """
        self._now = now
        owner = self.clients.get(client) or ClientFlows(client)
        refused = self._make_room(owner, now)
        if refused is not None:
            return refused
        if protocol == ipv4.ICMP:
            (inside, remote, inside_port), remote_port = ECHO_WIRE.unpack(key), 0
        else:
            inside, remote, inside_port, remote_port = WIRE.unpack(key)
        mappings, endpoint = owner.mappings[protocol], key[:4] + key[8:10]
        mapping = mappings.get(endpoint)
        if mapping is None:
            outside_port = self._ports[protocol].take(inside_port, client, inside, now)
            if outside_port is None:
                return DropReason.NAT_NO_PORT
            mapping = Mapping(owner, protocol, inside, inside_port, outside_port)
        try:
            flow = Flow(mapping, self.address, remote, remote_port, now)
            inside_out, outside_in = self._tables(flow)
            self._evictable.begin(flow)
            try:
                self.wheel.add(flow, deadline(flow))
            except Exception:
                self._evictable.remove(flow)
                raise
        except Exception:  # a bug of ours costs a packet, not a port
            if not mapping.flows:
                self._ports[protocol].give_back(mapping.outside_port, client, inside, now)
            raise
        # From here on nothing is called: the flow stands in all tables or in none.
        self.clients[client] = owner
        mappings[endpoint] = self.by_port[protocol][mapping.outside_port] = mapping
        mapping.flows += 1
        owner.count += 1
        self.count += 1
        inside_out[flow.out_key] = flow
        outside_in[flow.in_key] = flow
        self._counters.stats[Stat.NAT_FLOWS_OPENED] += 1
        return flow

    def expire(self, now: Nanos) -> None:
        """End flows whose time is over; a bounded number per call, the wheel keeps the rest due."""
        self._now = now
        due = self.wheel.take_due(now)
        try:
            while due:
                flow = due[-1]
                when = deadline(flow)
                if when > now:
                    self.wheel.add(flow, when)
                else:
                    self._unlink(flow)
                    self._counters.stats[Stat.NAT_FLOWS_EXPIRED] += 1
                due.pop()
        finally:
            for flow in due:  # none, unless a bug of ours was met: they are looked at again
                self.wheel.add(flow, now)

    def reschedule(self, flow: Flow) -> None:
        """Move the deadline of a flow whose change of state may have brought it forward, and list it anew."""
        self.wheel.move(flow, deadline(flow))
        self._evictable.file(flow)

    def forget(self, client: Address) -> None:
        """End all flows of a client."""
        owner = self.clients.get(client)
        if owner is None:
            return
        for flows in (*owner.by_protocol.values(), *owner.hairpin.values()):
            for flow in list(flows.values()):
                self._end(flow, Stat.NAT_FLOWS_FORGOTTEN)

    def end_flows_to(self, remotes: frozenset[Address], remote_port: Port) -> None:
        """Note that the TCP and UDP flows to one port of these addresses are to end; `end_some` does it."""
        for protocol in (ipv4.TCP, ipv4.UDP):
            self.ending.append((list(self.inbound[protocol].values()), remotes, remote_port))

    def end_some(self, limit: int = EXPIRE_BATCH) -> None:
        """Look at up to `limit` of the flows that may have to end."""
        while self.ending and limit > 0:
            flows, remotes, remote_port = self.ending[-1]
            taken = flows[-limit:]
            del flows[-limit:]
            if not flows:
                self.ending.pop()
            limit -= len(taken)
            for flow in taken:
                if flow is None or flow.remote not in remotes or flow.remote_port != remote_port:
                    continue
                if self._stands(flow):
                    self._end(flow, Stat.NAT_FLOWS_FORGOTTEN)

    def export(self) -> SavedTable:
        """All of the table as plain values."""
        flows = [flow for table in (*self.inbound.values(), *self.hairpin.values()) for flow in table.values()]
        index = {flow: number for number, flow in enumerate(flows)}
        saved = [
            SavedFlow(
                client=flow.owner.client,
                protocol=flow.mapping.protocol,
                out_key=flow.out_key,
                outside_port=flow.mapping.outside_port,
                last_out=flow.last_out,
                changed=flow.changed,
                state=flow.state,
                bucket=flow.bucket,
                acked=flow.acked,
                window=flow.window,
                shift=flow.shift,
                rests=flow.mapping.rests,
            )
            for flow in flows
        ]
        return SavedTable(
            address=self.address,
            now=self._now,
            flows=tuple(saved),
            wheel=tuple(index[flow] for flow in self.wheel.flows()),
            finished=tuple(index[flow] for owner in self.clients.values() for flow in owner.finished),
            unanswered=tuple(index[flow] for flow in self._evictable.unanswered()),
            resting=tuple(port for ports in self._ports.values() for port in ports.resting()),
            ending=tuple(
                EndingFlows(tuple(None if flow is None else index.get(flow) for flow in listed), remotes, port)
                for listed, remotes, port in self.ending
            ),
        )

    def restore(self, saved: SavedTable) -> None:
        """Fill this empty table; ValueError as in `Nat.restore`."""
        if self.count or saved.address != self.address:
            raise ValueError("a NAT is restored into a new one of the same address")
        if len(saved.flows) > self._limits.flows:
            raise ValueError(f"{len(saved.flows)} flows, {self._limits.flows} is the bound")
        if sorted(saved.wheel) != list(range(len(saved.flows))):
            raise ValueError("the wheel does not hold every flow once")
        flows = [self._restored(one) for one in saved.flows]
        self.wheel.restore(flows[number] for number in saved.wheel)
        if not {*saved.finished, *saved.unanswered} <= {*range(len(flows))}:
            raise ValueError("a flow is listed that is not there")
        self._evictable.restore((flows[n] for n in saved.finished), (flows[n] for n in saved.unanswered))
        for protocol, ports in self._ports.items():
            ports.restore_resting(port for port in saved.resting if port.protocol == protocol)
        for one in saved.ending:
            listed = [None if number is None else flows[number] for number in one.flows]
            self.ending.append((listed, one.remotes, one.remote_port))
        self._now = saved.now

    def _make_room(self, owner: ClientFlows, now: Nanos) -> DropReason | None:
        """Let a flow go where the bounds leave no room for one more of this client; the reason when none may go."""
        count, free = owner.count, self._limits.flows - self.count
        if free > 0 if count < self._of_own else count < min(self._limits.flows_per_client, free - self._kept):
            return None
        victim = self._evictable.of_owner(owner, now)
        if victim is None and count < self._limits.flows_per_client:
            victim = self._evictable.of_largest(max(count + 1, self._of_own), now)
        if victim is None:
            return DropReason.NAT_TABLE_FULL if free <= 0 else DropReason.NAT_CLIENT_FULL
        self._end(victim, Stat.NAT_FLOWS_EVICTED)
        return None

    def _restored(self, saved: SavedFlow) -> Flow:
        """The flow, in all tables but the wheel, with its mapping; ValueError when it does not fit those before it."""
        protocol, key = saved.protocol, saved.out_key
        if protocol not in self.inbound or len(key) != (10 if protocol == ipv4.ICMP else 12):
            raise ValueError(f"no flow of protocol {protocol}: {key.hex()}")
        owner = self.clients.setdefault(saved.client, ClientFlows(saved.client))
        mappings, endpoint = owner.mappings[protocol], key[:4] + key[8:10]
        mapping = mappings.get(endpoint)
        if mapping is None:
            self._ports[protocol].occupy(saved.outside_port)
            mapping = Mapping(owner, protocol, key[:4], int.from_bytes(key[8:10], "big"), saved.outside_port)
            mappings[endpoint] = self.by_port[protocol][saved.outside_port] = mapping
        flow = Flow(mapping, self.address, key[4:8], int.from_bytes(key[10:12], "big"), saved.last_out)
        flow.changed, flow.state, flow.bucket = saved.changed, saved.state, saved.bucket
        flow.acked, flow.window, flow.shift = saved.acked, saved.window, saved.shift
        mapping.rests = saved.rests
        inside_out, outside_in = self._tables(flow)
        if mapping.outside_port != saved.outside_port or key in inside_out:
            raise ValueError(f"two flows contradict each other: {key.hex()}")
        if owner.count >= self._limits.flows_per_client:
            raise ValueError(f"client {address_text(saved.client)} has more than {self._limits.flows_per_client} flows")
        inside_out[key] = outside_in[flow.in_key] = flow
        mapping.flows += 1
        owner.count += 1
        self.count += 1
        return flow

    def _stands(self, flow: Flow) -> bool:
        """True while the flow has not ended."""
        return self.inbound[flow.mapping.protocol].get(flow.in_key) is flow

    def _end(self, flow: Flow, stat: Stat) -> None:
        """End a flow before its time."""
        self.wheel.remove(flow)
        try:
            self._unlink(flow)
        except Exception:  # a bug of ours: it ends by its time
            self.wheel.add(flow, self._now)
            raise
        self._counters.stats[stat] += 1

    def _tables(self, flow: Flow) -> tuple[dict[bytes, Flow], dict[bytes, Flow]]:
        """The owner's and the common table where this flow stands, by out_key and by in_key."""
        protocol = flow.mapping.protocol
        if flow.remote == self.address:
            return flow.owner.hairpin[protocol], self.hairpin[protocol]
        return flow.owner.by_protocol[protocol], self.inbound[protocol]

    def _unlink(self, flow: Flow) -> None:
        """Take a flow that stands in no wheel out of every table, and its mapping when it was the last."""
        mapping, owner = flow.mapping, flow.owner
        protocol = mapping.protocol
        inside_out, outside_in = self._tables(flow)
        endpoint = flow.out_key[:4] + flow.out_key[8:10]
        self._evictable.remove(flow)
        # With filtering by address and port a port may go to another client at once (RFC 6888 REQ-8); it does after
        # questions to name servers, of which a client asks hundreds a second.
        if self._limits.endpoint_independent_filtering or not (is_dns(flow) and is_finished(flow)):
            mapping.rests = True
        if mapping.flows == 1:
            self._ports[protocol].give_back(
                mapping.outside_port, owner.client, mapping.inside, self._now if mapping.rests else None
            )
        # From here on nothing is called: the flow is out of all tables or of none.
        del inside_out[flow.out_key]
        del outside_in[flow.in_key]
        owner.count -= 1
        self.count -= 1
        mapping.flows -= 1
        if not mapping.flows:
            del owner.mappings[protocol][endpoint]
            del self.by_port[protocol][mapping.outside_port]
        if not owner.count:
            del self.clients[owner.client]
