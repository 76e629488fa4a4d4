# hot
"""The headers of what one connection sends: IPv4 and TCP in front of pieces, as Outgoing values.

Everything that stays the same for the life of a connection is summed once; a header costs one pack.
"""

from __future__ import annotations

from struct import Struct

from hognose.link import ETHERNET_HDR_LEN, Outgoing
from hognose.wire import ipv4, virtio_net
from hognose.wire import tcp as wire_tcp

_IP_TCP_TS = Struct(">BBHHHBBH12sIIBBHHHIII")
_IP_TCP = Struct(">BBHHHBBH12sIIBBHHH")
_IP_LEN = ipv4.HEADER_LEN
_TCP_LEN = wire_tcp.FIXED_LEN
_TCP_TS_LEN = wire_tcp.FIXED_LEN + wire_tcp.TIMESTAMPS_LEN
_DONT_FRAGMENT = ipv4.DONT_FRAGMENT
_TTL = 64
_PROTOCOL = ipv4.TCP
_FLAGS_CSUM_START = ETHERNET_HDR_LEN + _IP_LEN
_SINGLE = virtio_net.partial_checksum(_FLAGS_CSUM_START, wire_tcp.CHECKSUM_OFFSET)


class Path:
    """Addresses and ports of a connection, and the counter of its IP ids."""

    __slots__ = ("_ends", "_ident", "_ip_sum", "_next_hop", "_pseudo", "timestamps")

    def __init__(self, local: bytes, remote: bytes, timestamps: bool) -> None:
        """local, remote: an IPv4 address and a port as on the wire, 6 bytes."""
        self.timestamps = timestamps
        self._ends = local[:4] + remote[:4] + local[4:] + remote[4:]
        self._next_hop = remote[:4]
        self._ident = 0
        addresses = int.from_bytes(self._ends[:8], "big") % 0xFFFF
        self._ip_sum = 0x4500 + _DONT_FRAGMENT + (_TTL << 8 | _PROTOCOL) + addresses
        self._pseudo = addresses + _PROTOCOL

    def segment(
        self,
        seq: int,
        ack: int,
        flags: int,
        window: int,
        stamps: tuple[int, int],
        pieces: list[bytes],
        size: int,
        mss: int,
        options: bytes = b"",
    ) -> Outgoing:
        """One segment or, where size > mss, super-segment; `pieces` (size bytes in all) is taken over.

        options: further option bytes, a multiple of 4, after the timestamps.
        """
        header_len = (_TCP_TS_LEN if self.timestamps else _TCP_LEN) + len(options)
        tcp_len = header_len + size
        length = _IP_LEN + tcp_len
        self._ident = ident = (self._ident + 1 + (size // mss if size > mss else 0)) & 0xFFFF
        ip_sum = 0xFFFF - (self._ip_sum + length + ident) % 0xFFFF
        # virtio-net: the checksum field holds the folded, not complemented pseudo-header sum (docs/dev/device.md).
        partial = (self._pseudo + tcp_len) % 0xFFFF
        if self.timestamps:
            head = _IP_TCP_TS.pack(
                0x45, 0, length, ident, _DONT_FRAGMENT, _TTL, _PROTOCOL, ip_sum, self._ends,
                seq, ack, header_len << 2, flags, window, partial, 0,
                wire_tcp.TIMESTAMP_OPTION, stamps[0], stamps[1],
            )  # fmt: skip
        else:
            head = _IP_TCP.pack(
                0x45, 0, length, ident, _DONT_FRAGMENT, _TTL, _PROTOCOL, ip_sum, self._ends,
                seq, ack, header_len << 2, flags, window, partial, 0,
            )  # fmt: skip
        if size > mss:
            vnet = virtio_net.tcp_super_segment(ETHERNET_HDR_LEN + _IP_LEN + header_len, mss, _FLAGS_CSUM_START)
        else:
            vnet = _SINGLE
        pieces.insert(0, head + options)
        return (self._next_hop, vnet, pieces)
