"""The 12-byte virtio-net header in front of every frame (virtio 1.2 section 5.1.6, little endian, no hash).

Layout: flags(1) gso_type(1) hdr_len(2) gso_size(2) csum_start(2) csum_offset(2) num_buffers(2). Offsets count from
the Ethernet header.
"""

from __future__ import annotations

from struct import Struct

from hognose.units import UDP

HEADER = Struct("<BBHHHHH")  # flags gso_type hdr_len gso_size csum_start csum_offset num_buffers

F_NEEDS_CSUM = 1  # the checksum field holds the pseudo-header sum; csum_start/csum_offset say where
F_DATA_VALID = 2  # the device has verified the checksum

GSO_NONE = 0
GSO_TCPV4 = 1
GSO_UDP = 3
GSO_TCPV6 = 4
GSO_UDP_L4 = 5
UDP_L4_MOST = 128  # datagrams of one super-frame (linux/udp.h UDP_MAX_SEGMENTS)
GSO_ECN = 0x80

PLAIN = bytes(12)  # checksum complete, one packet


def datagrams_of(gso_type: int, protocol: int, l4_len: int, gso_size: int) -> int:
    """Number of datagrams of a received super-frame, 1 ... UDP_L4_MOST; 0 for a frame that cannot be one.

    That is one of another type or protocol, without a gso_size, or of more datagrams. l4_len: bytes of UDP header and
    payload; with a gso_size that is not smaller than the payload it is one datagram.
    """
    if gso_type & ~GSO_ECN != GSO_UDP_L4 or protocol != UDP or not gso_size:
        return 0
    number = max(1, -(-(l4_len - 8) // gso_size))
    return number if number <= UDP_L4_MOST else 0


def partial_checksum(csum_start: int, csum_offset: int) -> bytes:
    """Header of a single packet whose L4 checksum the device completes."""
    return HEADER.pack(F_NEEDS_CSUM, GSO_NONE, 0, 0, csum_start, csum_offset, 0)


def udp_super_frame(hdr_len: int, gso_size: int, csum_start: int) -> bytes:
    """Header of many UDP datagrams in one frame; hdr_len as of TCP, gso_size = payload of each but the last."""
    return HEADER.pack(F_NEEDS_CSUM, GSO_UDP_L4, hdr_len, gso_size, csum_start, 6, 0)


def tcp_super_segment(hdr_len: int, gso_size: int, csum_start: int) -> bytes:
    """Header of a TCPv4 super-segment; hdr_len = Ethernet + IP + TCP header bytes, gso_size = MSS bytes on the wire."""
    return HEADER.pack(F_NEEDS_CSUM, GSO_TCPV4, hdr_len, gso_size, csum_start, 16, 0)
