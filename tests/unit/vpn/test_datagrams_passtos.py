"""The directive `passtos`: the traffic class of inner packets on the datagrams that they are in."""

from __future__ import annotations

import pytest
from scapy.layers.inet import IP
from tests.unit.gateway.gateway_world import MAC
from tests.unit.gateway.test_path_mtu import FRAME_HEAD, NarrowWorld, incoming
from tests.unit.vpn.test_datagrams import Place

from hognose.link import LinkCaps
from hognose.vpn.datagram_transport import DatagramTransport

EF, AF11 = 46 << 2, 10 << 2  # RFC 3246, RFC 2597


def packets(*classes: int) -> list[bytes]:
    return [bytes(IP(tos=tos) / bytes(80)) for tos in classes]


def marked(*classes: int, uso: bool = False) -> tuple[Place, DatagramTransport]:
    """A transport that was sent records of 100 bytes with packets of these classes."""
    place = Place(uso=uso)
    transport = place.transport()
    transport.send_marked([bytes((number,)) * 100 for number in range(len(classes))], packets(*classes))
    return place, transport


@pytest.mark.parametrize("ecn", range(4))
def test_datagrams_have_the_class_and_are_never_ecn_capable(ecn: int) -> None:
    place, _ = marked(EF | ecn, 0, AF11 | ecn, AF11, ecn)
    sent = place.sent()
    assert [packet.tos for packet in sent] == [EF, 0, AF11, AF11, 0]
    assert [bytes(packet)[28] for packet in sent] == [0, 1, 2, 3, 4]


def test_what_is_sent_after_them_has_none() -> None:
    place, transport = marked(EF)
    place.sent()
    transport.send([bytes(100), bytes(1473)])
    assert [packet.tos for packet in place.sent()] == [0, 0]
    transport.send_marked([bytes(1473)], packets(EF))
    assert [(packet.tos, str(packet.flags)) for packet in place.sent()] == [(EF, "")]


def test_a_super_frame_has_one_class() -> None:
    place, _ = marked(EF, EF, EF, 0, 0, AF11, uso=True)
    found = [IP(b"".join(pieces)) for _, _, pieces in place.port.poll(place.now)]
    assert [(packet.tos, len(packet)) for packet in found] == [(EF, 328), (0, 228), (AF11, 128)]


@pytest.mark.parametrize("uso", [False, True])
@pytest.mark.parametrize("lines", [(), ("passtos",)])
def test_in_a_whole_server(lines: tuple[str, ...], uso: bool) -> None:
    world = NarrowWorld(*lines, caps=LinkCaps(mac=MAC, tx_csum=uso, tx_uso4=uso))
    alice = world.caller()
    port = alice.ask()
    world.outer.clear()
    batch = [incoming(port, 200) for _ in range(6)]
    for packet, tos in zip(batch, (EF | 1, EF | 3, 0, 1, AF11, AF11), strict=True):
        packet.tos = tos
    world.frames(*[FRAME_HEAD + bytes(packet) for packet in batch])
    came = alice.take()
    assert [packet.tos for packet in came] == [EF | 1, EF | 3, 0, 1, AF11, AF11], "inside nothing changes"
    classes = [EF, 0, AF11] if uso else [EF, EF, 0, 0, AF11, AF11]
    if not lines:
        classes = [0] if uso else [0] * 6
    assert [packet[1] for packet in world.outer] == classes
    world.rest(11)
    assert world.outer[-1][1] == 0, "a ping of ours"
