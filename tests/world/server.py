"""The server under test with one interface: hosted on the tap, or in a VM on the same tap."""

from __future__ import annotations

import json
import re
import shlex
import signal
import socket
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from . import nested
from .namespaces import Namespaces
from .pki import Authority, Identity
from .processes import Process
from .tender import REPO, forget_offloads, tender_line
from .topology import TAP

ARGUMENTS = ["--ipv4=10.0.0.2/24", "--ipv4-gateway=10.0.0.1"]
INIT_STATUS = re.compile(r"^hognose: exit status (\d+)$", re.M)


@dataclass
class ServerSettings:
    """Settings of server.conf; extra are further lines; with_ca False leaves the CA out (peer-fingerprint alone).

    proto: of its port; not written beside further lines with `local`, which name theirs.
    """

    authority: Authority
    identity: Identity
    wrap: str = "tls-crypt"
    static_key: str = ""
    extra: list[str] = field(default_factory=list)
    with_ca: bool = True
    proto: str = "tcp"

    def text(self) -> str:
        """An embedded config."""
        lines = ["port 1194", "dev tun", "topology subnet", "server 10.8.0.0 255.255.255.0"]
        if not any(line.startswith("local ") for line in self.extra):
            lines.insert(0, f"proto {self.proto}")
        if not any(line.startswith("keepalive") for line in self.extra):
            lines.append("keepalive 10 60")
        lines += self.extra
        blocks = {"ca": self.authority.pem, "cert": self.identity.cert, "key": self.identity.key}
        if not self.with_ca:
            del blocks["ca"]
        if self.wrap == "tls-auth":
            lines.append("key-direction 0")
        if self.wrap != "none":
            blocks[self.wrap] = self.static_key
        for name, body in blocks.items():
            lines += [f"<{name}>", body.strip(), f"</{name}>"]
        text = "\n".join(lines) + "\n"
        padding = -len(text) % 512
        return text + "\n" * (padding % 2) + "#\n" * (padding // 2)


def with_generation(config: str) -> bytes:
    """A config between its marks, in whole blocks: what the embed tool writes, but for the room that it leaves."""
    size = len(config) + 2 * (len("# hognose sha256  length 1000000") + 64) + len("\n end\n")
    size += -size % 512
    tail = f" length {size}"
    marks = 2 * (len("# hognose sha256 ") + 64 + len(tail)) + len("\n end\n")
    body = (config + "\n" * (size - marks - len(config))).encode()
    line = b"# hognose sha256 " + sha256(body).hexdigest().encode() + tail.encode()
    return line + b"\n" + body + line + b" end\n"


class Server:
    """A running server; a context manager. carrier is `hosted`, `vm`, `hvt` (a tender) or `nested` (one in a VM).

    output: a descriptor for its console, which the test reads itself; then `log` and what waits for it are empty.
    config_path: where the config is already, instead of `config`. under: words before the command.
    """

    def __init__(
        self,
        carrier: str,
        namespaces: Namespaces,
        config: str | bytes,
        folder: Path,
        *,
        arguments: list[str] | None = None,
        mem: int = 256,
        image: Path | None = None,
        output: int | None = None,
        config_path: Path | None = None,
        under: tuple[str, ...] = (),
    ) -> None:
        self.carrier = carrier
        path = config_path or folder / "server.conf.full"
        if config_path is None:
            path.write_bytes(config.encode() if isinstance(config, str) else config)
            path.chmod(0o600)
        words = ARGUMENTS if arguments is None else arguments
        self._config = path
        self._qmp = folder / "qmp"
        if carrier == "hosted":
            command = [sys.executable, str(Path(__file__).with_name("hosted.py")), "serve", "--config", str(path)]
            command += ["--device", f"/dev/net/tun:{TAP}", "--mac", "02:00:00:00:00:02", *words, "-l", "debug"]
        elif carrier == "hvt":
            forget_offloads(namespaces.full("host"), TAP)
            command = tender_line(image or REPO / "dist/hognose.hvt", path, TAP, [*words, "-l", "debug"], mem)
        elif carrier == "nested":
            guest = image or REPO / "dist/hognose.hvt"
            command = nested.command(folder, guest, path, [*words, "-l", "debug"], TAP)
        else:
            image = image or REPO / "dist/hognose.cpio.zst"
            command = [str(REPO / "image/hognose-qemu"), f"--mem={mem}", f"--block:storage={path}"]
            command += [f"--net:service={TAP}", f"--qmp={self._qmp}", "--", str(image), *words, "-l", "debug"]
            if output is not None:  # the launcher would read on
                command = shlex.split(namespaces.run("host", command[0], "--dry-run", *command[1:]))
        self.process = Process(namespaces.command("host", *under, *command), folder / f"{carrier}.log", output=output)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.running:
            self.stop()

    def ready(self, timeout: float = 60) -> Server:
        """Wait for the ready line; a server that does not come up is ended."""
        try:
            self.process.wait_for(r"^info ready ", timeout)
        except RuntimeError:
            self.process.kill()
            raise
        return self

    @property
    def log(self) -> str:
        """Everything it printed."""
        return self.process.text

    def event(self, name: str, timeout: float = 10, count: int = 1) -> dict[str, str]:
        """Fields of the count-th event line of that name."""
        line = self.process.wait_for(rf"^\w+ {name}( |$)", timeout, count)[count - 1]
        return {key: value.strip('"') for key, value in re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)', line)}

    def rewrite(self, config: str | bytes) -> None:
        """Other bytes in the config's file, in place: a block device would change like that."""
        self._config.write_bytes(config.encode() if isinstance(config, str) else config)

    def reload(self, config: str | bytes) -> None:
        """A new config, and SIGHUP (hosted only)."""
        self.rewrite(config)
        self.process.send_signal(signal.SIGHUP)

    def power_button(self) -> None:
        """Press it (VM only)."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self._qmp))
            monitor.recv(4096)
            for command in ("qmp_capabilities", "system_powerdown"):
                monitor.send(json.dumps({"execute": command}).encode())
                monitor.recv(4096)

    def stop(self) -> int:
        """The end, an orderly one where there is such a thing; the program's status, or a killed tender's."""
        if self.carrier == "vm":
            self.power_button()
            return self.process.wait(30)
        return self.process.stop(signal.SIGTERM)

    @property
    def printed_status(self) -> int:
        """The status in the VM's last console line, or in the hosted server's last event."""
        found = INIT_STATUS.findall(self.log.replace("\r", "")) or re.findall(r"stopped status=(\d+)", self.log)
        return int(found[-1])
