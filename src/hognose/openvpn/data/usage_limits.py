"""Limits on the use of one data key: one at which it is replaced, one at which it is used no more (OpenVPN crypto.h).

Packet ids are 32 bits and never wrap. GCM: blocks plus packets of one key stay below 2**36, which keeps an attacker's
advantage below 2**-57 (draft-irtf-cfrg-aead-limits, OpenVPN cipher_get_aead_limits); ChaCha20-Poly1305 needs no such
bound.
"""

from __future__ import annotations

LAST_PACKET_ID = 0xFF000000  # nothing is sealed from this id on
RENEGOTIATE_AT = 0xF0000000  # packet id; renegotiation is asked for long before the last one
GCM_LIMIT = (1 << 36) - 1  # blocks of 16 bytes plus packets, one direction of one key
GCM_RENEGOTIATE_AT = GCM_LIMIT // 8 * 7
FAILED_TAGS_LIMIT = 1 << 36  # forged packets of one key; above, nothing is opened any more
FAILED_TAGS_RENEGOTIATE_AT = 1 << 35


def gcm_use(packets: int, size: int) -> int:
    """Upper bound of blocks plus packets for `packets` packets of `size` bytes together."""
    return 2 * packets + (size >> 4)
