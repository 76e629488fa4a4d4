"""OpenVPN packets: first byte, control body, magic payloads (OpenVPN ssl_pkt.h, reliable.c, ping.h, occ.h).

First byte: opcode in the high 5 bits, key id in the low 3. Control body: acknowledgement count (1), that many message
ids (4 each), the receiver's session id (8) if the count is above zero, own message id (4) unless ACK_V1, payload.
"""

from __future__ import annotations

from typing import NamedTuple

from hognose.units import Buffer

HARD_RESET_CLIENT_V1 = 1
HARD_RESET_SERVER_V1 = 2
SOFT_RESET_V1 = 3
CONTROL_V1 = 4
ACK_V1 = 5
DATA_V1 = 6
HARD_RESET_CLIENT_V2 = 7
HARD_RESET_SERVER_V2 = 8
DATA_V2 = 9
HARD_RESET_CLIENT_V3 = 10
CONTROL_WKC_V1 = 11

SESSION_ID_LEN = 8
KEY_IDS = 8  # three bits of the first byte
MAX_ACKS = 8  # OpenVPN refuses more in one packet (reliable.h RELIABLE_ACK_SIZE)
NO_SESSION_ID = bytes(SESSION_ID_LEN)

PING = bytes.fromhex("2a187bf3641eb4cb07ed2d0a981fc748")
OCC_MAGIC = bytes.fromhex("287f346bd4ef7a812d56b8d3afc5459c")
OCC_EXIT = 6


class ControlBody(NamedTuple):
    """Fields of a control packet after the wrap; message_id is -1 for ACK_V1, remote_session_id b"" without acks."""

    acks: tuple[int, ...]
    remote_session_id: bytes
    message_id: int
    payload: bytes


def first_byte(opcode: int, key_id: int) -> int:
    """The first byte of a packet; opcode 0 … 31, key_id 0 … 7."""
    return opcode << 3 | key_id


def is_data(record: Buffer) -> bool:
    """True for a data packet of either version, an empty datagram is none."""
    return len(record) > 0 and record[0] >> 3 in (DATA_V1, DATA_V2)


def parse_control_body(opcode: int, body: Buffer) -> ControlBody | None:
    """The body's fields; None when it is cut short or has more than MAX_ACKS acknowledgements."""
    if not body:
        return None
    count = body[0]
    offset = 1 + 4 * count + (SESSION_ID_LEN if count else 0)
    if count > MAX_ACKS or len(body) < offset:
        return None
    acks = tuple(int.from_bytes(body[1 + 4 * i : 5 + 4 * i], "big") for i in range(count))
    remote = bytes(body[1 + 4 * count : offset])
    if opcode == ACK_V1:
        return ControlBody(acks, remote, -1, b"")
    if len(body) < offset + 4:
        return None
    return ControlBody(acks, remote, int.from_bytes(body[offset : offset + 4], "big"), bytes(body[offset + 4 :]))


def build_control_body(acks: tuple[int, ...], remote_session_id: bytes, message_id: int, payload: bytes) -> bytes:
    """The mirror of parse_control_body; message_id -1 leaves id and payload out (ACK_V1)."""
    parts = [bytes((len(acks),)), *(ack.to_bytes(4, "big") for ack in acks)]
    if acks:
        parts.append(remote_session_id)
    if message_id >= 0:
        parts += [message_id.to_bytes(4, "big"), payload]
    return b"".join(parts)
