"""`make demo`: boots the image, connects a real openvpn client, shows its traffic on the way through the NAT.

usage: demo.py [vm|hvt]: under qemu, or as a guest of solo5-hvt.

Everything happens in network namespaces of its own, with a throw-away PKI, over the README's host recipe.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.world.openvpn_client import ClientSettings, OpenvpnClient
from tests.world.pki import SERVER, current_authority, static_key
from tests.world.server import ARGUMENTS, Server, ServerSettings
from tests.world.tender import direct_problem, tender
from tests.world.topology import HOST, INTERNET, RECIPE, Topology

SIZE = 32 << 20
LISTENERS = ["local * 1194 udp", "local * 1194 tcp"]


def say(text: str) -> None:
    """A line of the demo."""
    print(text, flush=True)


class Seen:
    """Findings of one client, from its connection to its end."""

    def __init__(self, topology: Topology, client: OpenvpnClient) -> None:
        client.connected(60)
        self.address = client.address
        self.route = client.run("ip", "route", "get", INTERNET).splitlines()[0].strip()
        self.ping = client.run("ping", "-c", "3", "-i", "0.2", INTERNET)
        say("-- sha256-checked transfers with a host beyond the NAT")
        self.down = topology.transfer("c1", "get", SIZE, timeout=600)
        self.up = topology.transfer("c1", "put", SIZE, timeout=600)

    @property
    def good(self) -> bool:
        """True when the route led through the tunnel and no ping was lost; a transfer that fails raises."""
        return "dev tun" in self.route and " 0% packet loss" in self.ping

    def tell(self) -> None:
        """Its lines of the summary."""
        lost = re.search(r"(\d+)% packet loss", self.ping)
        say(f"  client address    {self.address}")
        say(f"  default route     {self.route}")
        say(f"  ping              {lost[1] if lost else '?'}% loss; " + self.ping.strip().splitlines()[-1])
        say(f"  download          {SIZE >> 20} MiB, sha256 equal, {SIZE * 8 / self.down / 1e6:.0f} Mbit/s")
        say(f"  upload            {SIZE >> 20} MiB, sha256 equal, {SIZE * 8 / self.up / 1e6:.0f} Mbit/s")


def main(carrier: str) -> int:
    """0 when everything worked."""
    if carrier == "hvt":
        problem = direct_problem()
        if problem:
            say(f"demo: the .hvt file does not run here: {problem}")
            return 1
    with tempfile.TemporaryDirectory(prefix="hognose-demo-") as name:
        folder = Path(name)
        authority, key = current_authority("Demo CA"), static_key()
        say("-- a throw-away PKI, a server.conf with redirect-gateway, three network namespaces")
        lines = [*LISTENERS, 'push "redirect-gateway def1"']
        settings = ServerSettings(authority, authority.issue("server", SERVER), static_key=key, extra=lines)
        with Topology("hn-demo", folder, clients=1) as topology:
            say("-- host recipe, as in the README:")
            for line in RECIPE:
                say(f"   {line}")
            spaces = topology.namespaces
            spaces.run("c1", "ip", "route", "add", "default", "via", HOST)
            say("-- booting the image in qemu" if carrier == "vm" else f"-- booting the .hvt file: {tender()[1]}")
            began = time.monotonic()
            words = [*ARGUMENTS, "--clients-may-reach=not-uplink"]
            with Server(carrier, spaces, settings.text(), folder, arguments=words) as server:
                server.ready(120)
                booted = time.monotonic() - began
                say("   " + server.log.splitlines()[0])
                say(f"   ready after {booted:.1f} s: " + server.process.wait_for("^info ready ")[0])
                identity = authority.issue("demo-client")
                seen = {}
                for proto in ("udp", "tcp"):
                    say(f"-- connecting openvpn over {proto.upper()}")
                    client_settings = ClientSettings(authority.pem, identity, static_key=key, proto=proto)
                    with OpenvpnClient(spaces, "c1", client_settings, folder, label=f"-{proto}") as client:
                        seen[proto] = Seen(topology, client)
                if carrier == "vm":
                    say("-- power button")
                    server.stop()
                    stats = server.process.wait_for("^info stats ")[-1]
                    ending = f"exit status {server.printed_status}"
                else:
                    stats = server.process.wait_for("^info client_ended ", count=len(seen))[-1]
                    ending = "ends with its tender"
            say("")
            say("summary")
            for proto, one in seen.items():
                say(f" over {proto.upper()}")
                one.tell()
            say(f" server             {ending}")
            say(f"  {stats}")
            good = ending in ("exit status 0", "ends with its tender") and all(one.good for one in seen.values())
            say("demo: everything worked" if good else "demo: something is wrong, see above")
            return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "vm"))
