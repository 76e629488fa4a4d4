"""The stages of a peer's life, and the table that says which event leads from one to another.

| stage | from | to | a bound of its own |
|---|---|---|---|
| CONNECTED | its first byte | a valid hard reset | HandshakeLimits.strangers, FIRST_RECORD_NS |
| MUTED | a failed check before a valid hard reset | the end of FIRST_RECORD_NS; its input is discarded | likewise |
| HANDSHAKE | a valid hard reset | the end of TLS and key exchange | HandshakeLimits.handshakes, hand-window |
| AUTHENTICATING | a question to the authenticator | its verdict | HandshakeLimits.authenticating, authenticating_s |
| REFUSED | AUTH_FAILED is on its way | the end of EXIT_DELAY | hand-window |
| ADMITTED | it has an address | its data keys | max-clients, hand-window |
| ESTABLISHED | it has data keys | the end of the session | max-clients, keepalive |
| CLOSING | the end of the session | the end of the connection, at most LINGER_NS later | LINGER_NS |
| GONE | the end of the connection | | |
"""

from __future__ import annotations

from enum import IntEnum

from hognose.errors import LocalError


class Stage(IntEnum):
    """In the order in which a peer passes them; from CLOSING on it has no session."""

    CONNECTED = 0
    MUTED = 1
    HANDSHAKE = 2
    AUTHENTICATING = 3
    REFUSED = 4
    ADMITTED = 5
    ESTABLISHED = 6
    CLOSING = 7
    GONE = 8


class PeerEvent(IntEnum):
    """A change in a peer's life that leads to another stage."""

    GREETED = 0  # its hard reset was valid: it holds the key of the wrap, where there is one
    MUTED = 1  # it failed a check before that
    ASKED = 2  # its login waits for a verdict
    REFUSED = 3  # it was told that it may not come in
    ADMITTED = 4  # it was given an address
    ESTABLISHED = 5  # it has data keys
    ENDED = 6  # its session is over
    LEFT = 7  # its connection is over


class StageError(LocalError):
    """An event that is impossible in a peer's stage: a bug of ours, which costs that peer."""


_NEXT: dict[Stage, dict[PeerEvent, Stage]] = {
    Stage.CONNECTED: {PeerEvent.GREETED: Stage.HANDSHAKE, PeerEvent.MUTED: Stage.MUTED},
    Stage.MUTED: {},
    Stage.HANDSHAKE: {
        PeerEvent.ASKED: Stage.AUTHENTICATING,
        PeerEvent.REFUSED: Stage.REFUSED,
        PeerEvent.ADMITTED: Stage.ADMITTED,
    },
    Stage.AUTHENTICATING: {PeerEvent.REFUSED: Stage.REFUSED, PeerEvent.ADMITTED: Stage.ADMITTED},
    Stage.REFUSED: {},
    Stage.ADMITTED: {PeerEvent.ESTABLISHED: Stage.ESTABLISHED},
    Stage.ESTABLISHED: {},
    Stage.CLOSING: {},
    Stage.GONE: {PeerEvent.ENDED: Stage.GONE, PeerEvent.LEFT: Stage.GONE},  # to end twice changes nothing
}
for _stage, _row in _NEXT.items():
    if _stage is not Stage.GONE:
        _row[PeerEvent.ENDED] = Stage.CLOSING
        _row[PeerEvent.LEFT] = Stage.GONE


def next_stage(stage: Stage, event: PeerEvent) -> Stage:
    """The stage after an event; StageError for one that is impossible in this stage."""
    following = _NEXT[stage].get(event)
    if following is None:
        raise StageError(f"{event.name.lower()} in stage {stage.name.lower()}")
    return following
