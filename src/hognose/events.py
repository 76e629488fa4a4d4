"""The event catalogue: everything that the program can say in its log, in one table.

The core returns Event values; the shell prints `level event key=value …`, one line per event. docs/events.md is
generated from EVENTS. No event carries keys, PEM bodies or payload; nothing is emitted per packet.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

Level = Literal["error", "warning", "info", "debug"]


class EventKind(Enum):
    """Name of an event as it stands in the log."""

    BOOT = "boot"
    READY = "ready"
    CONFIG_WARNING = "config_warning"
    CONFIG_ERROR = "config_error"
    CONFIG_RELOADED = "config_reloaded"
    CONFIG_UNREADABLE = "config_unreadable"
    DEVICE_ERROR = "device_error"
    STATS = "stats"
    STOPPING = "stopping"
    STOPPED = "stopped"
    PEER_CONNECTED = "peer_connected"
    PEER_CLOSED = "peer_closed"
    PEER_REJECTED = "peer_rejected"
    CLIENT_AUTHENTICATED = "client_authenticated"
    CLIENT_FILE_MAPPED = "client_file_mapped"
    CLIENT_ESTABLISHED = "client_established"
    CLIENT_RENEGOTIATED = "client_renegotiated"
    CLIENT_FLOATED = "client_floated"
    CLIENT_REFUSED = "client_refused"
    CLIENT_ENDED = "client_ended"
    RENEGOTIATION_FAILED = "renegotiation_failed"
    CLIENT_CUT = "client_cut"
    CONFIG_NEEDS_RESTART = "config_needs_restart"
    CRL_EXPIRES = "crl_expires"
    INTERNAL_ERROR = "internal_error"
    EVENTS_SUPPRESSED = "events_suppressed"
    LOG_DROPPED = "log_dropped"


@dataclass(frozen=True, slots=True)
class EventSpec:
    """Level, the field names that may follow, and what the event tells an administrator."""

    level: Level
    fields: tuple[str, ...]
    meaning: str


EVENTS: dict[EventKind, EventSpec] = {
    EventKind.BOOT: EventSpec("info", ("version", "python", "memory_mib", "argv"), "PID 1 has started."),
    EventKind.READY: EventSpec(
        "info",
        (
            "version",
            "python",
            "openssl",
            "cryptography",
            "kernel",
            "address",
            "gateway",
            "port",
            "mac",
            "mtu",
            "offloads",
            "confined",
            "tunnel",
            "name",
        ),
        "Frames are served; clients can connect.",
    ),
    EventKind.CONFIG_WARNING: EventSpec(
        "warning", ("where", "directive", "text"), "A line of the config is ignored; the text says why."
    ),
    EventKind.CONFIG_ERROR: EventSpec(
        "error",
        ("text", "effect"),
        "The config cannot be used; the text names file, line and directive. While serving, the effect says that the "
        "old config stays in force.",
    ),
    EventKind.CONFIG_RELOADED: EventSpec(
        "info",
        ("generation", "changed"),
        "A new config was read while serving; generation is the beginning of its SHA-256, changed names settings.",
    ),
    EventKind.CONFIG_UNREADABLE: EventSpec(
        "warning",
        ("text",),
        "The config could not be read again; the old one stays in force. Once until it can be read.",
    ),
    EventKind.DEVICE_ERROR: EventSpec("error", ("text",), "The frame device or block device failed."),
    EventKind.STATS: EventSpec("info", ("*",), "All non-zero counters; every 60 s when changed and at the end."),
    EventKind.STOPPING: EventSpec(
        "info",
        ("reason", "clients"),
        "An orderly end has begun (power button, SIGTERM, SIGINT); clients are told.",
    ),
    EventKind.STOPPED: EventSpec("info", ("status",), "The last event; status is the program's exit status."),
    EventKind.PEER_CONNECTED: EventSpec(
        "debug",
        ("conn", "peer"),
        "The first bytes came on a TCP connection, or a UDP client has proved its address.",
    ),
    EventKind.PEER_CLOSED: EventSpec("debug", ("conn", "peer", "reason"), "A peer that was no client yet is gone."),
    EventKind.PEER_REJECTED: EventSpec(
        "warning",
        ("conn", "peer", "common_name", "reason", "detail"),
        "A peer failed a check before it was a client; the reason names the check.",
    ),
    EventKind.CLIENT_AUTHENTICATED: EventSpec(
        "info",
        ("conn", "peer", "common_name", "version", "client_key"),
        "TLS and certificate checks have passed; client_key is what a tls-crypt-v2 key says of itself. A "
        "client without a certificate has no common_name, in no line.",
    ),
    EventKind.CLIENT_FILE_MAPPED: EventSpec(
        "warning",
        ("conn", "peer", "common_name", "file"),
        "No file of client-config-dir has this client's name; it is served by the file that OpenVPN finds with `_` for "
        "characters that a path cannot hold, without its ifconfig-push. Issue a certificate with another name.",
    ),
    EventKind.CLIENT_ESTABLISHED: EventSpec(
        "info",
        ("conn", "peer", "common_name", "address", "cipher", "key_source", "wrap", "tls", "header"),
        "A client has its address and data keys.",
    ),
    EventKind.CLIENT_RENEGOTIATED: EventSpec(
        "info",
        ("conn", "common_name", "key_id", "tls", "wrap"),
        "New data keys are in place; wrap is that of the negotiation's control packets.",
    ),
    EventKind.CLIENT_FLOATED: EventSpec(
        "info", ("conn", "peer", "common_name", "before"), "A UDP client goes on from another address or port."
    ),
    EventKind.CLIENT_REFUSED: EventSpec(
        "warning", ("conn", "peer", "common_name", "reason"), "An authenticated client got AUTH_FAILED."
    ),
    EventKind.CLIENT_ENDED: EventSpec(
        "info",
        ("conn", "peer", "common_name", "address", "reason", "bytes_in", "bytes_out", "seconds", "detail"),
        "A client's session is over.",
    ),
    EventKind.RENEGOTIATION_FAILED: EventSpec(
        "warning", ("conn", "common_name", "detail"), "A client's old data keys stay in use; it is tried again."
    ),
    EventKind.CLIENT_CUT: EventSpec(
        "warning",
        ("conn", "peer", "common_name", "reason"),
        "A connected client is against the config that was just read: revoked, disabled, without a file of its own.",
    ),
    EventKind.CONFIG_NEEDS_RESTART: EventSpec(
        "warning",
        ("directives",),
        "These directives differ in the config that was just read; they take effect at the next boot only.",
    ),
    EventKind.CRL_EXPIRES: EventSpec("warning", ("text",), "The CRL ends within 14 days or has ended; once a day."),
    EventKind.INTERNAL_ERROR: EventSpec(
        "error", ("where", "error", "conn"), "A bug: only the named packet or session was lost."
    ),
    EventKind.EVENTS_SUPPRESSED: EventSpec(
        "warning", ("count",), "Number of lines about peers that were not printed in the last second."
    ),
    EventKind.LOG_DROPPED: EventSpec(
        "warning",
        ("count",),
        "The reader of the log was too slow: this number of lines is missing here (events and `status` lines). Printed "
        "at every log level.",
    ),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; field names must stand in EVENTS[kind].fields ("*" allows any)."""

    kind: EventKind
    fields: dict[str, str | int]
