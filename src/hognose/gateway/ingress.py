# hot
"""The way in: frames of the link to the ARP engine, the TCP server, the NAT or the echo responder.

One pass per batch. A frame that makes any engine raise is counted (INTERNAL_ERROR), reported and lost alone.
"""

from __future__ import annotations

from struct import Struct

from hognose.drops import Counters, DropReason, Stat
from hognose.gateway.egress import Egress
from hognose.ip.fragments import Reassembler
from hognose.ip.icmp_errors import build_echo_reply
from hognose.ip.neighbor import NeighborTable
from hognose.ip.offload import complete_checksum
from hognose.link import L3_OFFSET, LinkCaps
from hognose.nat.nat import Nat
from hognose.tcp.server import TcpServer
from hognose.units import Ipv4Int, Nanos
from hognose.wire import ethernet, icmpv4, ipv4, virtio_net
from hognose.wire.checksum import ones_sum

# vnet(12) destination source type, then the fixed IPv4 header:
# flags gso_type hdr_len gso_size csum_start csum_offset buffers | macs type | ver/ihl tos length id fragment ttl
# protocol checksum source destination. vnet numbers come out byte-swapped; only gso_size is used, and swapped back.
_FRAME = Struct(">BBHHHHH6s6sHBBHHHBBHII")
_PORTS = Struct(">HH")
_MIN_FRAME = _FRAME.size

_FRAMES_IN = int(Stat.FRAMES_IN)
_BYTES_IN = int(Stat.BYTES_IN)
_SUPER_FRAMES_IN = int(Stat.SUPER_FRAMES_IN)
_TRUSTED = virtio_net.F_NEEDS_CSUM | virtio_net.F_DATA_VALID


class Ingress:
    """The receiving half of the one network interface."""

    def __init__(
        self,
        *,
        caps: LinkCaps,
        address: Ipv4Int,
        port: int,
        tcp: TcpServer,
        nat: Nat,
        neighbors: NeighborTable,
        egress: Egress,
        reassembler: Reassembler,
        counters: Counters,
    ) -> None:
        self._mac = caps.mac
        self._address = address
        self._port = port
        self._tcp = tcp
        self._nat = nat
        self._neighbors = neighbors
        self._egress = egress
        self._reassembler = reassembler
        self._counters = counters
        self.failures: list[Exception] = []  # of single frames, drained by the gateway

    def receive(self, frames: list[bytes], now: Nanos) -> dict[Ipv4Int, list[bytes]]:
        """Take a batch; returns inner packets per client address, ready to be sealed."""
        counters = self._counters
        stats = counters.stats
        stats[_FRAMES_IN] += len(frames)
        unpack = _FRAME.unpack_from
        mac, address, port, tcp = self._mac, self._address, self._port, self._tcp
        down: dict[Ipv4Int, list[bytes]] = {}
        for frame in frames:
            size = len(frame)
            stats[_BYTES_IN] += size
            if size < _MIN_FRAME:
                counters.drop(DropReason.FRAME_TOO_SHORT)
                continue
            try:
                (
                    flags, gso_type, _, gso_swapped, _, _, _, to_mac, _, ethertype,
                    version, _, length, _, fragment, _, protocol, _, _, to_address,
                ) = unpack(frame)  # fmt: skip
                if to_mac != mac or ethertype != 0x0800 or version != 0x45 or to_address != address:
                    self._unusual(frame, down, now)
                    continue
                end = L3_OFFSET + length
                if end > size or length < 24 or ones_sum(frame[L3_OFFSET : L3_OFFSET + 20]):
                    self._count_bad_header(frame, end, length)
                    continue
                if fragment & 0x3FFF:
                    self._fragment(frame, end, flags, down, now)
                    continue
                gso_size = 0
                if gso_type:
                    gso_size = (gso_swapped >> 8) | (gso_swapped & 0xFF) << 8
                    stats[_SUPER_FRAMES_IN] += 1
                if protocol == 6 and _PORTS.unpack_from(frame, L3_OFFSET + 20)[1] == port:
                    tcp.receive(frame, L3_OFFSET, L3_OFFSET + 20, end, gso_size, flags & _TRUSTED != 0, now)
                    continue
                if protocol == 1:
                    self._icmp(frame, L3_OFFSET, L3_OFFSET + 20, end, down, now)
                    continue
                result = self._nat.inbound(frame, L3_OFFSET, end, gso_size, flags & 1 != 0, now)
                if type(result) is tuple:
                    client, packets = result
                    if client in down:
                        down[client] += packets
                    else:
                        down[client] = packets
                else:
                    self._count(result)
            except Exception as error:
                counters.drop(DropReason.INTERNAL_ERROR)
                self.failures.append(error)
        return down

    def _count(self, reason: object) -> None:
        if isinstance(reason, DropReason):
            self._counters.drop(reason)

    def _count_bad_header(self, frame: bytes, end: int, length: int) -> None:
        short = end > len(frame) or length < 24
        self._counters.drop(DropReason.BAD_IP_HEADER if short else DropReason.BAD_IP_CHECKSUM)

    def _unusual(self, frame: bytes, down: dict[Ipv4Int, list[bytes]], now: Nanos) -> None:
        """ARP, foreign frames, IP options; the rare rest of the fast test."""
        ethertype = int.from_bytes(frame[24:26], "big")
        to_mac = frame[12:18]
        if ethertype == ethernet.TYPE_ARP:
            if to_mac == self._mac or to_mac == ethernet.BROADCAST:
                self._egress.release(self._neighbors.receive(frame, L3_OFFSET, now), now)
            return
        if ethertype != ethernet.TYPE_IPV4:
            self._counters.drop(DropReason.UNKNOWN_ETHERTYPE)
            return
        if to_mac != self._mac:
            self._counters.drop(DropReason.NOT_FOR_US)
            return
        header = ipv4.parse(frame, L3_OFFSET, len(frame))
        if isinstance(header, DropReason):
            self._counters.drop(header)
            return
        if header.destination != self._address:
            self._counters.drop(DropReason.NOT_FOR_US)
            return
        # RFC 1122 3.2.1.8: options are passed over (source routes were refused by parse); the rebuilt frame has none.
        l4 = L3_OFFSET + header.header_len
        plain = ipv4.without_options(frame, L3_OFFSET, header)
        vnet = virtio_net.PLAIN if frame[0] & 1 == 0 else virtio_net.partial_checksum(34, 16)
        if frame[0] & 1 and header.protocol != 6:
            return self._counters.drop(DropReason.BAD_VNET_HEADER)
        del l4
        for pair in self.receive([vnet + frame[12:L3_OFFSET] + plain], now).items():
            down.setdefault(pair[0], []).extend(pair[1])
        return None
