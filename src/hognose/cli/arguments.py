"""Boot arguments: the words behind ` -- ` on the kernel command line, the tender's tail, those of `hognose serve`."""

from __future__ import annotations

from dataclasses import dataclass

from hognose.host.console import LEVELS
from hognose.units import Ipv4Int, ipv4_int, ipv4_text, netmask

USAGE = """arguments:
  --ipv4=ADDRESS/PREFIX      the server's own address, for example 10.0.0.2/24
  --ipv4-gateway=ADDRESS     the router to the Internet
  -l LEVEL, --logs=LEVEL     error, warning, info or debug; info when absent
  --name=NAME                a name for the log
  --help                     this text"""

_VALUED = ("--ipv4", "--ipv4-gateway", "-l", "--logs", "--name")
_FEWER = {"quiet": "error", "app": "error"}  # levels of the reference system that say less than error
# The reference system's other arguments, so that their absence here is no riddle.
_NOT_YET = (
    "--ipv6",
    "--ipv6-gateway",
    "--ipv4-only",
    "--ipv6-only",
    "--accept-router-advertisements",
    "--nat-table-size",
    "--really-no-authentication",
    "--delay",
)


class ArgumentError(ValueError):
    """A word that is not understood; its text is one line for the console."""


@dataclass(frozen=True, slots=True)
class BootArguments:
    """What the arguments say; address 0 when --ipv4 is absent."""

    address: Ipv4Int = 0
    prefix_len: int = 0
    gateway: Ipv4Int | None = None
    log_level: str = "info"
    name: str = "hognose"
    help: bool = False


def parse_arguments(words: list[str]) -> BootArguments:
    """ArgumentError names the word that is unknown or wrong."""
    address, prefix_len, gateway = 0, 0, None
    level, name, wants_help = "info", "hognose", False
    rest = list(words)
    while rest:
        word = rest.pop(0)
        option, separator, value = word.partition("=")
        if option.startswith("-l") and len(option) > 2:  # -lLEVEL
            option, value, separator = "-l", word[2:].removeprefix("="), "="
        if option in _VALUED and not separator:
            if not rest:
                raise ArgumentError(f"{option} needs a value")
            value = rest.pop(0)
        if option == "--ipv4":
            address, prefix_len = _network(value)
        elif option == "--ipv4-gateway":
            gateway = _address(option, value)
        elif option in ("-l", "--logs"):
            level = _level(value)
        elif option == "--name":
            name = value
        elif word in ("--help", "-h"):
            wants_help = True
        else:
            raise ArgumentError(
                f"{option} is not supported (yet)" if option in _NOT_YET else f"unknown argument {word!r}; see --help"
            )
    _check(address, prefix_len, gateway)
    return BootArguments(address, prefix_len, gateway, level, name, wants_help)


def _check(address: Ipv4Int, prefix_len: int, gateway: Ipv4Int | None) -> None:
    """A gateway must be a neighbour."""
    if gateway is None or not address:
        return
    if (gateway ^ address) & netmask(prefix_len):
        raise ArgumentError(f"--ipv4-gateway={ipv4_text(gateway)} is not in {ipv4_text(address)}/{prefix_len}")
    if gateway == address:
        raise ArgumentError("--ipv4-gateway is the server's own address")


def _network(value: str) -> tuple[Ipv4Int, int]:
    text, separator, prefix = value.partition("/")
    if not separator or not (prefix.isascii() and prefix.isdigit() and 8 <= int(prefix[:3]) <= 32):
        raise ArgumentError(f"--ipv4={value} is not ADDRESS/PREFIX, for example 10.0.0.2/24")
    address = _address("--ipv4", text)
    inverted = 0xFFFFFFFF & ~netmask(int(prefix))
    if inverted > 1 and address & inverted in (0, inverted):
        raise ArgumentError(f"--ipv4={value} is a network or broadcast address")
    return address, int(prefix)


def _address(option: str, value: str) -> Ipv4Int:
    try:
        address = ipv4_int(value)
    except ValueError:
        raise ArgumentError(f"{option}: {value!r} is no IPv4 address") from None
    if address >> 24 in (0, 127) or address >> 28 >= 14:
        raise ArgumentError(f"{option}: {value} cannot be a host's address")
    return address


def _level(value: str) -> str:
    """LEVEL, or SRC:LEVEL,… of the reference system: the most talkative level named counts for all sources."""
    levels = [part.rpartition(":")[2] for part in value.split(",")]
    for index, level in enumerate(levels):
        levels[index] = _FEWER.get(level, level)
        if levels[index] not in LEVELS:
            raise ArgumentError(f"-l {value}: {level!r} is none of {', '.join(LEVELS)}")
    return max(levels, key=lambda level: LEVELS[level])
