"""Half-open connections: SYN in, SYN-ACK out, nothing larger than a small entry before the handshake is complete.

Bounds: `half_open` entries. While they are all in use a newcomer costs nothing: its answer carries a SYN cookie
(cookies.py). A cookie is good for some seconds (COOKIE_LIFE), and only until COOKIE_LIFE after such an overflow;
handshakes that are over in that time are remembered (`half_open` of them, the oldest is forgotten), so that no cookie
makes a second connection out of an old segment. SYN-ACKs are repeated a few times only, those with a cookie never.
Initial sequence numbers are a keyed hash of the four-tuple plus a clock (RFC 6528).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2s
from struct import Struct

from hognose.drops import Counters, Stat
from hognose.limits import TcpLimits
from hognose.link import Outgoing
from hognose.tcp import seqnum
from hognose.tcp.cookies import COOKIE_LIFE, SynCookies
from hognose.tcp.path import Path
from hognose.units import MS, US, Nanos
from hognose.wire import ipv4
from hognose.wire import tcp as wire_tcp
from hognose.wire.tcp import ACK, SYN

_STAMPS = Struct(">II")

SYN_ACK_RETRIES = 5  # 16 s, far below the 3 minutes of RFC 9293 section 3.8.3, as a defence (docs/dev/tcp.md T10)
# Doubles with every retry. RFC 6298 (2.1) says SHOULD 1 s; but then the peer's first measurement is a second too, and
# each of its own losses costs three seconds and more. A path of more than this gets one SYN-ACK too many.
SYN_ACK_INTERVAL: Nanos = 250 * MS
RTT_MAX_MS = 60_000  # an echo older than that is nonsense


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
    repeated: bool = False  # the SYN-ACK was sent more than once
    rtt_ms: int = 0  # of the handshake; 0: not measured

    def measure(self, options: wire_tcp.Options, now: Nanos) -> None:
        """Measure the RTT by the third segment's echo (RFC 7323 section 4), or if the SYN-ACK was sent once (Karn)."""
        if self.path.timestamps and options.timestamps is not None:
            rtt_ms = (self.ts_offset + now // MS - options.timestamps[1]) & seqnum.MASK
        elif not self.repeated:
            rtt_ms = (now - self.deadline + SYN_ACK_INTERVAL) // MS
        else:
            return
        self.rtt_ms = max(rtt_ms, 1) if rtt_ms <= RTT_MAX_MS else 0


class Listener:
    """The half-open table of one listening port."""

    def __init__(
        self,
        *,
        local: bytes,
        mtu: int,
        limits: TcpLimits,
        secret: bytes,
        counters: Counters,
    ) -> None:
        """local: address and port as on the wire."""
        self._mss = mtu - ipv4.HEADER_LEN - wire_tcp.FIXED_LEN
        self._limits = limits
        self._secret = secret
        self._counters = counters
        # One table per number of repeats: in each the oldest entry is also the next one due.
        self._levels: tuple[OrderedDict[bytes, HalfOpen], ...] = tuple(
            OrderedDict() for _ in range(SYN_ACK_RETRIES + 1)
        )
        self._local = local
        self._cookies = SynCookies(secret, self._local)
        self.overflow_at: Nanos = -COOKIE_LIFE - 1  # time of the latest cookie
        self._spent: OrderedDict[bytes, None] = OrderedDict()  # four-tuple and the peer's initial number
        # The scale with which 16 bits express the whole receive buffer (RFC 7323 section 2.3).
        self.scale = 0
        while limits.receive_buffer > 0xFFFF << self.scale:
            self.scale += 1
        # The options of a SYN-ACK by (SACK, scaling, timestamps), the stamps to be filled in.
        self._options = {
            (sack, scaling, stamps): wire_tcp.build_syn_options(
                self._mss, self.scale if scaling else None, sack, (0, 0) if stamps else None
            )
            for sack in (False, True)
            for scaling in (False, True)
            for stamps in (False, True)
        }

    def __len__(self) -> int:
        return sum(map(len, self._levels))

    @property
    def spent(self) -> tuple[bytes, ...]:
        """Handshakes whose cookies are rejected: key and the peer's initial number, the oldest first."""
        return tuple(self._spent)

    def entries(self) -> list[list[tuple[bytes, HalfOpen]]]:
        """Keys and entries by the number of repeats, the next one due first."""
        return [list(level.items()) for level in self._levels]

    def restore(
        self, entries: list[list[tuple[bytes, HalfOpen]]], spent: tuple[bytes, ...], overflow_at: Nanos
    ) -> None:
        """Take over entries, spent handshakes and the time of the latest cookie."""
        for level, found in zip(self._levels, entries, strict=True):
            level.update(found)
        self._spent.update(dict.fromkeys(spent))
        self.overflow_at = overflow_at

    def get(self, key: bytes) -> HalfOpen | None:
        """The entry of a peer (4 bytes address, 2 bytes port)."""
        for level in self._levels:
            if key in level:
                return level[key]
        return None

    def remove(self, key: bytes) -> None:
        """Remove the entry of a handshake that is complete or was reset."""
        for level in self._levels:
            level.pop(key, None)

    def syn(self, key: bytes, seq: int, options: wire_tcp.Options, entry: HalfOpen | None, now: Nanos) -> Outgoing:
        """Answer a SYN for the listening port by a SYN-ACK and file an entry. A repeated SYN gets the same answer.

        entry: that of the key so far.
        """
        if entry is None or entry.irs != seq:
            # RFC 9293 3.10.7.4: another SYN in SYN-RECEIVED of a passive open returns to LISTEN, so it starts anew.
            if entry is None and len(self) >= self._limits.half_open:
                return self._cookie(key, seq, options, now)
            entry = self._new(key, seq, options, now)
        else:
            entry.repeated = True
            if options.timestamps is not None and seqnum.before(entry.ts_recent, options.timestamps[0]):
                entry.ts_recent = options.timestamps[0]  # RFC 7323 section 4.3: the peer measures from this SYN on
        return self._answer(key, entry, now)

    def from_cookie(self, key: bytes, seq: int, ack: int, options: wire_tcp.Options, now: Nanos) -> HalfOpen | None:
        """The entry that the cookie of a third segment stands for, in no table; None without a valid cookie."""
        if not self._overflowed(now):
            return None
        irs, iss = (seq - 1) & seqnum.MASK, (ack - 1) & seqnum.MASK
        cookie = self._cookies.check(key, irs, iss, now)
        if cookie is None or key + irs.to_bytes(4, "big") in self._spent:
            return None
        self._counters.stats[Stat.TCP_SYN_COOKIES_ACCEPTED] += 1
        said = wire_tcp.Options(cookie.mss, cookie.window_scale, cookie.sack, (), options.timestamps)
        entry = self._entry(key, irs, iss, said, now)
        entry.repeated = True  # not known: the listener keeps no count for cookies
        return entry

    def spend(self, key: bytes, irs: int, now: Nanos) -> None:
        """Reject the cookie of this handshake or connection from now on: it is over."""
        if not self._overflowed(now):
            self._spent.clear()
            return
        if len(self._spent) >= self._limits.half_open:
            self._spent.popitem(last=False)
        self._spent[key + irs.to_bytes(4, "big")] = None

    def _overflowed(self, now: Nanos) -> bool:
        return now - self.overflow_at <= COOKIE_LIFE

    def next_deadline(self) -> Nanos | None:
        """Time at which the next SYN-ACK is repeated or an entry given up; None without entries."""
        earliest: Nanos | None = None
        for level in self._levels:
            if level:
                deadline = next(iter(level.values())).deadline
                if earliest is None or deadline < earliest:
                    earliest = deadline
        return earliest

    def handle_deadline(self, now: Nanos, out: list[Outgoing]) -> None:
        """Repeat SYN-ACKs; give up entries after SYN_ACK_RETRIES repeats."""
        for retries in range(SYN_ACK_RETRIES, -1, -1):
            level = self._levels[retries]
            while level:
                key, entry = next(iter(level.items()))
                if entry.deadline > now:
                    break
                del level[key]
                if retries < SYN_ACK_RETRIES:
                    entry.deadline = now + (SYN_ACK_INTERVAL << (retries + 1))
                    entry.repeated = True
                    self._levels[retries + 1][key] = entry
                    out.append(self._answer(key, entry, now))

    def _new(self, key: bytes, seq: int, options: wire_tcp.Options, now: Nanos) -> HalfOpen:
        self.remove(key)
        iss = int.from_bytes(self._hash(key)[:4], "big") + now // (4 * US)
        entry = self._entry(key, seq, iss & seqnum.MASK, options, now)
        self._levels[0][key] = entry
        return entry

    def _entry(self, key: bytes, irs: int, iss: int, options: wire_tcp.Options, now: Nanos) -> HalfOpen:
        timestamps = options.timestamps is not None
        offered = options.mss if options.mss is not None else wire_tcp.DEFAULT_MSS
        peer_mss = max(wire_tcp.MIN_MSS, min(offered, self._mss))
        return HalfOpen(
            path=Path(self._local, key, timestamps),
            irs=irs,
            iss=iss,
            mss=peer_mss - (wire_tcp.TIMESTAMPS_LEN if timestamps else 0),
            snd_scale=options.window_scale or 0,
            scaling=options.window_scale is not None,
            sack=options.sack_permitted,
            ts_offset=int.from_bytes(self._hash(key)[4:], "big"),
            ts_recent=options.timestamps[0] if options.timestamps is not None else 0,
            deadline=now + SYN_ACK_INTERVAL,
        )

    def _hash(self, key: bytes) -> bytes:
        """Eight bytes that a peer cannot predict: the offsets of the initial sequence number and of the timestamps."""
        return blake2s(key + self._local, key=self._secret, digest_size=8).digest()

    def _cookie(self, key: bytes, seq: int, options: wire_tcp.Options, now: Nanos) -> Outgoing:
        """A SYN-ACK with a cookie; no entry is made."""
        self.overflow_at = now
        self._counters.stats[Stat.TCP_SYN_COOKIES_SENT] += 1
        path = Path(self._local, key, timestamps=False)
        stamps = None
        if options.timestamps is not None:
            offset = int.from_bytes(self._hash(key)[4:], "big")
            stamps = ((offset + now // MS) & seqnum.MASK, options.timestamps[0])
        iss = self._cookies.make(key, seq, options, now)
        return self._syn_ack(path, iss, seq, options.window_scale is not None, options.sack_permitted, stamps)

    def _answer(self, key: bytes, entry: HalfOpen, now: Nanos) -> Outgoing:
        """The SYN-ACK of an entry."""
        plain = Path(self._local, key, timestamps=False)
        stamps = ((entry.ts_offset + now // MS) & seqnum.MASK, entry.ts_recent) if entry.path.timestamps else None
        return self._syn_ack(plain, entry.iss, entry.irs, entry.scaling, entry.sack, stamps)

    def _syn_ack(
        self, path: Path, iss: int, irs: int, scaling: bool, sack: bool, stamps: tuple[int, int] | None
    ) -> Outgoing:
        """Window unscaled, options only where the peer offered them; they carry the timestamps, the path has none."""
        options = self._options[sack, scaling, stamps is not None]
        if stamps is not None:
            at = 8 if sack else 4  # after MSS and SACK permitted
            options = options[: at + 4] + _STAMPS.pack(*stamps) + options[at + 12 :]
        window = self._limits.syn_window
        ack = (irs + 1) & seqnum.MASK
        return path.segment(iss, ack, SYN | ACK, window, (0, 0), [], 0, self._mss, options)
