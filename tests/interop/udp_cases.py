"""Cases of clients over UDP, of any release, with the seconds they take: moves, goodbyes, a restart, a drain.

The same functions for tests, which know the bounds, and for udp_life.py, which prints what it has seen.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.compat.cells import RELEASES
from tests.compat.openvpn_server import EXTRA
from tests.interop.cases import GATEWAY, Setting
from tests.world import old_clients
from tests.world.bad_link import BadLink
from tests.world.openvpn_client import OpenvpnClient
from tests.world.processes import Process
from tests.world.server import Server
from tests.world.topology import client_address

LOCAL_PORT = 5000
FIXED_PORT = (f"lport {LOCAL_PORT}",)
CONNECTED = "Initialization Sequence Completed"
RESTARTED = "server-pushed-connection-reset"
MOVES = 2
PATIENCE_S = 60.0


def check_moves(setting: Setting, server: Server, client: OpenvpnClient, common_name: str) -> int:
    """Another port, then another address, below a steady ping; both are told of. Returns how many pings were lost.

    The client has FIXED_PORT. A second or more is between the moves: a client moves once in a second.
    """
    first, other = client_address(client.name), client_address(client.name, above=100)
    command = setting.topology.namespaces.command(client.name, "ping", "-i", "0.2", "-c", "25", "-w", "15", GATEWAY)
    pings = Process(command, setting.folder / "ping.log")
    pings.wait_for("icmp_seq=5 ")
    leave_from(client, first, 6001)
    pings.wait_for("icmp_seq=15 ")
    client.run("ip", "addr", "add", f"{other}/24", "dev", "eth0")
    leave_from(client, other, 6002)
    pings.wait(20)
    moves = server.process.wait_for(rf"client_floated .*common_name={common_name} ", 5, MOVES)
    client.run("nft", "delete", "table", "ip", "moved")
    client.run("ip", "addr", "del", f"{other}/24", "dev", "eth0")
    assert client.log.count(CONNECTED) == 1, "the client connected again"
    assert "DUP!" not in pings.text, f"a packet came twice:\n{pings.text}"
    assert [line[line.index("peer=") :].rstrip() for line in moves] == [
        f"peer={first}:6001 common_name={common_name} before={first}:{LOCAL_PORT}",
        f"peer={other}:6002 common_name={common_name} before={first}:6001",
    ]
    found = re.search(r"(\d+) packets transmitted, (\d+) received", pings.text)
    assert found is not None, pings.text
    return int(found[1]) - int(found[2])


def leave_from(client: OpenvpnClient, address: str, port: int) -> None:
    """Let a client's datagrams leave from another address and port from now on, without its knowledge.

    As a NAT before it does that has forgotten it.
    """
    rules = f"""
table ip moved
delete table ip moved
table ip moved {{
    chain out {{
        type filter hook output priority 0
        udp dport 1194 udp sport {LOCAL_PORT} ip saddr set {address} udp sport set {port}
    }}
    chain in {{
        type filter hook prerouting priority 0
        udp sport 1194 udp dport {port} udp dport set {LOCAL_PORT}
    }}
}}"""
    client.run("nft", rules)


def bytes_through(setting: Setting, release: str, size: int, *link: str) -> dict[str, float]:
    """Bytes both ways (compared by SHA-256) of a client in c1 at a BadLink; seconds, and the frames of the link."""
    program = old_clients.openvpn(release)
    with BadLink(setting.topology, "c1", *link) as bad:
        with setting.client("c1", common_name=f"far-{release}", program=program) as client:
            client.connected(PATIENCE_S)
            seconds = {way: setting.topology.transfer("c1", way, size) for way in ("get", "put")}
            assert client.log.count(CONNECTED) == 1, "the client connected again"
    return {**seconds, **bad.counts}


@contextmanager
def clients_of_all(setting: Setting, prefix: str, *extra: str) -> Iterator[dict[str, OpenvpnClient]]:
    """A connected client of each release in c1, c2 and c3, by release; its name is the prefix, `-`, and the release."""
    with ExitStack() as stack:
        made = {
            release: stack.enter_context(
                setting.client(
                    name, extra=extra, common_name=f"{prefix}-{release}", program=old_clients.openvpn(release)
                )
            )
            for name, release in zip(setting.topology.clients, RELEASES, strict=False)
        }
        for client in made.values():
            client.connected()
        yield made


def goodbyes(setting: Setting, server: Server) -> dict[str, float]:
    """Seconds from a client's end until the server has ended its session, for the right reason.

    By release those of clients that say goodbye, and of `killed`, which cannot; they are in c1 to c4.
    """
    with (
        clients_of_all(setting, "leaves", "explicit-exit-notify 1") as polite,
        setting.client("c4", common_name="killed") as killed,
    ):
        killed.connected()
        ends = {release: rf"client_ended .*common_name=leaves-{release} .*reason=peer_exit" for release in polite}
        ends["killed"] = r"client_ended .*common_name=killed .*reason=peer_timeout"
        for client in polite.values():
            client.process.send_signal(signal.SIGTERM)
        killed.process.send_signal(signal.SIGKILL)
        return seconds_until(dict.fromkeys(ends, server.process), ends)


def restart_and_drain(setting: Setting, *extra: str) -> tuple[dict[str, float], dict[str, float]]:
    """Clients of all releases, with two remotes, at a server that ends and comes back, and then ends for good.

    The second remote is the real openvpn's server, in c4; the clients are in c1 to c3 and have `extra`. First the
    server ends without `explicit-exit-notify` in its config: they come back to it, though the other remote is there.
    Then with `explicit-exit-notify 2`: they go to the other one. Returns seconds from the new server's ready line, and
    from the last one's SIGTERM, until each client is connected.
    """
    place, config = client_address("c4"), setting.folder / "next.conf"
    config.write_text("\n".join([*EXTRA, setting.config(extra=("port 1195",))]))  # 1194 is passed on by the host
    command = setting.topology.namespaces.command("c4", "openvpn", "--config", str(config))
    following = Process(command, setting.folder / "next.log")
    try:
        following.wait_for(CONNECTED)
        with (
            setting.server("hosted") as server,
            clients_of_all(setting, "stays", f"remote {place} 1195", *extra) as made,
        ):
            processes = {release: client.process for release, client in made.items()}
            assert server.stop() == 0
            seconds_until(processes, dict.fromkeys(processes, RESTARTED))
            with setting.server("hosted", extra=("explicit-exit-notify 2",)) as again:
                back = seconds_until(processes, dict.fromkeys(processes, CONNECTED), 2)
                assert all(client.ping(GATEWAY, 1) for client in made.values()), "no answer after the restart"
                assert "Peer Connection Initiated" not in following.text, "a client went to its next remote"
                again.process.send_signal(signal.SIGTERM)
                gone = seconds_until(processes, dict.fromkeys(processes, CONNECTED), 3)
            assert all(client.ping(GATEWAY, 1) for client in made.values()), "no answer at the next remote"
            assert following.text.count("Peer Connection Initiated") == len(made)
            # Of the old server, which is still there when a client asks again.
            assert not any("AUTH_FAILED" in client.log for client in made.values())
    finally:
        following.stop()
    return back, gone


def seconds_until(processes: dict[str, Process], patterns: dict[str, str], count: int = 1) -> dict[str, float]:
    """Seconds from now until the log of each has `count` matches of its pattern; RuntimeError after PATIENCE_S."""
    began = time.monotonic()
    took: dict[str, float] = {}
    while len(took) < len(processes):
        for name, process in processes.items():
            if name not in took and len(re.findall(patterns[name], process.text)) >= count:
                took[name] = round(time.monotonic() - began, 2)
        if time.monotonic() > began + PATIENCE_S:
            late = min(set(processes) - set(took))
            raise RuntimeError(f"{late}: no {patterns[late]!r} in {PATIENCE_S} s:\n{processes[late].text[-1500:]}")
        time.sleep(0.02)
    return took
