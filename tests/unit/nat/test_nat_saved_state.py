"""Export and restore: a NAT that was exported in the middle of traffic goes on like the one that was not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP
from scapy.packet import Raw
from tests.unit.nat.nat_packets import OTHER, OUTSIDE, SERVER, STRANGER, VPN_PORT, Bench, echo, named, tcp, udp

from hognose.address import Prefix, parse_ipv4
from hognose.drops import Counters, DropReason
from hognose.limits import NatLimits
from hognose.link import Outgoing
from hognose.nat.nat import Nat
from hognose.nat.ports import HOLD_DOWN
from hognose.nat.saved_state import SavedNat
from hognose.units import MS, SECOND

BOUNDS = NatLimits(flows=24, flows_per_client=12, endpoint_independent_filtering=False)
INSIDE = {client: f"10.8.0.{client}" for client in (1, 2, 3)}
REMOTES = (SERVER, STRANGER)
PORTS = (53, 80, 5000, 5001)
FLAGS = ("S", "A", "FA", "R", "SA")
FRAME = bytes(26)


class Side:
    """A NAT with its randomness and its clock; `apply` gives all that an action lets out."""

    def __init__(self, limits: NatLimits, counters: Counters) -> None:
        self.limits = limits
        self.counters = counters
        self.random = random.Random(7)
        self.now = 1000 * SECOND
        self.nat = Nat(
            address=parse_ipv4(OUTSIDE),
            reserved_ports=frozenset({(6, VPN_PORT), (17, VPN_PORT)}),
            limits=limits,
            random=lambda size: self.random.randbytes(size),
            counters=counters,
            tunnel=Prefix(parse_ipv4("10.8.0.0"), 24),
        )

    def restored(self) -> Side:
        """Another NAT made out of what this one exports; the counters are shared out by copy."""
        saved = self.nat.export()
        assert_plain(saved)
        counters = Counters()
        counters.stats[:] = self.counters.stats
        other = Side(self.limits, counters)
        other.random.setstate(self.random.getstate())
        other.now = self.now
        other.nat.restore(saved)
        assert other.nat.export() == saved
        return other

    def apply(self, verb: str, client: int, first: int, second: int) -> object:
        return ACTIONS[verb](self, client, first, second)

    def send(self, client: int, packets: list[bytes]) -> object:
        out: list[Outgoing] = []
        left = self.nat.outbound(named(client), packets, self.now, out)
        reasons = [self.nat.open_outbound(named(client), packet, self.now, out) for packet in left]
        return out, reasons

    def receive(self, packet: bytes) -> object:
        return self.nat.inbound(FRAME + packet, 26, 26 + len(packet), 0, False, self.now)


def assert_plain(value: object) -> None:
    """Nothing but numbers, bytes, None, and frozen containers of them."""
    if is_dataclass(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, fields(value)[0].name, 0)
        for field in fields(value):
            assert_plain(getattr(value, field.name))
    elif isinstance(value, tuple | frozenset):
        for one in value:
            assert_plain(one)
    else:
        assert value is None or type(value) in (int, bool, bytes)


@cache
def datagram(src: str, dst: str, sport: int, dport: int) -> bytes:
    return bytes(udp(sport, dport, src=src, dst=dst))


@cache
def segment(src: str, dst: str, sport: int, dport: int, flags: str) -> bytes:
    return bytes(tcp(sport, dport, flags, b"x" if flags == "A" else b"", src=src, dst=dst))


@cache
def message(src: str, dst: str, ident: int, kind: int) -> bytes:
    return bytes(echo(ident, kind, src=src, dst=dst))


@cache
def complaint(quoted: bytes) -> bytes:
    return bytes(IP(src=STRANGER, dst=OUTSIDE) / ICMP(type=3, code=1) / Raw(quoted))


def known_ports(side: Side) -> list[tuple[int, int, bytes]]:
    """(protocol, outside port, peer) of the flows that there are."""
    return [(flow.protocol, flow.outside_port, flow.out_key) for flow in side.nat.export().table.flows]


def udp_out(side: Side, client: int, first: int, second: int) -> object:
    return side.send(client, [datagram(INSIDE[client], REMOTES[second % 2], PORTS[first % 4], PORTS[second % 4])] * 2)


def tcp_out(side: Side, client: int, first: int, second: int) -> object:
    packet = segment(INSIDE[client], REMOTES[second % 2], PORTS[first % 4], 80, FLAGS[second % 5])
    return side.send(client, [packet, packet])


def echo_out(side: Side, client: int, first: int, second: int) -> object:
    return side.send(client, [message(INSIDE[client], REMOTES[second % 2], first % 3, 8)])


def answered(side: Side, client: int, first: int, second: int) -> object:
    """An answer to one of the flows, and a packet to its port from elsewhere."""
    flows = known_ports(side)
    if not flows:
        return None
    protocol, port, key = flows[first % len(flows)]
    remote, remote_port = ".".join(map(str, key[4:8])), int.from_bytes(key[10:12], "big")
    if protocol == 1:
        return side.receive(message(remote, OUTSIDE, port, 0))
    if protocol == 6:
        return [
            side.receive(segment(source, OUTSIDE, remote_port, port, FLAGS[second % 5]))
            for source in (remote, "9.9.9.9")
        ]
    return [side.receive(datagram(source, OUTSIDE, remote_port, port)) for source in (remote, "9.9.9.9")]


def complained(side: Side, client: int, first: int, second: int) -> object:
    flows = known_ports(side)
    if not flows:
        return None
    protocol, port, key = flows[first % len(flows)]
    remote, remote_port = ".".join(map(str, key[4:8])), int.from_bytes(key[10:12], "big")
    if protocol == 1:
        quoted = message(OUTSIDE, remote, port, 8)
    elif protocol == 6:
        quoted = segment(OUTSIDE, remote, port, remote_port, "A")
    else:
        quoted = datagram(OUTSIDE, remote, port, remote_port)
    packet = complaint(quoted)
    return side.nat.inbound_error(FRAME + packet, 26, 26 + len(packet), side.now)


def hairpinned(side: Side, client: int, first: int, second: int) -> object:
    make = segment(INSIDE[client], OUTSIDE, PORTS[first % 4], PORTS[second % 4], FLAGS[first % 5])
    if second % 2:
        make = datagram(INSIDE[client], OUTSIDE, PORTS[first % 4], PORTS[second % 4])
    return side.nat.hairpin(named(client), make, side.now)


def left(side: Side, client: int, first: int, second: int) -> object:
    side.nat.forget(named(client))
    return side.nat.flows


def closed(side: Side, client: int, first: int, second: int) -> object:
    side.nat.end_flows_to(frozenset({parse_ipv4(REMOTES[first % 2])}), PORTS[second % 4])
    return side.nat.next_deadline()


def waited(side: Side, client: int, first: int, second: int) -> object:
    """Time passes; some of the deadlines are served, as in a busy step."""
    side.now += (10 * MS, SECOND, 31 * SECOND, 121 * SECOND, 241 * SECOND, 3000 * SECOND)[first % 6]
    seen = []
    for _ in range(second % 40):
        due = side.nat.next_deadline()
        seen.append((due, side.nat.flows))
        if due is None or due > side.now:
            break
        side.nat.handle_deadline(side.now)
    return seen


def numbered(side: Side, client: int, first: int, second: int) -> object:
    return side.nat.fresh_ident()


ACTIONS: dict[str, Callable[[Side, int, int, int], object]] = {
    function.__name__: function
    for function in (udp_out, tcp_out, echo_out, answered, complained, hairpinned, left, closed, waited, numbered)
}
STEPS = st.lists(
    st.tuples(st.sampled_from(sorted(ACTIONS)), st.sampled_from((1, 2, 3)), st.integers(0, 60), st.integers(0, 60)),
    max_size=40,
)


@given(STEPS, STEPS, st.booleans())
def test_an_exported_nat_goes_on_like_the_original(
    before: list[tuple[str, int, int, int]], after: list[tuple[str, int, int, int]], open_to_all: bool
) -> None:
    one = Side(replace(BOUNDS, endpoint_independent_filtering=open_to_all), Counters())
    for step in before:
        one.apply(*step)
    two = one.restored()
    for step in (*after, ("waited", 1, 5, 39), ("waited", 1, 5, 39), ("waited", 1, 5, 39)):
        assert one.apply(*step) == two.apply(*step), step
        assert one.nat.next_deadline() == two.nat.next_deadline()
        assert one.nat.export() == two.nat.export()
    assert list(one.counters.stats) == list(two.counters.stats)
    assert one.random.getstate() == two.random.getstate()


def crowded() -> Bench:
    """Flows of two clients and all protocols, one mapping with two flows, one by hairpin, and a port at rest."""
    bench = Bench(limits=NatLimits(flows=50, flows_per_client=20))
    bench.send(udp(5000), udp(5000, 53), tcp(5001, flags="S"), echo(7))
    bench.send(udp(5000, src=OTHER), udp(6000, src=OTHER), tcp(5001, src=OTHER), client=2)
    bench.hairpin(1, bytes(udp(5000, 6000, dst=OUTSIDE)))
    bench.send(udp(7000, src="10.8.0.4"), client=4)
    bench.forget(4)
    return bench


def fresh(flows: int = 50, flows_per_client: int = 20) -> Nat:
    return Bench(limits=NatLimits(flows=flows, flows_per_client=flows_per_client)).nat


def changed(saved: SavedNat, **values: Any) -> SavedNat:
    return replace(saved, table=replace(saved.table, **values))


def test_a_restored_port_rests_for_what_is_left_of_its_time() -> None:
    bench = crowded()
    bench.advance(HOLD_DOWN - SECOND)
    bench.nat, saved = fresh(), bench.nat.export()
    bench.nat.restore(saved)
    assert bench.send(udp(7000))[0].sport != 7000
    bench.advance(2 * SECOND)
    assert bench.send(udp(7000, src="10.8.0.5"), client=5)[0].sport == 7000


@pytest.mark.parametrize("sports", [(5000, 6000, 7000), (7000, 6000, 5000), (6000, 7000, 5000)])
@pytest.mark.parametrize("ends", ["by time", "with the client"])
def test_ports_come_to_rest_in_the_same_order(sports: tuple[int, ...], ends: str) -> None:
    """Flows of one second end in the order of the original: of ports at rest the oldest is given away first."""
    orders = []
    for exported in (False, True):
        bench = Bench()
        bench.send(*(udp(sport) for sport in sports))
        if exported:
            saved, bench.nat = bench.nat.export(), Bench().nat
            bench.nat.restore(saved)
        if ends == "by time":
            bench.advance(302 * SECOND)
        else:
            bench.forget(1)
        orders.append([one.port for one in bench.nat.export().table.resting])
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == [5000, 6000, 7000]


def test_reserved_ports_stay_reserved() -> None:
    """Several local endpoints, of both protocols: none is given to a mapping, none is answered by one."""
    endpoints = frozenset({(6, 5001), (17, 5000), (17, 443)})
    nat = Nat(
        address=parse_ipv4(OUTSIDE),
        reserved_ports=endpoints,
        limits=NatLimits(),
        random=random.Random(1).randbytes,
        counters=Counters(),
    )
    out: list[Outgoing] = []
    for packet in (udp(5000), udp(443), udp(5001), tcp(5000), tcp(5001), tcp(443)):
        assert nat.open_outbound(named(1), bytes(packet), 0, out) is None
    given_away = [(piece[9], int.from_bytes(piece[20:22], "big")) for _, _, (piece,) in out]
    assert not endpoints & set(given_away)
    assert {(17, 5001), (6, 5000), (6, 443)} <= set(given_away)
    for protocol, port in endpoints:
        packet = (udp if protocol == 17 else tcp)(9999, port, dst=OUTSIDE)
        assert nat.hairpin(named(1), bytes(packet), 0) is DropReason.DESTINATION_PROHIBITED
    with pytest.raises(ValueError):
        Bench().nat.restore(changed(nat.export(), address=parse_ipv4(SERVER)))
    taken = Nat(
        address=parse_ipv4(OUTSIDE),
        reserved_ports=frozenset({given_away[0]}),
        limits=NatLimits(),
        random=random.Random(1).randbytes,
        counters=Counters(),
    )
    with pytest.raises(ValueError, match="not free"):
        taken.restore(nat.export())


def test_only_a_new_nat_is_restored() -> None:
    bench = crowded()
    saved = bench.nat.export()
    with pytest.raises(ValueError):
        bench.nat.restore(saved)
    assert bench.nat.export() == saved


@pytest.mark.parametrize("bounds", [{"flows": 7}, {"flows_per_client": 3}])
def test_more_flows_than_the_bounds_are_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        fresh(**bounds).restore(crowded().nat.export())


def test_as_many_flows_as_the_bounds_allow_are_restored() -> None:
    saved = crowded().nat.export()
    of_one = max(sum(flow.client == named(client) for flow in saved.table.flows) for client in (1, 2))
    nat = fresh(len(saved.table.flows), of_one)
    nat.restore(saved)
    assert nat.export() == saved


@pytest.mark.parametrize(
    "values",
    [{"protocol": 47}, {"out_key": bytes(11)}, {"outside_port": 5002}, {"client": named(3)}, {"out_key": bytes(10)}],
)
def test_flows_that_contradict_each_other_are_refused(values: dict[str, Any]) -> None:
    saved = crowded().nat.export()
    at = next(number for number, flow in enumerate(saved.table.flows) if flow.protocol == 17)
    flows = list(saved.table.flows)
    flows[at] = replace(flows[at], **values)
    with pytest.raises(ValueError):
        fresh().restore(changed(saved, flows=tuple(flows)))


def test_a_flow_that_is_there_twice_is_refused() -> None:
    saved = crowded().nat.export()
    flows, wheel = saved.table.flows, saved.table.wheel
    with pytest.raises(ValueError):
        fresh().restore(changed(saved, flows=(*flows, flows[0]), wheel=(*wheel, len(flows))))
    with pytest.raises(ValueError):
        fresh().restore(changed(saved, wheel=wheel[1:]))
    with pytest.raises(ValueError):
        fresh().restore(changed(saved, wheel=(*wheel[1:], wheel[1])))
