"""A flood of SYNs: who comes again is answered, who comes once is not.

Beyond so many first SYNs a second, one is only remembered; a client's TCP repeats it after a second (RFC 6298 section
5.7), the forged sources of a flood do not come twice. Bounds: `per_second` first and as many repeated SYNs answered in
any second; two bitmaps of BITS bits, which exist while there is a flood only.
"""

from __future__ import annotations

from hashlib import blake2s

from hognose.units import SECOND, Nanos

BITS = 1 << 23
ROTATE: Nanos = 4 * SECOND  # a first SYN is remembered for one to two of these


class SynFilter:
    """Decides which SYNs cost an answer while the half-open table is full."""

    __slots__ = ("_firsts", "_new", "_old", "_per_second", "_repeats", "_rotated_at", "_second_at", "_secret")

    def __init__(self, per_second: int, secret: bytes) -> None:
        self._per_second = per_second
        self._secret = secret
        self._second_at: Nanos = 0
        self._firsts = self._repeats = 0
        self._rotated_at: Nanos = 0
        self._new: bytearray | None = None
        self._old: bytearray | None = None

    def answers(self, key: bytes, seq: int, now: Nanos) -> bool:
        """Whether the SYN of this peer (address and port) with this initial number is to be answered."""
        if now - self._second_at >= SECOND:
            self._second_at = now
            self._firsts = self._repeats = 0
            self._rotate(now)
        if self._firsts < self._per_second:
            self._firsts += 1
            return True
        digest = blake2s(key + seq.to_bytes(4, "big"), key=self._secret, digest_size=4, person=b"synseen").digest()
        byte, bit = divmod(int.from_bytes(digest, "big") % BITS, 8)
        if self._new is None:
            self._new = bytearray(BITS // 8)
        again = bool(self._new[byte] >> bit & 1 or (self._old is not None and self._old[byte] >> bit & 1))
        self._new[byte] |= 1 << bit
        if not again or self._repeats >= self._per_second:
            return False
        self._repeats += 1
        return True

    def _rotate(self, now: Nanos) -> None:
        if now - self._rotated_at >= ROTATE:
            self._old = self._new if now - self._rotated_at < 2 * ROTATE else None
            self._new = None
            self._rotated_at = now
