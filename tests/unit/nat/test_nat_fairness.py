"""Fairness among clients, and of the listening port (RFC 6888 REQ-4 and REQ-11)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.nat.nat_packets import OTHER, OUTSIDE, SERVER, VPN_PORT, Bench, echo, named, tcp, udp

from hognose.address import parse_ipv4
from hognose.drops import Counters, DropReason
from hognose.limits import Limits, NatLimits
from hognose.link import Outgoing
from hognose.nat.flow import WIRE
from hognose.nat.table import FlowTable
from hognose.units import MIB, SECOND
from hognose.wire import ipv4
from hognose.wire import udp as udp_wire

PEER = parse_ipv4(SERVER)


def datagram(source: bytes, sport: int, dport: int = 3478, destination: bytes = PEER) -> bytes:
    return ipv4.build(source, destination, 17, 9) + udp_wire.build(source, destination, sport, dport, b"x")


def spray(bench: Bench, client: int, source: bytes, count: int) -> int:
    """Datagrams from `count` ports; how many were carried."""
    carried = 0
    for sport in range(count):
        out: list[Outgoing] = []
        carried += bench.nat.open_outbound(named(client), datagram(source, sport), bench.now, out) is None
    return carried


@pytest.mark.stress
@pytest.mark.parametrize("limits", [NatLimits(), Limits.for_memory(128 * MIB).nat])
def test_a_client_with_65536_flows_takes_nothing_from_another(limits: NatLimits) -> None:
    live = 1000
    bench = Bench(limits=NatLimits(flows=limits.flows, flows_per_client=limits.flows_per_client))
    other = parse_ipv4(OTHER)
    assert spray(bench, 2, other, live) == live
    for _ in range(3):  # again and again, also while the first ones end
        assert spray(bench, 1, parse_ipv4("10.8.0.2"), 65_536) <= limits.flows_per_client
        bench.advance(100 * SECOND)
        for sport in range(live):
            out, rest = bench.hot(datagram(other, sport), client=2)
            assert len(out) == 1
            assert not rest
    bench.forget(1)
    assert bench.nat.flows == live
    for sport in range(0, live, 7):
        result = bench.receive(udp(3478, _outside(bench, other, sport), src=SERVER, dst=OUTSIDE))
        assert isinstance(result, tuple)
        assert (result[0], result[1][0].dst, result[1][0].dport) == (2, OTHER, sport)
    assert bench.send(udp(2000, src=OTHER), client=2)  # and it opens new ones


def _outside(bench: Bench, source: bytes, sport: int) -> int:
    out, _ = bench.hot(datagram(source, sport), client=2)
    return int.from_bytes(out[0][2][0][20:22], "big")


def test_many_greedy_clients_leave_room_for_one_more() -> None:
    bench = Bench(limits=NatLimits(flows=2048, flows_per_client=1024))
    for client in range(1, 12):
        spray(bench, client, parse_ipv4(f"10.8.1.{client}"), 1100)
    assert bench.nat.flows <= 2048
    assert spray(bench, 99, parse_ipv4("10.8.2.1"), 1) == 1


def test_ports_kept_at_rest_shut_nobody_out() -> None:
    """Clients that open and end flows as fast as they may leave all ports at rest; a newcomer gets one all the same."""
    counters = Counters()
    reserved = frozenset((17, port) for port in range(65_536) if port % 64)

    def key(client: int, port: int) -> bytes:
        return WIRE.pack(client.to_bytes(4, "big"), parse_ipv4(SERVER), port, 53)

    table = FlowTable(parse_ipv4(OUTSIDE), reserved, NatLimits(), lambda size: bytes(size), counters)
    for client in range(1, 1024):
        assert not isinstance(table.open(named(client), 17, key(client, client * 64), 0), DropReason)
    assert table.open(named(2000), 17, key(2000, 64), 0) is DropReason.NAT_NO_PORT
    for client in range(1, 1024):
        table.forget(named(client))
    flow = table.open(named(2000), 17, key(2000, 77), 0)
    assert not isinstance(flow, DropReason)
    assert flow.mapping.outside_port == 64  # the one that has rested longest


ACTIONS = st.lists(
    st.tuples(
        st.integers(1, 3), st.sampled_from((6, 17, 1)), st.integers(0, 5), st.sampled_from(("out", "hair", "end"))
    ),
    max_size=20,
)


@pytest.mark.stress
@settings(max_examples=25)
@given(ACTIONS)
def test_no_port_is_shadowed(actions: list[tuple[int, int, int, str]]) -> None:
    """Whatever clients do, the victim's flow stays the victim's and the listening port is never a mapping.

    Ports are drawn from a few, so that they collide: the victim's, the listening one, and neighbours of both. A port
    shadowing attack sends from the port of the victim to the victim's peer, or to our own address.
    """
    bench = Bench()
    victim = "10.8.0.9"
    (left,) = bench.send(udp(5000, 99, src=victim), client=9)
    (conn,) = bench.send(tcp(5000, 80, "S", src=victim), client=9)
    assert (left.sport, conn.sport) == (5000, 5000)
    ports = (5000, 5001, VPN_PORT, VPN_PORT + 1, 99, 80)
    for client, protocol, index, verb in actions:
        src, port = f"10.8.0.{client}", ports[index]
        if verb == "end":
            bench.forget(client)
        elif protocol == 1:
            bench.send(echo(port, src=src), client=client)
        else:
            make = udp if protocol == 17 else tcp
            for dport in (99, 80, VPN_PORT, 5000):
                packet = make(port, dport, src=src, dst=OUTSIDE if verb == "hair" else SERVER)
                if verb == "hair":
                    met = bench.hairpin(client, bytes(packet))
                    if isinstance(met, tuple):
                        assert met[0] in (1, 2, 3)  # never the victim, who sent nothing to our address
                else:
                    (out,) = bench.send(packet, client=client)
                    assert out.sport != 5000
                    assert protocol != 6 or out.sport != VPN_PORT
        for make, sport in ((udp, 99), (tcp, 80)):
            to, (inner,) = bench.accept(make(sport, 5000, src=SERVER, dst=OUTSIDE))
            assert (to, inner.dst) == (9, victim)
            assert isinstance(bench.receive(tcp(4000, VPN_PORT, "S", src=SERVER, dst=OUTSIDE)), DropReason)


def test_a_mapping_of_a_client_that_left_goes_to_nobody_for_a_while() -> None:
    bench = Bench()
    bench.send(udp(5000, 99, src=OTHER), client=2)
    bench.forget(2)
    (left,) = bench.send(udp(5000, 99))
    assert left.sport != 5000
    assert bench.receive(udp(99, 5000, src=SERVER, dst=OUTSIDE)) is DropReason.NAT_NO_MAPPING
