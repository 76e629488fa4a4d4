"""A new config in a running gateway, in virtual time: what takes effect, who is cut, what stays as it was."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from tests.unit.gateway.gateway_world import GATEWAY, GatewayWorld, Remote
from tests.unit.openvpn.link import authority, client_identity, server_identity
from tests.unit.settings_by_name import changed, value
from tests.world.pki import Authority
from tests.world.server import ServerSettings
from tests.world.today import UNIX

from hognose.address import Prefix, parse_ipv4
from hognose.config.changes import restart_directives, with_live_settings
from hognose.config.model import ServerConfig
from hognose.config.parser import parse
from hognose.drops import DropReason, Stat
from hognose.errors import ConfigError
from hognose.gateway.live import LiveConfig
from hognose.limits import Limits
from hognose.settings import CertificateRules, ClientSettings, ListenerSettings


def config(*lines: str) -> ServerConfig:
    """The world's config with these lines."""
    return parse(ServerSettings(authority(), server_identity(), "none", extra=list(lines)).text(), "server.conf")[0]


def reconfigure(world: GatewayWorld, new: ServerConfig) -> None:
    world.gateway.reconfigure(new, world.now, UNIX)
    world.frames()


def works(client: Remote) -> bool:
    packet = IP(src=client.tunnel_address, dst=GATEWAY) / ICMP(id=1, seq=1) / b"ping"
    return len(client.inner(packet)) == 1


def crl(*names: str) -> str:
    """Good at the world's time, whatever the wall clock says."""
    return authority().revocation_list(*map(client_identity, names), start_days=-4000, days=8000)


def block(name: str, body: str) -> str:
    return f"<{name}>\n{body.strip()}\n</{name}>"


def test_a_revoked_client_is_cut_and_told() -> None:
    world = GatewayWorld(block("crl-verify", crl()))
    alice, bob = world.client("alice"), world.client("bob", port=40_001)
    reconfigure(world, config(block("crl-verify", crl("bob"))))
    [cut] = world.events_of("client_cut")
    assert cut["common_name"] == "bob"
    assert str(cut["reason"]).endswith("is revoked")
    [ended] = world.events_of("client_ended")
    assert (ended["common_name"], ended["reason"]) == ("bob", "certificate_rejected")
    assert bob.vpn is not None
    assert bob.vpn.messages[-1].startswith("AUTH_FAILED,")
    assert bob.closed
    assert world.gateway.client_count == 1
    assert works(alice)
    world.start("bob", port=40_002)
    world.run(lambda: bool(world.events_of("peer_rejected")))
    assert "is revoked" in str(world.events_of("peer_rejected")[0]["detail"])
    assert world.events_of("config_needs_restart") == []


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("<client-config-dir>\n[bob]\ndisable\n</client-config-dir>",), "disabled by the server's client-config-dir"),
        (
            ("<client-config-dir>\n[alice]\n</client-config-dir>", "ccd-exclusive"),
            "not in the server's client-config-dir",
        ),
    ],
)
def test_a_client_that_is_no_longer_welcome(lines: tuple[str, ...], why: str) -> None:
    world = GatewayWorld()
    alice, bob = world.client("alice"), world.client("bob", port=40_001)
    reconfigure(world, config(*lines))
    [cut] = world.events_of("client_cut")
    assert (cut["common_name"], cut["reason"]) == ("bob", why)
    assert world.events_of("client_ended")[0]["reason"] == "client_disabled"
    assert world.dropped(DropReason.CLIENT_DISABLED) == 1
    assert bob.closed
    assert works(alice)
    world.start("bob", port=40_002)
    world.run(lambda: bool(world.events_of("client_refused")))
    assert world.events_of("client_refused")[0]["reason"] == why


def test_a_client_in_the_middle_of_its_handshake_is_judged_by_the_new_list() -> None:
    """Its TLS connection began under the old config; admission goes by the one in force."""
    world = GatewayWorld()
    bob = world.remote(port=40_001)
    reconfigure(world, config("<client-config-dir>\n[bob]\ndisable\n</client-config-dir>"))
    world.remotes.pop(("192.0.2.11", 40_001))
    assert bob.connected
    world.start("bob", port=40_002)
    world.run(lambda: bool(world.events_of("client_refused")))
    assert world.gateway.client_count == 0


def test_fingerprints() -> None:
    def pinned(*names: str) -> str:
        return block("peer-fingerprint", "\n".join(client_identity(name).sha256.hex(":") for name in names))

    world = GatewayWorld(pinned("alice", "bob"))
    alice = world.client("alice")
    world.client("bob", port=40_001)
    reconfigure(world, config(pinned("alice", "carol")))
    assert [event["common_name"] for event in world.events_of("client_cut")] == ["bob"]
    assert works(alice)
    world.client("carol", port=40_002)


def test_what_needs_a_restart_is_named_and_the_live_part_taken() -> None:
    world = GatewayWorld()
    alice = world.client("alice")
    new = changed(
        config('push "dhcp-option DNS 192.0.2.99"', "max-clients 2", "keepalive 7 70"),
        port=1195,
        tunnel=Prefix(bytes((10, 9, 0, 0)), 24),
        ca=Authority("Other CA").pem,
        wrap="tls-crypt",
        static_key=bytes(256),
    )
    reconfigure(world, new)
    [event] = world.events_of("config_needs_restart")
    assert str(event["directives"]).split() == ["server", "port", "ca", "tls-crypt", "keepalive"]
    assert works(alice)
    bob = world.client("bob", port=40_001)
    assert bob.vpn is not None
    assert "dhcp-option DNS 192.0.2.99" in bob.vpn.messages[0]
    assert bob.tunnel_address.startswith("10.8.0.")
    world.start("carol", port=40_002)
    world.run(lambda: bool(world.events_of("client_refused")))
    reconfigure(world, new)
    assert len(world.events_of("config_needs_restart")) == 2


def test_new_addresses_are_for_those_who_come() -> None:
    world = GatewayWorld()
    alice = world.client("alice")
    address = alice.tunnel_address
    new = changed(
        config(),
        clients={"alice": ClientSettings(address=parse_ipv4("10.8.0.200"))},
        reservations={"bob": parse_ipv4("10.8.0.201")},
    )
    reconfigure(world, new)
    assert works(alice)
    assert alice.tunnel_address == address
    assert world.client("bob", port=40_001).tunnel_address == "10.8.0.201"
    assert world.client("alice", port=40_002).tunnel_address == "10.8.0.200"
    assert world.events_of("client_ended")[0]["reason"] == "replaced"


def test_timers_go_by_the_new_config_at_once() -> None:
    world = GatewayWorld("keepalive 5 60")
    world.client("alice")
    world.rest(60)
    assert world.gateway.client_count == 1
    reconfigure(world, config("session-timeout 30", "keepalive 5 60"))
    world.rest(2)
    [ended] = world.events_of("client_ended")
    assert ended["reason"] == "session_timeout"


def test_a_config_that_tls_refuses_changes_nothing() -> None:
    world = GatewayWorld()
    alice = world.client("alice")
    new = changed(config("max-clients 1"), crl="no list at all")
    with pytest.raises(ConfigError):
        world.gateway.reconfigure(new, world.now, UNIX)
    assert world.events_of("client_cut") == []
    assert works(alice)
    world.client("bob", port=40_001)


def test_config_profile_and_policy_change_together_or_not_at_all() -> None:
    live = LiveConfig(config(), Limits())
    before = live.config, live.profile, live.policy
    with pytest.raises(ConfigError):
        live.change(changed(config(), crl="x", max_clients=1))
    assert (live.config, live.profile, live.policy) == before
    assert live.change(changed(config(), max_clients=1, listeners=(ListenerSettings("tcp", 7),))) == ["port"]
    assert (live.config.admission.max_clients, live.policy.max_clients) == (1, 1)
    assert str(live.config.network.listeners[0]) == "1194/tcp"


def test_live_settings_alone_need_no_restart() -> None:
    """Others do, and stay as they were."""
    old = config()
    samples: dict[str, object] = {
        "push": ("x",), "clients": {"a": ClientSettings()}, "ccd_exclusive": True,
        "reservations": {"a": parse_ipv4("10.8.0.9")}, "max_clients": 3, "inactive": 4, "inactive_bytes": 5,
        "session_timeout": 6, "status_interval": 7,
        "status_version": 2, "connect_freq": (5, 1),
    }  # fmt: skip
    for name, sample in samples.items():
        new = changed(old, **{name: sample})
        assert restart_directives(old, new) == []
        assert value(with_live_settings(old, new), name) == sample
    new = changed(old, reneg_sec=1, mssfix_mode="fixed", crl="y", rules=CertificateRules(eku="x"))
    assert restart_directives(old, new) == ["remote-cert-eku", "mssfix", "reneg-sec"]
    kept = with_live_settings(old, new)
    assert (kept.renegotiation, kept.tls.rules.eku, kept.tls.crl) == (old.renegotiation, "", "y")


def asks(client: Remote, server: str, port: int = 53) -> int | None:
    """Code of the ICMP error that a question to a name server gets, None when there is no answer from us."""
    answers = client.inner(IP(src=client.tunnel_address, dst=server) / UDP(sport=5000, dport=port) / b"question")
    return answers[0][ICMP].code if answers else None


SERVER_OF_A_CLOUD, OTHER_SERVER = "169.254.169.253", "168.63.129.16"


def test_name_servers_follow_a_new_config_and_flows_to_those_that_are_gone_end() -> None:
    world = GatewayWorld(f'push "dhcp-option DNS {SERVER_OF_A_CLOUD}"', 'push "dhcp-option DNS 9.9.9.9"')
    alice = world.client("alice")
    assert [asks(alice, to) for to in (SERVER_OF_A_CLOUD, OTHER_SERVER, "9.9.9.9")] == [None, 13, None]
    assert asks(alice, "9.9.9.9", 443) is None
    assert [packet.dst for packet in world.outside] == [SERVER_OF_A_CLOUD, "9.9.9.9", "9.9.9.9"]
    own = f"<client-config-dir>\n[bob]\npush 'dhcp-option DNS {OTHER_SERVER}'\n</client-config-dir>"
    reconfigure(world, config(own))
    world.outside.clear()
    assert [asks(alice, to) for to in (SERVER_OF_A_CLOUD, OTHER_SERVER, "9.9.9.9")] == [13, None, None]
    assert [packet.dst for packet in world.outside] == [OTHER_SERVER, "9.9.9.9"]
    assert world.stat(Stat.NAT_FLOWS_FORGOTTEN) == 1  # 9.9.9.9 needs no exception
    assert world.dropped(DropReason.MARTIAN) == 2
    assert works(alice)
