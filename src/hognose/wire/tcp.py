# hot
"""TCP segments: the fixed header, options, and the header of what we send (RFC 9293 section 3.1).

Sequence numbers here are the 32-bit numbers of the wire; src/hognose/tcp/seqnum.py is the only place that relates
them to stream positions.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from hognose.units import Buffer

HEADER = Struct(">HHIIBBHHH")  # sport dport seq ack offset flags window checksum urgent
FIXED_LEN = 20
TIMESTAMPS_LEN = 12  # bytes of the option in the layout of TIMESTAMP_OPTION
TIMESTAMP_OPTION = 0x0101080A  # NOP NOP kind 8 length 10, the layout that every stack sends (RFC 7323 appendix A)
WITH_TIMESTAMPS = Struct(">HHIIBBHHHIII")  # the fields of HEADER, the option word, TSval, TSecr

FIN = 1
SYN = 2
RST = 4
PSH = 8
ACK = 16
URG = 32
CWR = 128

CHECKSUM_OFFSET = 16

OPTION_END = 0
OPTION_NOP = 1
OPTION_MSS = 2
OPTION_WINDOW_SCALE = 3
OPTION_SACK_PERMITTED = 4
OPTION_SACK = 5
OPTION_TIMESTAMPS = 8

MAX_WINDOW_SCALE = 14  # RFC 7323 section 2.3
DEFAULT_MSS = 536  # RFC 9293 section 3.7.1: assumed when the option is missing
MIN_MSS = 88  # CVE-2019-11479 class: a smaller one is treated as this


class Options(NamedTuple):
    """The options of a segment; None and () for absent or malformed ones."""

    mss: int | None = None
    window_scale: int | None = None
    sack_permitted: bool = False
    sack: tuple[tuple[int, int], ...] = ()
    timestamps: tuple[int, int] | None = None


NO_OPTIONS = Options()


def parse_options(data: Buffer) -> Options:
    """Read options; unknown ones are skipped, an illegal length ends the reading (RFC 9293 MUST-6, MUST-7)."""
    mss = window_scale = timestamps = None
    sack_permitted = False
    sack: tuple[tuple[int, int], ...] = ()
    offset, end = 0, len(data)
    while offset < end:
        kind = data[offset]
        if kind == OPTION_END:
            break
        if kind == OPTION_NOP:
            offset += 1
            continue
        if offset + 1 >= end:
            break
        length = data[offset + 1]
        if length < 2 or offset + length > end:
            break
        value = bytes(data[offset + 2 : offset + length])
        if kind == OPTION_MSS and length == 4:
            mss = int.from_bytes(value, "big")
        elif kind == OPTION_WINDOW_SCALE and length == 3:
            window_scale = min(value[0], MAX_WINDOW_SCALE)
        elif kind == OPTION_SACK_PERMITTED and length == 2:
            sack_permitted = True
        elif kind == OPTION_SACK and length >= 10 and (length - 2) % 8 == 0:
            words = [int.from_bytes(value[i : i + 4], "big") for i in range(0, length - 2, 4)]
            sack = tuple(zip(words[::2], words[1::2], strict=True))
        elif kind == OPTION_TIMESTAMPS and length == 10:
            timestamps = (int.from_bytes(value[:4], "big"), int.from_bytes(value[4:], "big"))
        offset += length
    return Options(mss, window_scale, sack_permitted, sack, timestamps)


def build_syn_options(mss: int, window_scale: int | None, sack: bool, timestamps: tuple[int, int] | None) -> bytes:
    """Options of a SYN-ACK, a multiple of 4 bytes."""
    parts = [bytes((OPTION_MSS, 4)) + mss.to_bytes(2, "big")]
    if sack:
        parts.append(bytes((OPTION_NOP, OPTION_NOP, OPTION_SACK_PERMITTED, 2)))
    if timestamps is not None:
        parts.append(TIMESTAMP_OPTION.to_bytes(4, "big") + b"".join(t.to_bytes(4, "big") for t in timestamps))
    if window_scale is not None:
        parts.append(bytes((OPTION_NOP, OPTION_WINDOW_SCALE, 3, window_scale)))
    return b"".join(parts)


def build_sack(blocks: list[tuple[int, int]]) -> bytes:
    """A SACK option after two NOPs, newest block first (RFC 2018 section 3); at most 4 blocks, 3 with timestamps."""
    words = b"".join(left.to_bytes(4, "big") + right.to_bytes(4, "big") for left, right in blocks)
    return bytes((OPTION_NOP, OPTION_NOP, OPTION_SACK, 2 + len(words))) + words
