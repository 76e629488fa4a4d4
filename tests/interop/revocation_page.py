"""The page's revocation, literally, on any carrier: one client, then 98 certificates at once, then the hundredth."""

from __future__ import annotations

import re
import time

from cryptography import x509
from tests.interop.example_page import Client, Example, add_revoked, commands, run, type_in
from tests.world.server import Server
from tests.world.topology import INTERNET

_LIST_ALONE = commands("revoke").replace("easyrsa revoke bob\n", "")
CUT_S = 10  # from the end of the page's commands until the client is cut
CONNECT_S = 60  # of a machine under emulation


def check_revocation(example: Example, server: Server) -> None:
    """Bob, then 98 who are not there, then carol; alice's connection outlives it all."""
    alice, bob, carol = (example.client(name) for name in ("alice", "bob", "carol"))
    for client in (alice, bob, carol):
        client.connected(CONNECT_S)
    size = (example.folder / "server.conf.full").stat().st_size
    run(example.folder, "revoke")
    _is_cut(example, server, "bob", bob, 1)
    add_revoked(example.folder, 0, 98)
    type_in(example.folder, _LIST_ALONE)
    assert server.event("config_reloaded", CUT_S, 2)["changed"] == "policy"
    for client in (alice, carol):
        assert client.ping(INTERNET)
    type_in(example.folder, commands("revoke").replace("bob", "carol"))
    _is_cut(example, server, "carol", carol, 2)
    assert alice.ping(INTERNET)
    assert alice.log.count("Initialization Sequence Completed") == 1
    text = (example.folder / "server.conf.full").read_bytes()
    assert len(text) == size == 65_536
    pem = text[text.index(b"-----BEGIN X509 CRL") : text.index(b"</crl-verify>")]
    assert len(x509.load_pem_x509_crl(pem)) == 100
    assert server.log.count(" client_cut ") == 2
    assert "config_error" not in server.log


def _is_cut(example: Example, server: Server, name: str, client: Client, count: int) -> None:
    """Within the time that the page promises, with the words that it has; and the client does not come in again."""
    typed = time.monotonic()
    cut = server.event("client_cut", CUT_S, count)
    assert time.monotonic() < typed + CUT_S
    assert (cut["common_name"], cut["reason"].endswith("is revoked")) == (name, True)
    heard = client.end()
    assert re.search(r"AUTH_FAILED,.*crl-verify: the client's certificate \(serial \w+\) is revoked", heard)
    again = example.client(name)
    again.process.wait_for("Connection reset, restarting", CONNECT_S)
    refused = server.event("peer_rejected", CONNECT_S, count)
    assert (refused["reason"], "is revoked" in refused["detail"]) == ("certificate_rejected", True)
    assert "Initialization Sequence Completed" not in again.log
    again.stop()


def check_growth(example: Example, server: Server, carrier: str) -> None:
    """Ten thousand do not fit the device of a running machine, which keeps its config; after the page's way they do."""
    add_revoked(example.folder, 98, 9_998)
    before = (example.folder / "server.conf.full").read_bytes()
    fails = _LIST_ALONE.replace("hognose config", "! hognose config").replace(
        " server.conf\n", " server.conf 2> told\n"
    )
    type_in(example.folder, fails)
    told = (example.folder / "told").read_text()
    assert re.match(r"server.conf: the device has 65536 bytes, the config \d{6}; stop the machine", told), told
    assert (example.folder / "server.conf.full").read_bytes() == before
    server.stop()
    run(example.folder, "grow")
    assert (example.folder / "server.conf.full").stat().st_size == 1 << 20
    server = example.serve(carrier=carrier, mem=128)
    alice, bob = example.client("alice"), example.client("bob")
    alice.connected(CONNECT_S)
    assert alice.ping(INTERNET)
    refused = server.event("peer_rejected", CONNECT_S)
    assert "is revoked" in refused["detail"]
    assert "Initialization Sequence Completed" not in bob.log
    assert "internal_error" not in server.log
