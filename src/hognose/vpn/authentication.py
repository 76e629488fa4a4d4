"""The question whether a client may log in, and the two ways to answer it: at once, or later by a ticket.

TLS and the certificate were checked before (openvpn/tls/), the rules for single clients as well (client_policy.py).
What is left is what an authenticator knows: today nothing more, later a password or a second factor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType, Protocol

from hognose.address import Endpoint
from hognose.drops import DropReason
from hognose.units import Nanos

Ticket = NewType("Ticket", int)  # names a login that waits for its verdict; never used again by the same authenticator


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """One login; common_name: of the client's certificate, NO_NAME without one. peer_info: IV_ and UV_ variables."""

    common_name: str
    endpoint: Endpoint
    peer_info: dict[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a login: refusal is "" when the client may come in, else what it is told.

    reason: what is counted. temporary: it may try again.
    """

    refusal: str = ""
    reason: DropReason = DropReason.CERTIFICATE_REJECTED
    temporary: bool = False


class Authenticator(Protocol):
    """Decides about logins; it does no I/O of its own inside these calls and never waits."""

    def decide(self, request: AuthRequest, now: Nanos) -> Verdict | Ticket:
        """The verdict, or a ticket under which `poll` returns it later."""
        ...

    def poll(self, now: Nanos) -> list[tuple[Ticket, Verdict]]:
        """Drained: verdicts that have come since the last call; a step asks once, while logins wait."""
        ...

    def cancel(self, ticket: Ticket) -> None:
        """Forget a login: its client is gone or was refused. A verdict that still comes is ignored."""
        ...

    def next_deadline(self) -> Nanos | None:
        """Time of the next `poll` that may return something; None when only input from outside leads to that."""
        ...


class CertificateOnly:
    """Lets every client in whose certificate is good: the only authenticator so far."""

    def decide(self, request: AuthRequest, now: Nanos) -> Verdict | Ticket:
        """At once."""
        return ACCEPTED

    def poll(self, now: Nanos) -> list[tuple[Ticket, Verdict]]:
        """No login ever waits."""
        return []

    def cancel(self, ticket: Ticket) -> None:
        """There are no tickets."""

    def next_deadline(self) -> Nanos | None:
        """None."""
        return None


ACCEPTED = Verdict()
