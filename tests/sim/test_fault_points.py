"""The first passage of every function of the engines raises, and of most the last too: one packet or session is lost.

Each run is the same busy minute of a gateway with clients that come, use their tunnels and go, strangers, hosts
outside, a new config and status lines. Afterwards the tables fit each other, a new client is served, and when all have
gone nothing is left.
"""

from __future__ import annotations

from collections import Counter

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from tests.sim.fault_points import FaultError, Point, break_at, count, modules, points
from tests.sim.test_churn import tables
from tests.unit.gateway.gateway_world import ADDRESS, OUTSIDE, GatewayWorld, Remote, query
from tests.unit.gateway.test_fault_containment import goes_on
from tests.unit.gateway.test_fault_sweep import busy_minute, consistent, is_served
from tests.unit.gateway.test_reload import config
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.events import EventKind

BOTH = ("gateway.", "vpn.", "openvpn.", "nat.")  # the others' last passages are taken as their first ones
LINES = ("keepalive 10 60", "status status.log 5")
# What contains and reports cannot contain itself; what the shell asks for outside of a step is the shell's to contain.
EXEMPT = frozenset(
    f"gateway.{name}"
    for name in (
        "gateway.Gateway.step",
        "gateway.Gateway.take_events", "gateway.Gateway.take_status", "gateway.Gateway.next_deadline",
        "gateway.Gateway.client_count", "gateway.Gateway.stopped", "gateway.Gateway.reconfigure",
        "gateway.Gateway.stop", "gateway.Gateway.sieve", "gateway.Gateway.wants_frames",
    )
)  # fmt: skip


class Minute:
    """A world whose clients are there; then the minute, in which a point may raise once."""

    def __init__(self) -> None:
        world = self.world = GatewayWorld(*LINES)
        self.bob = world.client("bob", "192.0.2.12")
        self.alice = world.client("alice")
        self.erin = world.client("erin", "192.0.2.13")
        self.frank = world.client("frank", "192.0.2.14")

    def pass_by(self) -> None:
        """Everything; what a step needs that the fault took away may be missing."""
        world, alice = self.world, self.alice
        for step in (self._inner_tcp, self._fragments, self._refused, self._echo, self._reload, self._segments):
            try:
                step()
            except (IndexError, AssertionError, KeyError):
                assert world.dropped(DropReason.INTERNAL_ERROR) == 1
        busy_minute(world, alice)
        self._ends()

    def _inner_tcp(self) -> None:
        alice, world = self.alice, self.world
        head = IP(src=alice.tunnel_address, dst=OUTSIDE)
        alice.inner(head / TCP(sport=5001, dport=80, flags="S", options=[("MSS", 1460)]))
        port = world.outside[-1][TCP].sport
        back = IP(src=OUTSIDE, dst=ADDRESS)
        world.ip(back / TCP(sport=80, dport=port, flags="SA", seq=9, ack=1, options=[("MSS", 1460)]))
        rows = [head / TCP(sport=5001, dport=80, flags="A", seq=1 + 1000 * n, ack=10) / bytes(1000) for n in range(3)]
        for row in rows:
            row[IP].flags = "DF"
        alice.inner(*rows)
        world.ip(back / TCP(sport=80, dport=port, flags="A", seq=10, ack=3001) / b"answer")
        alice.inner(head / TCP(sport=5001, dport=80, flags="FA", seq=3001, ack=16))
        world.ip(back / TCP(sport=80, dport=port, flags="R", seq=16))

    def _fragments(self) -> None:
        alice, world = self.alice, self.world
        whole = IP(src=alice.tunnel_address, dst=OUTSIDE, id=7) / UDP(sport=5002, dport=53) / bytes(1800)
        alice.inner(*fragment(IP(bytes(whole)), 1000))
        alice.inner(query(alice.tunnel_address, 5003))
        port = world.outside[-1][UDP].sport
        answer = IP(src=OUTSIDE, dst=ADDRESS, id=8) / UDP(sport=53, dport=port) / bytes(1800)
        for piece in reversed(fragment(IP(bytes(answer)), 1000)):
            world.ip(piece)

    def _refused(self) -> None:
        alice, world = self.alice, self.world
        alice.inner(IP(src=alice.tunnel_address, dst=OUTSIDE, ttl=1) / UDP(sport=5004, dport=53) / b"x")
        alice.inner(IP(src=alice.tunnel_address, dst=self.bob.tunnel_address) / UDP(sport=5004, dport=53) / b"x")
        alice.inner(IP(src=OUTSIDE, dst=OUTSIDE) / UDP(sport=5004, dport=53) / b"spoofed")
        alice.inner(IP(src=alice.tunnel_address, dst=ADDRESS) / UDP(sport=5003, dport=5003) / b"hairpin")
        world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=9) / b"unasked")
        world.ip(IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=1194) / b"\x38 an OpenVPN client by UDP")
        world.ip(IP(src=OUTSIDE, dst=ADDRESS) / TCP(sport=53, dport=9, flags="S"))
        world.frames(bytes(20), bytes(60))

    def _echo(self) -> None:
        alice, world = self.alice, self.world
        alice.inner(IP(src=alice.tunnel_address, dst=OUTSIDE) / ICMP(id=5, seq=1) / b"ping")
        number = world.outside[-1][ICMP].id
        world.ip(IP(src=OUTSIDE, dst=ADDRESS) / ICMP(type=0, id=number, seq=1) / b"ping")

    def _reload(self) -> None:
        """As the shell does it: what raises there is told by it, and the old config stays."""
        world = self.world
        lines = (*LINES, "max-clients 100", "<client-config-dir>\n[frank]\ndisable\n</client-config-dir>")
        new = config(*lines)
        try:
            world.gateway.reconfigure(new, world.now, UNIX)
        except FaultError:
            world.counters.drop(DropReason.INTERNAL_ERROR)
            world.gateway._journal.add(EventKind.INTERNAL_ERROR, world.now, error="reload")
        world.frames()

    def _segments(self) -> None:
        """Segments of a client out of order and twice."""
        bob = self.bob
        assert bob.vpn is not None
        bob.vpn.send(bytes(query(bob.tunnel_address, 5005)))
        bob.size = 20
        frames = bob.poll()
        bob.size = 1460
        assert len(frames) > 3
        self.world.frames(frames[0], *frames[2:])
        self.world.frames(frames[1], frames[0])

    def _ends(self) -> None:
        """One says EXIT, one resets, one falls silent with bytes that are not acknowledged."""
        world, erin = self.world, self.erin
        assert erin.vpn is not None
        if not (erin.reset or erin.closed):
            erin.vpn.say("EXIT", world.now)
            world.frames()
        if not self.frank.reset:
            self.frank.abort()
        mute = world.remotes["192.0.2.80", 40_000] = Remote(world, "192.0.2.80", 40_000)
        mute.connect()
        world.frames()
        mute.records(b"\x38" + bytes(range(1, 9)) + b"\0" + bytes(4))
        mute.reads = False
        world.frames()
        mute.silent = True
        world.rest(40)  # flows of UDP and ICMP end


def _problem(point: Point, at: int) -> str:
    """Defects after a fault, "" for none."""
    with pytest.MonkeyPatch.context() as patch:
        minute = Minute()
        hits = break_at(patch, point, at)
        try:
            minute.pass_by()
        except FaultError:
            return "it left the gateway"
    world = minute.world
    if not hits:
        return "not reached again"
    if world.dropped(DropReason.INTERNAL_ERROR) != 1:
        return f"counted {world.dropped(DropReason.INTERNAL_ERROR)} times"
    try:
        world.rest(0.2)
        consistent(world)
        dave = world.remotes.get(("192.0.2.60", 40_000))
        clients = [one for one in (minute.alice, minute.bob, dave) if one is not None and one.vpn is not None]
        for one in clients:
            one.take()
        served = [one for one in clients if is_served(one)]
        if len(served) < 2:
            return f"{len(served)} of three are served"
        goes_on(world, served[0])
    except AssertionError as error:
        return f"afterwards: {error!r}"
    if "secret" in repr(world.events):
        return "its text is logged"
    reports = len(world.events_of("internal_error"))
    if reports != 1:
        return f"reported {reports} times"
    for remote in list(world.remotes.values()):
        remote.abort()
    world.frames()
    world.remotes.clear()
    world.rest(700)
    if world.gateway.service.admissions._nat.flows:  # one that was not seen to end lives as long as any
        world.rest(8000)
    left = {table: size for table, size in tables(world).items() if size}
    return f"left behind: {left}" if left else ""


@pytest.mark.parametrize("name", modules())
def test_no_point_takes_the_others_with_it(name: str) -> None:
    chosen = [point for point in points(name) if point.label not in EXEMPT]
    passages: Counter[str] = Counter()
    with pytest.MonkeyPatch.context() as patch:
        minute = Minute()
        count(patch, chosen, passages)
        minute.pass_by()
    problems = []
    for point in chosen:
        total = passages[point.label]
        for at in sorted({1, total} if name.startswith(BOTH) else {1}) if total else ():
            problem = _problem(point, at)
            if problem:
                problems.append(f"{point.label}, passage {at} of {total}: {problem}")
    assert not problems, "\n".join(problems)
