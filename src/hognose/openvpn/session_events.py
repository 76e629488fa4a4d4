"""The events of a session for the gateway: the steps of its life, and the reason of its end."""

from __future__ import annotations

from dataclasses import dataclass

from hognose.drops import DropReason


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Success of TLS, certificate and key exchange: the gateway must admit or refuse."""

    common_name: str
    version: str  # IV_VER and platform, as the client says
    peer_info: dict[str, str]
    client_key: str = ""  # description of a tls-crypt-v2 key by its metadata


@dataclass(frozen=True, slots=True)
class Established:
    """Arrival of the session at its first data keys; options were pushed."""

    cipher: str
    key_source: str  # tls-ekm or prf
    wrap: str
    tls: str
    header: str  # V2 or V1 data packets; V2+epoch


@dataclass(frozen=True, slots=True)
class Renegotiated:
    """New data keys are in place; wrap: that of the negotiation's control packets."""

    key_id: int
    tls: str
    wrap: str


@dataclass(frozen=True, slots=True)
class RenegotiationFailed:
    """The old keys stay in use; detail says why."""

    detail: str


@dataclass(frozen=True, slots=True)
class Disagreed:
    """Mismatch of an authenticated client's config and ours: it was told and goes; detail is for the administrator."""

    common_name: str
    reason: DropReason
    detail: str


@dataclass(frozen=True, slots=True)
class EndReason:
    """The reason of a session's end; detail is for one log line; told: it was counted and logged already."""

    reason: DropReason
    detail: str = ""
    told: bool = False


SessionEvent = Authenticated | Established | Renegotiated | RenegotiationFailed | Disagreed
