"""Half-open connections: SYN in, SYN-ACK out, nothing larger than a small entry before the handshake is complete.

Bounds: `half_open` entries; when they are all in use one is dropped (TCP_HALF_OPEN_FULL), the one with the most
unanswered SYN-ACKs and of these the oldest, so that a flood of strangers cannot keep everybody out for longer than it
lasts (RFC 4987 section 3.6). SYN-ACKs are repeated a few times only. Initial sequence numbers are a keyed hash of the
four-tuple plus a clock (RFC 6528).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2s

from hognose.drops import Counters, DropReason
from hognose.limits import TcpLimits
from hognose.link import Outgoing
from hognose.tcp import seqnum
from hognose.tcp.path import IP_HEADER_LEN, Path
from hognose.tcp.sender import MIN_MSS
from hognose.units import MS, SECOND, US, Ipv4Int, Nanos, Port
from hognose.wire import tcp as wire_tcp
from hognose.wire.tcp import ACK, SYN

SYN_ACK_RETRIES = 4  # far below RFC 9293's 3 minutes, as a defence (facts T10)
SYN_ACK_INTERVAL: Nanos = 1 * SECOND  # doubles with every retry


@dataclass(slots=True)
class HalfOpen:
    """One SYN that was answered."""

    path: Path
    irs: int
    iss: int
    mss: int  # payload bytes per segment toward the peer, timestamps deducted
    snd_scale: int
    scaling: bool
    sack: bool
    ts_offset: int
    ts_recent: int
    deadline: Nanos


class Listener:
    """The half-open table of one listening port."""

    def __init__(
        self,
        *,
        address: Ipv4Int,
        port: Port,
        mtu: int,
        limits: TcpLimits,
        secret: bytes,
        counters: Counters,
    ) -> None:
        self._address = address
        self._port = port
        self._mss = mtu - IP_HEADER_LEN - wire_tcp.FIXED_LEN
        self._limits = limits
        self._secret = secret
        self._counters = counters
        # One table per number of repeats: in each the oldest entry is also the next one due.
        self._levels: tuple[OrderedDict[bytes, HalfOpen], ...] = tuple(
            OrderedDict() for _ in range(SYN_ACK_RETRIES + 1)
        )
        # The scale that lets 16 bits say the whole receive buffer (RFC 7323 section 2.3).
        self.scale = 0
        while limits.receive_buffer > 0xFFFF << self.scale:
            self.scale += 1

    def __len__(self) -> int:
        return sum(map(len, self._levels))

    def get(self, key: bytes) -> HalfOpen | None:
        """The entry of a peer (4 bytes address, 2 bytes port)."""
        for level in self._levels:
            if key in level:
                return level[key]
        return None

    def remove(self, key: bytes) -> None:
        """The handshake is complete, or was reset."""
        for level in self._levels:
            level.pop(key, None)

    def syn(self, key: bytes, seq: int, window: int, options: wire_tcp.Options, now: Nanos) -> Outgoing:
        """A SYN for the listening port: a SYN-ACK, and an entry for it. A repeated SYN gets the same answer."""
        entry = self.get(key)
        if entry is None or entry.irs != seq:
            # RFC 9293 3.10.7.4: another SYN in SYN-RECEIVED of a passive open returns to LISTEN, so it starts anew.
            entry = self._new(key, seq, options, now)
        return self._answer(entry, now)

    def next_deadline(self) -> Nanos | None:
        """When the next SYN-ACK is to be repeated or an entry given up."""
        earliest: Nanos | None = None
        for level in self._levels:
            if level:
                deadline = next(iter(level.values())).deadline
                if earliest is None or deadline < earliest:
                    earliest = deadline
        return earliest

    def handle_deadline(self, now: Nanos, out: list[Outgoing]) -> None:
        """Repeat SYN-ACKs, give up on entries that were repeated often enough."""
        for retries in range(SYN_ACK_RETRIES, -1, -1):
            level = self._levels[retries]
            while level:
                key, entry = next(iter(level.items()))
                if entry.deadline > now:
                    break
                del level[key]
                if retries < SYN_ACK_RETRIES:
                    entry.deadline = now + (SYN_ACK_INTERVAL << (retries + 1))
                    self._levels[retries + 1][key] = entry
                    out.append(self._answer(entry, now))

    def _new(self, key: bytes, seq: int, options: wire_tcp.Options, now: Nanos) -> HalfOpen:
        self.remove(key)
        if len(self) >= self._limits.half_open:
            next(level for level in reversed(self._levels) if level).popitem(last=False)
            self._counters.drop(DropReason.TCP_HALF_OPEN_FULL)
        remote, remote_port = int.from_bytes(key[:4], "big"), int.from_bytes(key[4:6], "big")
        digest = blake2s(
            key + self._address.to_bytes(4, "big") + self._port.to_bytes(2, "big"), key=self._secret, digest_size=8
        ).digest()
        timestamps = options.timestamps is not None
        peer_mss = max(MIN_MSS, min(options.mss if options.mss is not None else wire_tcp.DEFAULT_MSS, self._mss))
        entry = HalfOpen(
            path=Path(self._address, self._port, remote, remote_port, timestamps),
            irs=seq,
            iss=(int.from_bytes(digest[:4], "big") + now // (4 * US)) & seqnum.MASK,
            mss=peer_mss - (12 if timestamps else 0),
            snd_scale=options.window_scale or 0,
            scaling=options.window_scale is not None,
            sack=options.sack_permitted,
            ts_offset=int.from_bytes(digest[4:], "big"),
            ts_recent=options.timestamps[0] if options.timestamps is not None else 0,
            deadline=now + SYN_ACK_INTERVAL,
        )
        self._levels[0][key] = entry
        return entry

    def _answer(self, entry: HalfOpen, now: Nanos) -> Outgoing:
        """The SYN-ACK: window unscaled, options only where the peer offered them."""
        path = entry.path
        stamps = ((entry.ts_offset + now // MS) & seqnum.MASK, entry.ts_recent)
        options = wire_tcp.build_syn_options(
            self._mss, self.scale if entry.scaling else None, entry.sack, stamps if path.timestamps else None
        )
        plain = Path(path.local, path.local_port, path.remote, path.remote_port, timestamps=False)
        return plain.segment(
            entry.iss,
            (entry.irs + 1) & seqnum.MASK,
            SYN | ACK,
            min(self._limits.receive_buffer, 0xFFFF),
            (0, 0),
            [],
            0,
            self._mss,
            options,
        )
