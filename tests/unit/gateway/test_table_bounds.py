"""Every container of the NAT and of the IP engines names its bound, and keeps it while one client fills what it can.

What a client has outside its own state, flows, mappings, packets that wait for ARP, fragments, is in these tables.
"""

from __future__ import annotations

from collections.abc import Sized
from functools import cache

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from tests.unit.gateway.bounds import Bound, entries, total
from tests.unit.gateway.gateway_world import GatewayWorld
from tests.unit.gateway.object_graph import reachable, size_of

from hognose.ip.fragments import ENTRY_BYTES, PIECE_BYTES
from hognose.limits import IpLimits, Limits, NatLimits

LIMITS = Limits(
    nat=NatLimits(flows=300, flows_per_client=200),
    ip=IpLimits(neighbors=20, pending_per_neighbor=4, reassembly_bytes=75_000),
)
PORTS = 65_536 - 1024  # of one protocol
LONGEST = 7440 + 2  # seconds of the longest time-out (nat/flow_timeouts.py TCP_ESTABLISHED), and this one and the next
# Shapes that the code or a protocol fixes.
FIXED = {
    "ClientFlows.by_protocol": 3, "ClientFlows.hairpin": 2, "ClientFlows.client": 4, "ClientFlows.mappings": 3,
    "FlowTable.ports": 3, "FlowTable.by_port": 3, "FlowTable.hairpin": 2, "FlowTable.inbound": 3, "Flow.in_key": 12,
    "Flow.in_wire": 12,
    "Flow.out_key": 12, "Flow.out_wire": 12, "Flow.remote": 4, "FlowTable.address": 4, "Mapping.inside": 4,
    "Nat.address": 4, "Neighbor.mac": 6, "NeighborTable.mac": 6, "NeighborTable.address": 4, "Ports.held": PORTS,
    "Ports.taken": PORTS, "Wheel.buckets": LONGEST, "Wheel.order": LONGEST, "_Datagram.header": 60,
    "_Datagram.owner": 4, "NeighborTable.router": 4,
}  # fmt: skip
BOUNDS: dict[str, Bound] = {
    "ClientFlows.hairpin[]": entries("NatLimits.flows_per_client"),
    "ClientFlows.icmp": entries("NatLimits.flows_per_client"),
    "ClientFlows.tcp": entries("NatLimits.flows_per_client"),
    "ClientFlows.udp": entries("NatLimits.flows_per_client"),
    "ClientFlows.mappings[]": entries("NatLimits.flows_per_client"),
    "ClientFlows.finished": entries("NatLimits.flows_per_client"),
    "ClientFlows.unanswered": entries("NatLimits.flows_per_client"),
    "Evictable.owners": entries("NatLimits.flows"),
    "Evictable.owners[]": entries("NatLimits.flows"),
    "FlowTable.ending": entries("NatLimits.flows"),
    "FlowTable.clients": entries("NatLimits.flows"),  # who has none is not in it
    "FlowTable.by_port[]": entries("NatLimits.flows"),
    "FlowTable.hairpin[]": entries("NatLimits.flows"),
    "FlowTable.inbound[]": entries("NatLimits.flows"),
    "Wheel.buckets[]": entries("NatLimits.flows"),
    "Run.packets": entries("nat.outbound:RUN_MAX_PACKETS"),
    "Run.tail": total("nat.outbound:RUN_MAX_BYTES"),
    "NeighborTable.entries": entries("IpLimits.neighbors"),
    "NeighborTable.holding": entries("IpLimits.neighbors"),
    "NeighborTable.waiting": entries("IpLimits.neighbors"),
    "NeighborTable.heard": entries("IpLimits.neighbors"),
    "NeighborTable.known": entries("IpLimits.neighbors"),
    "NeighborTable.routers": entries("IpLimits.neighbors"),
    "NeighborTable.silent": entries("IpLimits.neighbors"),
    "NeighborTable.requests": entries("IpLimits.neighbors"),  # drained in the step that made them
    "Neighbor.pending": entries("IpLimits.pending_per_neighbor"),
    "Neighbor.pending[][]": total("IpLimits.pending_bytes_per_neighbor"),
    # What is charged at least: a datagram with a piece of 8 bytes; of pieces of one, for half of all.
    "Reassembler.datagrams": entries("IpLimits.reassembly_bytes", per=ENTRY_BYTES + PIECE_BYTES + 8),
    "_Account.shares": entries("IpLimits.reassembly_bytes", per=ENTRY_BYTES + PIECE_BYTES + 8),
    "_Datagram.offsets": entries("IpLimits.reassembly_bytes", per=2 * (PIECE_BYTES + 8)),
    "_Datagram.pieces": entries("IpLimits.reassembly_bytes", per=2 * (PIECE_BYTES + 8)),
    "RateLimiter.clients": entries("ip.icmp_errors:RATE_CLIENTS"),
}
FILLED = {  # one client gets half of what the NAT keeps for no other, and a third of the datagrams
    "ClientFlows.mappings[]": 0.35, "FlowTable.inbound[]": 0.2, "NeighborTable.entries": 1.0,
    "NeighborTable.holding": 0.9, "Neighbor.pending": 1.0, "Reassembler.datagrams": 0.25, "_Datagram.pieces": 0.35,
}  # fmt: skip


@cache
def largest() -> dict[str, int]:
    """The largest container of each name after one client has filled what it can, beside another one."""
    world = GatewayWorld(limits=LIMITS)
    world.client("alice")
    mallory = world.client("mallory", "203.0.113.9")
    world.client("bob", "192.0.2.12").inner(IP(src="10.8.0.4", dst="198.51.100.7") / UDP(sport=1, dport=2) / b"x")
    source = mallory.tunnel_address
    for number in range(40):  # hosts of the uplink that do not answer
        mallory.inner(*[IP(src=source, dst=f"10.0.0.{100 + number}") / ICMP(id=number) / bytes(900)] * 6)
    packets = [IP(src=source, dst="198.51.100.7") / UDP(sport=2000 + n, dport=53) / b"x" for n in range(400)]
    packets += [IP(src=source, dst="198.51.100.7") / TCP(sport=2000 + n, dport=80, flags="S") for n in range(20)]
    packets += [IP(src=source, dst="198.51.100.7") / ICMP(id=n) / b"x" for n in range(20)]
    mallory.inner(*packets)
    mallory.inner(*[IP(src=source, dst="198.51.100.7", ttl=1) / UDP(sport=2000, dport=53)] * 5)
    for number in range(30):
        mallory.inner(fragment(IP(src=source, dst="198.51.100.7", id=20 + number) / UDP() / bytes(16), 8)[0])
    whole = IP(src=source, dst="198.51.100.7", id=9) / UDP(sport=7, dport=7) / bytes(75 * 8)
    mallory.inner(*fragment(whole, fragsize=8)[:-1])
    seen, held = reachable(world.gateway)
    modules = {type(one).__name__: type(one).__module__ for one in seen.values()}
    found: dict[str, int] = {}
    for name, container in held:
        if modules[name.partition(".")[0]].startswith(("hognose.nat.", "hognose.ip.")):
            in_bytes = isinstance(container, bytes) or (name in BOUNDS and BOUNDS[name].unit == "bytes")
            assert isinstance(container, Sized)
            size = size_of(container) if in_bytes else len(container)
            found[name] = max(found.get(name, 0), size)
    return found


def test_every_container_names_its_bound_and_keeps_it() -> None:
    found = largest()
    assert set(found) - set(FIXED) - set(BOUNDS) == set(), "containers of a table: name in BOUNDS what bounds each"
    most = FIXED | {name: bound.most(LIMITS) for name, bound in BOUNDS.items()}
    assert [f"{name}: {size}, more than {most[name]}" for name, size in found.items() if size > most[name]] == []


def test_no_row_is_left_of_what_is_gone() -> None:
    assert (set(BOUNDS) | set(FIXED)) - set(largest()) == set()


@pytest.mark.parametrize("name", FILLED)
def test_the_fill_comes_near_the_bound(name: str) -> None:
    assert largest()[name] >= FILLED[name] * BOUNDS[name].most(LIMITS)
