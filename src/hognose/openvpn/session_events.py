"""What a session tells the gateway: the steps of its life, and why it ended."""

from __future__ import annotations

from dataclasses import dataclass

from hognose.drops import DropReason


@dataclass(frozen=True, slots=True)
class Authenticated:
    """TLS, certificate and key exchange are good: the gateway must admit or refuse."""

    common_name: str
    version: str  # IV_VER and platform, as the client says
    peer_info: dict[str, str]
    client_key: str = ""  # what a tls-crypt-v2 key says of itself


@dataclass(frozen=True, slots=True)
class Established:
    """The first data keys are in place and options were pushed."""

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
    """An authenticated client's config does not fit ours: it was told and goes; detail is for the administrator."""

    common_name: str
    reason: DropReason
    detail: str


@dataclass(frozen=True, slots=True)
class EndReason:
    """Why the session is over; detail is for one log line; told: the reason was counted and logged already."""

    reason: DropReason
    detail: str = ""
    told: bool = False


SessionEvent = Authenticated | Established | Renegotiated | RenegotiationFailed | Disagreed
