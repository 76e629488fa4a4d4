"""The format of one key's data packets: cipher, digest, header, framing, replay window (OpenVPN crypto.h key_type)."""

from __future__ import annotations

from dataclasses import dataclass

from hognose.vocabulary import BLOCK_LEN, DATA_CIPHERS, DEFAULT_DIGEST, DIGESTS, FRAMINGS, TAG_LEN, Framing

PACKET_ID_LEN = 4
EPOCH_ID_LEN = 8  # epoch(2) counter(6)
V1_HEAD_LEN = 1  # op/key
V2_HEAD_LEN = 4  # op/key, peer id
MAX_REPLAY_WINDOW = 65536  # packets (OpenVPN packet_id.h MAX_SEQ_BACKTRACK)
MAX_REPLAY_TIME = 600  # seconds (OpenVPN packet_id.h MAX_TIME_BACKTRACK)


@dataclass(frozen=True, slots=True)
class DataFormat:
    """The agreed format for one key; ValueError for one that cannot be.

    digest: of CBC's HMAC; AEAD ignores it. framing: the compression framing, always uncompressed. epoch: OpenVPN 2.7's
    format, AEAD and V2 only. v2: our packets carry a peer id; V1 and V2 both open. replay_window: ids below the
    highest that may still come, 0 = every packet follows the one before it. replay_time: seconds until a missing
    packet is given up, 0 = never.
    """

    cipher: str
    digest: str = DEFAULT_DIGEST
    framing: Framing = "none"
    epoch: bool = False
    v2: bool = True
    replay_window: int = 64
    replay_time: int = 15

    def __post_init__(self) -> None:
        if self.cipher not in DATA_CIPHERS:
            raise ValueError(f"unknown data cipher {self.cipher!r}")
        if self.digest not in DIGESTS:
            raise ValueError(f"unknown digest {self.digest!r}")
        if self.framing not in FRAMINGS:
            raise ValueError(f"unknown framing {self.framing!r}")
        if self.epoch and not (self.aead and self.v2):
            raise ValueError("the epoch format needs an AEAD cipher and V2 packets")
        if not 0 <= self.replay_window <= MAX_REPLAY_WINDOW or not 0 <= self.replay_time <= MAX_REPLAY_TIME:
            raise ValueError("the replay window is 0 ... 65536 packets and 0 ... 600 seconds")

    @property
    def aead(self) -> bool:
        """True for encryption and authentication in one; otherwise CBC and HMAC."""
        return DATA_CIPHERS[self.cipher].aead

    @property
    def gcm(self) -> bool:
        """True for a cipher whose use per key is limited (usage_limits.py)."""
        return self.cipher.endswith("-GCM")

    @property
    def key_len(self) -> int:
        """Bytes of the cipher's key."""
        return DATA_CIPHERS[self.cipher].key_len

    def record_len(self, packet_len: int) -> int:
        """Bytes of the OpenVPN packet around an inner packet, without the length in front of it on TCP."""
        outer, inner = self._overhead()
        size = inner + packet_len
        return outer + (size if self.aead else size // BLOCK_LEN * BLOCK_LEN + BLOCK_LEN)

    def packet_len(self, record_len: int) -> int:
        """The largest inner packet whose OpenVPN packet has at most `record_len` bytes; 0 when there is none."""
        outer, inner = self._overhead()
        size = record_len - outer
        return max(0, (size if self.aead else size // BLOCK_LEN * BLOCK_LEN - 1) - inner)

    def _overhead(self) -> tuple[int, int]:
        """Bytes before or after the encrypted part, and bytes of the packet id and framing in it."""
        head = V2_HEAD_LEN if self.v2 else V1_HEAD_LEN
        framing = self.framing in ("comp-lzo", "stub")
        if self.aead:
            return head + (EPOCH_ID_LEN if self.epoch else PACKET_ID_LEN) + TAG_LEN, framing
        return head + DIGESTS[self.digest] + BLOCK_LEN, PACKET_ID_LEN + framing
