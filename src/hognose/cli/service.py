"""Serving, the same in every world: a config and an open device in, an exit status out."""

from __future__ import annotations

import gc
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import cryptography
from cryptography.hazmat.backends.openssl import backend

import hognose
from hognose.address import address_text
from hognose.cli.arguments import BootArguments
from hognose.cli.config_watch import ConfigReload, LoadedConfig
from hognose.device.tap import TapDevice
from hognose.drops import Counters
from hognose.events import EventKind
from hognose.gateway.assemble import Uplink, assemble
from hognose.host import clock, heap, loop
from hognose.host.console import Console
from hognose.limits import Limits
from hognose.link import LinkCaps


def bounds(memory_bytes: int, arguments: BootArguments, max_clients: int = 0) -> Limits:
    """Limits by memory, with what the arguments say of the NAT and of strangers; TCP has room for all of them."""
    limits = Limits.for_memory(memory_bytes)
    flows = arguments.nat_flows or limits.nat.flows
    nat = replace(
        limits.nat,
        flows=flows,
        flows_per_client=min(arguments.nat_flows_per_client or limits.nat.flows_per_client, flows),
        endpoint_independent_filtering=arguments.endpoint_independent_filtering,
    )
    asked = dict(arguments.handshake_limits)
    handshake = limits.handshake
    # Where one of the two is given, the other one gives way: an address is part of its prefix.
    per_prefix = asked.get("per_prefix", max(handshake.per_prefix, asked.get("per_address", 0)))
    per_address = asked.get("per_address", min(handshake.per_address, per_prefix))
    handshake = replace(handshake, **(asked | {"per_address": per_address, "per_prefix": per_prefix}))
    connections = max(limits.tcp.connections, handshake.strangers + handshake.handshakes + max_clients)
    return replace(limits, nat=nat, handshake=handshake, tcp=replace(limits.tcp, connections=connections))


def warn_of_arguments(arguments: BootArguments, console: Console) -> None:
    """Log the arguments that have no effect."""
    for text in arguments.warnings:
        console.event(EventKind.CONFIG_WARNING, where="arguments", directive="-l", text=text)


def _note_unraisable(console: Console, bug: sys.UnraisableHookArgs) -> None:
    """An exception that no caller can catch (of a finalizer): an event, where the interpreter would write to stderr."""
    console.event(EventKind.INTERNAL_ERROR, where="interpreter", error=bug.exc_type.__name__, conn=0)


def _offloads(caps: LinkCaps, nic_uso4: bool | None) -> str:
    """Offloads of the device and of the NIC below it, for the ready line (docs/dev/device.md)."""
    names = ("rx_gso", "rx_uso4", "tx_csum", "tx_tso4", "tx_uso4")
    found = [f"{name}:{int(getattr(caps, name))}" for name in names]
    if nic_uso4 is not None:
        found.append(f"nic_uso4:{int(nic_uso4)}")
    return ",".join(found)


def serve(
    loaded: LoadedConfig,
    device: TapDevice,
    arguments: BootArguments,
    *,
    memory_bytes: int,
    console: Console,
    counters: Counters,
    sources: list[loop.StopSource],
    confine: Callable[[], str],
    nic_uso4: bool | None = None,
) -> None:
    """Serve until a stop source asks for the end. ConfigError before the ready line, DeviceError after it.

    confine: done when all is open, just before the ready line, which has its answer.

    nic_uso4: the NIC segments datagrams itself, for the ready line; None: nothing is said of it.
    """
    console.count_in(counters)
    sys.unraisablehook = partial(_note_unraisable, console)
    config = loaded.config
    limits = bounds(memory_bytes, arguments, config.admission.max_clients)
    gateway = assemble(
        config,
        caps=device.caps,
        uplink=Uplink(
            arguments.address,
            arguments.prefix_len,
            arguments.gateway,
            arguments.clients_may_reach,
            arguments.gateway_mac,
        ),
        limits=limits,
        random=os.urandom,
        now=clock.monotonic(),
        unix=clock.wall(),
        counters=counters,
        clock=clock.monotonic,
    )
    caps = device.caps
    heap.keep_memory(memory_bytes)
    watch = ConfigReload(loaded, now=clock.monotonic(), apply=gateway.reconfigure, console=console)
    console.event(
        EventKind.READY,
        version=hognose.__version__,
        python=platform.python_version(),
        openssl=backend.openssl_version_text().split()[1],
        cryptography=cryptography.__version__,
        kernel=os.uname().release,
        address=f"{address_text(arguments.address)}/{arguments.prefix_len}",
        gateway=address_text(arguments.gateway) if arguments.gateway is not None else "none",
        port=",".join(map(str, config.network.listeners)),
        mac=caps.mac.hex(":"),
        mtu=caps.mtu,
        offloads=_offloads(caps, nic_uso4),
        confined=confine(),
        tunnel=str(config.network.tunnel),
        name=arguments.name,
    )
    # What exists now lives to the end; a collection over it would only cost. The engines make no reference cycles on
    # the data path, so the youngest generation stays small.
    gc.collect()
    gc.freeze()
    loop.run(gateway, device, console, counters, sources, watch)
