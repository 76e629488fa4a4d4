# hot
"""Frames from the link: batches of them, with the header checks of plain IPv4 packets.

A batch is taken in stretches, one pass each. A frame that makes any engine raise is counted (INTERNAL_ERROR), reported
and lost alone. Segments for the VPN's port go to their server at once; the classifier finds the engine of all others.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Protocol

from hognose.address import Address
from hognose.drops import Counters, DropReason, Stat
from hognose.limits import StepLimits
from hognose.link import L3_OFFSET, LinkCaps
from hognose.router.classify import TRUSTED, Classifier
from hognose.router.local_endpoints import LocalEndpoints
from hognose.router.routed import Routed
from hognose.router.syn_sieve import SynSieve
from hognose.tcp.server import TcpServer
from hognose.units import TCP, UDP, Nanos
from hognose.wire.checksum import ones_sum
from hognose.wire.virtio_net import GSO_TCPV4, datagrams_of

# vnet header, then MACs and type, then the fixed IPv4 header, what is used of them. The vnet numbers are little-endian
# and come out swapped; only gso_size is used, and swapped back. Not 20 fields: CPython 3.11 keeps 2000 tuples of that
# size and never uses one again.
_FRAME = Struct(">BB2xH6x6s6xHBxH2xHxB6x4s")
# The numbers of counters: a member of an IntEnum as an index costs three times as much.
_FRAMES_IN, _BYTES_IN, _SUPER_FRAMES_IN = int(Stat.FRAMES_IN), int(Stat.BYTES_IN), int(Stat.SUPER_FRAMES_IN)
_DESTINATION_PORT = Struct(">2xH")
_MIN_FRAME = _FRAME.size
_L4_OFFSET = L3_OFFSET + 20
_TYPE_OFFSET = L3_OFFSET - 2  # of the Ethernet type, or of the tag in its place (IEEE 802.1Q section 9.3)
_TAG = slice(L3_OFFSET, L3_OFFSET + 2)  # priority, drop eligible, VLAN
_INNER_TYPE = slice(L3_OFFSET + 2, L3_OFFSET + 4)
_TAGGED = b"\x81\x00"
_NO_VLAN = frozenset(bytes((first, 0)) for first in range(0, 256, 16))  # priority alone


class FrameSieve(Protocol):
    """A filter of frames before a step, while there are too many of a kind."""

    def begin(self, now: Nanos) -> bool:
        """Prepare for a batch; True when it must be sifted."""

    def sift(self, frames: list[bytes]) -> list[bytes]:
        """The frames that pass; those that do not are counted."""


class Ingress:
    """The receiving half of the one network interface."""

    def __init__(
        self,
        *,
        caps: LinkCaps,
        address: Address,
        vpn: tuple[TcpServer, ...],
        endpoints: LocalEndpoints,
        classifier: Classifier,
        syn_sieve: SynSieve,
        limits: StepLimits,
        counters: Counters,
        datagram_sieves: tuple[FrameSieve, ...] = (),
    ) -> None:
        """vpn: the servers whose SYNs the sieve is for, some of the endpoints; datagram_sieves: of the VPN's ports."""
        self.held: list[bytes] = []  # frames of a batch that the next step takes first
        self._limits = limits
        self._waited = 0  # datagrams that waited in our UDP ports when the step began
        self._joined = 0  # datagrams in the super-frames of a step, besides one for each
        self._mac = caps.mac
        self._address = address
        self._vpn = vpn
        self._tcp = endpoints.tcp
        self._udp = endpoints.udp
        self._ports = tuple(endpoints.udp.values())
        self._classifier = classifier
        self._syn_sieve = syn_sieve
        self._datagram_sieves = datagram_sieves
        self._sifting: list[Callable[[list[bytes]], list[bytes]]] = []  # found to be needed by the last `sieve`
        self._counters = counters
        self._failures: list[Exception] = []  # of the sieve, until the next batch

    def receive(self, frames: list[bytes], now: Nanos) -> Routed:
        """Take a batch of frames.

        What StepLimits leaves for the next step is `held`, and is taken first at the next call: a batch is taken in
        stretches, and beyond StepLimits.frames only by as many as are datagrams that wait in our UDP ports now.
        """
        if self.held:
            frames = self.held + frames
            self.held = []
        routed = tuple.__new__(Routed, ({}, [], self._failures, []))  # a NamedTuple's own __new__ is a call more
        self._failures = []
        self._classifier.split = self._joined = 0
        self._waited = self._waiting() if self._ports else 0
        limits = self._limits
        most = limits.frames
        if len(frames) <= most:
            if tagged := self._take(frames, routed, now):
                self._take_tagged(tagged, routed, now)
            return routed
        taken = 0
        while most > 0 and frames and not self.held:
            if tagged := self._take(frames[:most], routed, now):
                self._take_tagged(tagged, routed, now)
            frames = frames[most:]
            taken += most
            waiting = self._waiting()
            most = min(limits.frames + waiting - self._waited - taken - self._joined, limits.datagrams - waiting)
        self.held += frames
        return routed

    def _waiting(self) -> int:
        """Number of datagrams that wait in our UDP ports for their users."""
        return sum([port.waiting for port in self._ports])

    def _take_tagged(self, frames: list[bytes], routed: Routed, now: Nanos) -> None:
        """Take frames without their tag: that of VLAN 0 has a priority and no VLAN (IEEE 802.1Q section 6.9)."""
        bare = [frame[:_TYPE_OFFSET] + frame[_TYPE_OFFSET + 4 :] for frame in frames]
        self._take(self._sift(bare), routed, now)

    def _take(self, frames: list[bytes], routed: Routed, now: Nanos) -> list[bytes]:
        """Take frames; those with a priority tag are given back, and not counted. Those that are too much are held."""
        counters = self._counters
        stats = counters.stats
        received_bytes = super_frames = 0
        classifier = self._classifier
        unpack = _FRAME.unpack_from
        port_of = _DESTINATION_PORT.unpack_from
        mac, address, engine = self._mac, self._address, classifier.packet
        tcp_server, udp_server = self._tcp.get, self._udp.get
        held: list[bytes] = []
        tagged: list[bytes] = []
        left = iter(frames)
        for frame in left:
            size = len(frame)
            received_bytes += size
            try:
                if size < _MIN_FRAME:
                    classifier.short_frame(frame, routed, now)
                    continue
                (
                    flags, gso_type, gso_swapped, to_mac, ethertype, version, length, fragment, protocol, to_address,
                ) = unpack(frame)  # fmt: skip
                if to_mac != mac or to_address != address or ethertype != 0x0800 or version != 0x45 or gso_type & 0x7A:
                    if ethertype == 0x0806:
                        classifier.arp(frame, to_mac, routed, now)
                    elif ethertype == 0x8100 and frame[_TAG] in _NO_VLAN and frame[_INNER_TYPE] != _TAGGED:
                        received_bytes -= size
                        tagged.append(frame)
                    else:
                        classifier.frame(frame, routed, now)
                    continue
                end = L3_OFFSET + length
                if end > size or length < 20:
                    counters.drop(DropReason.BAD_IP_HEADER)
                    continue
                if ones_sum(frame[L3_OFFSET:_L4_OFFSET]):  # RFC 1122 3.2.1.2
                    counters.drop(DropReason.BAD_IP_CHECKSUM)
                    continue
                if fragment & 0x3FFF:
                    classifier.fragment(frame, end, protocol, routed, now)
                    continue
                gso_size = 0
                if gso_type:
                    gso_size = (gso_swapped >> 8) | (gso_swapped & 0xFF) << 8
                    takes = self._takes(gso_type, protocol, length - 20, gso_size, len(frames))
                    if takes is None:
                        continue
                    if not takes:
                        received_bytes -= size
                        held = [frame, *left]
                        break
                    super_frames += 1
                if (
                    protocol == TCP
                    and length >= 40
                    and (server := tcp_server(port_of(frame, _L4_OFFSET)[0])) is not None
                ):
                    server.receive(frame, L3_OFFSET, _L4_OFFSET, end, gso_size, flags & TRUSTED != 0, now)
                elif (
                    protocol == UDP and length >= 28 and (port := udp_server(port_of(frame, _L4_OFFSET)[0])) is not None
                ):
                    port.receive(frame, L3_OFFSET, _L4_OFFSET, end, gso_size, flags & TRUSTED != 0, now)
                else:
                    engine(frame, L3_OFFSET, _L4_OFFSET, end, protocol, gso_size, flags, routed, now)
            except Exception as error:
                counters.drop(DropReason.INTERNAL_ERROR)
                routed.failures.append(error)
        stats[_FRAMES_IN] += len(frames) - len(held) - len(tagged)
        stats[_BYTES_IN] += received_bytes
        stats[_SUPER_FRAMES_IN] += super_frames
        if held:
            self.held = held + self.held
        return tagged

    def _takes(self, gso_type: int, protocol: int, l4_len: int, gso_size: int, frames: int) -> bool | None:
        """True when a super-frame is taken in this step; None when it is none, which is counted (BAD_VNET_HEADER).

        frames: of its stretch, of which each may be a datagram more.
        """
        limits, classifier = self._limits, self._classifier
        datagrams = 0
        if protocol != TCP or gso_type & 0x7F != GSO_TCPV4:
            datagrams = datagrams_of(gso_type, protocol, l4_len, gso_size)
            if not datagrams:
                self._counters.drop(DropReason.BAD_VNET_HEADER)
                return None
        if classifier.split and classifier.split + (datagrams or 1) > limits.split_packets:
            return False
        if datagrams:
            waiting = self._waiting()
            if waiting > self._waited and waiting + datagrams + frames > limits.datagrams:
                return False
            classifier.split += datagrams
            self._joined += datagrams - 1
        return True

    def sieve(self, now: Nanos) -> Callable[[list[bytes]], list[bytes]] | None:
        """Filter for the frames of the next batch while SYNs or datagrams of no session flood, else None."""
        sifting: list[Callable[[list[bytes]], list[bytes]]] = []
        for one in self._datagram_sieves:
            if one.begin(now):
                sifting.append(one.sift)
        if self._vpn:
            overflow_at = max(server.overflow_at for server in self._vpn)
            if self._syn_sieve.begin(overflow_at, now):
                sifting.append(self._sift_syns)
        self._sifting = sifting
        return self._sift if sifting else None

    def _sift(self, frames: list[bytes]) -> list[bytes]:
        """The frames without those of a flood that are not worth a step."""
        kept = frames
        for sift in self._sifting:
            try:
                kept = sift(kept)
            except Exception as error:
                self._counters.drop(DropReason.INTERNAL_ERROR)
                self._failures.append(error)
        if (lost := len(frames) - len(kept)) > 0:
            stats = self._counters.stats
            stats[_FRAMES_IN] += lost
            stats[_BYTES_IN] += sum(map(len, frames)) - sum(map(len, kept))
        return kept

    def _sift_syns(self, frames: list[bytes]) -> list[bytes]:
        """The frames without the SYNs that get no answer (TCP_SYN_CROWDED)."""
        kept = self._syn_sieve.sift(frames)
        if (lost := len(frames) - len(kept)) > 0:
            self._counters.drop(DropReason.TCP_SYN_CROWDED, lost)
        return kept
