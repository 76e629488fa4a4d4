# hot
"""Filter of a flood of datagrams that belong to no session, in the frames of a batch before the step.

While more of them come than DatagramLimits.strangers_per_second each frame for the port is filtered before anything is
done for it. Those from the address of a peer pass. Of others vpn/initial_rate.py chooses among the packets that may
begin a session, and data packets that name a client, which may have moved, have a budget; the rest is dropped. What
passes is judged in the step as ever. router/syn_sieve.py does so for SYNs.
"""

from __future__ import annotations

from collections.abc import Container

from hognose.base.rate import FixedWindow
from hognose.drops import Counters, DropReason
from hognose.limits import DatagramLimits
from hognose.link import L3_OFFSET
from hognose.units import SECOND, UDP, Nanos
from hognose.vpn.initial_limits import InitialLimits
from hognose.vpn.initial_rate import FLOOD_LIFE
from hognose.vpn.peer_table import PeerTable
from hognose.vpn.stateless_handshake import LEAST, OPCODES
from hognose.wire.openvpn import DATA_V2

_LIFE: Nanos = FLOOD_LIFE + SECOND  # after the limit was last exceeded; then the memory of both rates is not needed

# A UDP packet without IP options after the vnet header.
_L4_OFFSET = L3_OFFSET + 20
_PAYLOAD = _L4_OFFSET + 8
_TYPE_AND_VERSION = slice(L3_OFFSET - 2, L3_OFFSET + 1)
_PLAIN_IPV4 = b"\x08\x00\x45"
_PROTOCOL = L3_OFFSET + 9
_SOURCE = slice(L3_OFFSET + 12, L3_OFFSET + 16)
_SOURCE_PORT = slice(_L4_OFFSET, _L4_OFFSET + 2)
_PORT = slice(_L4_OFFSET + 2, _L4_OFFSET + 4)
_LENGTH = _L4_OFFSET + 4
_SESSION_ID = slice(_PAYLOAD + 1, _PAYLOAD + 9)
_PEER_ID = slice(_PAYLOAD + 1, _PAYLOAD + 4)
_DATA = range(DATA_V2 << 3, (DATA_V2 << 3) + 8)


class DatagramSieve:
    """Decides which datagrams of no session reach a step; it keeps nothing but counts."""

    __slots__ = (
        "_both", "_counters", "_flood_at", "_limits", "_now", "_peers", "_port", "_rates", "_roamed", "_sifts",
        "_table", "_window",
    )  # fmt: skip

    def __init__(
        self,
        port: bytes,
        peers: Container[bytes],
        table: PeerTable,
        strangers: InitialLimits,
        limits: DatagramLimits,
        counters: Counters,
        now: Nanos,
    ) -> None:
        """port: as on the wire; peers: addresses and ports of all transports, by which they are always known."""
        self._port = port
        self._peers = peers
        self._table = table
        self._both = (strangers.resets, strangers.proofs)
        self._rates = {opcode << 3: strangers.of(opcode) for opcode in OPCODES}  # by the first byte, of key id 0
        self._limits = limits
        self._counters = counters
        self._window = FixedWindow(now)
        self._roamed = FixedWindow(now)
        self._flood_at: Nanos = now
        self._sifts = False
        self._now = now

    def note(self, now: Nanos, count: int = 1) -> None:
        """Count datagrams of no session, or from an address that is not their client's."""
        if self._window.count(now, events=count) > self._limits.strangers_per_second:
            self._flood_at = now
            self._sifts = True

    def begin(self, now: Nanos) -> bool:
        """Prepare for a batch of frames; True when it must be sifted."""
        if not self._sifts:
            return False
        self._now = now
        self._sifts = now - self._flood_at <= _LIFE
        for rate in self._both:
            if self._sifts:
                rate.begin(now)
            else:
                rate.calm(now)
        return self._sifts

    def sift(self, frames: list[bytes]) -> list[bytes]:
        """The frames that a step is to have; after `begin`, if that said so. Drops: NO_SESSION, INITIAL_CROWDED."""
        port, peers, rates = self._port, self._peers, self._rates
        kept: list[bytes] = []
        keep = kept.append
        crowded = lost = 0
        for frame in frames:
            if (
                len(frame) < _PAYLOAD
                or frame[_PORT] != port
                or frame[_PROTOCOL] != UDP
                or frame[_TYPE_AND_VERSION] != _PLAIN_IPV4
            ):
                keep(frame)
                continue
            source = frame[_SOURCE] + frame[_SOURCE_PORT]
            if source in peers:
                keep(frame)
                continue
            if len(frame) < _PAYLOAD + LEAST or (frame[_LENGTH] == 0 and frame[_LENGTH + 1] < 8 + LEAST):
                lost += 1
                continue
            first = frame[_PAYLOAD]
            rate = rates.get(first)
            if rate is not None:
                if rate.passes(source + frame[_SESSION_ID]):
                    keep(frame)
                else:
                    crowded += 1
            elif first in _DATA and self._may_have_moved(frame[_PEER_ID]):
                keep(frame)
            else:
                lost += 1
        if crowded:
            self._counters.drop(DropReason.INITIAL_CROWDED, crowded)
        if lost:
            self._counters.drop(DropReason.NO_SESSION, lost)
        self.note(self._now, crowded + lost)
        return kept

    def _may_have_moved(self, peer_id: bytes) -> bool:
        return (
            self._table.with_peer_id(int.from_bytes(peer_id, "big")) is not None
            and self._roamed.count(self._now) <= self._limits.roaming_per_second
        )
