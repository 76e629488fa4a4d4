# hot
"""The engine of a packet for our address: a server of ours, ICMP, the NAT; and frames that are no plain IPv4 packet."""

from __future__ import annotations

from collections.abc import Mapping

from hognose.address import Address, Endpoint
from hognose.drops import Counters, DropReason
from hognose.ip.fragments import Reassembler, fragment
from hognose.ip.mss import SMALLEST_MSS, clamp
from hognose.ip.neighbor import NeighborTable
from hognose.link import L3_OFFSET
from hognose.nat.nat import Nat
from hognose.router.icmp import FRAGMENTATION_NEEDED, TTL_EXCEEDED, LinkIcmp
from hognose.router.local_endpoints import LocalEndpoints
from hognose.router.routed import Routed
from hognose.router.syn_sieve import SynSieve
from hognose.units import TCP, Buffer, Nanos, Port
from hognose.wire import ethernet, ipv4, udp, virtio_net
from hognose.wire.openvpn import HARD_RESET_CLIENT_V2, HARD_RESET_CLIENT_V3
from hognose.wire.segmentation import first_datagram
from hognose.wire.tcp import SYN

TRUSTED = virtio_net.F_NEEDS_CSUM | virtio_net.F_DATA_VALID
_SYN_OFFSET = 33  # the TCP flags of a packet without IP options
_SMALL_PACKET = 100  # no SYN is larger; spares data packets the test for a SYN
UDP_CLIENTS_MAX = 8  # of one batch; the rest is counted all the same
# First bytes of a client's hard reset with and without tls-crypt-v2, key id 0.
_UDP_RESETS = (bytes((HARD_RESET_CLIENT_V2 << 3,)), bytes((HARD_RESET_CLIENT_V3 << 3,)))


class Classifier:
    """The choice of an engine for each packet, header checks of irregular frames included."""

    def __init__(
        self,
        *,
        mac: bytes,
        address: Address,
        ports: frozenset[Port],
        mss: Mapping[Address, int],
        tun_mtu: int,
        endpoints: LocalEndpoints,
        syn_sieve: SynSieve,
        icmp: LinkIcmp,
        nat: Nat,
        neighbors: NeighborTable,
        reassembler: Reassembler,
        counters: Counters,
    ) -> None:
        """ports: the VPN's of TCP, where OpenVPN clients over UDP are looked for and SYNs can be a flood.

        mss: of inner TCP, by client; SMALLEST_MSS for others.
        """
        self.split = 0  # packets that super-frames of a batch were cut into, datagrams by the user, who sets it to 0
        self._mac = mac
        self._address = address
        self._ports = ports
        self._mss = mss
        self._tun_mtu = tun_mtu
        self._tcp = endpoints.tcp
        self._udp = endpoints.udp
        self._syn_sieve = syn_sieve
        self._icmp = icmp
        self._nat = nat
        self._neighbors = neighbors
        self._reassembler = reassembler
        self._counters = counters

    def packet(
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
        """Give one whole valid packet for our address to its engine."""
        if protocol == ipv4.TCP and end - l4 >= 20:
            port = data[l4 + 2] << 8 | data[l4 + 3]
            server = self._tcp.get(port)
            if server is not None:
                # A SYN with IP options, or in fragments, has not passed the sieve; no client sends it so.
                if data[l4 + 13] & 0x3F == SYN and port in self._ports and self._syn_sieve.sifts:
                    self._counters.drop(DropReason.TCP_SYN_CROWDED)
                    return
                server.receive(data, l3, l4, end, gso_size, flags & TRUSTED != 0, now)
                return
        elif protocol == ipv4.UDP and end - l4 >= udp.HEADER_LEN and self._udp:
            endpoint = self._udp.get(data[l4 + 2] << 8 | data[l4 + 3])
            if endpoint is not None:
                endpoint.receive(data, l3, l4, end, gso_size, flags & TRUSTED != 0, now)
                return
        elif protocol == ipv4.ICMP and data[l4 : l4 + 1] != b"\x00":
            self._icmp.receive(data, l3, l4, end, routed, now)
            return
        result = self._nat.inbound(data, l3, end, gso_size, flags & virtio_net.F_NEEDS_CSUM != 0, now)
        if not isinstance(result, tuple):
            if gso_size and protocol != TCP:
                data, l3 = first_datagram(data, l3, end, gso_size), 0
                end = len(data)
            self._refused(result, data, l3, end, routed, now)
            return
        client = result[0]
        packets = result[1]
        if len(packets) == 1:
            packet = packets[0]
            size = len(packet)
            if size < _SMALL_PACKET and packet[9] == TCP and size > _SYN_OFFSET and packet[_SYN_OFFSET] & SYN:
                packets = [clamp(packet, self._mss.get(client, SMALLEST_MSS))]
            if size > self._tun_mtu:
                packets = self._cut(data, l3, end, packet, routed, now)
        elif protocol == TCP:
            self.split += len(packets)
        elif len(packets[0]) > self._tun_mtu:
            packets = self._cut_each(first_datagram(data, l3, end, gso_size), packets, routed, now)
        down = routed.to_clients
        if client in down:
            down[client] += packets
        else:
            down[client] = packets

    def short_frame(self, frame: bytes, routed: Routed, now: Nanos) -> None:
        """Take ARP from a frame that is too short for IPv4; drop any other such frame."""
        if len(frame) >= L3_OFFSET and frame[24:26] == b"\x08\x06":
            self.arp(frame, frame[12:18], routed, now)
        else:
            self._counters.drop(DropReason.FRAME_TOO_SHORT)

    def arp(self, frame: bytes, to_mac: bytes, routed: Routed, now: Nanos) -> None:
        """Take a frame of ARP."""
        if to_mac == ethernet.BROADCAST or to_mac == self._mac:
            released = self._neighbors.receive(frame, L3_OFFSET, now)
            if released:
                routed.to_link.extend(released)

    def fragment(self, frame: bytes, end: int, protocol: int, routed: Routed, now: Nanos) -> None:
        """Take a fragment for our address whose header is valid; a datagram that it completes goes to its engine."""
        reassembler = self._reassembler
        if now >= reassembler.due:
            reassembler.handle_deadline(now)  # no ICMP error to the outside for datagrams that timed out
        whole = reassembler.receive(frame, L3_OFFSET, end, now)
        if isinstance(whole, DropReason):
            self._counters.drop(whole)
        elif whole is not None:
            self.packet(whole, 0, (whole[0] & 15) * 4, len(whole), protocol, 0, 0, routed, now)

    def frame(self, frame: bytes, routed: Routed, now: Nanos) -> None:
        """Take what the fast test does not: frames for other hosts, other protocols, IP options."""
        ethertype = int.from_bytes(frame[24:26], "big")
        if frame[12:18] != self._mac:
            self._counters.drop(DropReason.NOT_FOR_US)
            return
        if ethertype != ethernet.TYPE_IPV4:
            self._counters.drop(DropReason.UNKNOWN_ETHERTYPE)
            return
        parsed = ipv4.parse(frame, L3_OFFSET, len(frame))
        if isinstance(parsed, DropReason):
            self._counters.drop(parsed)
            return
        l4, end, protocol, fragment_word, _, destination = parsed
        if destination != self._address:
            self._counters.drop(DropReason.NOT_FOR_US)
            return
        if frame[1] and (frame[1] & 0x7F != virtio_net.GSO_TCPV4 or protocol != TCP):
            self._counters.drop(DropReason.BAD_VNET_HEADER)  # no kernel joins datagrams with IP options
            return
        if fragment_word & ipv4.FRAGMENTED:
            self.fragment(frame, end, protocol, routed, now)
            return
        gso_size = int.from_bytes(frame[4:6], "little") if frame[1] else 0
        self.packet(frame, L3_OFFSET, l4, end, protocol, gso_size, frame[0], routed, now)

    def _cut(self, data: bytes, l3: int, end: int, packet: bytes, routed: Routed, now: Nanos) -> list[bytes]:
        """A packet larger than the tunnel: fragments, or RFC 1191's answer to the sender when DF is set."""
        if not packet[6] & 0x40:
            return fragment(packet, self._tun_mtu)
        self._counters.drop(DropReason.TOO_BIG)
        self._icmp.error(data[l3:end], FRAGMENTATION_NEEDED, routed, now, rest=self._tun_mtu)
        return []

    def _cut_each(self, first: bytes, packets: list[bytes], routed: Routed, now: Nanos) -> list[bytes]:
        """The same for the datagrams of a super-frame; one answer, which quotes the first of them as it came."""
        if not first[6] & 0x40:
            return [piece for packet in packets for piece in fragment(packet, self._tun_mtu)]
        fitting = [packet for packet in packets if len(packet) <= self._tun_mtu]
        self._counters.drop(DropReason.TOO_BIG, len(packets) - len(fitting))
        self._icmp.error(first, FRAGMENTATION_NEEDED, routed, now, rest=self._tun_mtu)
        return fitting

    def _refused(self, reason: DropReason, data: Buffer, l3: int, end: int, routed: Routed, now: Nanos) -> None:
        """Count a packet that the NAT did not take; only an exceeded TTL is answered outside (RFC 1812 5.3.1)."""
        self._counters.drop(reason)
        if reason is DropReason.TTL_EXCEEDED:
            self._icmp.error(data[l3:end], TTL_EXCEEDED, routed, now)
        elif data[l3 + 9] == ipv4.UDP and len(routed.udp_clients) < UDP_CLIENTS_MAX:
            l4 = l3 + (data[l3] & 15) * 4
            first = bytes(data[l4 + udp.HEADER_LEN : l4 + udp.HEADER_LEN + 1])
            if first in _UDP_RESETS and data[l4 + 2] << 8 | data[l4 + 3] in self._ports:  # first: the header is whole
                routed.udp_clients.append(Endpoint(ipv4.source(data, l3), data[l4] << 8 | data[l4 + 1]))
