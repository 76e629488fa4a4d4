"""A new config while real clients are connected: what changes at once, what waits for a restart, who is cut."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.interop.cases import GATEWAY, MIB, Setting, block, revoking
from tests.world.openvpn_client import OpenvpnClient
from tests.world.pki import current_authority, static_key
from tests.world.server import Server, with_generation
from tests.world.topology import Topology

pytestmark = pytest.mark.interop

KEPT = "the old config stays in force"


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-reload", tmp_path_factory.mktemp("topology"), clients=4) as made:
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def transfer(pool: ThreadPoolExecutor, setting: Setting, client: OpenvpnClient, size: int = 128 * MIB) -> Future[float]:
    """Bytes for a client while other things happen; its result says that their sha256 is right."""
    began = pool.submit(setting.topology.transfer, client.name, "get", size)
    deadline = time.monotonic() + 10
    while int(client.run("cat", "/sys/class/net/tun0/statistics/rx_bytes")) < MIB:
        assert time.monotonic() < deadline
        assert not began.done()
    return began


def clients_of_their_own(text: str) -> str:
    return block("client-config-dir", text)


def test_revoked_and_disabled_clients_are_cut_and_nobody_else(setting: Setting, pool: ThreadPoolExecutor) -> None:
    identities = {name: setting.authority.issue(name) for name in ("alice", "bob", "carol")}
    before = (revoking(setting), clients_of_their_own("[carol]\n"))
    after = (revoking(setting, identities["bob"]), clients_of_their_own("[carol]\ndisable\n"))
    with (
        setting.server("hosted", extra=before) as server,
        setting.client("c1", identity=identities["alice"]) as alice,
        setting.client("c2", identity=identities["bob"]) as bob,
        setting.client("c3", identity=identities["carol"]) as carol,
    ):
        for client in (alice, bob, carol):
            client.connected()
        under_way = transfer(pool, setting, alice)
        server.reload(setting.config(extra=after))
        cut = [server.event("client_cut", 5, count) for count in (1, 2)]
        assert not under_way.done()
        reasons = {line["common_name"]: line["reason"] for line in cut}
        assert reasons["bob"].endswith("is revoked")
        assert reasons["carol"] == "disabled by the server's client-config-dir"
        assert server.event("config_reloaded")["changed"] == "policy,clients"
        for client in (bob, carol):
            client.process.wait_for("AUTH_FAILED", 10)
            client.process.wait(10)
        for name, place, line in (("bob", "c2", "peer_rejected"), ("carol", "c3", "client_refused")):
            with setting.client(place, identity=identities[name], label="-again") as again:
                server.event(line)
                assert "Initialization Sequence Completed" not in again.log
        under_way.result(120)
        assert alice.log.count("Initialization Sequence Completed") == 1
        assert alice.ping(GATEWAY)
        assert server.log.count("client_ended") == 2


def test_without_a_signal_a_whole_text_is_taken_and_a_half_one_never(setting: Setting) -> None:
    """Cut short and mixed it is refused with its sentence; whole, the revoked client is cut within 10 s."""
    bob = setting.authority.issue("bob")
    plain, *texts = [setting.config(extra=(revoking(setting, *who),)) for who in ((), (), (bob,), (bob,))]
    old, new, newer = (with_generation(text + "#" * n + "\n") for n, text in enumerate(texts))
    with (
        Server("hosted", setting.topology.namespaces, old, setting.folder).ready() as server,
        setting.client("c1") as alice,
        setting.client("c2", identity=bob) as cut,
    ):
        alice.connected()
        cut.connected()
        for count, (half, words) in enumerate(
            (
                (new[:1024] + old[1024:], "does not match its marks: half written, or changed by hand: embed it again"),
                (newer[:2048], f"the device has 2048 bytes, the config {len(newer)}"),
                (newer.replace(b"BEGIN X509", b"begin X509"), "does not match its marks: half written"),
            ),
            1,
        ):
            server.rewrite(half)
            error = server.event("config_error", 40, count)
            assert words in error["text"]
            assert error["effect"] == KEPT
        assert "client_cut" not in server.log
        written = time.monotonic()
        server.rewrite(new)
        while "client_cut" not in server.log:
            setting.topology.transfer("c1", "get", 8 * MIB)
            assert time.monotonic() < written + 10
        assert server.event("config_reloaded")["generation"] == new[17:29].decode()
        assert server.event("client_ended")["common_name"] == "bob"
        cut.process.wait_for("AUTH_FAILED", 10)
        server.rewrite(plain)  # the marks gone: a hosted server takes it when it rests
        assert server.event("config_reloaded", 60, 2)["changed"] == "policy"
        assert alice.log.count("Initialization Sequence Completed") == 1


@pytest.mark.parametrize("half", ["cut", "mixed", "changed"])
def test_a_server_does_not_start_with_a_config_that_was_altered(setting: Setting, half: str) -> None:
    """With ccd-exclusive at the very end, a client without a file of its own would get in."""
    policy = (clients_of_their_own("[bob]\n"), "ccd-exclusive")
    config = setting.config(extra=("max-clients 7",)) + "\n".join(policy) + "\n"
    new, old = with_generation(config), with_generation(setting.config(extra=("verb 3\n" * 300,)))
    data = {
        "cut": new[:-512],
        "mixed": new[:512] + old[512:],
        "changed": new.replace(b"ccd-exclusive", b"#cd-exclusive"),
    }
    with Server("hosted", setting.topology.namespaces, data[half], setting.folder) as server:
        assert server.process.wait(20) == 3
        text = server.event("config_error")["text"]
        assert ("the device has " if half == "cut" else "does not match its marks: ") in text
        assert "Traceback" not in server.log


def test_pushes_addresses_and_limits_for_those_who_come(setting: Setting, pool: ThreadPoolExecutor) -> None:
    before = ('push "dhcp-option DNS 192.0.2.53"',)
    after = (
        'push "dhcp-option DNS 192.0.2.99"',
        "max-clients 3",
        clients_of_their_own('[bob]\nifconfig-push 10.8.0.200\npush "dhcp-option DOMAIN example.org"\n'),
        block("ifconfig-pool-persist", "carol,10.8.0.77\n"),
    )
    with (
        setting.server("hosted", extra=before) as server,
        setting.client("c1", common_name="alice") as alice,
    ):
        alice.connected()
        assert "dhcp-option DNS 192.0.2.53" in alice.log
        under_way = transfer(pool, setting, alice)
        server.reload(setting.config(extra=after))
        changed = server.event("config_reloaded")["changed"].split(",")
        assert sorted(changed) == ["clients", "max_clients", "push", "reservations"]
        with setting.client("c2", common_name="bob") as bob, setting.client("c3", common_name="carol") as carol:
            for client, address in ((bob, "10.8.0.200"), (carol, "10.8.0.77")):
                client.connected()
                assert client.address == address
                assert client.ping(GATEWAY, 1)
                assert "dhcp-option DNS 192.0.2.99" in client.log
                assert "192.0.2.53" not in client.log
            assert "dhcp-option DOMAIN example.org" in bob.log
            assert "dhcp-option DOMAIN" not in carol.log
            with setting.client("c4", common_name="dave"):
                assert server.event("client_refused")["reason"] == "the server is full"
        under_way.result(120)
        assert alice.log.count("Initialization Sequence Completed") == 1


def test_the_list_of_fingerprints(setting: Setting) -> None:
    identities = {name: setting.authority.issue(name) for name in ("alice", "bob", "carol")}

    def config(*names: str) -> str:
        lines = "\n".join(identities[name].sha256.hex(":") for name in names)
        return setting.config(extra=(block("peer-fingerprint", lines),), with_ca=False)

    with Server("hosted", setting.topology.namespaces, config("alice", "bob"), setting.folder).ready() as server:
        with (
            setting.client("c1", identity=identities["alice"]) as alice,
            setting.client("c2", identity=identities["bob"]) as bob,
        ):
            alice.connected()
            bob.connected()
            with setting.client("c3", identity=identities["carol"]):
                assert "peer-fingerprint: it is not in the list" in server.event("peer_rejected")["detail"]
            server.reload(config("alice", "carol"))
            cut = server.event("client_cut")
            assert cut["common_name"] == "bob"
            assert "peer-fingerprint" in cut["reason"]
            with setting.client("c3", identity=identities["carol"], label="-again") as carol:
                carol.connected()
            assert alice.ping(GATEWAY)


def test_what_needs_a_restart_is_named_and_the_rest_taken(setting: Setting) -> None:
    other = Setting(setting.topology, setting.folder, authority=current_authority("Other CA"), key=static_key())
    other.server_identity = setting.server_identity
    text = other.config(extra=('push "dhcp-option DNS 192.0.2.99"', "data-ciphers AES-128-GCM"))
    text = text.replace("port 1194", "port 1195").replace("server 10.8.0.0", "server 10.9.0.0")
    with setting.server("hosted") as server, setting.client("c1") as alice:
        alice.connected()
        server.reload(text)
        directives = server.event("config_needs_restart")["directives"].split()
        assert sorted(directives) == ["ca", "data-ciphers", "port", "server", "tls-crypt"]
        assert alice.ping(GATEWAY)
        with setting.client("c2") as bob:
            bob.connected()
            assert bob.address.startswith("10.8.0.")
            assert "dhcp-option DNS 192.0.2.99" in bob.log
            assert bob.ping(GATEWAY, 1)
            assert bob.negotiated["cipher"] == "AES-256-GCM"
        assert "client_cut" not in server.log
        assert server.stop() == 0
    with Server("hosted", setting.topology.namespaces, text, setting.folder).ready() as server:
        assert (server.event("ready")["port"], server.event("ready")["tunnel"]) == ("1195/tcp", "10.9.0.0/24")


@pytest.mark.parametrize(
    ("lines", "place", "words"),
    [
        ("max-clients many", "server.conf.full:8: max-clients:", "many"),
        ("keep-alive 10 60", "server.conf.full:8: keep-alive:", "keepalive"),
        (block("crl-verify", "no list"), "crl-verify:", ""),
        ("server 10.0.0.0 255.255.255.0", "server.conf.full:8: server:", ""),
    ],
)
def test_a_broken_config_changes_nothing(setting: Setting, lines: str, place: str, words: str) -> None:
    with setting.server("hosted", extra=("max-clients 2",)) as server, setting.client("c1") as alice:
        alice.connected()
        server.reload(setting.config(extra=('push "route 198.18.0.0 255.255.0.0"', lines)))
        error = server.event("config_error")
        assert error["effect"] == KEPT
        assert place in error["text"]
        assert words in error["text"]
        assert "config_reloaded" not in server.log
        assert alice.ping(GATEWAY)
        with setting.client("c2") as bob:
            bob.connected()
            assert "198.18.0.0" not in bob.log
        assert "internal_error" not in server.log
        server.reload(setting.config(extra=("max-clients 1",)))
        assert server.event("config_reloaded")["changed"] == "max_clients"


def test_a_deleted_file_is_one_warning(setting: Setting) -> None:
    path = setting.folder / "server.conf.full"
    with setting.server("hosted") as server, setting.client("c1") as alice:
        alice.connected()
        path.unlink()
        for _ in range(3):
            server.process.send_signal(signal.SIGHUP)
            assert alice.ping(GATEWAY, 1)
        assert server.log.count("config_unreadable") == 1
        assert server.event("config_unreadable")["text"].endswith(f"No such file or directory; {KEPT}")
        server.reload(setting.config(extra=("max-clients 7",)))
        assert server.event("config_reloaded")["changed"] == "max_clients"
        path.unlink()
        server.process.send_signal(signal.SIGHUP)
        server.event("config_unreadable", count=2)
        assert alice.log.count("Initialization Sequence Completed") == 1
