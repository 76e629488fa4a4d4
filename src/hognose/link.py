"""The link as the core knows it: capabilities of the frame device and the shape of packets to send.

A frame, received or sent, is a 12-byte virtio-net header followed by an Ethernet frame (docs/dev/device.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from hognose.address import Address

VNET_HDR_LEN = 12
ETHERNET_HDR_LEN = 14
L3_OFFSET = VNET_HDR_LEN + ETHERNET_HDR_LEN  # where the IPv4 header of a received frame begins
GSO_MAX_BYTES = 65_535 - 512  # largest IP packet we build as a super-segment; 16-bit total length with slack

# (next destination address, 12-byte vnet header with offsets counted from a 14-byte Ethernet header,
#  pieces of one IPv4 packet: the first piece begins with the IPv4 header and holds the whole L4 header).
# The receiver of an Outgoing owns the list; the pieces are read-only.
Outgoing = tuple[Address, bytes, list[bytes]]


@dataclass(frozen=True, slots=True)
class LinkCaps:
    """Capabilities of a frame device, fixed for its life (docs/dev/device.md).

    mac: 6 bytes. mtu: largest IP packet in bytes without offload. rx_gso: frames up to 64 KiB may arrive. rx_uso4:
    super-frames of UDPv4 datagrams may be among them; single datagrams come in any case. tx_csum: the device completes
    partial checksums. tx_tso4: the device segments TCPv4 super-frames (implies tx_csum). tx_uso4: likewise super-frames
    of UDPv4 datagrams of one size.
    """

    mac: bytes
    mtu: int = 1500
    rx_gso: bool = True
    rx_uso4: bool = False
    tx_csum: bool = True
    tx_tso4: bool = True
    tx_uso4: bool = False
