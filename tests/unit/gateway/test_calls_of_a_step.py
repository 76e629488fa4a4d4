"""The path of one packet up and down: Python calls are counted, modules come in the order of docs/dev/dataflow.md."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from tests.unit.gateway.gateway_world import ADDRESS, MAC, OUTSIDE, PLAIN, ROUTER_MAC, GatewayWorld, query

import hognose
from hognose.units import MS

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = str(Path(hognose.__file__).parent)
GATEWAY = "gateway/gateway.py"
# As many as at version 0.2; a step with one frame of one packet of a known flow. They do not grow.
MOST_UP, MOST_DOWN = 77, 57
TITLES = {"up": "From the client to the Internet", "down": "From the Internet to the client"}


class Trace:
    """The Python calls of a step, as (module, module of the caller)."""

    def __init__(self, world: GatewayWorld, frames: list[bytes]) -> None:
        self.calls: list[tuple[str, str]] = []
        before = sys.getprofile()
        sys.setprofile(self._note)
        try:
            out = world.gateway.step(frames, world.now, 1)
        finally:
            sys.setprofile(before)
        self.out = [b"".join(pieces) for pieces in out]

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            self.calls.append((_module(frame), _module(frame.f_back)))

    @property
    def modules(self) -> list[str]:
        """In the order in which they are entered first."""
        return list(dict.fromkeys(module for module, _ in self.calls))

    def entries(self, module: str) -> int:
        """Calls of a module from outside of it."""
        return sum(to == module != caller for to, caller in self.calls)


def _module(frame: FrameType | None) -> str:
    return frame.f_code.co_filename.removeprefix(PACKAGE).lstrip("/") if frame is not None else ""


@pytest.fixture(scope="module")
def traces() -> dict[str, Trace]:
    world = GatewayWorld("keepalive 10 60")
    alice = world.client("alice")
    world.client("bob", "192.0.2.12")
    world.rest(3)
    for _ in range(2):
        alice.inner(query(alice.tunnel_address))
    port = world.outside[-1][UDP].sport
    world.now += 100 * MS
    assert alice.vpn is not None
    alice.vpn.send(bytes(query(alice.tunnel_address, payload=bytes(1000))))
    [frame] = alice.poll()
    world.gateway.next_deadline()
    up = Trace(world, [frame])
    world.frames()
    packet = IP(src=OUTSIDE, dst=ADDRESS) / UDP(sport=53, dport=port) / bytes(1000)
    answer = PLAIN + bytes(Ether(src=ROUTER_MAC, dst=MAC.hex(":")) / packet)
    world.gateway.step([answer], world.now, 1)  # the first answer of a flow is more work
    world.frames()
    world.now += 100 * MS
    world.gateway.next_deadline()
    down = Trace(world, [answer])
    assert [len(frame) for frame in up.out if frame[35] == 17] == [12 + 14 + 28 + 1000]
    assert [len(frame) > 1000 and frame[35] == 6 for frame in down.out] == [True]
    return {"up": up, "down": down}


@pytest.mark.parametrize(("way", "most"), [("up", MOST_UP), ("down", MOST_DOWN)])
def test_python_calls_of_one_packet(traces: dict[str, Trace], way: str, most: int) -> None:
    assert most - 20 < len(traces[way].calls) <= most


@pytest.mark.parametrize("way", ["up", "down"])
def test_the_gateway_has_the_order_and_is_called_back_by_nothing(traces: dict[str, Trace], way: str) -> None:
    assert 1 <= traces[way].entries(GATEWAY) <= 2


@pytest.mark.parametrize("way", ["up", "down"])
def test_modules_are_entered_in_the_order_of_the_page(traces: dict[str, Trace], way: str) -> None:
    page = (ROOT / "docs" / "dev" / "dataflow.md").read_text(encoding="utf-8")
    section = page.split(f"## {TITLES[way]}\n")[1].split("\n## ")[0]
    named = re.findall(r"^\d+\. \*\*`([\w/.]+)`\*\*", section, re.MULTILINE)
    assert len(named) >= 6
    assert [module for module in traces[way].modules if module in named] == named
