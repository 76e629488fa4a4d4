# hot
"""Frames from the link: to the ARP engine, the TCP server, the NAT or the echo responder.

One pass per batch. A frame that makes any engine raise is counted (INTERNAL_ERROR), reported and lost alone.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from hognose.address_scope import is_host
from hognose.drops import Counters, DropReason, Stat
from hognose.ip.fragments import Reassembler, fragment
from hognose.ip.icmp_errors import RateLimiter, build_error, echo_reply
from hognose.ip.mss import clamp
from hognose.ip.neighbor import NeighborTable
from hognose.link import L3_OFFSET, LinkCaps
from hognose.nat.nat import Nat
from hognose.router.routed import Routed
from hognose.router.syn_sieve import SynSieve
from hognose.tcp.server import TcpServer
from hognose.units import Buffer, Ipv4Int, Nanos, Port
from hognose.wire import ethernet, icmpv4, ipv4, virtio_net
from hognose.wire.checksum import ones_sum
from hognose.wire.openvpn import HARD_RESET_CLIENT_V2, HARD_RESET_CLIENT_V3
from hognose.wire.tcp import SYN

# vnet header, then MACs and type, then the fixed IPv4 header, what is used of them. The vnet numbers are little-endian
# and come out swapped; only gso_size is used, and swapped back. Not 20 fields: CPython 3.11 keeps 2000 tuples of that
# size and never uses one again.
_FRAME = Struct(">BB2xH6x6s6xHBxH2xHxB6xI")
_DESTINATION_PORT = Struct(">2xH")
_MIN_FRAME = _FRAME.size
_L4_OFFSET = L3_OFFSET + 20
_TRUSTED = virtio_net.F_NEEDS_CSUM | virtio_net.F_DATA_VALID
_SYN_OFFSET = 33  # the TCP flags of a packet without IP options
_SMALL_PACKET = 100  # no SYN is larger; spares data packets the test for a SYN
UDP_CLIENTS_MAX = 8  # of one batch; the rest is counted all the same
UDP_HEADER_LEN = 8
# First bytes of a client's hard reset with and without tls-crypt-v2, key id 0.
_UDP_RESETS = (bytes((HARD_RESET_CLIENT_V2 << 3,)), bytes((HARD_RESET_CLIENT_V3 << 3,)))
OUTSIDE = -1  # the rate limiter's one name for all hosts beyond the NAT


class Ingress:
    """The receiving half of the one network interface."""

    def __init__(
        self,
        *,
        caps: LinkCaps,
        address: Ipv4Int,
        port: Port,
        mss: int,
        tun_mtu: int,
        tcp: TcpServer,
        syn_sieve: SynSieve,
        nat: Nat,
        neighbors: NeighborTable,
        reassembler: Reassembler,
        limiter: RateLimiter,
        split_packets: int,
        counters: Counters,
        broadcasts: frozenset[Ipv4Int] = frozenset(),
    ) -> None:
        self.held: list[bytes] = []  # frames of a batch that the next step takes first
        self._split = 0  # packets that super-segments of this batch were cut into
        self._split_most = split_packets
        self._mac = caps.mac
        self._address = address
        self._broadcasts = broadcasts
        self._port = port
        self._syn_sieve = syn_sieve
        self._mss = mss
        self._tun_mtu = tun_mtu
        self._tcp = tcp
        self._nat = nat
        self._neighbors = neighbors
        self._reassembler = reassembler
        self._limiter = limiter
        self._counters = counters
        self._failures: list[Exception] = []  # of the sieve, until the next batch

    def receive(self, frames: list[bytes], now: Nanos) -> Routed:
        """Take a batch of frames.

        Once super-segments have been cut into StepLimits.split_packets, the frames from the next super-frame on are
        `held`, and are taken first at the next call.
        """
        if self.held:
            frames = self.held + frames
            self.held = []
        counters = self._counters
        stats = counters.stats
        received_bytes = super_frames = 0
        self._split = 0
        unpack = _FRAME.unpack_from
        port_of = _DESTINATION_PORT.unpack_from
        mac, address, port, tcp_receive = self._mac, self._address, self._port, self._tcp.receive
        routed = Routed({}, [], self._failures, [])
        self._failures = []
        left = iter(frames)
        for frame in left:
            size = len(frame)
            received_bytes += size
            if size < _MIN_FRAME:
                self._short(frame, routed, now)
                continue
            try:
                (
                    flags, gso_type, gso_swapped, to_mac, ethertype, version, length, fragment, protocol, to_address,
                ) = unpack(frame)  # fmt: skip
                if (
                    to_mac != mac
                    or to_address != address
                    or ethertype != 0x0800
                    or version != 0x45
                    or fragment & 0x3FFF
                    or gso_type & 0x7F > 1
                ):
                    self._slow_path(frame, routed, now)
                    continue
                end = L3_OFFSET + length
                if end > size or length < 20:
                    counters.drop(DropReason.BAD_IP_HEADER)
                    continue
                if ones_sum(frame[L3_OFFSET:_L4_OFFSET]):  # RFC 1122 3.2.1.2
                    counters.drop(DropReason.BAD_IP_CHECKSUM)
                    continue
                gso_size = 0
                if gso_type:
                    if self._split >= self._split_most:
                        received_bytes -= size
                        self.held = [frame, *left]
                        break
                    gso_size = (gso_swapped >> 8) | (gso_swapped & 0xFF) << 8
                    super_frames += 1
                if protocol == 6 and length >= 40 and port_of(frame, _L4_OFFSET)[0] == port:
                    tcp_receive(frame, L3_OFFSET, _L4_OFFSET, end, gso_size, flags & _TRUSTED != 0, now)
                else:
                    self._dispatch(frame, L3_OFFSET, _L4_OFFSET, end, protocol, gso_size, flags, routed, now)
            except Exception as error:
                counters.drop(DropReason.INTERNAL_ERROR)
                routed.failures.append(error)
        stats[Stat.FRAMES_IN] += len(frames) - len(self.held)
        stats[Stat.BYTES_IN] += received_bytes
        stats[Stat.SUPER_FRAMES_IN] += super_frames
        return routed

    def sieve(self, now: Nanos) -> Callable[[list[bytes]], list[bytes]] | None:
        """Filter for the frames of the next batch while SYNs flood, else None."""
        return self._sift if self._syn_sieve.begin(self._tcp.overflow_at, now) else None

    def _sift(self, frames: list[bytes]) -> list[bytes]:
        """The frames without the SYNs of a flood that get no answer (TCP_SYN_CROWDED)."""
        try:
            kept = self._syn_sieve.sift(frames)
        except Exception as error:
            self._counters.drop(DropReason.INTERNAL_ERROR)
            self._failures.append(error)
            return frames
        if (lost := len(frames) - len(kept)) > 0:
            stats = self._counters.stats
            stats[Stat.FRAMES_IN] += lost
            stats[Stat.BYTES_IN] += sum(map(len, frames)) - sum(map(len, kept))
            self._counters.drop(DropReason.TCP_SYN_CROWDED, lost)
        return kept

    def _dispatch(
        self,
        data: bytes,
        l3: int,
        l4: int,
        end: int,
        protocol: int,
        gso_size: int,
        flags: int,
        routed: Routed,
        now: Nanos,
    ) -> None:
        """One whole valid packet for our address."""
        if protocol == ipv4.TCP and end - l4 >= 20 and _DESTINATION_PORT.unpack_from(data, l4)[0] == self._port:
            if (
                self._syn_sieve.sifts and data[l4 + 13] & 0x3F == SYN
            ):  # with IP options, or in fragments: no client sends it so
                self._counters.drop(DropReason.TCP_SYN_CROWDED)
                return
            self._tcp.receive(data, l3, l4, end, gso_size, flags & _TRUSTED != 0, now)
            return
        if protocol == ipv4.ICMP and data[l4 : l4 + 1] != b"\x00":
            self._icmp(data, l3, l4, end, routed, now)
            return
        result = self._nat.inbound(data, l3, end, gso_size, flags & virtio_net.F_NEEDS_CSUM != 0, now)
        if not isinstance(result, tuple):
            self._refused(result, data, l3, end, routed, now)
            return
        client, packets = result
        if len(packets) == 1:
            packet = packets[0]
            if len(packet) < _SMALL_PACKET and packet[9] == 6 and len(packet) > _SYN_OFFSET and packet[_SYN_OFFSET] & 2:
                packets = [clamp(packet, self._mss)]
            if len(packet) > self._tun_mtu:
                packets = self._cut(data, l3, end, packet, routed, now)
        else:
            self._split += len(packets)
        down = routed.to_clients
        if client in down:
            down[client] += packets
        else:
            down[client] = packets

    def _cut(self, data: bytes, l3: int, end: int, packet: bytes, routed: Routed, now: Nanos) -> list[bytes]:
        """A packet larger than the tunnel: fragments, or RFC 1191's answer to the sender when DF is set."""
        if not packet[6] & 0x40:
            return fragment(packet, self._tun_mtu)
        self._counters.drop(DropReason.TOO_BIG)
        self._answer(data[l3:end], icmpv4.UNREACHABLE, icmpv4.FRAGMENTATION_NEEDED, self._tun_mtu, routed, now)
        return []

    def _icmp(self, data: Buffer, l3: int, l4: int, end: int, routed: Routed, now: Nanos) -> None:
        """Answer echo requests, give errors to the TCP server or the NAT (RFC 792, RFC 5508 section 4).

        A source that is no other host's address makes the message a martian (RFC 1812 section 5.3.7).
        """
        parsed = icmpv4.parse(data, l4, end)
        if isinstance(parsed, DropReason):
            self._counters.drop(parsed)
            return
        source = int.from_bytes(data[l3 + 12 : l3 + 16], "big")
        if source == self._address or not is_host(source, self._broadcasts):
            self._counters.drop(DropReason.MARTIAN)
            return
        icmp_type, code, rest = parsed
        if icmp_type == icmpv4.ECHO_REQUEST:
            if not self._limiter.allow(OUTSIDE, now):
                self._counters.drop(DropReason.ICMP_RATE_LIMITED)
                return
            self._counters.stats[Stat.ECHO_REPLIES] += 1
            reply = echo_reply(data, l3, l4, end)
            routed.to_link.append((int.from_bytes(reply[16:20], "big"), virtio_net.PLAIN, [reply]))
            return
        if not icmpv4.is_error(icmp_type):
            self._counters.drop(DropReason.BAD_ICMP)
            return
        quoted = bytes(data[l4 + 8 : end])
        if self._quotes_our_tcp(quoted):
            self._tcp.icmp_error(icmp_type, code, rest & 0xFFFF, quoted, now)
            return
        result = self._nat.inbound_error(data, l3, end, now)
        if isinstance(result, tuple):
            routed.to_clients.setdefault(result[0], []).append(result[1])
        else:
            self._counters.drop(result)

    def _quotes_our_tcp(self, quoted: bytes) -> bool:
        if len(quoted) < 28 or quoted[0] >> 4 != 4 or quoted[9] != ipv4.TCP:
            return False
        header_len = (quoted[0] & 15) * 4
        source_port = int.from_bytes(quoted[header_len : header_len + 2], "big")
        return quoted[12:16] == self._address.to_bytes(4, "big") and source_port == self._port

    def _refused(self, reason: DropReason, data: Buffer, l3: int, end: int, routed: Routed, now: Nanos) -> None:
        """Count a packet that the NAT did not take; only an exceeded TTL is answered outside (RFC 1812 5.3.1)."""
        self._counters.drop(reason)
        if reason is DropReason.TTL_EXCEEDED:
            self._answer(data[l3:end], icmpv4.TIME_EXCEEDED, 0, 0, routed, now)
        elif data[l3 + 9] == ipv4.UDP and len(routed.udp_clients) < UDP_CLIENTS_MAX:
            l4 = l3 + (data[l3] & 15) * 4
            first = bytes(data[l4 + UDP_HEADER_LEN : l4 + UDP_HEADER_LEN + 1])
            if int.from_bytes(data[l4 + 2 : l4 + 4], "big") == self._port and first in _UDP_RESETS:
                source = int.from_bytes(data[l3 + 12 : l3 + 16], "big")
                routed.udp_clients.append((source, int.from_bytes(data[l4 : l4 + 2], "big")))

    def _answer(self, original: Buffer, icmp_type: int, code: int, rest: int, routed: Routed, now: Nanos) -> None:
        """An ICMP error toward the outside, within the rate limits."""
        if not self._limiter.allow(OUTSIDE, now):
            self._counters.drop(DropReason.ICMP_RATE_LIMITED)
            return
        error = build_error(bytes(original), source=self._address, icmp_type=icmp_type, code=code, rest=rest)
        if error is not None:
            self._counters.stats[Stat.ICMP_ERRORS_SENT] += 1
            routed.to_link.append((int.from_bytes(error[16:20], "big"), virtio_net.PLAIN, [error]))

    def _short(self, frame: bytes, routed: Routed, now: Nanos) -> None:
        """Take ARP from a frame that is too short for IPv4; drop any other such frame."""
        if len(frame) >= L3_OFFSET and frame[24:26] == b"\x08\x06":
            self._slow_path(frame, routed, now)
        else:
            self._counters.drop(DropReason.FRAME_TOO_SHORT)

    def _slow_path(self, frame: bytes, routed: Routed, now: Nanos) -> None:
        """Take what the fast test does not: ARP, frames for other hosts, fragments, IP options."""
        ethertype = int.from_bytes(frame[24:26], "big")
        to_mac = frame[12:18]
        if ethertype == ethernet.TYPE_ARP:
            if to_mac in (self._mac, ethernet.BROADCAST):
                routed.to_link.extend(self._neighbors.receive(frame, L3_OFFSET, now))
            return
        if to_mac != self._mac:
            self._counters.drop(DropReason.NOT_FOR_US)
            return
        if ethertype != ethernet.TYPE_IPV4:
            self._counters.drop(DropReason.UNKNOWN_ETHERTYPE)
            return
        if frame[1] & 0x7F > virtio_net.GSO_TCPV4:
            self._counters.drop(DropReason.BAD_VNET_HEADER)
            return
        parsed = ipv4.parse(frame, L3_OFFSET, len(frame))
        if isinstance(parsed, DropReason):
            self._counters.drop(parsed)
            return
        l4, end, protocol, fragment, _, destination = parsed
        if destination != self._address:
            self._counters.drop(DropReason.NOT_FOR_US)
            return
        if fragment & ipv4.FRAGMENTED:
            self._reassembler.handle_deadline(now)  # no ICMP error to the outside for datagrams that timed out
            whole = self._reassembler.receive(frame, L3_OFFSET, end, now)
            if isinstance(whole, DropReason):
                self._counters.drop(whole)
            elif whole is not None:
                self._dispatch(whole, 0, (whole[0] & 15) * 4, len(whole), protocol, 0, 0, routed, now)
            return
        gso_size = int.from_bytes(frame[4:6], "little") if frame[1] else 0
        self._dispatch(frame, L3_OFFSET, l4, end, protocol, gso_size, frame[0], routed, now)
