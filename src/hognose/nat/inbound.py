# hot
"""Packets from outside that belong to a flow, on their way to a client.

They are translated, and super-segments are cut into inner packets with complete checksums in the same pass.
"""

from __future__ import annotations

from struct import Struct

from hognose.drops import DropReason
from hognose.nat import rewrite
from hognose.nat.flow import TTL_STEP, Flow
from hognose.units import Buffer
from hognose.wire import ipv4
from hognose.wire.checksum import ones_sum

_TCP = Struct(">IHIH12sIIIHH")  # as in nat.outbound
_WORDS = Struct(">IIHH")
_FIN_PSH = 0x00090000
_CWR = 0x00800000
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


def split(data: Buffer, l3: int, end: int, gso_size: int, flow: Flow) -> list[bytes] | DropReason:
    """The inner packets of a TCPv4 super-segment with gso_size payload bytes each, the last with what is left.

    Like a device with TSO does: sequence numbers go on, IDs count up, FIN and PSH stand on the last only, CWR on the
    first only (RFC 3168 section 6.1.2). The checksum of the super-segment is the device's word: every inner packet
    gets a complete one. NAT_BAD_PACKET for headers with IPv4 options or out of range, and for more than SEGMENTS_MOST.
    """
    vlen, ident, frag_ttl, _, _, seq, ack, offset_window, _, urgent = _TCP.unpack_from(data, l3)
    header_len = 20 + (offset_window >> 28) * 4
    if vlen >> 24 != 0x45 or not 40 <= header_len <= end - l3 <= header_len + gso_size * SEGMENTS_MOST:
        return DropReason.NAT_BAD_PACKET
    options = bytes(data[l3 + 40 : l3 + header_len])
    wire = flow.in_wire
    source, destination, sport, dport = _WORDS.unpack(wire)
    addresses = source + destination
    vlen &= 0xFFFF0000
    frag_ttl -= TTL_STEP
    ip_base = vlen + frag_ttl + addresses
    # pseudo-header (addresses, protocol, length without the payload) and the constant words of the TCP header
    tcp_base = (addresses + 6 + header_len - 20 + sport + dport + ack + urgent + ones_sum(options)) % 0xFFFF
    last_flags = offset_window & ~_CWR
    inner_flags = last_flags & ~_FIN_PSH
    flags = offset_window & ~_FIN_PSH
    packets: list[bytes] = []
    append, pack = packets.append, _TCP.pack
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
