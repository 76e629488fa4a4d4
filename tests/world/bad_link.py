"""A bad link in place of a client's cable: lossy_bridge.py between its namespace and the host's bridge."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from .processes import Process
from .topology import Topology


class BadLink:
    """A context manager; options are those of lossy_bridge.py. At its end the client has its cable again.

    counts: frames lost, repeated and so on in both directions together, once it has ended.
    """

    def __init__(self, topology: Topology, client: str, *options: str) -> None:
        self.counts: Counter[str] = Counter()
        self._topology = topology
        self._client = client
        self._port = f"to-{client}"
        spaces = topology.namespaces
        script = str(Path(__file__).with_name("lossy_bridge.py"))
        ends = ["--a", f"{spaces.full(client)}:eth0", "--b", f"{spaces.full('host')}:{self._port}"]
        self._command = [sys.executable, script, *ends, *options]

    def __enter__(self) -> BadLink:
        spaces = self._topology.namespaces
        spaces.run("host", "ip", "link", "del", self._port)
        self._bridge = Process(self._command, self._topology.folder / f"{self._port}.log")
        try:
            self._bridge.wait_for("^ready$")
            self._topology.plug_in(self._client)
        except BaseException:
            self._bridge.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._bridge.stop()  # its interfaces go with it
        self._topology.namespaces.veth("host", self._port, self._client, "eth0")
        self._topology.plug_in(self._client)
        report = json.loads(self._bridge.text.splitlines()[-1])
        for way in ("a_to_b", "b_to_a"):
            self.counts.update(report[way])
