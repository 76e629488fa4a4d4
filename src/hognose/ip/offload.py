# hot
"""Segmentation and checksums in software, for devices that lack them; the one place where egress is lowered.

Input are Outgoing values as engines make them: partial checksums and TCPv4 super-segments allowed.
"""

from __future__ import annotations

from struct import Struct

from hognose.errors import LocalError
from hognose.link import ETHERNET_HDR_LEN, LinkCaps, Outgoing
from hognose.units import Buffer
from hognose.wire import virtio_net
from hognose.wire.checksum import ones_sum
from hognose.wire.segmentation import cut

_HALF = Struct(">H")
_UDP_CHECKSUM_OFFSET = 6
_ANY = 65_535  # packets


def lower(outgoings: list[Outgoing], caps: LinkCaps) -> list[Outgoing]:
    """The same packets in a form that a device with these capabilities sends; the same list when nothing changes.

    Without tx_tso4 super-segments become packets, with complete checksums; without tx_csum partial checksums are
    completed. A header that no engine of ours may make is a LocalError.
    """
    if caps.tx_tso4:
        return outgoings
    lowered: list[Outgoing] = []
    for outgoing in outgoings:
        next_hop, vnet, pieces = outgoing
        flags, gso_type, _, gso_size, csum_start, csum_offset, _ = virtio_net.HEADER.unpack(vnet)
        if gso_type != virtio_net.GSO_NONE:
            for packet in segment(pieces, gso_size):
                lowered.append((next_hop, virtio_net.PLAIN, [packet]))
        elif flags & virtio_net.F_NEEDS_CSUM and not caps.tx_csum:
            packet = complete(b"".join(pieces), csum_start - ETHERNET_HDR_LEN, csum_offset)
            lowered.append((next_hop, virtio_net.PLAIN, [packet]))
        else:
            lowered.append(outgoing)
    return lowered


def complete(packet: Buffer, csum_start: int, csum_offset: int) -> bytes:
    """The packet with its partial checksum completed; both offsets as in the vnet header, but from the IPv4 header.

    The field holds the pseudo-header sum and takes part in the sum. Also for received frames with NEEDS_CSUM that go on
    to a client; the caller has checked that csum_start + csum_offset + 2 <= len(packet).
    """
    field = -ones_sum(packet[csum_start:]) % 0xFFFF
    if csum_offset == _UDP_CHECKSUM_OFFSET:
        field = field or 0xFFFF  # RFC 768: 0 means none
    at = csum_start + csum_offset
    return bytes(packet[:at]) + _HALF.pack(field) + packet[at + 2 :]


def segment(pieces: list[bytes], gso_size: int) -> list[bytes]:
    """The IPv4 packets of a TCPv4 super-segment with complete checksums; its header has no IPv4 options."""
    data = b"".join(pieces)
    packets = cut(data, 0, len(data), gso_size, most=_ANY) if gso_size > 0 else None
    if packets is None:
        raise LocalError("a super-segment needs a gso_size and an option-free IPv4 header")
    return packets
