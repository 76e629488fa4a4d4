# hot
"""Frames to the link: next hop, Ethernet header, and the work that the device does not do.

Takes Outgoing values of every engine, gives frames for the device. Nothing else builds Ethernet headers.
"""

from __future__ import annotations

from hognose.address import Address, Prefix
from hognose.drops import Counters, DropReason, Stat
from hognose.ip.fragments import fragment
from hognose.ip.neighbor import NeighborTable
from hognose.ip.offload import complete, lower
from hognose.link import ETHERNET_HDR_LEN, LinkCaps, Outgoing
from hognose.units import Nanos
from hognose.wire import ethernet, virtio_net

_FRAMES_OUT = int(Stat.FRAMES_OUT)
_BYTES_OUT = int(Stat.BYTES_OUT)
_SUPER_FRAMES_OUT = int(Stat.SUPER_FRAMES_OUT)


class Egress:
    """The sending half of the one network interface."""

    def __init__(
        self,
        *,
        caps: LinkCaps,
        uplink: Prefix,
        gateway: Address | None,
        neighbors: NeighborTable,
        counters: Counters,
    ) -> None:
        self._caps = caps
        self._network = int.from_bytes(uplink.network, "big")
        self._mask = int.from_bytes(uplink.mask, "big")
        self._broadcasts = uplink.broadcasts
        self._gateway = gateway
        self._neighbors = neighbors
        self._counters = counters
        self._source_ipv4 = caps.mac + ethernet.TYPE_IPV4.to_bytes(2, "big")
        self._source_arp = caps.mac + ethernet.TYPE_ARP.to_bytes(2, "big")
        self._software = not (caps.tx_csum and caps.tx_tso4)
        self._frames: list[list[bytes]] = []

    @property
    def queued(self) -> int:
        """Frames that wait for `take`."""
        return len(self._frames)

    def send(self, packets: list[Outgoing], now: Nanos) -> None:
        """Queue packets as frames; what waits for ARP is kept by the neighbor table.

        A packet that leads to an exception, a bug of ours, is lost alone: the exception is raised after the others.
        """
        stats = self._counters.stats
        frames = self._frames
        mtu = self._caps.mtu
        number, mask, network, broadcasts = int.from_bytes, self._mask, self._network, self._broadcasts
        failure: Exception | None = None
        left = iter(packets)
        while True:
            try:
                for packet in left:
                    destination, vnet, pieces = packet
                    if number(destination, "big") & mask == network:
                        hop = destination
                        if hop in broadcasts:
                            self._counters.drop(DropReason.MARTIAN)
                            continue
                    elif self._gateway is not None:
                        hop = self._gateway
                    else:
                        self._counters.drop(DropReason.NO_ROUTE)
                        continue
                    mac = self._neighbors.lookup(hop, now)
                    if mac is None:
                        self._neighbors.wait(packet, hop, now)
                        continue
                    head = pieces[0]
                    length = (head[2] << 8) | head[3]
                    if vnet[1] == virtio_net.GSO_NONE and length > mtu:
                        self._send_fragments(packet, mac)
                        continue
                    if self._software and vnet != virtio_net.PLAIN:
                        self._send_lowered(packet, mac)
                        continue
                    stats[_FRAMES_OUT] += 1
                    stats[_BYTES_OUT] += length
                    if vnet[1]:
                        stats[_SUPER_FRAMES_OUT] += 1
                    pieces[0] = vnet + mac + self._source_ipv4 + head
                    frames.append(pieces)
                break
            except Exception as error:
                if failure is not None:  # the caller counts the last one
                    self._counters.drop(DropReason.INTERNAL_ERROR)
                failure = error
        if failure is not None:
            try:
                raise failure
            finally:
                del failure  # its traceback leads to this frame

    def take(self) -> list[list[bytes]]:
        """Drained frames, ARP requests and answers first."""
        requests = self._neighbors.requests()
        frames = self._frames
        if not requests:
            if frames:
                self._frames = []
            return frames
        asked = [[virtio_net.PLAIN + mac + self._source_arp + packet] for mac, packet in requests]
        self._counters.stats[_FRAMES_OUT] += len(asked)
        self._frames = []
        return asked + frames

    def _send_lowered(self, packet: Outgoing, mac: bytes) -> None:
        """Software segmentation and checksums for a device that lacks them."""
        for _, vnet, pieces in lower([packet], self._caps):
            self._append(vnet, mac, b"".join(pieces))

    def _send_fragments(self, packet: Outgoing, mac: bytes) -> None:
        """RFC 791 section 3.2: an over-long packet without DF leaves in fragments, with a complete checksum."""
        _, vnet, pieces = packet
        whole = b"".join(pieces)
        if whole[6] & 0x40:
            self._counters.drop(DropReason.TOO_BIG)
            return
        flags, _, _, _, csum_start, csum_offset, _ = virtio_net.HEADER.unpack(vnet)
        if flags & virtio_net.F_NEEDS_CSUM:
            whole = complete(whole, csum_start - ETHERNET_HDR_LEN, csum_offset)
        for piece in fragment(whole, self._caps.mtu):
            self._append(virtio_net.PLAIN, mac, piece)

    def _append(self, vnet: bytes, mac: bytes, packet: bytes) -> None:
        self._counters.stats[Stat.FRAMES_OUT] += 1
        self._counters.stats[Stat.BYTES_OUT] += len(packet)
        self._frames.append([vnet + mac + self._source_ipv4 + packet])
