"""Course of a cell's client: connect, ping, bytes both ways, two renegotiations under load, a crash."""

from __future__ import annotations

import re
import signal
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from tests.compat.cells import Cell
from tests.compat.openvpn_server import OpenvpnServer
from tests.interop.cases import GATEWAY, MIB, Listening, Setting, check_basics, check_cell
from tests.world import old_clients
from tests.world.openvpn_client import OpenvpnClient
from tests.world.processes import Process
from tests.world.topology import INTERNET, Topology

SIZE = 8 * MIB
LOAD = 2 * MIB  # per transfer while keys change
PAUSE_S = 0.2  # between them, so that cells side by side do not fill the processors
RENEGOTIATIONS = 2
# Server's and client's lines when the server starts the renegotiations, and when the client does; Hognose answers the
# client's second one ten seconds after the first. Who sends changes keys half of its reneg-sec or a hand-window later:
# each side's must be over before the other begins again, for then the key before the last is forgotten.
BY_SERVER = ("reneg-sec 4", "hand-window 5"), ("reneg-sec 7",)
BY_CLIENT = (), ("reneg-sec 6",)
SWITCHED_S = 4.0
LATE_S = 1.5  # what a busy machine may take for a ping before it counts as lost
PING_S = 0.1
PATIENCE_S = 40
# A busy client's socket of the usual size overflows, whichever server sends, and pings would be lost to that.
ROOM = {"udp": ("rcvbuf 4000000",), "tcp": ()}
# Lines of a client, and counters of the server, that say that a packet was lost to a change of keys.
LOST = ("Decrypt packet error", "Decrypt error", "TLS Error", "Bad encapsulated packet length")
CLIENT_LOSSES = (*LOST, "SIGUSR1")
SERVER_LOSSES = (*LOST, "drop_data_authentication", "drop_data_replay", "drop_no_data_key", "internal_error")


class Running(Listening, AbstractContextManager["Running"], Protocol):
    """A server of either kind."""

    @property
    def log(self) -> str: ...

    def stop(self) -> int: ...


def start(kind: str, cell: Cell, setting: Setting) -> Running:
    """A server that is up: `hognose` hosted on the tap, or `openvpn-2.6` and the like."""
    lines = (*cell.server_lines, *_renegotiation(cell)[0])
    if kind == "hognose":
        return setting.server("hosted", cell.wrap, lines)
    program = old_clients.openvpn(kind.removeprefix("openvpn-"))
    config = setting.config(cell.wrap, lines)
    return OpenvpnServer(setting.topology.namespaces, config, setting.folder, program).ready()


def offers_epoch(kind: str) -> bool:
    """True if that server can."""
    return kind in ("hognose", "openvpn-2.7")


def run_cell(cell: Cell, kind: str, topology: Topology, folder: Path) -> None:
    """The whole life of a cell; the first thing that is wrong ends it with an AssertionError or RuntimeError."""
    program = old_clients.openvpn(cell.release)
    setting = Setting(topology, folder, proto=cell.transport)
    identity = setting.authority.issue("alice")
    name, lines = topology.clients[0], (*cell.client_lines, *_renegotiation(cell)[1], *ROOM[cell.transport])
    with start(kind, cell, setting) as server:
        with setting.client(name, cell.wrap, lines, identity=identity, program=program) as client:
            client.connected(20)
            check_cell(server, client, cell, epoch=cell.epoch and offers_epoch(kind))
            check_basics(setting, client, SIZE)
            _renegotiate_under_load(cell, server, client, setting)
            address = client.address
            client.kill()
        with setting.client(name, cell.wrap, lines, identity=identity, program=program, label="-again") as again:
            again.connected(20)
            assert again.address == address, f"another address after the crash: {again.address}, before {address}"
            assert again.ping(GATEWAY, 1), "no answer to a ping after the crash"
            topology.transfer(name, "get", MIB)
        server.stop()
        found = [word for word in SERVER_LOSSES if word in server.log]
        assert not found, f"the server's log has {found}"


def _renegotiation(cell: Cell) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return BY_CLIENT if cell.client_renegotiates else BY_SERVER


def _renegotiate_under_load(cell: Cell, server: Running, client: OpenvpnClient, setting: Setting) -> None:
    """Transfers and a steady ping while the keys change twice; no ping may be lost."""
    command = ["ping", "-n", "-i", str(PING_S), "-s", "1000", INTERNET]
    ping = Process(setting.topology.namespaces.command(client.name, *command), setting.folder / "ping.log")
    try:
        deadline = time.monotonic() + PATIENCE_S
        switched = 0.0
        while not switched or time.monotonic() < switched:
            setting.topology.transfer(client.name, "get", LOAD)
            setting.topology.transfer(client.name, "put", LOAD)
            if not switched and len(re.findall(r"Control Channel: TLSv", client.log)) > RENEGOTIATIONS:
                switched = time.monotonic() + SWITCHED_S
            time.sleep(PAUSE_S)
            assert switched or time.monotonic() < deadline, f"two renegotiations did not come within {PATIENCE_S} s"
        time.sleep(LATE_S)
    finally:
        ping.stop(signal.SIGINT)
    tls = server.event("client_renegotiated", count=RENEGOTIATIONS)["tls"]
    assert tls == cell.tls, f"the server renegotiated with {tls}"
    assert client.log.count("Initialization Sequence Completed") == 1, "the client connected again by itself"
    found = [word for word in CLIENT_LOSSES if word in client.log]
    assert not found, f"the client's log has {found}"
    answered = [int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", ping.text)]
    sent = int(re.findall(r"(\d+) packets transmitted", ping.text)[0])
    # The last ones may have been under way when ping was ended.
    missing = sorted(set(range(1, sent - int(LATE_S / PING_S))) - set(answered))
    assert not missing, f"of {sent} pings {len(missing)} were lost: {missing[:10]}"
