"""Boot arguments: the words after ` -- ` on the kernel command line, the tender's tail, those of `hognose serve`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from hognose.address import Address, Prefix, address_text, parse_ipv4
from hognose.address_scope import is_host
from hognose.destinations import Destinations, Reach
from hognose.events import EventKind
from hognose.host.console import LEVELS

USAGE = """arguments:
  --ipv4=ADDRESS/PREFIX      the server's own address, for example 10.0.0.2/24
  --ipv4-gateway=ADDRESS     the router to the Internet, in the network of --ipv4; with a /32 anywhere
  --ipv4-gateway-mac=MAC     its MAC address, which is then not asked for and never changed by ARP
  --clients-may-reach=WHAT   what clients reach through the NAT: anywhere (when absent); not-uplink, all but the network
                             of --ipv4 and the router; not-private, besides that no RFC 1918 and 100.64.0.0/10
  --nat-table-size=FLOWS     flows through the NAT at once, 100 to 65536; by memory when absent
  --nat-flows-per-client=FLOWS
                             how many of them one client may have, 16 to 65536; by memory when absent
  --nat-filtering=WHAT       who may send to a port that the NAT gave out: address-and-port (when absent), only those
                             whom its client sent to, or endpoint-independent, anybody
  --strangers-silent=CONNECTIONS, --strangers=CONNECTIONS, --handshakes=CONNECTIONS
                             how many connections may have sent nothing yet, 16 to 65536; have sent something, but no
                             valid hard reset, 16 to 16384; be in the TLS handshake, 16 to 4096; by memory when absent
  --strangers-per-address=CONNECTIONS, --strangers-per-prefix=CONNECTIONS
                             how many of each may come from one address (256 when absent) and from 256 neighbouring
                             ones (1024 when absent), 1 to 4096
  --handshake-cpu-percent=PERCENT
                             time of the processor for handshakes while clients' packets come, 1 to 100; 10 when absent
  --really-no-authentication allow verify-client-cert none: anybody is served
  --delay=SECONDS            wait before the network is touched, 0 to 3600
  -l LEVEL, --logs=LEVEL     error, warning, info or debug; info when absent; [SRC:]LEVEL,... by source, where SRC
                             begins the names of events (client:debug) or is one of the reference system's
  --name=NAME                a name for the log
  --ipv4-only=true, --ipv6-only=false, --accept-router-advertisements=false
                             what is done anyway; IPv6 (--ipv6, --ipv6-gateway) is not yet supported
  --help                     this text"""

MIN_NAT_FLOWS, MAX_NAT_FLOWS = 100, 65_536
MIN_CLIENT_FLOWS = 16
_FILTERINGS = {"address-and-port": False, "endpoint-independent": True}
_REACHES = [reach.value for reach in Reach]
MAX_DELAY = 3600  # seconds
# Argument: field of HandshakeLimits, least, most, unit. Adding a peer can scan its whole prefix, hence the last bounds.
_HANDSHAKE = {
    "--strangers-silent": ("silent", 16, 65_536, "connections"),
    "--strangers": ("strangers", 16, 16_384, "connections"),
    "--handshakes": ("handshakes", 16, 4096, "connections"),
    "--strangers-per-address": ("per_address", 1, 4096, "connections"),
    "--strangers-per-prefix": ("per_prefix", 1, 4096, "connections"),
    "--handshake-cpu-percent": ("percent_of_time", 1, 100, "percent"),
}
_VALUED = (
    "--ipv4",
    "--ipv4-gateway",
    "--ipv4-gateway-mac",
    "--clients-may-reach",
    "--nat-table-size",
    "--nat-flows-per-client",
    "--nat-filtering",
    *_HANDSHAKE,
    "--delay",
    "-l",
    "--logs",
    "--name",
    "--ipv6",
    "--ipv6-gateway",
    "--ipv4-only",
    "--ipv6-only",
    "--accept-router-advertisements",
)
_FEWER = {"quiet": "error", "app": "error"}  # levels of the reference system that say less than error
# The reference system's log sources, and the beginnings of our events' names that tell the same.
_SOURCES: dict[str, tuple[str, ...]] = {
    "application": ("boot", "ready", "device_", "stats", "stop", "internal_error"),
    "ovpn": ("config_", "peer_", "client_", "crl_"),
    "ovpn.config": ("config_",),
    "ovpn.engine": ("peer_", "client_", "crl_"),
    "miragevpn": ("peer_", "client_"),
    "miragevpn.mirage": ("peer_", "client_"),
    "tcp": ("peer_",),
}
# The outer stack has IPv4 only: the word that says so, and what stands in its way otherwise.
_IPV4_ONLY = {"--ipv4-only": "true", "--ipv6-only": "false", "--accept-router-advertisements": "false"}
_NO_IPV6 = "the server is reached by IPv4 only"


class ArgumentError(ValueError):
    """A word that is not understood; its text is one line for the console."""


@dataclass(frozen=True, slots=True)
class BootArguments:
    """Values of the arguments; address b"", nat_flows and nat_flows_per_client 0 when their arguments are absent.

    endpoint_independent_filtering: --nat-filtering=endpoint-independent. handshake_limits: fields of HandshakeLimits
    that arguments set.
    log_sources: levels of single sources, as Console takes them. warnings: one line each for the log.
    """

    address: Address = b""
    prefix_len: int = 0
    gateway: Address | None = None
    log_level: str = "info"
    name: str = "hognose"
    help: bool = False
    log_sources: tuple[tuple[str, str], ...] = ()
    nat_flows: int = 0
    nat_flows_per_client: int = 0
    endpoint_independent_filtering: bool = False
    handshake_limits: tuple[tuple[str, int], ...] = ()
    no_authentication: bool = False
    delay: int = 0  # seconds
    clients_may_reach: Reach = Reach.ANYWHERE
    warnings: tuple[str, ...] = ()
    gateway_mac: bytes | None = None  # 6 bytes

    @property
    def destinations(self) -> Destinations:
        """The rule for what clients may reach, without the tunnel's network and name servers."""
        uplink = Prefix.of(self.address or bytes(4), self.prefix_len)
        return Destinations(
            uplink=uplink,
            router=self.gateway,
            reach=self.clients_may_reach,
        )


def parse_arguments(words: list[str]) -> BootArguments:
    """Parse boot arguments; ArgumentError names the word that is unknown or wrong."""
    arguments = BootArguments()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, separator, value = word.partition("=")
        if option.startswith("-l") and len(option) > 2:  # -lLEVEL
            option, value, separator = "-l", word[2:].removeprefix("="), "="
        if option in _VALUED:
            if not separator:
                if not rest:
                    raise ArgumentError(f"{option} needs a value")
                value = rest.pop(0)
            arguments = _with_value(arguments, option, value)
        elif word == "--really-no-authentication":
            arguments = replace(arguments, no_authentication=True)
        elif word in ("--help", "-h"):
            arguments = replace(arguments, help=True)
        else:
            raise ArgumentError(f"unknown argument {word!r}; see --help")
    _check(arguments.address, arguments.prefix_len, arguments.gateway)
    if arguments.gateway_mac is not None and arguments.gateway is None:
        raise ArgumentError("--ipv4-gateway-mac needs --ipv4-gateway")
    _check_handshake_limits(dict(arguments.handshake_limits))
    return arguments


def _with_value(arguments: BootArguments, option: str, value: str) -> BootArguments:
    """The arguments with one more of _VALUED."""
    if option == "--ipv4":
        address, prefix_len = _network(value)
        return replace(arguments, address=address, prefix_len=prefix_len)
    if option == "--ipv4-gateway":
        return replace(arguments, gateway=_address(option, value))
    if option == "--ipv4-gateway-mac":
        return replace(arguments, gateway_mac=_mac(option, value))
    if option == "--clients-may-reach":
        if value not in _REACHES:
            raise ArgumentError(f"{option}={value} is none of {', '.join(_REACHES)}")
        return replace(arguments, clients_may_reach=Reach(value))
    if option == "--nat-table-size":
        return replace(arguments, nat_flows=_number(option, value, MIN_NAT_FLOWS, MAX_NAT_FLOWS, "flows"))
    if option == "--nat-flows-per-client":
        flows = _number(option, value, MIN_CLIENT_FLOWS, MAX_NAT_FLOWS, "flows")
        return replace(arguments, nat_flows_per_client=flows)
    if option == "--nat-filtering":
        if value not in _FILTERINGS:
            raise ArgumentError(f"{option}={value} is none of {', '.join(_FILTERINGS)}")
        return replace(arguments, endpoint_independent_filtering=_FILTERINGS[value])
    if option in _HANDSHAKE:
        name, least, most, unit = _HANDSHAKE[option]
        field = (name, _number(option, value, least, most, unit))
        return replace(arguments, handshake_limits=(*arguments.handshake_limits, field))
    if option == "--delay":
        return replace(arguments, delay=_number(option, value, 0, MAX_DELAY, "seconds"))
    if option in ("-l", "--logs"):
        return _with_levels(arguments, value)
    if option == "--name":
        return replace(arguments, name=value)
    _refuse_ipv6(option, value)
    return arguments


def _number(option: str, value: str, least: int, most: int, unit: str) -> int:
    if value.isascii() and value.isdigit() and len(value) < 10 and least <= int(value) <= most:
        return int(value)
    raise ArgumentError(f"{option}={value} is no number of {unit} from {least} to {most}")


def _refuse_ipv6(option: str, value: str) -> None:
    """ArgumentError for a value that asks for IPv6, which is not yet supported."""
    wanted = _IPV4_ONLY.get(option)
    if value == wanted:
        return
    if wanted is None:
        raise ArgumentError(f"{option} is not yet supported: {_NO_IPV6}; leave {option} out")
    if value not in ("true", "false"):
        raise ArgumentError(f"{option}={value} is neither true nor false")
    raise ArgumentError(f"{option}={value} is not yet supported: {_NO_IPV6}; leave it out or write {option}={wanted}")


def _check(address: Address, prefix_len: int, gateway: Address | None) -> None:
    """ArgumentError unless the gateway is a neighbour; of a single address (/32) any router can be one."""
    if gateway is None or not address:
        return
    if prefix_len < 32 and gateway not in Prefix.of(address, prefix_len):
        raise ArgumentError(f"--ipv4-gateway={address_text(gateway)} is not in {address_text(address)}/{prefix_len}")
    if gateway == address:
        raise ArgumentError("--ipv4-gateway is the server's own address")


def _check_handshake_limits(asked: dict[str, int]) -> None:
    """ArgumentError for more connections per address than per prefix: an address is part of its prefix."""
    address, prefix = asked.get("per_address", 0), asked.get("per_prefix", 0)
    if prefix and address > prefix:
        raise ArgumentError(
            f"--strangers-per-address={address} is more than --strangers-per-prefix={prefix}; "
            f"write --strangers-per-prefix={address} or more"
        )


def _network(value: str) -> tuple[Address, int]:
    text, separator, prefix = value.partition("/")
    if not separator or not (prefix.isascii() and prefix.isdigit() and len(prefix) < 4 and 8 <= int(prefix) <= 32):
        raise ArgumentError(f"--ipv4={value} is not ADDRESS/PREFIX, for example 10.0.0.2/24")
    address = _address("--ipv4", text)
    if address in Prefix.of(address, int(prefix)).broadcasts:
        raise ArgumentError(f"--ipv4={value} is a network or broadcast address")
    return address, int(prefix)


def _address(option: str, value: str) -> Address:
    try:
        address = parse_ipv4(value)
    except ValueError:
        raise ArgumentError(f"{option}: {value!r} is no IPv4 address") from None
    if not is_host(address):
        raise ArgumentError(f"{option}: {value} cannot be a host's address")
    return address


def _mac(option: str, value: str) -> bytes:
    """Six pairs of hexadecimal digits between colons or hyphens; a unicast address that is not zero."""
    if re.fullmatch(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}", value) is None:
        raise ArgumentError(f"{option}={value} is no MAC address, for example 02:00:00:00:00:01")
    mac = bytes.fromhex(re.sub("[:-]", "", value))
    if mac[0] & 1 or mac == bytes(6):
        raise ArgumentError(f"{option}={value} is no unicast MAC address")
    return mac


def _with_levels(arguments: BootArguments, value: str) -> BootArguments:
    """[SRC:]LEVEL,…: no source or `*` is the level of all that have none of their own."""
    level, sources, warnings = arguments.log_level, list(arguments.log_sources), list(arguments.warnings)
    for part in value.split(","):
        source, _, word = part.rpartition(":")
        word = _FEWER.get(word, word)
        if word not in LEVELS:
            raise ArgumentError(f"-l {value}: {word!r} is none of {', '.join(LEVELS)}")
        if source in ("", "*"):
            level = word
            continue
        beginnings = _beginnings(source)
        sources += [(beginning, word) for beginning in beginnings]
        if not beginnings:
            warnings.append(f"-l {part}: no event comes from {source!r}; ignored")
    return replace(arguments, log_level=level, log_sources=tuple(sources), warnings=tuple(warnings))


def _beginnings(source: str) -> tuple[str, ...]:
    """Beginnings of the names of events that a source stands for: our own ones, or those of the reference system."""
    if any(kind.value.startswith(source) for kind in EventKind):
        return (source,)
    while source not in _SOURCES and "." in source:  # tcp.pcb is part of tcp
        source = source.rpartition(".")[0]
    return _SOURCES.get(source, ())
