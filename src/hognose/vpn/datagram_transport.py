# hot
"""The transport of one peer that speaks over datagrams: what has come from it, and what it is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hognose.address import Endpoint
from hognose.drops import DropReason, Stat
from hognose.link import ETHERNET_HDR_LEN
from hognose.openvpn.proof import AddressProof
from hognose.units import SECOND, Nanos
from hognose.vocabulary import Proto
from hognose.wire import icmpv4, ipv4, udp, virtio_net

if TYPE_CHECKING:
    from hognose.vpn.datagrams import DatagramPort

HEADERS_LEN = ipv4.HEADER_LEN + udp.HEADER_LEN
CSUM_START = ETHERNET_HDR_LEN + ipv4.HEADER_LEN
SUPER_FRAME_BYTES = 65_000  # of their payloads together
# vnet header of every datagram: the device completes the UDP checksum.
PARTIAL = virtio_net.partial_checksum(CSUM_START, udp.CHECKSUM_OFFSET)
_WHOLE = ipv4.DONT_FRAGMENT.to_bytes(2, "big")  # flags and fragment offset of a datagram that no router may cut
_DSCP = 0xFC  # of the second byte of a header (RFC 2474 section 3)
_OWN_AT_FIRST = 2  # datagrams of a handshake that always have room
_NO_PEER_WORD = b"none"  # equal to no three bytes, nor to the fewer of a shorter datagram
ABORTED = "aborted"  # the reason of an end by the server, after which the peer may come again by the same packet


class DatagramTransport:
    """A Transport of one port.

    Bounds: DatagramLimits.waiting_of_client datagrams wait, waiting_at_first until the peer is trusted; roaming come
    from other addresses. A flood of strangers or clients leaves a client room for waiting_at_first, and a stranger for
    _OWN_AT_FIRST. There is no queue toward the peer: `send` puts packets on the port's list at once, and room bounds
    those of a step.
    """

    __slots__ = (
        "_head", "_head_size", "_lengths", "_longest_run", "_most", "_mtu", "_of_all", "_own", "_tos",
        "begun_by", "came_from", "close_reason", "endpoint", "id", "key", "listed", "narrow_until", "opened_at",
        "passtos", "peer_word", "place", "port", "proof", "record_limit", "remote_id", "roaming", "spoken", "waiting",
    )  # fmt: skip

    broken = False
    unfinished = b""
    ended = False
    finished = False
    proto: Proto = "udp"
    full_reason = DropReason.DATAGRAM_QUEUE_FULL

    def __init__(
        self, port: DatagramPort, number: int, key: bytes, remote_id: bytes, proof: AddressProof | None, now: Nanos
    ) -> None:
        """key: the peer's address and port as on the wire; remote_id: its session id."""
        self.port = port
        self.id = number
        self.remote_id = remote_id
        self.begun_by = key + remote_id  # the name of the packet that it was made of, in UsedProofs
        self.place = key + number.to_bytes(8, "big")  # its key in tables that are fair to sources
        self.proof = proof
        self.opened_at = now
        self.close_reason = ""
        self.spoken = False  # it was sent something
        self.listed = False  # among the port's readable ones
        self.peer_word = _NO_PEER_WORD  # the peer id as in a data packet, once it is a client
        self.waiting: list[bytes] = []
        self.roaming: list[tuple[bytes, bytes]] = []  # (source, data packet) from other addresses
        self._most = port.limits.waiting_at_first
        self._of_all = port.limits.waiting // 2  # of all peers, up to which it may add some: clients have more
        self._own = _OWN_AT_FIRST  # that it may have in any case
        self._mtu: int = port.mtu  # of the largest packet with DF
        self._tos = 0  # of the headers that are made now
        self.passtos = port.passtos
        self.key = b""
        self.move(key)

    def move(self, key: bytes) -> None:
        """Take another address of the peer; only its table calls it."""
        self.came_from = self.key
        self.key = key
        self.endpoint = Endpoint(key[:-2], int.from_bytes(key[-2:], "big"))
        # 1 for each length of a datagram with DF that was sent there; no record is longer than those that come.
        self._lengths = bytearray(min(self.port.mtu, self.port.limits.longest + 1))
        self._longest_run = 0  # payload bytes of the longest super-frame that was sent there
        self.widen()

    @property
    def trusted(self) -> bool:
        """True for an authenticated peer."""
        return self.peer_word != _NO_PEER_WORD

    # -- in ----------------------------------------------------------------------------------------------------------

    def put(self, datagram: bytes) -> bool:
        """Store a datagram; True when the transport is to be listed as readable. Drops: DATAGRAM_QUEUE_FULL."""
        port = self.port
        count = len(self.waiting)
        if count >= self._most or (port.waiting >= self._of_all and count >= self._own):
            port.counters.drop(DropReason.DATAGRAM_QUEUE_FULL)
            return False
        self.waiting.append(datagram)
        port.waiting += 1
        if self.listed:
            return False
        self.listed = True
        return True

    def put_from(self, key: bytes, datagram: bytes) -> bool:
        """Store a data packet that came from another address; as `put`."""
        if len(self.roaming) >= self.port.limits.roaming:
            self.port.counters.drop(DropReason.DATAGRAM_QUEUE_FULL)
            return False
        self.roaming.append((key, datagram))
        if self.listed:
            return False
        self.listed = True
        return True

    def take(self, most: int) -> list[bytes]:
        """Up to `most` datagrams in order, and not more than DatagramLimits.turn; none raises."""
        waiting = self.waiting
        most = min(most, self.port.limits.turn)
        if len(waiting) <= most:
            self.waiting = []
        else:
            self.waiting = waiting[most:]
            waiting = waiting[:most]
        self.port.waiting -= len(waiting)
        return waiting

    def take_roaming(self) -> list[tuple[bytes, bytes]]:
        """Drained: data packets from other addresses."""
        roaming, self.roaming = self.roaming, []
        return roaming

    def roam(self, key: bytes) -> bool:
        """Send to another address from now on; False when another client is there."""
        return self.port.move(self, key)

    def discard(self) -> None:
        """Throw away what was received and not taken."""
        self.port.waiting -= len(self.waiting)
        self.waiting = []
        self.roaming = []

    def set_aside(self) -> None:
        """Nothing takes less memory than the datagrams themselves."""

    @property
    def has_input(self) -> bool:
        """True while something waits."""
        return bool(self.waiting or self.roaming)

    # -- out ---------------------------------------------------------------------------------------------------------

    def room(self, queue: int) -> int:
        """Bytes that may still be sent in this step: `queue` at most, and DatagramLimits.step_bytes."""
        return min(queue, self.port.limits.step_bytes) - self.port.sent.get(self.id, 0)

    def narrow(self, mtu: int, quoted: bytes, now: Nanos) -> bool:
        """Take the MTU of the path to the peer from a router; False when it is no smaller one, or cannot be true.

        quoted: the headers of a datagram to the peer. It is believed when one of its length was sent with DF, and for
        DatagramLimits.path_mtu_s. `record_limit` is not less than what DatagramLimits.path_mtu has room for; larger
        records leave without DF. Drops: BAD_ICMP.
        """
        limits, counters = self.port.limits, self.port.counters
        size = int.from_bytes(quoted[24:26], "big") - udp.HEADER_LEN
        mtu = icmpv4.next_hop_mtu(mtu, min(size + HEADERS_LEN, self.port.mtu))
        if quoted[6:8] != _WHOLE or not self._has_sent(size) or not mtu:
            counters.drop(DropReason.BAD_ICMP)
            return False
        if mtu >= self._mtu:
            return False
        counters.stats[Stat.UDP_PATHS_NARROWED] += 1
        self._mtu = mtu
        self._head_size = -1
        self.record_limit = max(mtu, limits.path_mtu) - HEADERS_LEN
        self.narrow_until = now + limits.path_mtu_s * SECOND
        return True

    def _has_sent(self, size: int) -> bool:
        """True when a datagram with `size` bytes of payload and DF was sent to this address, or may have been.

        A router that takes super-frames quotes them whole; those are known by the longest one alone.
        """
        lengths = self._lengths
        return bool(lengths[size]) if 0 <= size < len(lengths) else 0 < size <= self._longest_run

    def widen(self) -> None:
        """Forget the MTU of the path."""
        self._mtu = self.port.mtu
        self._head_size = -1
        self._head = b""
        self.record_limit = 0
        self.narrow_until = 0

    def fits(self, records: list[bytes]) -> bool:
        """True: control packets are few, and lost ones are sent again."""
        return True

    def send(self, records: list[bytes]) -> None:
        """Send each record as a datagram, with DF unless it is too large for the link or for what is known of the path.

        Where the device takes them, runs of records of one size leave as one super-frame; the last may be shorter.
        """
        self.spoken = True
        port = self.port
        if port.uso and len(records) > 1:
            self._send_runs(records)
        else:
            self._send_each(records)

    def send_marked(self, records: list[bytes], packets: list[bytes]) -> None:
        """Send records, each with the DSCP of its inner packet; the ECN field stays Not-ECT (RFC 6040 section 4.3)."""
        at, count = 0, len(records)
        while at < count:
            tos = packets[at][1] & _DSCP
            end = at + 1
            while end < count and packets[end][1] & _DSCP == tos:
                end += 1
            self._tos, self._head_size = tos, -1
            self.send(records[at:end])
            at = end
        self._tos, self._head_size = 0, -1

    def _send_each(self, records: list[bytes]) -> None:
        port = self.port
        out, local, key, mtu = port.out, port.local, self.key, self._mtu
        destination = key[:-2]
        total = 0
        for record in records:
            size = len(record)
            total += size
            if size == self._head_size:
                head = self._head
            elif size + HEADERS_LEN > mtu:
                head = udp.heads(local, key, size, port.fresh_ident(), self._tos)
            else:
                head = self._head = udp.heads(local, key, size, 0, self._tos)
                self._head_size = size
                self._lengths[size] = 1
            out.append((destination, PARTIAL, [head, record]))
        port.sent[self.id] = port.sent.get(self.id, 0) + total

    def _send_runs(self, records: list[bytes]) -> None:
        """Send runs of records of one size together."""
        port = self.port
        out, key = port.out, self.key
        destination = key[:-2]
        at, count = 0, len(records)
        room = self._mtu - HEADERS_LEN
        while at < count:
            size = len(records[at])
            end = at + 1
            if 0 < size <= room:
                most = min(count, at + virtio_net.UDP_L4_MOST, at + SUPER_FRAME_BYTES // size)
                while end < most and len(records[end]) == size:
                    end += 1
                if end < most and 0 < len(records[end]) < size:
                    end += 1
            if end - at == 1:
                self._send_each(records[at:end])
            else:
                run = records[at:end]
                total = sum(map(len, run))
                self._lengths[size] = self._lengths[len(run[-1])] = 1
                if total > self._longest_run:
                    self._longest_run = total
                vnet = virtio_net.udp_super_frame(ETHERNET_HDR_LEN + HEADERS_LEN, size, CSUM_START)
                out.append((destination, vnet, [udp.heads(port.local, key, total, 0, self._tos), *run]))
                port.sent[self.id] = port.sent.get(self.id, 0) + total
            at = end

    def trust(self, peer_id: int) -> None:
        """Serve an authenticated peer under its peer id; a transport that was at its address before is over."""
        limits = self.port.limits
        self._most, self._of_all, self._own = limits.waiting_of_client, limits.waiting, limits.waiting_at_first
        self.peer_word = peer_id.to_bytes(3, "big")
        self.port.trust(self)

    def close(self, now: Nanos) -> None:
        """End it: what was sent is on its way. Idempotent."""
        self.port.remove(self, "closed")

    def abort(self, now: Nanos) -> None:
        """End it."""
        self.port.remove(self, ABORTED)
