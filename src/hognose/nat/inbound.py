# hot
"""Packets from outside that belong to a flow, on their way to a client: translated one by one.

Super-segments and super-frames of datagrams are translated while they are cut (wire/segmentation.py).
"""

from __future__ import annotations

from hognose.nat import rewrite
from hognose.nat.flow import TTL_STEP, Flow
from hognose.units import Buffer
from hognose.wire import ipv4

# Of one super-segment: cutting it is one piece of work. Its sender goes on with fewer at a time after a time-out.
SEGMENTS_MOST = 1024


def single(data: Buffer, l3: int, l4: int, end: int, partial: bool, flow: Flow) -> bytes:
    """One translated packet; partial: its checksum field holds the pseudo-header sum and is completed."""
    wire, ip_delta, l4_delta = flow.in_wire, 2 * TTL_STEP - flow.out_ip_delta, -flow.out_l4_delta
    if l4 - l3 == 20:
        if flow.mapping.protocol == ipv4.TCP:
            return rewrite.tcp(data, l3, end, wire, ip_delta, l4_delta, partial)
        if flow.mapping.protocol == ipv4.UDP:
            return rewrite.udp(data, l3, end, wire, ip_delta, l4_delta, partial)
    return rewrite.generic(data, l3, l4, end, wire, ip_delta, l4_delta, partial)
