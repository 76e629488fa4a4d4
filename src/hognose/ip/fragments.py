"""Reassembly of IPv4 datagrams within bounds, and fragmentation of packets that are to leave.

RFC 791 section 3.2, RFC 815 (the hole idea), RFC 1858 and 3128 (tiny and overlapping first fragments), RFC 5722 in
spirit (an overlap ends the datagram), RFC 4963 (short time-out). Knows no interfaces: packets in, packets out.
"""

from __future__ import annotations

from collections import OrderedDict

from hognose.address import Address
from hognose.drops import Counters, DropReason
from hognose.limits import IpLimits
from hognose.units import SECOND, Buffer, Nanos
from hognose.wire import ipv4

TIMEOUT: Nanos = 30 * SECOND  # counted from the first fragment that arrived, which need not have offset 0
MAX_FRAGMENTS = 64  # pieces of one datagram: 64 KiB in pieces of 1 KiB; more is an attack
ENTRY_BYTES = 256  # what an unfinished datagram is charged besides its payload

# The L4 header that must stand whole in the first fragment, so that no filter after us can be deceived.
_MIN_FIRST = {ipv4.TCP: 20, ipv4.UDP: 8, ipv4.ICMP: 8}

_Key = tuple[Address, Address, int, int]  # source, destination, protocol, ID


class _Datagram:
    """An unfinished datagram: its pieces by offset, in bytes."""

    __slots__ = ("deadline", "header", "pieces", "size", "total")

    def __init__(self, deadline: Nanos) -> None:
        self.deadline = deadline
        self.pieces: dict[int, bytes] = {}
        self.size = 0
        self.total = -1  # payload length once the last fragment is there
        self.header = b""  # of the first fragment, with options


class Reassembler:
    """Fragments of any order to whole packets.

    Bounds and policy: IpLimits.reassembly_datagrams and reassembly_bytes (the oldest unfinished datagram goes of the
    source that has most of them, or most bytes; counted as FRAGMENT_TABLE_FULL), reassembly_per_source (the oldest of
    that source goes), MAX_FRAGMENTS each, TIMEOUT. One for each side: fragments from outside take no client's place.
    """

    def __init__(self, limits: IpLimits, counters: Counters) -> None:
        self._limits = limits
        self._counters = counters
        self._datagrams: OrderedDict[_Key, _Datagram] = OrderedDict()  # oldest first
        self._bytes = 0

    def receive(self, data: Buffer, l3: int, end: int, now: Nanos) -> bytes | DropReason | None:
        """Take the fragment at l3 … end (validated by ipv4.parse; copied); the whole packet when none is missing.

        None: waiting for more. FRAGMENT_BAD: empty, misaligned, tiny or beyond 65535 bytes, with its whole datagram.
        FRAGMENT_OVERLAP: the datagram is dropped; an exact duplicate is ignored. The packet's header is that of the
        first fragment with length, offset and checksum made new; its L4 checksum was not looked at.
        """
        header_len = (data[l3] & 15) * 4
        _, _, _, ident, word, _, protocol, _, source, destination = ipv4.HEADER.unpack_from(data, l3)
        key = (source, destination, protocol, ident)
        payload = bytes(data[l3 + header_len : end])
        offset = (word & ipv4.OFFSET_MASK) * 8
        more = bool(word & ipv4.MORE_FRAGMENTS)
        if not _is_sound(offset, more, payload, header_len, protocol):
            self._drop(key)
            return DropReason.FRAGMENT_BAD
        datagram = self._datagrams.get(key)
        if datagram is None:
            datagram = self._new(key, now)
        if datagram.pieces.get(offset) == payload:
            return None  # a duplicate made by the network
        if _overlaps(datagram, offset, len(payload), more):
            self._drop(key)
            return DropReason.FRAGMENT_OVERLAP
        if len(datagram.pieces) >= MAX_FRAGMENTS:
            self._drop(key)
            return DropReason.FRAGMENT_BAD
        datagram.pieces[offset] = payload
        datagram.size += len(payload)
        self._bytes += len(payload)
        if not more:
            datagram.total = offset + len(payload)
        if offset == 0:
            datagram.header = bytes(data[l3 : l3 + header_len])
        if datagram.size == datagram.total and datagram.header:
            self._drop(key)
            return _join(datagram)
        self._make_room(key)
        return None

    def next_deadline(self) -> Nanos | None:
        """Time at which the oldest unfinished datagram is given up; None when there is none."""
        for datagram in self._datagrams.values():
            return datagram.deadline
        return None

    def handle_deadline(self, now: Nanos) -> list[bytes]:
        """Give up overdue datagrams (FRAGMENT_TIMEOUT); return their first fragments for ICMP 11/1 (RFC 1122 3.3.2)."""
        first_fragments = []
        while self._datagrams:
            key, datagram = next(iter(self._datagrams.items()))
            if datagram.deadline > now:
                break
            self._drop(key)
            self._counters.drop(DropReason.FRAGMENT_TIMEOUT)
            if datagram.header:
                first_fragments.append(datagram.header + datagram.pieces[0])
        return first_fragments

    def _new(self, key: _Key, now: Nanos) -> _Datagram:
        source = key[0]
        same_source = [other for other in self._datagrams if other[0] == source]
        if len(same_source) >= self._limits.reassembly_per_source:
            self._evict(same_source[0])
        if len(self._datagrams) >= self._limits.reassembly_datagrams:
            counts: dict[Address, int] = {}
            for other in self._datagrams:
                counts[other[0]] = counts.get(other[0], 0) + 1
            self._evict_of_fullest(counts)
        datagram = self._datagrams[key] = _Datagram(now + TIMEOUT)
        self._bytes += ENTRY_BYTES
        return datagram

    def _make_room(self, current: _Key) -> None:
        """Keep the bound on bytes; of its source, the datagram that just grew goes last."""
        while self._bytes > self._limits.reassembly_bytes:
            sizes: dict[Address, int] = {}
            for key, datagram in self._datagrams.items():
                sizes[key[0]] = sizes.get(key[0], 0) + datagram.size + ENTRY_BYTES
            self._evict_of_fullest(sizes, current)

    def _evict_of_fullest(self, weights: dict[Address, int], last: _Key | None = None) -> None:
        """Give up the oldest datagram of the source with the greatest weight, `last` only when it has no other."""
        fullest = max(weights, key=weights.__getitem__)  # the earlier one of two equals
        candidates = [key for key in self._datagrams if key[0] == fullest]
        self._evict(next((key for key in candidates if key != last), candidates[0]))

    def _evict(self, key: _Key) -> None:
        self._drop(key)
        self._counters.drop(DropReason.FRAGMENT_TABLE_FULL)

    def _drop(self, key: _Key) -> None:
        datagram = self._datagrams.pop(key, None)
        if datagram is not None:
            self._bytes -= datagram.size + ENTRY_BYTES


def _is_sound(offset: int, more: bool, payload: bytes, header_len: int, protocol: int) -> bool:
    size = len(payload)
    if size == 0 or (more and size % 8) or header_len + offset + size > 65535:
        return False
    if offset == 0:
        return size >= _MIN_FIRST.get(protocol, 0)
    # RFC 1858 section 4.2, RFC 3128: no fragment may begin inside of the TCP header that a filter reads
    return not (protocol == ipv4.TCP and offset < 20)


def _overlaps(datagram: _Datagram, offset: int, size: int, more: bool) -> bool:
    """True when the piece covers bytes that are there, or contradicts the known end."""
    end = offset + size
    if datagram.total >= 0 and (end > datagram.total or not more):
        return True
    for start, piece in datagram.pieces.items():
        if offset < start + len(piece) and start < end:
            return True
        if not more and start >= end:
            return True
    return False


def _join(datagram: _Datagram) -> bytes:
    header = bytearray(datagram.header)
    header[2:4] = (len(header) + datagram.total).to_bytes(2, "big")
    header[6:8] = b"\0\0"
    payload = b"".join(datagram.pieces[offset] for offset in sorted(datagram.pieces))
    return ipv4.with_checksum(bytes(header)) + payload


def fragment(packet: bytes, mtu: int) -> list[bytes]:
    """The packet in fragments of at most mtu (68 … 65535) bytes, [packet] when it fits (RFC 791 section 3.2).

    The caller has looked at DF and completed partial checksums. A packet that is a fragment itself is cut further.
    Options go into the first fragment, those with the copied bit into all.
    """
    if len(packet) <= mtu:
        return [packet]
    header_len = (packet[0] & 15) * 4
    word = packet[6] << 8 | packet[7]
    base, last_more = word & ipv4.OFFSET_MASK, word & ipv4.MORE_FRAGMENTS
    flags = word & ~ipv4.FRAGMENTED
    first = packet[:header_len]
    later = _header_of_later(first)
    fragments = []
    at = header_len
    while at < len(packet):
        header = first if at == header_len else later
        room = (mtu - len(header)) // 8 * 8
        payload = packet[at : at + room]
        at += len(payload)
        more = ipv4.MORE_FRAGMENTS if at < len(packet) else last_more
        offset = base + (at - len(payload) - header_len) // 8
        head = bytearray(header)
        head[2:4] = (len(header) + len(payload)).to_bytes(2, "big")
        head[6:8] = (flags | more | offset).to_bytes(2, "big")
        fragments.append(ipv4.with_checksum(bytes(head)) + payload)
    return fragments


def with_ident(packet: bytes, ident: int) -> bytes:
    """The packet with another ID, before it is cut (RFC 6864 section 5.3: a NAT answers for the IDs)."""
    header_len = (packet[0] & 15) * 4
    header = packet[:4] + ident.to_bytes(2, "big") + packet[6:header_len]
    return ipv4.with_checksum(header) + packet[header_len:]


def _header_of_later(header: bytes) -> bytes:
    """The header with only those options that every fragment carries, padded to 32 bits."""
    copied = b""
    at = ipv4.HEADER_LEN
    while at < len(header) and header[at] != ipv4.OPTION_END:
        length = 1 if header[at] == ipv4.OPTION_NOP else header[at + 1]
        if header[at] & ipv4.OPTION_COPIED:
            copied += header[at : at + length]
        at += length
    copied += bytes(-len(copied) % 4)
    return bytes([0x40 | (ipv4.HEADER_LEN + len(copied)) // 4]) + header[1 : ipv4.HEADER_LEN] + copied
