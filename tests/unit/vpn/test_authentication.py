"""Logins whose verdict comes late, never, or after the client has gone, in a whole gateway."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.gateway.gateway_world import GatewayWorld, Remote
from tests.unit.gateway.test_fault_containment import echo, goes_on
from tests.unit.gateway.test_reload import config
from tests.world.today import UNIX

from hognose.address import Endpoint
from hognose.drops import DropReason
from hognose.limits import HandshakeLimits, Limits
from hognose.units import SECOND
from hognose.vpn.authentication import ACCEPTED, AuthRequest, CertificateOnly, Ticket, Verdict
from hognose.vpn.stages import Stage

NEVER = 10**6
DENIED = Verdict("wrong password", DropReason.CERTIFICATE_REJECTED)


class LateAuthenticator:
    """Answers `delay` seconds after the question; remembers what it was asked and told."""

    def __init__(self, delay: float, verdict: Verdict = ACCEPTED, *, listens: bool = True) -> None:
        self.delay, self.verdict, self.listens = int(delay * SECOND), verdict, listens
        self.requests: list[AuthRequest] = []
        self.cancelled: list[Ticket] = []
        self.waiting: dict[Ticket, int] = {}
        self.polls = 0

    def decide(self, request: AuthRequest, now: int) -> Verdict | Ticket:
        self.requests.append(request)
        ticket = Ticket(len(self.requests))
        self.waiting[ticket] = now + self.delay
        return ticket

    def poll(self, now: int) -> list[tuple[Ticket, Verdict]]:
        self.polls += 1
        due = [ticket for ticket, at in self.waiting.items() if at <= now]
        for ticket in due:
            del self.waiting[ticket]
        return [(ticket, self.verdict) for ticket in due]

    def cancel(self, ticket: Ticket) -> None:
        self.cancelled.append(ticket)
        if self.listens:
            del self.waiting[ticket]

    def next_deadline(self) -> int | None:
        return min(self.waiting.values(), default=None)


def asked(authenticator: LateAuthenticator, *lines: str, limits: Limits | None = None) -> tuple[GatewayWorld, Remote]:
    """A client whose login waits."""
    world = GatewayWorld("keepalive 10 300", *lines, limits=limits, authenticator=authenticator)
    alice = world.start("alice")
    world.run(lambda: len(authenticator.requests) == 1, 5)
    return world, alice


def stages(world: GatewayWorld) -> list[Stage]:
    return [peer.stage for peer in world.gateway.service.table.by_transport.values()]


def nothing_waits(world: GatewayWorld) -> bool:
    service = world.gateway.service
    return not service.admissions.waiting and not service.scheduler.logins and service.scheduler.sizes == (0, 0)


@pytest.mark.parametrize("delay", [0, 0.05, 3, 20, 40])
def test_a_late_verdict_lets_the_client_in(delay: float) -> None:
    authenticator = LateAuthenticator(delay)
    world, alice = asked(authenticator)
    begin = world.now
    if delay:
        assert stages(world) == [Stage.AUTHENTICATING]
        assert world.gateway.service.scheduler.sizes == (0, 0)
        assert world.gateway.service.scheduler.logins == 1
        assert world.gateway.client_count == 0
    assert alice.vpn is not None
    world.run(lambda: alice.vpn is not None and alice.vpn.established, delay + 1)
    assert begin + authenticator.delay <= world.now <= begin + authenticator.delay + SECOND
    assert stages(world) == [Stage.ESTABLISHED]
    assert nothing_waits(world)
    assert len(alice.inner(echo(alice.tunnel_address))) == 1
    kinds = [event.kind.value for event in world.events if "client" in event.kind.value]
    assert kinds == ["client_authenticated", "client_established"]
    [request] = authenticator.requests
    assert (request.common_name, str(request.endpoint)) == ("alice", "192.0.2.11:40000")
    assert request.peer_info["IV_VER"].startswith("2.")
    assert authenticator.cancelled == []
    before = authenticator.polls
    world.rest(20)
    assert authenticator.polls == before, "nothing is asked while no login waits"


def test_established_is_said_in_the_step_of_the_verdict() -> None:
    """The client has acknowledged our key message long ago: nothing else would run the session."""
    authenticator = LateAuthenticator(3)
    world, alice = asked(authenticator)
    world.rest(2.5)
    alice.silent = True
    world.run(lambda: bool(world.events_of("client_established")), 1)
    assert not authenticator.waiting
    assert stages(world) == [Stage.ESTABLISHED]


def test_a_late_refusal() -> None:
    world, alice = asked(LateAuthenticator(3, DENIED))
    assert alice.vpn is not None
    world.run(lambda: bool(world.events_of("client_refused")), 5)
    assert stages(world) == [Stage.REFUSED]
    world.run(lambda: alice.closed or alice.reset, 10)
    world.rest(6)  # its connection lingers
    assert "AUTH_FAILED,wrong password" in alice.vpn.messages
    assert world.events_of("client_refused")[0]["reason"] == "wrong password"
    assert world.dropped(DropReason.CERTIFICATE_REJECTED) == 1
    assert nothing_waits(world)


def test_no_verdict_in_time_is_a_refusal_for_now() -> None:
    authenticator = LateAuthenticator(NEVER)
    world, alice = asked(authenticator, "hand-window 300")
    begin = world.now
    world.run(lambda: bool(world.events_of("client_refused")), 100)
    assert (world.now - begin) // SECOND == HandshakeLimits().authenticating_s
    assert world.events_of("client_refused")[0]["reason"] == "no answer to the login in time"
    assert world.dropped(DropReason.HANDSHAKE_TIMEOUT) == 1
    assert authenticator.cancelled == [Ticket(1)]
    world.run(lambda: alice.closed or alice.reset, 10)
    assert alice.vpn is not None
    assert "AUTH_FAILED,TEMP[backoff 10,advance no]:no answer to the login in time" in alice.vpn.messages
    world.rest(6)  # its connection lingers
    assert nothing_waits(world)


@pytest.mark.parametrize("listens", [True, False], ids=["cancelled", "comes all the same"])
def test_a_verdict_after_hand_window_finds_nothing(listens: bool) -> None:
    authenticator = LateAuthenticator(20, listens=listens)
    world, alice = asked(authenticator, "hand-window 10")
    world.run(lambda: alice.closed or alice.reset, 12)
    assert authenticator.cancelled == [Ticket(1)]
    assert world.events_of("peer_rejected")[0]["reason"] == "handshake_timeout"
    world.rest(30)
    assert nothing_waits(world)
    assert world.gateway.client_count == 0
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0
    assert not world.events_of("client_established")


@pytest.mark.parametrize("listens", [True, False], ids=["cancelled", "comes all the same"])
@pytest.mark.parametrize("how", ["reset", "fin", "exit"])
def test_a_verdict_after_the_client_has_gone_finds_nothing(how: str, listens: bool) -> None:
    authenticator = LateAuthenticator(5, listens=listens)
    world, alice = asked(authenticator)
    world.rest(1)
    assert alice.vpn is not None
    if how == "reset":
        alice.abort()
    elif how == "fin":
        alice.fin()
    else:
        alice.vpn.say("EXIT", world.now)
    world.frames()
    assert authenticator.cancelled == [Ticket(1)]
    world.rest(20)
    assert nothing_waits(world)
    assert world.gateway.client_count == 0
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0


def crowd(authenticator: LateAuthenticator, number: int, **bounds: int) -> tuple[GatewayWorld, list[Remote]]:
    limits = replace(Limits(), handshake=replace(HandshakeLimits(), **bounds))
    world = GatewayWorld("keepalive 10 300", limits=limits, authenticator=authenticator)
    remotes = []
    for index in range(number):
        remotes.append(world.start(f"client{index}", f"192.0.2.{20 + index}"))
        world.run(lambda: len(authenticator.requests) == index + 1, 5)  # noqa: B023
    return world, remotes


def test_a_newcomer_does_not_evict_a_login_that_waits() -> None:
    """Four handshakes at a time: eight logins wait, and the ninth newcomer's handshake has room."""
    authenticator = LateAuthenticator(20)
    world, remotes = crowd(authenticator, 9, handshakes=4)
    assert world.dropped(DropReason.HANDSHAKE_CROWDED) == 0
    assert stages(world) == [Stage.AUTHENTICATING] * 9
    world.run(lambda: all(one.vpn is not None and one.vpn.established for one in remotes), 25)
    assert nothing_waits(world)


def test_logins_that_wait_are_bounded_and_the_oldest_of_the_fullest_goes() -> None:
    authenticator = LateAuthenticator(20)
    world, remotes = crowd(authenticator, 5, authenticating=4)
    assert world.dropped(DropReason.HANDSHAKE_CROWDED) == 1
    assert remotes[0].reset
    assert authenticator.cancelled == [Ticket(1)]
    assert world.gateway.service.scheduler.logins == len(world.gateway.service.admissions.waiting) == 4
    world.run(lambda: all(one.vpn is not None and one.vpn.established for one in remotes[1:]), 25)


def test_a_config_that_excludes_the_client_meanwhile() -> None:
    authenticator = LateAuthenticator(20)
    world, alice = asked(authenticator)
    new = config("keepalive 10 300", "<client-config-dir>\n[alice]\ndisable\n</client-config-dir>")
    world.gateway.reconfigure(new, world.now, UNIX)
    world.frames()
    world.run(lambda: alice.closed or alice.reset, 10)
    world.rest(6)  # its connection lingers
    assert len(world.events_of("client_cut")) == 1
    assert authenticator.cancelled == [Ticket(1)]
    assert nothing_waits(world)


def test_a_verdict_in_the_step_of_such_a_config_lets_no_client_in() -> None:
    """The verdict comes before the clients are judged again, and replaces no session of the name."""
    authenticator = LateAuthenticator(20)
    world, alice = asked(authenticator)
    service = world.gateway.service
    new = config("keepalive 10 300", "<client-config-dir>\n[alice]\ndisable\n</client-config-dir>")
    world.gateway.reconfigure(new, world.now, UNIX)
    service.rejudging.waiting.clear()  # as with very many clients
    world.run(lambda: alice.closed or alice.reset, 30)
    assert world.events_of("client_established") == []
    [refused] = world.events_of("client_refused")
    assert "disabled" in str(refused["reason"])
    world.rest(6)
    assert nothing_waits(world)


def test_the_end_of_the_server_ends_logins() -> None:
    authenticator = LateAuthenticator(20)
    world, _ = asked(authenticator)
    world.gateway.stop("power button", world.now, UNIX)
    world.run(lambda: world.gateway.stopped, 10)
    assert authenticator.cancelled == [Ticket(1)]
    assert nothing_waits(world)


@pytest.mark.parametrize("method", ["decide", "poll", "cancel", "next_deadline"])
def test_a_bug_of_the_authenticator_costs_no_other_client(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator = LateAuthenticator(2)
    world = GatewayWorld("keepalive 10 300", authenticator=authenticator)
    bob = world.start("bob", "192.0.2.12")
    world.run(lambda: bob.vpn is not None and bob.vpn.established, 5)
    original = getattr(authenticator, method)
    failed: list[int] = []

    def broken(*arguments: object) -> object:
        if not failed:
            failed.append(1)
            raise RuntimeError("secret words")
        return original(*arguments)

    monkeypatch.setattr(authenticator, method, broken)
    alice = world.start("alice")
    world.rest(1)
    alice.abort()
    world.rest(1)
    assert failed == [1]
    assert world.dropped(DropReason.INTERNAL_ERROR) == 1
    assert "secret" not in repr(world.events)
    goes_on(world, bob)
    assert nothing_waits(world)


def test_a_good_certificate_suffices_for_the_authenticator_of_today() -> None:
    authenticator = CertificateOnly()
    request = AuthRequest("alice", Endpoint(bytes(4), 1), {})
    assert authenticator.decide(request, 0) == ACCEPTED
    assert (authenticator.poll(0), authenticator.next_deadline()) == ([], None)
    authenticator.cancel(Ticket(1))
