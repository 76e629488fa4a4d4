"""Several ports of the VPN at once: one client's address and port at two of them."""

from __future__ import annotations

from tests.sim.segments import Segment, build, ipv4_int, read
from tests.unit.gateway.gateway_world import ADDRESS, MAC, PLAIN, ROUTER_MAC, GatewayWorld

from hognose.drops import DropReason
from hognose.units import SECOND

CLIENT, PORT = "192.0.2.11", 40_000
HEAD = PLAIN + MAC + bytes.fromhex(ROUTER_MAC.replace(":", "")) + b"\x08\0"


class TwoPorts(GatewayWorld):
    """A server that listens on two TCP ports; what it sends from them is in `answers`."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, Segment]] = []  # port of ours, segment
        super().__init__("local * 1194 tcp", "local * 443 tcp")

    def sent(self, frame: bytes) -> list[bytes]:
        if frame[24:26] == b"\x08\0":
            packet = frame[26:]
            segments = read((packet[16:20], frame[:12], [packet]))
            self.answers += [(int.from_bytes(packet[20:22], "big"), segment) for segment in segments]
            return []
        return super().sent(frame)

    def segment(self, port: int, segment: Segment) -> None:
        """From the client, to a port of ours."""
        self.frames(HEAD + build(segment, ipv4_int(CLIENT), PORT, ipv4_int(ADDRESS), port))

    def connect(self, port: int) -> None:
        """The handshake of TCP, and no byte after it."""
        self.segment(port, Segment(5000, 0, "S", mss=1460))
        answered, answer = self.answers[-1]
        assert (answered, answer.flags) == (port, "SA")
        self.segment(port, Segment(5001, answer.end, "A"))


def test_one_endpoint_is_silent_at_two_ports() -> None:
    """Two entries, each of which ends by a reset from its own port."""
    world = TwoPorts()
    for port in (1194, 443):
        world.connect(port)
    world.answers.clear()
    world.rest(12)
    assert sorted((port, segment.has("R")) for port, segment in world.answers) == [(443, True), (1194, True)]
    assert world.dropped(DropReason.TCP_SILENT) == 2
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0
    assert world.gateway.waits_for.at > world.now + SECOND


def test_a_reset_at_one_port_ends_nothing_at_the_other() -> None:
    world = TwoPorts()
    for port in (1194, 443):
        world.connect(port)
    world.segment(443, Segment(5001, 0, "R"))
    world.answers.clear()
    world.rest(12)
    assert [(port, segment.has("R")) for port, segment in world.answers] == [(1194, True)]
