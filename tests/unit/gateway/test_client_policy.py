"""What the config says of single clients, as the gateway asks for it."""

from __future__ import annotations

import pytest
from tests.unit.gateway.gateway_world import GatewayWorld
from tests.unit.openvpn.client import OPTIONS

from hognose.config.model import ClientSettings
from hognose.drops import DropReason
from hognose.gateway.client_policy import ClientPolicy
from hognose.units import ipv4_int
from hognose.wire.openvpn import CONTROL_V1

FIXED = ipv4_int("10.8.0.9")


def pushes(world: GatewayWorld, name: str, port: int) -> list[str]:
    """What a client of that name is told about DNS and routes."""
    client = world.client(name, port=port)
    assert client.vpn is not None
    [reply] = client.vpn.messages
    return [option for option in reply.split(",") if option.startswith(("dhcp-option", "route "))]


def test_own_settings_stand_before_the_default() -> None:
    own, everybody = ClientSettings(address=FIXED), ClientSettings(push=("x",))
    policy = ClientPolicy({"alice": own, "DEFAULT": everybody})
    assert policy.settings("alice") is own
    assert policy.settings("bob") is everybody
    assert policy.fixed_addresses() == [FIXED]
    assert ClientPolicy({"alice": own}).settings("bob") == ClientSettings()


@pytest.mark.parametrize(
    ("name", "exclusive", "why"),
    [
        ("alice", False, ""),
        ("alice", True, ""),
        ("bob", False, ""),
        ("bob", True, "not in the server's client-config-dir"),
        ("mallory", False, "disabled by the server's client-config-dir"),
        ("mallory", True, "disabled by the server's client-config-dir"),
    ],
)
def test_who_may_be_here(name: str, exclusive: bool, why: str) -> None:
    """ccd-exclusive asks for a file of the client's own: DEFAULT is none."""
    files = {"alice": ClientSettings(), "mallory": ClientSettings(disable=True), "DEFAULT": ClientSettings()}
    assert ClientPolicy(files, exclusive=exclusive).unwelcome(name) == why


def test_disable_in_the_default_file_is_for_those_without_their_own() -> None:
    policy = ClientPolicy({"alice": ClientSettings(), "DEFAULT": ClientSettings(disable=True)})
    assert policy.unwelcome("alice") == ""
    assert policy.unwelcome("bob") != ""


def test_pushes_of_single_clients() -> None:
    world = GatewayWorld(
        'push "dhcp-option DNS 192.0.2.53"',
        'push "route 198.18.0.0 255.255.0.0"',
        '<client-config-dir>\n[alice]\npush "route 198.19.0.0 255.255.0.0"\n[bob]\npush-reset\n'
        '[carol]\npush-remove "dhcp-option DNS"\n[DEFAULT]\npush "dhcp-option DOMAIN all.example"\n'
        "</client-config-dir>",
    )
    common = ["dhcp-option DNS 192.0.2.53", "route 198.18.0.0 255.255.0.0"]
    assert pushes(world, "alice", 40_001) == [*common, "route 198.19.0.0 255.255.0.0"]
    assert pushes(world, "bob", 40_002) == []
    assert pushes(world, "carol", 40_003) == common[1:]
    assert pushes(world, "dave", 40_004) == [*common, "dhcp-option DOMAIN all.example"]


def test_a_fixed_address_that_another_session_has() -> None:
    world = GatewayWorld("duplicate-cn", "<client-config-dir>\n[alice]\nifconfig-push 10.8.0.9\n</client-config-dir>")
    assert world.client("alice").tunnel_address == "10.8.0.9"
    second = world.start("alice", port=40_001)
    world.run(lambda: bool(world.events_of("client_refused")))
    [refused] = world.events_of("client_refused")
    assert refused["reason"] == "its fixed address is in use"
    assert world.dropped(DropReason.POOL_EXHAUSTED) == 1
    world.run(lambda: second.closed, 10)
    assert world.gateway.client_count == 1


@pytest.mark.parametrize(
    ("options", "reason", "detail"),
    [
        (
            f"{OPTIONS},mtu-dynamic",
            "framing_mismatch",
            "the client uses fragment, which this server does not; remove it from its config",
        ),
        (
            OPTIONS.replace("dev-type tun", "dev-type tap"),
            "bad_key_method",
            "the client uses `dev tap`; write `dev tun` in its config",
        ),
    ],
)
def test_options_that_this_server_does_not_have(options: str, reason: str, detail: str) -> None:
    """`fragment` of a client's UDP days shows in its options string only (options.c options_string)."""
    assert options != OPTIONS
    world = GatewayWorld()
    client = world.start("alice", options=options)
    world.run(lambda: client.closed, 10)
    assert client.vpn is not None
    assert client.vpn.messages[0].startswith("AUTH_FAILED,")
    [event] = world.events_of("peer_rejected")
    assert (event["common_name"], event["reason"], event["detail"]) == ("alice", reason, detail)
    assert world.gateway.client_count == 0


def test_a_client_that_goes_away_in_the_tls_handshake_is_told_of() -> None:
    """It does not like our certificate: OpenVPN closes its connection without an alert."""
    world = GatewayWorld()
    client = world.start("alice")
    vpn = client.vpn
    assert vpn is not None
    understand = vpn.receive

    def receive(record: bytes, now: int) -> None:
        if record[0] >> 3 == CONTROL_V1:  # our certificate is in it
            setattr(vpn, "poll", lambda now: [])  # noqa: B010
            client.fin()
        else:
            understand(record, now)

    setattr(vpn, "receive", receive)  # noqa: B010
    world.frames()
    [event] = world.events_of("peer_rejected")
    assert event["reason"] == "peer_closed"
    assert "its log says why" in str(event["detail"])
    assert world.dropped(DropReason.PEER_CLOSED) == 1


def test_a_session_ends_at_its_timeout_only() -> None:
    world = GatewayWorld("session-timeout 30", "inactive 0", "keepalive 5 60")
    client = world.client("alice")
    world.rest(28)
    assert world.gateway.client_count == 1
    world.run(lambda: bool(world.events_of("client_ended")), 4)
    assert world.events_of("client_ended")[0]["reason"] == "session_timeout"
    world.run(lambda: client.closed or client.reset, 10)
