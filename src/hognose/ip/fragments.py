"""Reassembly of IPv4 datagrams within bounds, and fragmentation of packets that are to leave.

RFC 791 section 3.2, RFC 815 (the hole idea), RFC 1858 and 3128 (tiny and overlapping first fragments), RFC 5722 in
spirit (an overlap ends the datagram), RFC 4963 (short time-out). Knows no interfaces: packets in, packets out.
"""

from __future__ import annotations

from bisect import bisect, insort
from collections.abc import Callable
from struct import Struct

from hognose.address import Address
from hognose.base.fair_table import FairTable
from hognose.base.rate import TokenBucket
from hognose.drops import Counters, DropReason
from hognose.limits import IpLimits
from hognose.units import SECOND, Buffer, Nanos
from hognose.wire import ipv4

TIMEOUT: Nanos = 30 * SECOND  # counted from the first fragment that arrived, which need not have offset 0
MAX_FRAGMENTS = 1365  # pieces of one datagram: 64 KiB in pieces of 48 bytes, those of the smallest MTU (RFC 791: 68)
ENTRY_BYTES = 512  # what an unfinished datagram is charged besides its pieces
PIECE_BYTES = 192  # likewise a piece besides its payload

# The L4 header that must stand whole in the first fragment, so that no filter after us can be deceived.
_MIN_FIRST = {ipv4.TCP: 20, ipv4.UDP: 8, ipv4.ICMP: 8}
_FIELDS = Struct(">4xHHxB2x4s4s")  # ID, flags and offset, protocol, source, destination

_Key = tuple[Address, Address, int, int]  # source, destination, protocol, ID
# The judge of first fragments at (data, l3, l4): whose datagram it is, None for a stranger's, the reason to drop it.
Judge = Callable[[Buffer, int, int], Address | DropReason | None]


class _Account:
    """Bytes that datagrams are charged, in all and by whose they are."""

    __slots__ = ("most", "shares", "total")

    def __init__(self, most: int) -> None:
        self.most = most
        self.total = 0
        self.shares: dict[Address, int] = {}

    def change(self, owner: Address, size: int) -> None:
        """Charge, or with a negative size give back."""
        share = self.shares.get(owner, 0) + size
        self.total += size
        self.shares[owner] = share
        if not share:
            del self.shares[owner]


class _Datagram:
    """An unfinished datagram: its pieces by offset, in bytes. It is charged `charge` bytes of its owner's share."""

    __slots__ = ("account", "charge", "deadline", "header", "offsets", "owner", "pieces", "size", "total")

    def __init__(self, account: _Account, owner: Address, deadline: Nanos) -> None:
        self.account = account
        self.owner = owner
        self.charge = 0
        self.deadline = deadline
        self.pieces: dict[int, bytes] = {}
        self.offsets: list[int] = []  # of the pieces, ascending
        self.size = 0
        self.total = -1  # payload length once the last fragment is there
        self.header = b""  # of the first fragment, with options


class Reassembler:
    """Fragments of any order to whole packets; the cost of one does not depend on how many there are.

    Bounds. Of datagrams that are expected: IpLimits.reassembly_bytes; an owner has as many as are free besides, and its
    next datagram leaves room for those that it has begun. Of strangers, and of those whose first fragment has not come:
    reassembly_strangers_per_second new ones; reassembly_strangers, of which a FairTable evicts one for a new one; and
    reassembly_stranger_bytes, of which one source has half, a third for what it begins, and the oldest datagram goes.
    Where there is no room the newcomer is refused, or what grew; either is counted as FRAGMENT_TABLE_FULL.
    MAX_FRAGMENTS each, TIMEOUT. There is one Reassembler for each side: fragments from outside take no client's place.
    """

    def __init__(self, limits: IpLimits, counters: Counters, judge: Judge | None = None) -> None:
        """judge: asked about first fragments; without one every datagram is expected, and its source's own."""
        self._counters = counters
        self._judge = judge
        self._datagrams: dict[_Key, _Datagram] = {}  # oldest first
        self.due: Nanos = 0  # nothing is overdue before
        self._expected = _Account(limits.reassembly_bytes)
        self._strange = _Account(limits.reassembly_stranger_bytes)
        places, per_second = limits.reassembly_strangers, limits.reassembly_strangers_per_second
        self._strangers: FairTable[_Key] = FairTable(places, places, places)
        self._newcomers = TokenBucket(per_second, per_second, 0)

    def __len__(self) -> int:
        """Unfinished datagrams."""
        return len(self._datagrams)

    @property
    def held(self) -> int:
        """Bytes that unfinished datagrams are charged, ENTRY_BYTES and PIECE_BYTES included."""
        return self._expected.total + self._strange.total

    def receive(self, data: Buffer, l3: int, end: int, now: Nanos) -> bytes | DropReason | None:
        """Take the fragment at l3 … end (validated by ipv4.parse; copied); the whole packet when none is missing.

        None: waiting for more. FRAGMENT_BAD: empty, misaligned, tiny or beyond 65535 bytes, with its whole datagram.
        FRAGMENT_OVERLAP: the datagram is dropped; an exact duplicate is ignored. FRAGMENT_TABLE_FULL, and the judge's
        reasons. The packet's header is that of the first fragment with length, offset and checksum made new; its L4
        checksum was not looked at.
        """
        ident, word, protocol, source, destination = _FIELDS.unpack_from(data, l3)
        l4 = l3 + (data[l3] & 15) * 4
        key = (source, destination, protocol, ident)
        size = end - l4
        offset = (word & ipv4.OFFSET_MASK) * 8
        more = word & ipv4.MORE_FRAGMENTS
        owner: Address | DropReason | None = source if self._judge is None else None
        if offset:
            # RFC 1858 section 4.2, RFC 3128: no fragment may begin inside of the TCP header that a filter reads
            sound = size > 0 and (offset >= 20 or protocol != ipv4.TCP)
        else:
            sound = size >= _MIN_FIRST.get(protocol, 1)
        if not sound or (more and size % 8) or l4 - l3 + offset + size > 65535:
            owner = DropReason.FRAGMENT_BAD
        elif offset == 0 and self._judge is not None:
            owner = self._judge(data, l3, l4)
        if isinstance(owner, DropReason):
            self._drop(key)
            return owner
        datagram = self._datagrams.get(key)
        if datagram is None:
            datagram = self._new(key, owner, size, now)
            if datagram is None:
                return DropReason.FRAGMENT_TABLE_FULL
        elif owner is not None and datagram.account is self._strange and not self._adopt(key, datagram, owner):
            return DropReason.FRAGMENT_TABLE_FULL
        payload = bytes(data[l4:end])
        if datagram.pieces.get(offset) == payload:
            return None  # a duplicate made by the network
        if _overlaps(datagram, offset, size, more):
            self._drop(key)
            return DropReason.FRAGMENT_OVERLAP
        if len(datagram.pieces) >= MAX_FRAGMENTS:
            self._drop(key)
            return DropReason.FRAGMENT_BAD
        if not self._charge(key, datagram, size + PIECE_BYTES):
            return DropReason.FRAGMENT_TABLE_FULL
        insort(datagram.offsets, offset)
        datagram.pieces[offset] = payload
        datagram.size += size
        if not more:
            datagram.total = offset + size
        if offset == 0:
            datagram.header = bytes(data[l3:l4])
        if datagram.size == datagram.total and datagram.header:
            self._drop(key)
            return _join(datagram)
        return None

    def next_deadline(self) -> Nanos | None:
        """Time at which the oldest unfinished datagram is given up; None when there is none."""
        for datagram in self._datagrams.values():
            return datagram.deadline
        return None

    def handle_deadline(self, now: Nanos) -> list[bytes]:
        """Give up overdue datagrams (FRAGMENT_TIMEOUT); return their first fragments for ICMP 11/1 (RFC 1122 3.3.2)."""
        first_fragments: list[bytes] = []
        if now < self.due:
            return first_fragments
        while self._datagrams:
            key, datagram = next(iter(self._datagrams.items()))
            if datagram.deadline > now:
                self.due = datagram.deadline
                break
            self._drop(key)
            self._counters.drop(DropReason.FRAGMENT_TIMEOUT)
            if datagram.header:
                first_fragments.append(datagram.header + datagram.pieces[0])
        return first_fragments

    def _new(self, key: _Key, owner: Address | None, size: int, now: Nanos) -> _Datagram | None:
        """An entry for a datagram whose first piece has `size` bytes of payload; None when it is refused."""
        size += ENTRY_BYTES + PIECE_BYTES
        if owner is not None:
            account = self._expected
            if 2 * account.shares.get(owner, 0) + size > account.most - account.total:
                return None
            datagram = _Datagram(account, owner, now + TIMEOUT)
        else:
            account = self._strange
            if not self._newcomers.take(1, now) or account.shares.get(key[0], 0) + size > account.most // 3:
                return None
            datagram = _Datagram(account, key[0], now + TIMEOUT)
            gone = self._strangers.add(_place(key), key)
            if gone is not None:
                self._evict(gone[1])
        self._datagrams[key] = datagram
        account.change(datagram.owner, ENTRY_BYTES)
        datagram.charge = ENTRY_BYTES
        return datagram

    def _adopt(self, key: _Key, datagram: _Datagram, owner: Address) -> bool:
        """Move a datagram whose first fragment has come late to its owner's share; False when it was dropped."""
        expected = self._expected
        if expected.shares.get(owner, 0) + datagram.charge > expected.most - expected.total:
            self._drop(key)
            return False
        self._strangers.remove(_place(key))
        self._strange.change(datagram.owner, -datagram.charge)
        datagram.account, datagram.owner = expected, owner
        expected.change(owner, datagram.charge)
        return True

    def _charge(self, key: _Key, datagram: _Datagram, size: int) -> bool:
        """Charge a piece; False when there is no room and its datagram was dropped."""
        account = datagram.account
        share = account.shares[datagram.owner] + size
        if account is self._expected:
            fits = share <= account.most - account.total
        else:
            fits = share <= account.most // 2
            while fits and account.total + size > account.most:
                place, oldest = self._strangers.oldest() or (b"", key)
                self._strangers.remove(place)
                fits = oldest != key
                if fits:
                    self._evict(oldest)
        if not fits:
            self._drop(key)
            return False
        account.change(datagram.owner, size)
        datagram.charge += size
        return True

    def _evict(self, key: _Key) -> None:
        self._drop(key)
        self._counters.drop(DropReason.FRAGMENT_TABLE_FULL)

    def _drop(self, key: _Key) -> None:
        datagram = self._datagrams.get(key)
        if datagram is None:
            return
        if datagram.account is self._strange:
            self._strangers.remove(_place(key))
        del self._datagrams[key]
        datagram.account.change(datagram.owner, -datagram.charge)


def _place(key: _Key) -> bytes:
    """The datagram in the table of strangers: source and ID in the place of address and port."""
    source, destination, protocol, ident = key
    return source + ident.to_bytes(2, "big") + destination + protocol.to_bytes(4, "big")


def _overlaps(datagram: _Datagram, offset: int, size: int, more: int) -> bool:
    """True when the piece covers bytes that are there, or contradicts the known end."""
    end = offset + size
    if datagram.total >= 0 and (end > datagram.total or not more):
        return True
    offsets = datagram.offsets
    at = bisect(offsets, offset)
    if at:
        before = offsets[at - 1]
        if before + len(datagram.pieces[before]) > offset:
            return True
    return at < len(offsets) and (not more or offsets[at] < end)


def _join(datagram: _Datagram) -> bytes:
    header = bytearray(datagram.header)
    header[2:4] = (len(header) + datagram.total).to_bytes(2, "big")
    header[6:8] = b"\0\0"
    payload = b"".join(datagram.pieces[offset] for offset in datagram.offsets)
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
