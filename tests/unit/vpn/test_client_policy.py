"""Settings of single clients, as the gateway asks for them."""

from __future__ import annotations

import pytest
from tests.unit.config.config_samples import block
from tests.unit.gateway.gateway_world import UNIX, GatewayWorld
from tests.unit.openvpn.client import OPTIONS
from tests.unit.settings_by_name import changed

from hognose.address import parse_ipv4
from hognose.drops import DropReason
from hognose.settings import ClientSettings
from hognose.vpn.client_policy import ClientPolicy
from hognose.wire.openvpn import CONTROL_V1

FIXED = parse_ipv4("10.8.0.9")


def pushes(world: GatewayWorld, name: str, port: int) -> list[str]:
    """Pushed options about DNS and routes for a client of that name."""
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


NOT_IN_IT = "not in the server's client-config-dir"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("DEFAULT", f"{NOT_IN_IT}: the file DEFAULT is that of all clients without their own"),
        ("a/b", f"{NOT_IN_IT}: no file can have its name"),
        ("a/b:c", f"{NOT_IN_IT}: no file can have its name"),
        (".", f"{NOT_IN_IT}: no file can have its name"),
        ("..", f"{NOT_IN_IT}: no file can have its name"),
        ("a?b", NOT_IN_IT),
        ("Alice", NOT_IN_IT),
        ("alice ", NOT_IN_IT),
        ("", NOT_IN_IT),  # no certificate
        ("undef", NOT_IN_IT),
        ("UNDEF", ""),
        ("a:b", ""),
        ("a_b", ""),
    ],
)
def test_names_under_ccd_exclusive(name: str, why: str) -> None:
    """Only a file with this very name counts; OpenVPN lets a/b in by the file a_b."""
    names = ("alice", "a_b", "a:b", "a_b:c", "_", "DEFAULT", "UNDEF")
    policy = ClientPolicy({name: ClientSettings() for name in names}, exclusive=True)
    assert policy.unwelcome(name) == why


@pytest.mark.parametrize(
    ("name", "mapped"),
    [("a/b", "a_b"), ("a/b:c", "a_b:c"), ("d/e:f", "d_e_f"), ("d\\e?f", "d_e_f"), ("a:b", ""), ("a_b", ""), ("x/y", ""),
     ("DEFAULT", ""), ("", ""), ("alice", "")],
)  # fmt: skip
def test_mapped_files_where_there_is_no_ccd_exclusive(name: str, mapped: str) -> None:
    """`disable` and pushes of the mapped file hold, its address is that of the client named like the file."""
    files = {name: ClientSettings(address=FIXED, push=(f"of {name}",)) for name in ("a_b", "a_b:c", "d_e_f", "a:b")}
    policy = ClientPolicy({**files, "DEFAULT": ClientSettings(push=("of all",))})
    assert policy.mapped_file(name) == mapped
    if mapped:
        assert policy.settings(name) == ClientSettings(push=(f"of {mapped}",))
    else:
        assert policy.settings(name) == files.get(name, ClientSettings(push=("of all",)))


def test_disable_holds_for_names_that_are_mapped_to_the_file() -> None:
    policy = ClientPolicy({"a_b": ClientSettings(disable=True)})
    assert policy.unwelcome("a/b") == policy.unwelcome("a_b") != ""


def test_names_that_become_one_on_a_path_stay_two_clients() -> None:
    """Neither replaces the other, the address of the file goes to the client named like it, one line tells of it."""
    ccd = block("client-config-dir", '[a_b]\nifconfig-push 10.8.0.9\npush "route 198.19.0.0 255.255.0.0"')
    world = GatewayWorld(ccd)
    mapped = world.client("a/b", port=40_001)
    own = world.client("a_b", port=40_002)
    assert own.tunnel_address == "10.8.0.9" != mapped.tunnel_address
    assert world.gateway.client_count == 2
    for client in (mapped, own):
        assert client.vpn is not None
        assert "route 198.19.0.0 255.255.0.0" in client.vpn.messages[0].split(",")
    [line] = world.events_of("client_file_mapped")
    assert (line["common_name"], line["file"]) == ("a/b", "a_b")


def test_a_client_named_undef_is_replaced_by_its_newer_session() -> None:
    """UNDEF is OpenVPN's word for clients without a name; a certificate may have it."""
    world = GatewayWorld()
    first = world.client("UNDEF", port=40_001)
    second = world.client("UNDEF", port=40_002)
    assert world.gateway.client_count == 1
    assert first.tunnel_address == second.tunnel_address
    world.run(lambda: first.closed or first.reset, 10)


def test_clients_without_a_certificate_have_no_name() -> None:
    """They do not replace each other, are not the client UNDEF, and a reload judges them as others."""
    ccd = block("client-config-dir", "[UNDEF]\ndisable")
    world = GatewayWorld("verify-client-cert none", ccd, no_authentication=True)
    first, second = world.client("alice", port=40_001), world.client("alice", port=40_002)
    assert world.gateway.client_count == 2
    assert first.tunnel_address != second.tunnel_address
    assert all("common_name" not in line for line in world.events_of("client_established"))
    world.gateway.reconfigure(changed(world.config, ccd_exclusive=True), world.now, UNIX)
    world.frames()
    assert [line["reason"] for line in world.events_of("client_cut")] == [NOT_IN_IT, NOT_IN_IT]
    assert world.gateway.client_count == 0


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
