"""`hognose serve`: the same gateway in a process, on a tap or macvtap of the machine's Linux."""

from __future__ import annotations

import os
import stat
import sys

from hognose.cli.arguments import USAGE, ArgumentError, BootArguments, parse_arguments
from hognose.cli.config_watch import load
from hognose.cli.service import serve, warn_of_arguments
from hognose.device.tap import open_tap
from hognose.drops import Counters
from hognose.errors import ConfigError, DeviceError
from hognose.events import Event, EventKind
from hognose.host import clock, confinement
from hognose.host.config_source import ConfigSource
from hognose.host.console import Console, log_queue
from hognose.host.output import open_output
from hognose.host.signals import SignalPipe
from hognose.host.status import ExitStatus

SERVE_USAGE = f"""usage: hognose serve --config FILE --device PATH [--mac MAC] [--offload=on|off] [arguments]
  --config FILE              an embedded config (hognose config embed); SIGHUP reads it again
  --device PATH              /dev/tapN of a macvtap, or /dev/net/tun:NAME of a tap
  --mac MAC                  our own MAC address; needed for a tap
  --offload=on|off           super-frames and partial checksums, on when absent
  --memory MIB               scale buffers and tables as for so much memory, 1024 when absent
{USAGE}"""

_OWN = {"--config": "", "--device": "", "--mac": "", "--offload": "on", "--memory": "1024"}


def run(words: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; the exit status."""
    try:
        own, boot = _split(words)
        if boot.help:
            sys.stdout.write(SERVE_USAGE + "\n")
            return ExitStatus.OK
        mac = _check(own, boot)
    except ArgumentError as error:
        sys.stderr.write(f"hognose serve: {error}\n")
        return ExitStatus.ARGUMENTS
    console = Console(boot.log_level, log_queue(open_output()), boot.log_sources)
    warn_of_arguments(boot, console)
    status = _serve(own, boot, mac, console)
    console.end(Event(EventKind.STOPPED, {"status": int(status)}))
    return status


def _serve(own: dict[str, str], boot: BootArguments, mac: bytes | None, console: Console) -> ExitStatus:
    counters = Counters()
    path = own["--config"]
    try:
        source = ConfigSource(path, path)
        loaded = load(
            source,
            path,
            console,
            clock.wall(),
            no_authentication=boot.no_authentication,
            destinations=boot.destinations,
        )
    except (ConfigError, DeviceError) as error:
        console.event(EventKind.CONFIG_ERROR, text=str(error))
        return ExitStatus.CONFIG if isinstance(error, ConfigError) else ExitStatus.BLOCK_DEVICE
    if _others_can_read(path):
        text = f"others can read it, and it holds the server's key: chmod 600 {path}"
        console.event(EventKind.CONFIG_WARNING, where=path, directive="--config", text=text)
    try:
        clock.wait(boot.delay)
        device = open_tap(own["--device"], counters, mac=mac, offloads=own["--offload"] == "on")
        serve(
            loaded,
            device,
            boot,
            memory_bytes=int(own["--memory"]) << 20,
            console=console,
            counters=counters,
            sources=[SignalPipe(source.request)],
            confine=confinement.confine,
        )
    except ConfigError as error:
        console.event(EventKind.CONFIG_ERROR, text=str(error))
        return ExitStatus.CONFIG
    except DeviceError as error:
        console.event(EventKind.DEVICE_ERROR, text=str(error))
        return ExitStatus.FRAME_DEVICE
    return ExitStatus.OK


def _others_can_read(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & (stat.S_IRGRP | stat.S_IROTH))
    except OSError:  # it went away after it was read
        return False


def _split(words: list[str]) -> tuple[dict[str, str], BootArguments]:
    """Our own options, and the boot arguments that every world knows."""
    own = dict(_OWN)
    rest: list[str] = []
    pending = list(words)
    while pending:
        word = pending.pop(0)
        option, separator, value = word.partition("=")
        if option not in own:
            rest.append(word)
            continue
        if not separator:
            if not pending:
                raise ArgumentError(f"{option} needs a value")
            value = pending.pop(0)
        own[option] = value
    return own, parse_arguments(rest)


def _check(own: dict[str, str], boot: BootArguments) -> bytes | None:
    """Check our own options; returns the MAC as bytes, None without one."""
    for option, example in (("--config", "server.conf.full"), ("--device", "/dev/tap7")):
        if not own[option]:
            raise ArgumentError(f"{option} is missing, for example {option} {example}")
    if not boot.address:
        raise ArgumentError("--ipv4 is missing, for example --ipv4=10.0.0.2/24")
    if own["--offload"] not in ("on", "off"):
        raise ArgumentError(f"--offload={own['--offload']} is neither on nor off")
    memory = own["--memory"]
    if not (memory.isascii() and memory.isdigit() and len(memory) < 10 and 16 <= int(memory) <= 1 << 20):
        raise ArgumentError(f"--memory {memory} is no number of MiB from 16")
    if not own["--mac"]:
        return None
    try:
        mac = bytes.fromhex(own["--mac"].replace(":", ""))
    except ValueError:
        mac = b""
    if len(mac) != 6 or mac[0] & 1:
        raise ArgumentError(f"--mac {own['--mac']} is no unicast MAC address")
    return mac
