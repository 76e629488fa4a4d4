"""The stages of a session's life, and the events that lead from one to the next."""

from __future__ import annotations

from enum import IntEnum


class SessionStage(IntEnum):
    """Stage of a session; data keys exist in ESTABLISHED, and in REFUSED when the client was in before."""

    NEW = 0  # no valid hard reset has come
    HANDSHAKE = 1  # TLS and the exchange of key messages
    AUTHENTICATED = 2  # the client's key message is good; the gateway is to admit or refuse
    ADMITTED = 3  # the client has an address; our key message is not acknowledged yet
    ESTABLISHED = 4  # data keys are in place
    REFUSED = 5  # the client was told; the end follows when it had time to take that
    LEAVING = 6  # over datagrams: one side has said goodbye; what is lost of that is still repeated
    ENDED = 7


class SessionStep(IntEnum):
    """Event in a session's life."""

    HARD_RESET = 0  # a valid one came
    KEY_MESSAGE = 1  # the client's came, and both sides have options in common
    ADMIT = 2
    KEYS = 3  # both sides have what data keys are made from
    REFUSE = 4
    LEAVE = 5
    END = 6


_FORWARD = {
    (SessionStage.NEW, SessionStep.HARD_RESET): SessionStage.HANDSHAKE,
    (SessionStage.HANDSHAKE, SessionStep.KEY_MESSAGE): SessionStage.AUTHENTICATED,
    (SessionStage.AUTHENTICATED, SessionStep.ADMIT): SessionStage.ADMITTED,
    (SessionStage.ADMITTED, SessionStep.KEYS): SessionStage.ESTABLISHED,
}
_REFUSALS = {(stage, SessionStep.REFUSE): SessionStage.REFUSED for stage in SessionStage}
_LEAVES = {(stage, SessionStep.LEAVE): SessionStage.LEAVING for stage in SessionStage}
_ENDS = {(stage, SessionStep.END): SessionStage.ENDED for stage in SessionStage}
_NEVER_AGAIN = {
    (SessionStage.ENDED, step): SessionStage.ENDED for step in (SessionStep.REFUSE, SessionStep.LEAVE, SessionStep.END)
}
TABLE = {**_FORWARD, **_REFUSALS, **_LEAVES, **_ENDS, **_NEVER_AGAIN}


def after(stage: SessionStage, step: SessionStep) -> SessionStage:
    """The stage after an event; the same one where TABLE has no row: the event comes too late, or too early."""
    return TABLE.get((stage, step), stage)
