"""Cases of every machine, the same as hosted: under qemu with our Linux, and as a guest of solo5-hvt."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.compat.cells import Cell, machine_cells
from tests.interop.cases import (
    MIB,
    Setting,
    check_basics,
    check_client_to_client,
    check_negotiated,
    check_release,
    load_until,
    revoking,
)
from tests.interop.destination_cases import check_a_refused_route_is_a_config_error, check_destinations
from tests.interop.policy_cases import check_a_boot_refuses_what_check_refuses, check_names_and_tls
from tests.interop.udp_cases import FIXED_PORT, MOVES, RESTARTED, check_moves
from tests.world.server import Server, with_generation
from tests.world.tender import hvt_carrier
from tests.world.topology import Topology

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-vm", tmp_path_factory.mktemp("topology"), clients=5) as made:
        yield made


@pytest.fixture
def setting(topology: Topology, tmp_path: Path) -> Setting:
    return Setting(topology, tmp_path)


@pytest.fixture(params=["vm", "hvt"])
def carrier(request: pytest.FixtureRequest) -> str:
    return hvt_carrier() if request.param == "hvt" else str(request.param)


@pytest.mark.parametrize(
    ("proto", "wrap", "cipher", "tls"),
    [
        ("tcp", "tls-auth", "AES-128-GCM", "1.2"),
        ("udp", "none", "CHACHA20-POLY1305", "1.3"),
        ("udp", "tls-crypt", "AES-256-GCM", "1.2"),
    ],
)
def test_cell(setting: Setting, carrier: str, proto: str, wrap: str, cipher: str, tls: str) -> None:
    setting.proto = proto
    extra = (f"data-ciphers {cipher}",)
    with (
        setting.server(carrier, wrap, extra) as server,
        setting.client("c1", wrap, (f"tls-version-max {tls}",)) as client,
    ):
        client.connected()
        check_negotiated(server, client, wrap=wrap, cipher=cipher, tls=f"TLSv{tls}")
        check_basics(setting, client, MIB)
        if carrier == "vm":  # nothing asks a tender's guest for an orderly end
            assert server.stop() == 0
            client.process.wait_for(RESTARTED, 5)


@pytest.mark.parametrize("cell", machine_cells(), ids=lambda cell: cell.name)
def test_a_client_of_each_release(setting: Setting, carrier: str, cell: Cell) -> None:
    check_release(setting, carrier, cell)


@pytest.mark.timeout(600)
def test_eight_megabytes_both_ways(setting: Setting, carrier: str) -> None:
    """Over TCP; over UDP it is part of the whole life of a client below."""
    with setting.server(carrier) as server, setting.client("c1") as client:
        client.connected()
        check_basics(setting, client, (4 if carrier == "nested" else 8) * MIB)
        assert "internal_error" not in server.log


@pytest.mark.parametrize("allowed", [False, True])
def test_client_to_client(setting: Setting, carrier: str, allowed: bool) -> None:
    check_client_to_client(setting, carrier, allowed)


def test_destinations_of_clients(setting: Setting, carrier: str) -> None:
    check_destinations(setting, carrier)


def test_a_pushed_route_that_is_refused(setting: Setting, carrier: str) -> None:
    check_a_refused_route_is_a_config_error(setting, carrier)


def test_five_clients_at_once(setting: Setting, carrier: str) -> None:
    with setting.server(carrier) as server:
        clients = [setting.client(name) for name in setting.topology.clients]
        try:
            for client in clients:
                client.connected(60)
            assert len({client.address for client in clients}) == 5
            for client in clients:
                check_basics(setting, client, MIB)
            server.event("client_established", count=5)
        finally:
            for client in clients:
                client.stop()


@pytest.mark.timeout(600)
def test_a_client_over_udp_and_renegotiation_under_load(setting: Setting, carrier: str) -> None:
    """A whole life over UDP, 8 MiB each way with moves and a goodbye, beside a client over TCP; both renegotiate."""
    # hand-window and reneg-sec decide when a sender switches keys: short ones make several switches happen.
    listeners, often = ("local * 1194 udp", "local * 1194 tcp"), "reneg-sec 10"
    life = (often, "explicit-exit-notify 1", *FIXED_PORT)
    with setting.server(carrier, extra=(*listeners, "hand-window 10")) as server:
        with (
            setting.client("c1", extra=life, common_name="roamer", proto="udp") as roamer,
            setting.client("c2", extra=(often,), common_name="over-tcp") as other,
        ):
            roamer.connected()
            other.connected()
            check_basics(setting, roamer, 8 * MIB)
            assert check_moves(setting, server, roamer, "roamer") <= MOVES
            with ThreadPoolExecutor(2) as both:
                loads = [
                    both.submit(load_until, setting, server, name, MIB, f"client_renegotiated .*common_name={who}", 1)
                    for name, who in (("c1", "roamer"), ("c2", "over-tcp"))
                ]
            for load in loads:
                load.result()
            assert [client.log.count("Initialization Sequence Completed") for client in (roamer, other)] == [1, 1]
            roamer.process.send_signal(signal.SIGTERM)
            setting.topology.transfer("c2", "get", MIB)  # while the session of who said goodbye lives for its 5 s
            assert server.event("client_ended")["reason"] == "peer_exit"
        assert server.process.running
        status = server.stop()
        if carrier == "vm":  # nothing asks a tender's guest for an orderly end
            assert status == 0
        assert "drop_data_authentication" not in server.log


def test_the_default_route_through_the_tunnel(setting: Setting, carrier: str) -> None:
    """push "redirect-gateway def1", as the reference recipe has it."""
    spaces = setting.topology.namespaces
    spaces.run("c1", "ip", "route", "replace", "default", "via", "192.0.2.1")
    try:
        with setting.server(carrier, extra=('push "redirect-gateway def1"',)), setting.client("c1") as client:
            client.connected()
            assert "dev tun" in client.run("ip", "route", "get", "203.0.113.1")
            setting.topology.transfer("c1", "get", MIB)
    finally:
        spaces.run("c1", "ip", "route", "del", "default", check=False)


def test_a_new_config_on_the_device_is_found(setting: Setting, carrier: str) -> None:
    """Bytes that change on the host's side: the guest's own cache of them must not hide that.

    The new ones are fewer, which a tender does not forgive a guest that reads as far as before. What was altered is
    refused, and then again what was there before is nothing new.
    """
    if carrier == "nested":
        pytest.skip("the nested machine's block device is a file of its own, out of our reach")
    pushes = tuple(f'push "route 10.{n}.0.0 255.255.0.0"' for n in range(100))
    old = with_generation(setting.config(extra=("max-clients 4", *pushes)))
    new, broken = (with_generation(setting.config(extra=(f"max-clients {n}",))) for n in ("5", "x"))
    assert len(new) == len(broken) < len(old) - 3000
    kept = 'effect="the old config stays in force"'
    with Server(carrier, setting.topology.namespaces, old, setting.folder).ready() as server:
        path = setting.folder / "server.conf.full"
        for data, event, count, words in (
            (new, "config_reloaded", 1, f"generation={new[17:29].decode()} changed=push,max_clients"),
            (broken, "config_error", 1, kept),
            (new[:512] + broken[512:], "config_error", 2, f'embed it again" {kept}'),
        ):
            path.write_bytes(data)
            server.event(event, 45, count)
            assert words in server.log
        with setting.client("c1") as client:
            client.connected(60)


def test_reload_cuts_a_revoked_client(setting: Setting, carrier: str) -> None:
    """A new CRL on the device: within 10 s one client is cut and stays out, another one's bytes go on."""
    if carrier == "nested":
        pytest.skip("the nested machine's block device is a file of its own, out of our reach")
    bob = setting.authority.issue("bob")
    texts = [setting.config(extra=(revoking(setting, *who),)) for who in ((), (bob,))]
    size = max(map(len, texts)) + 2  # a block device keeps its size
    old, new = (with_generation(text + "#" * (size - len(text) - 1) + "\n") for text in texts)
    assert len(old) == len(new)
    with (
        Server(carrier, setting.topology.namespaces, old, setting.folder).ready() as server,
        setting.client("c1") as alice,
        setting.client("c2", identity=bob) as revoked,
    ):
        alice.connected(60)
        revoked.connected(60)
        server.rewrite(new)
        written = time.monotonic()
        while "client_cut" not in server.log:
            setting.topology.transfer("c1", "get", MIB // 4)
            assert time.monotonic() < written + 12  # the last transfer may have begun before
        assert server.event("client_cut")["common_name"] == "bob"
        revoked.process.wait_for("AUTH_FAILED", 10)
        with setting.client("c2", identity=bob, label="-again"):
            assert server.event("peer_rejected", 30)["detail"].endswith("is revoked")
        setting.topology.transfer("c1", "put", MIB)
        assert alice.log.count("Initialization Sequence Completed") == 1


def test_names_and_tls(setting: Setting, carrier: str) -> None:
    check_names_and_tls(setting, carrier)


def test_a_boot_refuses_what_check_refuses(setting: Setting, carrier: str) -> None:
    check_a_boot_refuses_what_check_refuses(setting, carrier)


ERRORS = [
    (b"", None, 3, "empty"),
    (b"proto udp6\ndev tun\n", None, 3, "server.conf:1: proto: `udp6`"),
    (b"proto tcp\ndev tun", None, 3, "server.conf: the last line has no end"),
    (with_generation("#\n" * 4000)[:3072], None, 3, "server.conf: the device has 3072 bytes, the config 8704"),
    (bytes(512) + with_generation("#\n" * 4000)[512:], None, 3, "server.conf:1: a NUL byte inside"),
    (with_generation("#\n" * 4000)[512:], None, 3, "server.conf: does not match its marks: half written"),
    (b"#" * (1 << 20) + b"#", None, 4, "holds more than 1048576 bytes"),
    (None, [], 2, "--ipv4 is missing"),
    (None, ["--ipv4=10.0.0.2/24", "--ipv4-gateway=10.9.9.1"], 2, "--ipv4-gateway=10.9.9.1 is not in"),
    (None, ["--nonsense"], 2, "--nonsense"),
    (None, ["--ipv4=10.8.0.9/24"], 3, "overlaps"),
]
# Both carriers run the same program: all errors on the one that boots in a third of a second, two on the other.
ON_BOTH = (1, 7)


@pytest.mark.parametrize(
    ("carrier", "config", "arguments", "status", "words"),
    [("hvt", *error) for error in ERRORS] + [("vm", *ERRORS[number]) for number in ON_BOTH],
    indirect=["carrier"],
)
def test_errors_end_with_their_status(
    setting: Setting, carrier: str, config: bytes | None, arguments: list[str] | None, status: int, words: str
) -> None:
    text = setting.config().encode() if config is None else config
    text += bytes(-len(text) % 512) or bytes(512) * (not text)
    with Server(carrier, setting.topology.namespaces, text, setting.folder, arguments=arguments) as server:
        server.process.wait_for(rf"exit status {status}", 90)
        assert server.process.wait(60) == (0 if carrier == "nested" else status)
        assert server.printed_status == status
        assert words in server.log
