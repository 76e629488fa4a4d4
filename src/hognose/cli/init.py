"""PID 1 of the virtual machine: prepare the machine, serve, log the exit status, end the machine.

The last console line is `hognose: exit status N` (host/status.py). An unplanned end is a kernel panic,
which the hypervisor reports by its own status; solo5-hvt ends with the program's status in any case.
"""

from __future__ import annotations

import os
import platform
import sys

import hognose
from hognose.cli.arguments import USAGE, ArgumentError, BootArguments, parse_arguments
from hognose.cli.config_watch import load
from hognose.cli.service import serve, warn_of_arguments
from hognose.device.tap import open_tap
from hognose.drops import Counters
from hognose.errors import ConfigError, DeviceError
from hognose.events import Event, EventKind
from hognose.host import boot, clock
from hognose.host.console import Console, log_queue
from hognose.host.log_queue import LogQueue
from hognose.host.status import ExitStatus


def main() -> None:
    """Run PID 1; never returns in a VM."""
    machine = boot.machine()
    queue = log_queue(machine.output())
    console = Console("info", queue)
    try:
        machine.prepare()
        status = _run(sys.argv[1:], machine, queue)
    except Exception as error:
        bug = Event(EventKind.INTERNAL_ERROR, {"where": "pid1", "error": type(error).__name__, "conn": 0})
        console.end(bug, f"hognose: exit status {int(ExitStatus.INTERNAL)}")
        os._exit(ExitStatus.INTERNAL)  # PID 1 has ended: the kernel panics, and the hypervisor reports it
    console.end(Event(EventKind.STOPPED, {"status": int(status)}), f"hognose: exit status {int(status)}")
    machine.end(status)


def _run(words: list[str], machine: boot.Machine, queue: LogQueue) -> ExitStatus:
    console = Console("info", queue)
    try:
        arguments = parse_arguments(words)
    except ArgumentError as error:
        console.event(EventKind.CONFIG_ERROR, text=str(error))
        return ExitStatus.ARGUMENTS
    if arguments.help:
        for line in USAGE.splitlines():
            console.line(line)
        return ExitStatus.OK
    if not arguments.address:
        console.event(EventKind.CONFIG_ERROR, text="--ipv4 is missing, for example -- --ipv4=10.0.0.2/24")
        return ExitStatus.ARGUMENTS
    return _serve(arguments, machine, Console(arguments.log_level, queue, arguments.log_sources))


def _serve(arguments: BootArguments, machine: boot.Machine, console: Console) -> ExitStatus:
    counters = Counters()
    memory = boot.memory_bytes()
    console.event(
        EventKind.BOOT,
        version=hognose.__version__,
        python=platform.python_version(),
        memory_mib=memory >> 20,
        argv=" ".join(sys.argv[1:]),
    )
    warn_of_arguments(arguments, console)
    try:
        source = boot.open_config_device(machine)
        loaded = load(
            source,
            "server.conf",
            console,
            clock.wall(),
            no_authentication=arguments.no_authentication,
            destinations=arguments.destinations,
        )
    except ConfigError as error:
        console.event(EventKind.CONFIG_ERROR, text=str(error))
        return ExitStatus.CONFIG
    except DeviceError as error:
        console.event(EventKind.DEVICE_ERROR, text=str(error))
        return ExitStatus.BLOCK_DEVICE
    try:
        clock.wait(arguments.delay)
        device = open_tap(machine.frame_device(), counters)
        serve(
            loaded,
            device,
            arguments,
            memory_bytes=memory,
            console=console,
            counters=counters,
            sources=machine.stop_sources(),
            confine=machine.confine,
            nic_uso4=machine.nic_uso4,
        )
    except ConfigError as error:
        console.event(EventKind.CONFIG_ERROR, text=str(error))
        return ExitStatus.CONFIG
    except DeviceError as error:
        console.event(EventKind.DEVICE_ERROR, text=str(error))
        return ExitStatus.FRAME_DEVICE
    return ExitStatus.OK


if __name__ == "__main__":
    main()
