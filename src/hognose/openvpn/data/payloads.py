# hot
"""Authentic payloads of data packets: inner packets, and what OpenVPN says in between (ping.h, occ.c)."""

from __future__ import annotations

from hognose.drops import Counters, DropReason, Stat
from hognose.openvpn.data.compression import unframe
from hognose.vocabulary import Framing
from hognose.wire.openvpn import OCC_EXIT, OCC_MAGIC, PING

# The numbers of counters: a member of an IntEnum as an index costs three times as much.
_PACKETS_IN, _BYTES_IN = int(Stat.DATA_PACKETS_IN), int(Stat.DATA_BYTES_IN)
_IPV4 = 0x45
_NO_BYTE = -1  # in place of a first byte
# The first byte of a payload that is an IPv4 packet as it is, without a framing byte or IPv4 options.
_PLAIN_FIRST: dict[Framing, int] = {"none": _IPV4, "stub-v2": _IPV4, "comp-lzo": _NO_BYTE, "stub": _NO_BYTE}


class Payloads:
    """Sorts the payloads of one session and counts them.

    bytes_in, packets_in: of inner packets. control_payloads, control_bytes: of payloads for us, or unreadable.
    exit_seen: the peer said goodbye.
    """

    __slots__ = ("_counters", "bytes_in", "control_bytes", "control_payloads", "exit_seen", "packets_in")

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self.bytes_in = 0
        self.packets_in = 0
        self.control_payloads = 0
        self.control_bytes = 0
        self.exit_seen = False

    def take(self, framing: Framing, payloads: list[bytes], packets: list[bytes]) -> None:
        """Append the inner packets among payloads, in order; others are acted on, or counted and dropped.

        COMPRESSED, BAD_COMPRESSION_BYTE: payloads that cannot be read.
        """
        plain_first = _PLAIN_FIRST[framing]
        for payload in payloads:
            if not payload or payload[0] != plain_first:
                payloads = self._sorted(framing, payloads)
                break
        packets += payloads
        count = len(payloads)
        size = len(payloads[0]) if count == 1 else sum(map(len, payloads))
        self.bytes_in += size
        self.packets_in += count
        stats = self._counters.stats
        stats[_PACKETS_IN] += count
        stats[_BYTES_IN] += size

    def _sorted(self, framing: Framing, payloads: list[bytes]) -> list[bytes]:
        """Inner packets among payloads of which some are pings, OCC messages, framed, IPv6 or have IP options."""
        plain_first = _PLAIN_FIRST[framing]
        packets: list[bytes] = []
        for payload in payloads:
            if payload and payload[0] == plain_first:
                packets.append(payload)
                continue
            packet = unframe(framing, payload)
            if isinstance(packet, DropReason):
                self._counters.drop(packet)
            elif packet.startswith(PING):
                pass
            elif packet.startswith(OCC_MAGIC):
                kind = packet[len(OCC_MAGIC) : len(OCC_MAGIC) + 1]  # a request for our options gets no answer
                self.exit_seen |= kind == bytes((OCC_EXIT,))
            else:
                packets.append(packet)
                continue
            self.control_payloads += 1
            self.control_bytes += len(payload)
        return packets
