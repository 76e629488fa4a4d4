# hot
"""Packets of one client that belong to existing flows, on their way out: translation and coalescing of TCP runs.

A run is a row of data segments of one flow that a device with TSO would make out of one super-segment: equal headers
apart from sequence number, ID and checksums, contiguous sequence numbers, equal sizes except the last, PSH only on the
last. It leaves as one super-segment whose checksum the device completes, so each packet's own checksum is verified
before; a packet that fails leaves alone, incrementally translated, with its checksum wrong by the same amount.
Segments of a run get consecutive IDs from the first one's on; runs are made of DF packets only, whose ID has no meaning
(RFC 6864 section 4.1).
"""

from __future__ import annotations

from struct import Struct

from hognose.link import ETHERNET_HDR_LEN, Outgoing
from hognose.nat import rewrite
from hognose.nat.flow import CLOSED, TTL_STEP, ClientFlows, Flow, Run
from hognose.units import Nanos
from hognose.wire import virtio_net
from hognose.wire.checksum import ones_sum_all

RUN_MAX_BYTES = 63_000  # total length of a super-segment
RUN_MAX_PACKETS = 128  # pieces of one writev, far below IOV_MAX
_RUN_FIRST_MAX = RUN_MAX_BYTES // 2  # so that there is room for a second packet

_CSUM_START = ETHERNET_HDR_LEN + 20
_PLAIN = virtio_net.PLAIN

# Words of an option-free header: version/IHL/TOS/length, ID, flags/offset/TTL/protocol, checksum, key;
# TCP: seq, ack, offset/flags/window, checksum. UDP: length, checksum.
_TCP = Struct(">IHIH12sIIIH")
_UDP = Struct(">IHIH12sHH")
_URGENT = 38  # the TCP header goes on with the urgent pointer and the options
_VERSION_LENGTH_MASK = 0xFF00FFFF
_PLAIN_HEADER = 0x45000000  # version 4, IHL 5
_FRAGMENT_BITS = 0xBFFF0000  # all of flags/offset but DF; the reserved bit counts as malformed
_TTL_ABOVE_ONE = 0xFE00
_DF = 0x40000000
_SYN_FIN_RST = 0x00070000
_FLAGS = 0x0FFF0000  # with the reserved bits
_ACK = 0x00100000
_PSH = 0x00080000


def translate(flows: ClientFlows, packets: list[bytes], now: Nanos, out: list[Outgoing]) -> list[bytes]:
    """Append packets of established flows to `out`; return the rest untouched.

    The rest: new flows, SYN/FIN/RST, fragments, options, other protocols, TTL <= 1, anything malformed. A flow that is
    found proves the source address. Order is kept within each protocol. tests/bench/bench_nat.py measures this.
    """
    find, unpack, pack = flows.tcp.get, _TCP.unpack_from, _TCP.pack
    rest: list[bytes] = []
    datagrams: list[bytes] = []
    open_runs: list[Flow] = []
    last = packets[-1] if packets else b""
    for packet in packets:
        size = len(packet)
        if size < 40 or packet[9] != 6:
            datagrams.append(packet)
            continue
        vlen, ident, frag_ttl, ip_sum, key, seq, ack, offset_window, checksum = unpack(packet)
        flow = find(key)
        if flow is None:
            rest.append(packet)
            continue
        run = flow.run
        if (  # the next of a run: the checks of the first hold for this one too
            seq == run.seq
            and ack == run.ack
            and size == run.size
            and vlen == run.vlen
            and frag_ttl == run.frag_ttl
            and offset_window == run.offset_window
            and (ident + ip_sum) % 0xFFFF == run.ip_sum
            and packet[_URGENT : run.header_len] == run.tail
        ):
            run.packets.append(packet)
            if seq == run.last_seq:
                close_run(flow, out)
            else:
                run.seq = (seq + run.payload) & 0xFFFFFFFF
            continue
        header_len = 20 + (offset_window >> 28) * 4
        if (
            vlen & _VERSION_LENGTH_MASK != _PLAIN_HEADER | size
            or frag_ttl & _FRAGMENT_BITS
            or not frag_ttl & _TTL_ABOVE_ONE
            or offset_window & _SYN_FIN_RST
            or not 40 <= header_len <= size
            or (vlen + ident + frag_ttl + ip_sum + flow.out_sum) % 0xFFFF
        ):
            rest.append(packet)
            continue
        flow.last_out = now
        flow.acked = ack
        flow.window = offset_window  # for resets from outside (nat.tracking)
        if run is not CLOSED:
            ends = _ends_run(run, packet, vlen, frag_ttl, seq, ack, offset_window)
            if ends:
                run.packets.append(packet)
            close_run(flow, out)
            if ends:
                continue
        if (  # PSH on a first packet, or no room for a second: the run is over before it began
            offset_window & _FLAGS == _ACK
            and packet is not last
            and header_len < size <= _RUN_FIRST_MAX
            and frag_ttl & _DF
            and not packet[_URGENT]
            and not packet[_URGENT + 1]
        ):
            open_runs.append(flow)
            flow.run = _open_run(packet, vlen, ident + ip_sum, frag_ttl, seq, ack, offset_window)
            continue
        ip_sum = (ip_sum + flow.out_ip_delta) % 0xFFFF
        checksum = (checksum + flow.out_l4_delta) % 0xFFFF
        head = pack(vlen, ident, frag_ttl - TTL_STEP, ip_sum, flow.out_wire, seq, ack, offset_window, checksum)
        out.append((flow.remote, _PLAIN, [head + packet[_URGENT:]]))
    for flow in open_runs:
        if flow.run is not CLOSED:
            close_run(flow, out)
    if datagrams:
        _translate_udp(flows, datagrams, now, out, rest)
    return rest


def _translate_udp(
    flows: ClientFlows, packets: list[bytes], now: Nanos, out: list[Outgoing], rest: list[bytes]
) -> None:
    """Translate packets of other protocols than TCP."""
    find, unpack, pack = flows.udp.get, _UDP.unpack_from, _UDP.pack
    for packet in packets:
        size = len(packet)
        if size < 28 or packet[9] != 17:
            rest.append(packet)
            continue
        vlen, ident, frag_ttl, ip_sum, key, length, checksum = unpack(packet)
        flow = find(key)
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
        head = pack(vlen, ident, frag_ttl - TTL_STEP, ip_sum, flow.out_wire, length, checksum)
        out.append((flow.remote, _PLAIN, [head + packet[28:]]))


def _open_run(packet: bytes, vlen: int, ip_sum: int, frag_ttl: int, seq: int, ack: int, offset_window: int) -> Run:
    """A run begun with a valid data packet of at most _RUN_FIRST_MAX bytes; ip_sum: ID plus header checksum."""
    run = Run()
    run.packets.append(packet)
    run.size = size = len(packet)
    run.header_len = header_len = 20 + (offset_window >> 28) * 4
    run.payload = payload = size - header_len
    run.tail = packet[_URGENT:header_len]
    run.vlen, run.frag_ttl, run.ack, run.offset_window = vlen, frag_ttl, ack, offset_window
    run.ip_sum = ip_sum % 0xFFFF
    run.seq = (seq + payload) & 0xFFFFFFFF
    room = min(RUN_MAX_PACKETS, (RUN_MAX_BYTES - header_len) // payload) - 1
    run.last_seq = (seq + room * payload) & 0xFFFFFFFF
    return run


def _ends_run(run: Run, packet: bytes, vlen: int, frag_ttl: int, seq: int, ack: int, offset_window: int) -> bool:
    """True for a valid packet that continues the open run and is its last: shorter than the others or pushed."""
    return (
        seq == run.seq
        and ack == run.ack
        and frag_ttl == run.frag_ttl
        and offset_window & ~_PSH == run.offset_window
        and vlen >> 16 == run.vlen >> 16
        and run.header_len < len(packet) <= run.size
        and packet[_URGENT : run.header_len] == run.tail
    )


def close_run(flow: Flow, out: list[Outgoing]) -> None:
    """Send the open run of a flow: as one super-segment, or singly when it is one packet or one is corrupt."""
    run = flow.run
    packets = run.packets
    flow.run = CLOSED
    if len(packets) > 1 and all_valid(packets, flow.out_sum):
        out.append(super_segment(flow, run))
        return
    wire, ip_delta, l4_delta = flow.out_wire, flow.out_ip_delta, flow.out_l4_delta
    for packet in packets:
        out.append((flow.remote, _PLAIN, [rewrite.tcp(packet, 0, len(packet), wire, ip_delta, l4_delta)]))


def all_valid(run: list[bytes], address_sum: int) -> bool:
    """True when the TCP checksums of a run are right; the IPv4 headers are valid and 20 bytes long.

    A valid IPv4 header sums to zero, so whole packets are summed without cutting them. One sum serves the whole run: it
    finds one corrupt packet always, and several as surely as a checksum finds several errors in one packet.
    """
    # pseudo-headers: addresses, protocol, length of the segment
    lengths = (len(run) - 1) * len(run[0]) + len(run[-1])
    return not ones_sum_all(run, len(run) * (address_sum + 6 - 20) + lengths)


def super_segment(flow: Flow, run: Run) -> Outgoing:
    """One TCPv4 GSO packet out of a run of at least two: translated header, partial checksum, payloads as slices."""
    first, last = run.packets[0], run.packets[-1]
    header_len = run.header_len
    _, ident, _, _, _, seq, _, _, _ = _TCP.unpack_from(first)
    offset_window = run.offset_window | _TCP.unpack_from(last)[7] & _PSH
    total_len = (len(run.packets) - 1) * run.payload + len(last)
    vlen = run.vlen & 0xFFFF0000 | total_len
    frag_ttl = run.frag_ttl - TTL_STEP
    addresses = flow.translated_sum
    ip_sum = -(vlen + ident + frag_ttl + addresses) % 0xFFFF
    pseudo = (addresses + 6 + total_len - 20) % 0xFFFF
    head = _TCP.pack(vlen, ident, frag_ttl, ip_sum, flow.out_wire, seq, run.ack, offset_window, pseudo)
    pieces = [packet[header_len:] for packet in run.packets]
    pieces.insert(0, head + run.tail)
    vnet = virtio_net.tcp_super_segment(ETHERNET_HDR_LEN + header_len, run.payload, _CSUM_START)
    return flow.remote, vnet, pieces
