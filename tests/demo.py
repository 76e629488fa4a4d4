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

SIZE = 64 << 20


def say(text: str) -> None:
    """A line of the demo."""
    print(text, flush=True)


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
        settings = ServerSettings(
            authority, authority.issue("server", SERVER), "tls-crypt", key, ['push "redirect-gateway def1"']
        )
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
                say("-- connecting openvpn")
                client_settings = ClientSettings(authority.pem, authority.issue("demo-client"), static_key=key)
                with OpenvpnClient(spaces, "c1", client_settings, folder) as client:
                    client.connected(60)
                    address = client.address
                    route = client.run("ip", "route", "get", INTERNET).splitlines()[0].strip()
                    ping = client.run("ping", "-c", "3", "-i", "0.2", INTERNET)
                    say("-- sha256-checked transfers with a host beyond the NAT")
                    down = topology.transfer("c1", "get", SIZE, timeout=600)
                    up = topology.transfer("c1", "put", SIZE, timeout=600)
                if carrier == "vm":
                    say("-- power button")
                    server.stop()
                    stats = server.process.wait_for("^info stats ")[-1]
                    ending = f"exit status {server.printed_status}"
                else:
                    stats = server.process.wait_for("^info client_ended ")[-1]
                    ending = "ends with its tender"
            lost = re.search(r"(\d+)% packet loss", ping)
            say("")
            say("summary")
            say(f"  client address    {address}")
            say(f"  default route     {route}")
            say(f"  ping              {lost[1] if lost else '?'}% loss; " + ping.strip().splitlines()[-1])
            say(f"  download          {SIZE >> 20} MiB, sha256 equal, {SIZE * 8 / down / 1e6:.0f} Mbit/s")
            say(f"  upload            {SIZE >> 20} MiB, sha256 equal, {SIZE * 8 / up / 1e6:.0f} Mbit/s")
            say(f"  server            {ending}")
            say(f"  {stats}")
            good = ending in ("exit status 0", "ends with its tender") and "dev tun" in route
            good = good and lost is not None and lost[1] == "0"
            say("demo: everything worked" if good else "demo: something is wrong, see above")
            return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "vm"))
