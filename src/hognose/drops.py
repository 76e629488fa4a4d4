"""Reasons of silent discards, and counters; a discard increments the counter of its reason and nothing else.

`Counters.drops` is indexed by DropReason, `Counters.stats` by Stat. Both only grow; the shell prints the
non-zero ones in the `stats` line under the names below in lower case.
"""

from __future__ import annotations

from enum import IntEnum, auto


class DropReason(IntEnum):
    """Reason of a discard or of a session's end; one section per part of the program."""

    NONE = 0
    # link and IP
    FRAME_TOO_SHORT = auto()
    NOT_FOR_US = auto()
    UNKNOWN_ETHERTYPE = auto()
    BAD_VNET_HEADER = auto()
    BAD_ARP = auto()
    ARP_QUEUE_FULL = auto()
    ARP_TIMEOUT = auto()
    ARP_CROWDED = auto()
    BAD_IP_HEADER = auto()
    BAD_IP_CHECKSUM = auto()
    IP_OPTIONS_SOURCE_ROUTE = auto()
    MARTIAN = auto()
    UNKNOWN_PROTOCOL = auto()
    PORT_CLOSED = auto()
    DEVICE_FULL = auto()
    DEVICE_ERROR = auto()
    INTERNAL_ERROR = auto()
    # reassembly, ICMP
    FRAGMENT_BAD = auto()
    FRAGMENT_OVERLAP = auto()
    FRAGMENT_TIMEOUT = auto()
    FRAGMENT_TABLE_FULL = auto()
    BAD_ICMP = auto()
    BAD_ICMP_CHECKSUM = auto()
    ICMP_RATE_LIMITED = auto()
    # TCP
    BAD_TCP_HEADER = auto()
    BAD_TCP_CHECKSUM = auto()
    TCP_NO_CONNECTION = auto()
    TCP_OUT_OF_WINDOW = auto()
    TCP_CONNECTIONS_FULL = auto()
    TCP_SYN_CROWDED = auto()
    TCP_REASSEMBLY_FULL = auto()
    TCP_PAWS = auto()
    TCP_BAD_ACK = auto()
    TCP_SILENT = auto()
    TCP_SILENT_CROWDED = auto()
    # UDP
    BAD_UDP_HEADER = auto()
    BAD_UDP_CHECKSUM = auto()
    UDP_QUEUE_FULL = auto()
    DATAGRAM_QUEUE_FULL = auto()
    NO_SESSION = auto()
    INITIAL_CROWDED = auto()
    BAD_COOKIE = auto()
    FLOAT_REFUSED = auto()
    # OpenVPN
    BAD_FRAME_LENGTH = auto()
    BAD_OPCODE = auto()
    BAD_CONTROL_PACKET = auto()
    BAD_HMAC = auto()
    CONTROL_REPLAY = auto()
    WRONG_SESSION_ID = auto()
    NO_HARD_RESET = auto()
    RECEIVE_WINDOW_FULL = auto()
    BAD_CONTROL_ACK = auto()
    CONTROL_QUEUE_FULL = auto()
    TLS_ERROR = auto()
    CERTIFICATE_REJECTED = auto()
    BAD_KEY_METHOD = auto()
    NO_SHARED_CIPHER = auto()
    BAD_CONTROL_MESSAGE = auto()
    HANDSHAKE_TIMEOUT = auto()
    PEER_TIMEOUT = auto()
    PEER_EXIT = auto()
    PEER_CLOSED = auto()
    NO_DATA_KEY = auto()
    BAD_DATA_PACKET = auto()
    DATA_AUTHENTICATION = auto()
    DATA_REPLAY = auto()
    BAD_DATA_EPOCH = auto()
    COMPRESSED = auto()
    BAD_COMPRESSION_BYTE = auto()
    RENEGOTIATION_FAILED = auto()
    RENEGOTIATION_TOO_SOON = auto()
    CLIENT_KEY_TOO_OLD = auto()
    INACTIVE = auto()
    SESSION_TIMEOUT = auto()
    CLIENT_DISABLED = auto()
    FRAMING_MISMATCH = auto()
    RETRANSMIT_LIMIT = auto()
    # peers before authentication
    STRANGER_CROWDED = auto()
    HANDSHAKE_CROWDED = auto()
    CONNECT_FREQ = auto()
    # gateway
    WRONG_SOURCE = auto()
    TTL_EXCEEDED = auto()
    NO_ROUTE = auto()
    DESTINATION_PROHIBITED = auto()
    CLIENT_TO_CLIENT_OFF = auto()
    CLIENT_GONE = auto()
    SEND_QUEUE_FULL = auto()
    TOO_BIG = auto()
    IPV6_IN_TUNNEL = auto()
    NOT_IP = auto()
    MULTICAST = auto()
    POOL_EXHAUSTED = auto()
    CLIENTS_FULL = auto()
    SERVER_STOPPING = auto()
    REPLACED = auto()
    # NAT
    NAT_NO_MAPPING = auto()
    NAT_FILTERED = auto()
    NAT_TABLE_FULL = auto()
    NAT_CLIENT_FULL = auto()
    NAT_BAD_PACKET = auto()
    NAT_NO_PORT = auto()


class Stat(IntEnum):
    """Counters besides drops."""

    FRAMES_IN = 0
    FRAMES_OUT = auto()
    BYTES_IN = auto()
    BYTES_OUT = auto()
    SUPER_FRAMES_IN = auto()
    SUPER_FRAMES_OUT = auto()
    TCP_ACCEPTED = auto()
    TCP_CLOSED = auto()
    UDP_ACCEPTED = auto()
    UDP_CLOSED = auto()
    UDP_COOKIES_SENT = auto()
    UDP_FLOATS = auto()
    UDP_PATHS_NARROWED = auto()
    TCP_RETRANSMITS = auto()
    TCP_RECOVERIES = auto()
    TCP_TAIL_PROBES = auto()
    TCP_TIMEOUTS = auto()
    TCP_SPURIOUS_TIMEOUTS = auto()
    TCP_BLACK_HOLES_SUSPECTED = auto()
    TCP_RESETS_SENT = auto()
    TCP_SYN_COOKIES_SENT = auto()
    TCP_SYN_COOKIES_ACCEPTED = auto()
    SESSIONS_ESTABLISHED = auto()
    SESSIONS_ENDED = auto()
    RENEGOTIATIONS = auto()
    DATA_PACKETS_IN = auto()
    DATA_PACKETS_OUT = auto()
    DATA_BYTES_IN = auto()
    DATA_BYTES_OUT = auto()
    NAT_FLOWS_OPENED = auto()
    NAT_FLOWS_EXPIRED = auto()  # opened = expired + evicted + forgotten + those that live
    NAT_FLOWS_EVICTED = auto()  # finished, or silent without an answer: they made room
    NAT_FLOWS_FORGOTTEN = auto()  # the client's address went to another one, or the destination is refused now
    ICMP_ERRORS_SENT = auto()
    ECHO_REPLIES = auto()
    EVENTS_SUPPRESSED = auto()
    LOG_LINES_DROPPED = auto()  # the reader of the log did not take them
    CLIENT_TO_CLIENT_PACKETS = auto()
    NAT_HAIRPIN_PACKETS = auto()


class Counters:
    """One list of ints per enumeration; plain indexing is the whole interface on the hot path."""

    __slots__ = ("drops", "stats")

    def __init__(self) -> None:
        self.drops: list[int] = [0] * len(DropReason)
        self.stats: list[int] = [0] * len(Stat)

    def drop(self, reason: DropReason, count: int = 1) -> None:
        """Count discards; `reason` must not be NONE."""
        self.drops[reason] += count

    def non_zero(self) -> dict[str, int]:
        """Name in lower case -> value of every counter above zero, statistics first, drops as `drop_…`."""
        found = {stat.name.lower(): self.stats[stat] for stat in Stat if self.stats[stat]}
        found.update({f"drop_{r.name.lower()}": self.drops[r] for r in DropReason if self.drops[r]})
        return found
