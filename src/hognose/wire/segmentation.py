# hot
"""Cutting of TCPv4 super-segments and super-frames of UDP datagrams into IPv4 packets, as a device does it.

Virtio 1.2 section 5.1.6.2.

IDs count up. In TCP, sequence numbers go on, FIN and PSH stand on the last packet only, CWR on the first only (RFC 3168
section 6.1.2). Every packet gets complete checksums; the fields of the whole are not looked at.
"""

from __future__ import annotations

from struct import Struct

from hognose.units import Buffer
from hognose.wire.checksum import ones_sum
from hognose.wire.tcp import CWR, FIN, PSH

# version/IHL/TOS/length, ID, flags/offset/TTL/protocol, checksum, addresses and ports, seq, ack, offset/flags/window,
# TCP checksum, urgent
TCP_PACKET = Struct(">IHIH12sIIIHH")
# …, addresses and ports, UDP length, UDP checksum
_UDP_PACKET = Struct(">IHIH12sHH")
_WIRE = Struct(">III")  # addresses, and both ports as one word
# TCP flags in the word offset/flags/window
FIN_PSH_BITS = (FIN | PSH) << 16
CWR_BITS = CWR << 16


def cut(
    data: Buffer, l3: int, end: int, gso_size: int, *, most: int, wire: bytes = b"", ttl_step: int = 0
) -> list[bytes] | None:
    """The packets of the super-segment at l3 … end, with gso_size payload bytes each, the last with what is left.

    wire: addresses and ports, 12 bytes, that they have instead of those of the super-segment; ttl_step: taken off the
    word flags/offset/TTL/protocol. None for headers with IPv4 options or out of range, and for more than `most`.
    """
    if end - l3 < 40:
        return None
    vlen, ident, frag_ttl, _, old_wire, seq, ack, offset_window, _, urgent = TCP_PACKET.unpack_from(data, l3)
    header_len = 20 + (offset_window >> 28) * 4
    if vlen >> 24 != 0x45 or not 40 <= header_len <= end - l3 <= header_len + gso_size * most:
        return None
    wire = wire or old_wire
    options = bytes(data[l3 + 40 : l3 + header_len])
    first, second, third = _WIRE.unpack(wire)
    addresses = first + second
    vlen &= 0xFFFF0000
    frag_ttl -= ttl_step
    ip_base = vlen + frag_ttl + addresses
    # pseudo-header (addresses, protocol, length without the payload) and the constant words of the TCP header
    tcp_base = (addresses + 6 + header_len - 20 + third + ack + urgent + ones_sum(options)) % 0xFFFF
    last_flags = offset_window & ~CWR_BITS
    inner_flags = last_flags & ~FIN_PSH_BITS
    flags = offset_window & ~FIN_PSH_BITS
    packets: list[bytes] = []
    append, pack = packets.append, TCP_PACKET.pack
    start = l3 + header_len
    for at in range(start, end, gso_size) or (start,):
        payload = data[at : at + gso_size]
        payload_len = gso_size
        if at + gso_size >= end:
            payload = data[at:end]
            payload_len = end - at
            flags = last_flags if packets else offset_window
        total_len = header_len + payload_len
        checksum = -ones_sum(payload, tcp_base + payload_len + seq + flags) % 0xFFFF
        ip_sum = -(ip_base + total_len + ident) % 0xFFFF
        head = pack(vlen | total_len, ident, frag_ttl, ip_sum, wire, seq, ack, flags, checksum, urgent)
        append(head + options + payload)
        seq = (seq + gso_size) & 0xFFFFFFFF
        ident = (ident + 1) & 0xFFFF
        flags = inner_flags
    return packets


def cut_datagrams(
    data: Buffer, l3: int, end: int, gso_size: int, *, most: int, wire: bytes = b"", ttl_step: int = 0
) -> list[bytes] | None:
    """The packets of the super-frame of UDP datagrams at l3 … end, as `cut` makes those of TCP.

    None for headers with IPv4 options, a UDP length that is not that of the packet, no payload, and for more than
    `most`.
    """
    start = l3 + _UDP_PACKET.size
    if not start < end <= start + gso_size * most:
        return None
    vlen, ident, frag_ttl, _, old_wire, length, _ = _UDP_PACKET.unpack_from(data, l3)
    if vlen >> 24 != 0x45 or length != end - l3 - 20:
        return None
    wire = wire or old_wire
    first, second, ports = _WIRE.unpack(wire)
    vlen &= 0xFFFF0000
    frag_ttl -= ttl_step
    ip_base = vlen + frag_ttl + first + second
    udp_base = (first + second + 17 + ports) % 0xFFFF  # pseudo-header and ports, without both lengths
    packets: list[bytes] = []
    append, pack = packets.append, _UDP_PACKET.pack
    for at in range(start, end, gso_size):
        payload = data[at : at + gso_size] if at + gso_size < end else data[at:end]
        length = 8 + len(payload)
        total_len = 20 + length
        checksum = -ones_sum(payload, udp_base + 2 * length) % 0xFFFF or 0xFFFF  # RFC 768: 0 means none
        ip_sum = -(ip_base + total_len + ident) % 0xFFFF
        append(pack(vlen | total_len, ident, frag_ttl, ip_sum, wire, length, checksum) + payload)
        ident = (ident + 1) & 0xFFFF
    return packets


def first_datagram(data: Buffer, l3: int, end: int, gso_size: int) -> bytes:
    """The first packet of `cut_datagrams` alone, for an ICMP error to quote; the whole where it cannot be cut."""
    start = l3 + _UDP_PACKET.size
    if not 0 < gso_size < end - start:
        return bytes(data[l3:end])
    vlen, ident, frag_ttl, ip_sum, wire, _, checksum = _UDP_PACKET.unpack_from(data, l3)
    head = _UDP_PACKET.pack(vlen, ident, frag_ttl, ip_sum, wire, 8 + gso_size, checksum)
    packet = head + data[start : start + gso_size]
    packets = cut_datagrams(packet, 0, len(packet), gso_size, most=1)
    return packets[0] if packets else bytes(data[l3:end])
