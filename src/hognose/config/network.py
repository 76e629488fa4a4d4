"""Transport, tunnel network, address pool and reservations, packet sizes."""

from __future__ import annotations

from collections.abc import Collection

from hognose.address import Address, Prefix, address_text, parse_ipv4, prefix_len_of
from hognose.address_scope import is_host
from hognose.config.collected import SERVER_EXAMPLE, Collected
from hognose.config.lexer import Directive, split_lines
from hognose.config.rows import INT_MAX
from hognose.settings import ControlSettings, DataSettings, ListenerSettings, MssfixMode, NetworkSettings

MAX_RESERVATIONS = 65_536


def is_for_clients(tunnel: Prefix, address: Address) -> bool:
    """True for an address of the tunnel that a client may have: the first is the server's, the last the broadcast."""
    return tunnel.at(1) < address < tunnel.last


def check_device(lines: Collected) -> None:
    """ConfigError unless it is a server's tun."""
    lines.choice("mode", "server", ("server",))
    lines.choice("topology", "subnet", ("subnet",))
    lines.choice("dev-type", "tun", ("tun",))
    dev = lines.need("dev", "dev tun")
    if not dev.words[0].startswith("tun") and "dev-type" not in lines:
        raise lines.error(dev, f"`{dev.words[0]}` is not supported; write `dev tun`")


def tunnel_network(lines: Collected) -> Prefix:
    """The network of `server NETWORK NETMASK [nopool]`; ConfigError when it is absent or no network for clients."""
    directive = lines.need("server", SERVER_EXAMPLE)
    network, mask = (lines.address(directive, word, SERVER_EXAMPLE) for word in directive.words[:2])
    try:
        prefix_len = prefix_len_of(mask)
    except ValueError:
        prefix_len = 0
    if not 8 <= prefix_len <= 29:
        raise lines.error(directive, "the netmask must be one of 255.0.0.0 … 255.255.255.248")
    tunnel = Prefix.of(network, prefix_len)
    if network != tunnel.network:
        better = f"server {address_text(tunnel.network)} {address_text(mask)}"
        raise lines.error(directive, f"host bits are set; write `{better}`")
    if not is_host(network):
        raise lines.error(directive, f"{address_text(network)} is no network for hosts; write one of RFC 1918")
    if len(directive.words) == 3:
        if directive.words[2] != "nopool":
            raise lines.error(directive, "the third word can only be `nopool`")
        if "ifconfig-pool" not in lines:
            raise lines.error(directive, "`nopool` wants a pool; write `ifconfig-pool FIRST LAST` or leave it out")
    return tunnel


def settings(lines: Collected, tunnel: Prefix, ports: tuple[ListenerSettings, ...]) -> NetworkSettings:
    """The tunnel network, the addresses for clients, and the ports; ConfigError for a pool that does not fit."""
    first, last = pool(lines, tunnel)
    passtos = lines.get("passtos")
    if passtos is not None and all(one.proto == "tcp" for one in ports):
        lines.warn(passtos, "without effect: there is no port of UDP")
    return lines.filled(NetworkSettings(tunnel, ports, first, last))


def pool(lines: Collected, tunnel: Prefix) -> tuple[Address, Address]:
    """First and last address of ifconfig-pool, (b"", b"") when it is absent. ConfigError unless both are clients'."""
    directive = lines.get("ifconfig-pool")
    if directive is None:
        return b"", b""
    example = f"ifconfig-pool {address_text(tunnel.at(2))} {address_text(tunnel.at(-2))}"
    first, last = (lines.address(directive, word, example) for word in directive.words[:2])
    if not (is_for_clients(tunnel, first) and is_for_clients(tunnel, last) and first <= last):
        what = "two addresses inside of `server` and behind its first one, which is ours, are needed"
        raise lines.error(directive, f"{what}; write `{example}` or a part of it")
    if len(directive.words) == 3:
        mask = address_text(tunnel.mask)
        if directive.words[2] != mask:
            raise lines.error(directive, f"the netmask is not that of `server`; write {mask} or leave it out")
    return first, last


def reservations(
    lines: Collected, tunnel: Prefix, bounds: tuple[Address, Address], taken: Collection[Address]
) -> dict[str, Address]:
    """Address by common name, of ifconfig-pool-persist (OpenVPN pool.c, ifconfig_pool_read).

    The file is written by machines: lines that no longer fit are left out with one warning. An absent file is none.
    bounds: of ifconfig-pool; taken: addresses of ifconfig-push. ConfigError for a file that cannot be read, and
    for more than MAX_RESERVATIONS lines with addresses.
    """
    directive = lines.get("ifconfig-pool-persist")
    if directive is None:
        return {}
    lines.number("ifconfig-pool-persist", 600, 0, INT_MAX, at=1 if directive.block is None else 0)
    if lines.is_absent(directive):
        text = "the file is not there: no address is reserved; a client's follows from its name"
        lines.warn(directive, text)
        return {}
    first, last = bounds if bounds[0] else (tunnel.at(2), tunnel.at(-2))
    reserved: dict[str, Address] = {}
    used = set(taken)
    odd: list[str] = []
    for number, line in enumerate(split_lines(lines.text(directive)), 1):
        if not line.strip() or line[0] in "#;":
            continue
        name, _, rest = line.partition(",")
        word = rest.partition(",")[0].strip()
        if name and not word and rest:
            continue  # only an IPv6 address
        try:
            address = parse_ipv4(word)
        except ValueError:
            address = b""
        if len(reserved) == MAX_RESERVATIONS:
            raise lines.error(directive, f"more than {MAX_RESERVATIONS} addresses")
        if not (name and first <= address <= last) or address in used or name in reserved:
            odd.append(f"line {number}")
            continue
        reserved[name] = address
        used.add(address)
    if odd:
        text = f"{len(odd)} of its lines left out, the first is {odd[0]}: no free address of the pool"
        lines.warn(directive, text)
    return reserved


def mssfix(lines: Collected) -> tuple[int, MssfixMode]:
    """(mssfix, its mode), with OpenVPN 2.6's defaults.

    `mssfix` alone: 1492 with the outer headers when tun-mtu is 1500, else tun-mtu itself (options.c,
    options_set_mssfix). max-packet-size also bounds data packets: `mssfix N mtu` when no mssfix says another.
    ConfigError for a number out of range or an unknown mode.
    """
    default = DataSettings()
    tun_mtu = lines.filled(default).tun_mtu
    lines.number("tun-mtu", 0, 0, 65_535, at=1)
    largest = lines.filled(ControlSettings()).max_packet_size
    directive = lines.get("mssfix")
    if directive is not None and directive.words:
        return _mssfix(lines, directive)
    if directive is None and "max-packet-size" in lines:
        return largest, "mtu"
    if tun_mtu == default.tun_mtu:
        return default.mssfix, default.mssfix_mode
    return tun_mtu, "fixed"


def _mssfix(lines: Collected, directive: Directive) -> tuple[int, MssfixMode]:
    value = lines.word_number(directive, directive.words[0], 0, 65_535)
    mode = directive.words[1] if len(directive.words) > 1 else "plain"
    if mode == "plain" or mode not in ("mtu", "fixed"):
        if len(directive.words) > 1:
            text = f"`{mode}` is not understood; write `mssfix {value} mtu` or `mssfix {value} fixed`"
            raise lines.error(directive, text)
        return value, "plain"
    return value, "mtu" if mode == "mtu" else "fixed"
