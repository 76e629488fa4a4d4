"""Time that the real openvpn client takes to connect through a lossy bridge, by seed (needs root).

    python -m tests.interop.loss_connects [--loss 0.2] [--count 20] [--first 1] [--rtt-ms 40] [--server hognose openvpn]

One attempt per seed with the client's default options over TCP, from the start of its process to "Initialization
Sequence Completed"; the server is in turn Hognose (hosted, on a macvtap) and the real openvpn of this machine with
Linux's TCP, at the same bridge with the same seed. Loss is in each direction and hits whole frames. Prints one line
per server: how many connected, median, 95th percentile (the 19th of 20) and the longest in seconds. All in namespaces
of loss_comparison's, so not at the same time as that.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.compat.openvpn_server import EXTRA
from tests.interop.loss_comparison import ADDRESS, CLIENT_NS, SERVER_NS, bridge, run
from tests.world.openvpn_client import ClientSettings
from tests.world.pki import SERVER, current_authority, static_key
from tests.world.processes import Process
from tests.world.server import ServerSettings, with_generation

CONNECTED = "Initialization Sequence Completed"
PATIENCE_S = 90.0


class Attempts:
    """One PKI and one pair of configs for every attempt."""

    def __init__(self, folder: Path, proto: str = "tcp") -> None:
        authority = current_authority()
        key = static_key()
        self._folder = folder
        identity = authority.issue("server", SERVER)
        self._server_config = ServerSettings(authority, identity, static_key=key, proto=proto).text()
        settings = ClientSettings(authority.pem, authority.issue("alice"), ADDRESS, static_key=key, proto=proto)
        # Its own defaults but for one thing: a second attempt would hide how long the first one took.
        lines = [line for line in settings.text().splitlines() if not line.startswith("connect-retry")]
        self._client = folder / "client.ovpn"
        self._client.write_text("\n".join([*lines, "connect-retry-max 1", ""]))

    def connect(self, start_server: Callable[[Attempts], Process], loss: float, rtt_ms: float, seed: int) -> float:
        """Seconds until the client is up, infinity when it gives up or PATIENCE_S are over."""
        with bridge(loss, rtt_ms, seed), contextlib.ExitStack() as stack:
            server = start_server(self)
            stack.callback(server.stop)
            began = time.monotonic()
            command = ["ip", "netns", "exec", CLIENT_NS, "openvpn", "--config", str(self._client)]
            client = Process(command, self._folder / "client.log")
            stack.callback(client.stop)
            try:
                client.wait_for(CONNECTED, PATIENCE_S)
            except RuntimeError:
                return math.inf
            return time.monotonic() - began

    def hognose(self) -> Process:
        """Hognose on a macvtap of the bridge's far end."""
        run("ip", "-n", SERVER_NS, "link", "add", "link", "ts0", "name", "mv0", "type", "macvtap", "mode", "passthru")
        run("ip", "-n", SERVER_NS, "link", "set", "mv0", "up")
        numbers = run("ip", "netns", "exec", SERVER_NS, "sh", "-c", "cat /sys/class/net/mv0/tap*/dev").split(":")
        node = self._folder / "tap"
        node.unlink(missing_ok=True)
        os.mknod(node, 0o600 | 0o020000, os.makedev(int(numbers[0]), int(numbers[1])))
        config = self._folder / "server.conf"
        config.write_bytes(with_generation(self._server_config))
        return self._started(
            "^info ready ", sys.executable, "-m", "hognose", "serve", "--config", str(config), "--device", str(node),
            "--offload=off", f"--ipv4={ADDRESS}/24", "--ipv4-gateway=10.99.0.2",
        )  # fmt: skip

    def openvpn(self) -> Process:
        """The real one, on Linux's sockets."""
        run("ip", "-n", SERVER_NS, "addr", "add", f"{ADDRESS}/24", "dev", "ts0")
        config = self._folder / "openvpn.conf"
        config.write_text("\n".join(EXTRA) + "\n" + self._server_config)
        return self._started(CONNECTED, "openvpn", "--config", str(config))

    def _started(self, ready: str, *words: str) -> Process:
        process = Process(["ip", "netns", "exec", SERVER_NS, *words], self._folder / "server.log")
        try:
            process.wait_for(ready)
        except RuntimeError:
            process.stop()
            raise
        return process


SERVERS: dict[str, Callable[[Attempts], Process]] = {"hognose": Attempts.hognose, "openvpn": Attempts.openvpn}


def percentile(times: list[float], share: float) -> float:
    """The smallest of `times` that `share` of them do not exceed."""
    return sorted(times)[max(0, math.ceil(share * len(times)) - 1)]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loss", type=float, default=0.2)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--rtt-ms", type=float, default=40)
    parser.add_argument("--server", nargs="+", choices=list(SERVERS), default=list(SERVERS))
    arguments = parser.parse_args(argv)
    for name in arguments.server:
        with tempfile.TemporaryDirectory() as folder:
            attempts = Attempts(Path(folder))
            seeds = range(arguments.first, arguments.first + arguments.count)
            times = [attempts.connect(SERVERS[name], arguments.loss, arguments.rtt_ms, seed) for seed in seeds]
        line = {
            "server": name,
            "loss": arguments.loss,
            "connected": f"{sum(map(math.isfinite, times))}/{len(times)}",
            "median": round(statistics.median(times), 2),
            "p95": round(percentile(times, 0.95), 2),
            "longest": round(max(times), 2),
            "all": [round(took, 2) for took in times],
        }
        print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
