# hot
"""Packets of one client that belong to existing flows, on their way out: translation and coalescing of TCP runs.

A run is a row of data segments of one flow that a device with TSO would make out of one super-segment: equal headers
apart from sequence number, ID and checksums, contiguous sequence numbers, equal sizes except the last, PSH only on the
last. It leaves as one super-segment whose checksum the device completes, so each packet's own checksum is verified
before; a packet that fails leaves alone, incrementally translated, as wrong as it came.
Segments of a run get consecutive IDs from the first one's on; runs are made of DF packets only, whose ID has no meaning
(RFC 6864 section 4.1).
"""

from __future__ import annotations

from struct import Struct

from hognose.link import ETHERNET_HDR_LEN, Outgoing
from hognose.nat import rewrite
from hognose.nat.flow import NO_RUN, ClientFlows, Flow
from hognose.units import Nanos
from hognose.wire import virtio_net
from hognose.wire.checksum import ones_sum

RUN_MAX_BYTES = 63_000  # total length of a super-segment
RUN_MAX_PACKETS = 128  # pieces of one writev, far below IOV_MAX

_CSUM_START = ETHERNET_HDR_LEN + 20
_PLAIN = virtio_net.PLAIN

# Words of an option-free header: version/IHL/TOS/length, ID, flags/offset/TTL/protocol, checksum, key;
# TCP: seq, ack, offset/flags/window, checksum, urgent. UDP: length, checksum.
_TCP = Struct(">IHIH12sIIIHH")
_UDP = Struct(">IHIH12sHH")
_VERSION_LENGTH_MASK = 0xFF00FFFF
_PLAIN_HEADER = 0x45000000  # version 4, IHL 5
_FRAGMENT_BITS = 0xBFFF0000  # all of flags/offset but DF; the reserved bit counts as malformed
_TTL_ABOVE_ONE = 0xFE00
_DF = 0x40000000
_TTL_STEP = 0x100
_SYN_FIN_RST = 0x00070000
_FLAGS = 0x0FFF0000  # with the reserved bits
_ACK = 0x00100000
_PSH = 0x00080000


def translate(flows: ClientFlows, packets: list[bytes], now: Nanos, out: list[Outgoing]) -> list[bytes]:
    """Append what belongs to established flows to `out`; return the rest untouched and in order.

    The rest: new flows, SYN/FIN/RST, fragments, options, other protocols, TTL <= 1, anything malformed. A flow that is
    found proves the source address. Order within a flow is kept. tests/bench/bench_nat.py measures this function.
    """
    tcp_flows, udp_flows = flows.tcp, flows.udp
    unpack_tcp, unpack_udp, pack_tcp, pack_udp = _TCP.unpack_from, _UDP.unpack_from, _TCP.pack, _UDP.pack
    rest: list[bytes] = []
    open_runs: list[Flow] = []
    for packet in packets:
        size = len(packet)
        if size >= 40 and packet[9] == 6:
            vlen, ident, frag_ttl, ip_sum, key, seq, ack, offset_window, checksum, urgent = unpack_tcp(packet)
            flow = tcp_flows.get(key)
            if (
                flow is None
                or vlen & _VERSION_LENGTH_MASK != _PLAIN_HEADER | size
                or frag_ttl & _FRAGMENT_BITS
                or not frag_ttl & _TTL_ABOVE_ONE
                or offset_window & _SYN_FIN_RST
                or (vlen + ident + frag_ttl + ip_sum + flow.out_sum) % 0xFFFF
            ):
                rest.append(packet)
                continue
            flow.last_out = now
            if (
                seq == flow.run_seq
                and ack == flow.run_ack
                and frag_ttl == flow.run_frag_ttl
                and offset_window & ~_PSH == flow.run_offset_window
                and (vlen == flow.run_vlen or flow.run_vlen > vlen > flow.run_vlen_min)
                and packet[40 : flow.run_header_len] == flow.run_options
                and not urgent
            ):
                run = flow.run
                run.append(packet)
                if offset_window & _PSH or vlen != flow.run_vlen or len(run) == flow.run_room:
                    close_run(flow, out)
                else:
                    flow.run_seq = (seq + size - flow.run_header_len) & 0xFFFFFFFF
                continue
            if flow.run:
                close_run(flow, out)
            header_len = 20 + (offset_window >> 28) * 4
            if header_len < 40 or header_len > size:
                rest.append(packet)
            elif (
                offset_window & _FLAGS == _ACK  # PSH on a first packet: the run is over before it began
                and size > header_len
                and frag_ttl & _DF
                and not urgent
            ):
                flow.run.append(packet)
                open_runs.append(flow)
                flow.run_seq = (seq + size - header_len) & 0xFFFFFFFF
                flow.run_ack = ack
                flow.run_frag_ttl = frag_ttl
                flow.run_offset_window = offset_window
                flow.run_vlen = vlen
                flow.run_vlen_min = vlen - size + header_len
                flow.run_header_len = header_len
                flow.run_options = packet[40:header_len]
                flow.run_room = min(RUN_MAX_PACKETS, (RUN_MAX_BYTES - header_len) // (size - header_len))
            else:
                head = pack_tcp(
                    vlen,
                    ident,
                    frag_ttl - _TTL_STEP,
                    (ip_sum + flow.out_ip_delta) % 0xFFFF,
                    flow.out_wire,
                    seq,
                    ack,
                    offset_window,
                    (checksum + flow.out_l4_delta) % 0xFFFF,
                    urgent,
                )
                out.append((flow.remote, _PLAIN, [head + packet[40:]]))
        elif size >= 28 and packet[9] == 17:
            vlen, ident, frag_ttl, ip_sum, key, length, checksum = unpack_udp(packet)
            flow = udp_flows.get(key)
            if (
                flow is None
                or vlen & _VERSION_LENGTH_MASK != _PLAIN_HEADER | size
                or frag_ttl & _FRAGMENT_BITS
                or not frag_ttl & _TTL_ABOVE_ONE
                or not 8 <= length <= size - 20
                or (vlen + ident + frag_ttl + ip_sum + flow.out_sum) % 0xFFFF
            ):
                rest.append(packet)
                continue
            flow.last_out = now
            if checksum:
                checksum = (checksum + flow.out_l4_delta) % 0xFFFF or 0xFFFF
            ip_sum = (ip_sum + flow.out_ip_delta) % 0xFFFF
            head = pack_udp(vlen, ident, frag_ttl - _TTL_STEP, ip_sum, flow.out_wire, length, checksum)
            out.append((flow.remote, _PLAIN, [head + packet[28:]]))
        else:
            rest.append(packet)
    for flow in open_runs:
        if flow.run:
            close_run(flow, out)
    return rest


def close_run(flow: Flow, out: list[Outgoing]) -> None:
    """Send the open run of a flow: as one super-segment, or singly when it is one packet or one is corrupt."""
    run = flow.run
    flow.run = []
    flow.run_seq = NO_RUN
    if len(run) > 1 and all_valid(run, flow.out_sum):
        out.append(super_segment(flow, run))
        return
    wire, ip_delta, l4_delta = flow.out_wire, flow.out_ip_delta, flow.out_l4_delta
    for packet in run:
        out.append((flow.remote, _PLAIN, [rewrite.tcp(packet, 0, len(packet), wire, ip_delta, l4_delta)]))


def all_valid(run: list[bytes], address_sum: int) -> bool:
    """True when the TCP checksum of every packet is right; their IPv4 headers are valid and 20 bytes long.

    A valid IPv4 header sums to zero, so the whole packet may be summed without cutting it.
    """
    base = address_sum + 6 - 20  # pseudo-header: addresses, protocol, length of the segment
    for packet in run:  # noqa: SIM110 - a generator costs a frame switch per packet
        if ones_sum(packet, base + len(packet)):
            return False
    return True


def super_segment(flow: Flow, run: list[bytes]) -> Outgoing:
    """One TCPv4 GSO packet out of a run of at least two: translated header, partial checksum, payloads as slices."""
    first = run[0]
    header_len = flow.run_header_len
    vlen, ident, frag_ttl, _, _, seq, ack, offset_window, _, urgent = _TCP.unpack_from(first)
    offset_window |= _TCP.unpack_from(run[-1])[7] & _PSH
    gso_size = len(first) - header_len
    total_len = (len(run) - 1) * gso_size + len(run[-1])
    vlen = vlen & 0xFFFF0000 | total_len
    frag_ttl -= _TTL_STEP
    # flow.out_pseudo holds both addresses and the protocol
    ip_sum = -(vlen + ident + frag_ttl + flow.out_pseudo - 6) % 0xFFFF
    pseudo = (flow.out_pseudo + total_len - 20) % 0xFFFF
    head = _TCP.pack(vlen, ident, frag_ttl, ip_sum, flow.out_wire, seq, ack, offset_window, pseudo, urgent)
    pieces = [packet[header_len:] for packet in run]
    pieces.insert(0, head + flow.run_options)
    vnet = virtio_net.tcp_super_segment(ETHERNET_HDR_LEN + header_len, gso_size, _CSUM_START)
    return flow.remote, vnet, pieces
