"""A config's text to a ServerConfig: the checks of all parts together."""

from __future__ import annotations

from hognose.address_scope import Prefix
from hognose.config import channels, clients, keys, network, pki, timers
from hognose.config.collected import INT_MAX, Collected, ReadFile, ReadFolder
from hognose.config.lexer import lex
from hognose.config.model import ServerConfig, Warned
from hognose.config.pushed import PushedOption, check_routes
from hognose.config.tls_settings import tls_settings
from hognose.destinations import Destinations
from hognose.units import UnixSeconds
from hognose.vocabulary import Compression

__all__ = ["ReadFile", "ReadFolder", "parse"]
_EXCLUSIVE = (
    ("tls-auth", "tls-crypt"),
    ("port", "lport"),
    ("data-ciphers", "ncp-ciphers"),
    ("compress", "comp-lzo"),
    ("ping-restart", "ping-exit"),
    ("keepalive", "ping"),
    ("keepalive", "ping-restart"),
    ("keepalive", "ping-exit"),
)


def parse(
    text: str,
    file: str,
    read_file: ReadFile | None = None,
    unix: UnixSeconds | None = None,
    *,
    read_folder: ReadFolder | None = None,
    allow_no_authentication: bool = False,
    destinations: Destinations | None = None,
) -> tuple[ServerConfig, list[Warned]]:
    """The config and the lines that are ignored or questionable, in order. Depends on nothing but its arguments.

    read_file reads a file named in the config, relative to it, and raises OSError or UnicodeDecodeError; read_folder
    the files of a directory, by their names; None: everything must be embedded. unix: the wall clock, to warn of
    certificates out of their time; None: their dates are not checked. allow_no_authentication: verify-client-cert
    may let in clients without a certificate. destinations: the rule for what clients may reach, without the tunnel; a
    pushed route must lead somewhere; None: the rule without arguments. ConfigError names file, line and directive.
    """
    lines = Collected(file, read_file, read_folder)
    lines.take(lex(text, file))
    config = _build(lines, unix, allow_no_authentication)
    _check_routes(lines, config, destinations or Destinations())
    return config, sorted(lines.warned, key=lambda warning: warning.line)


def _build(lines: Collected, unix: UnixSeconds | None, allow_no_authentication: bool) -> ServerConfig:
    network.check_transport(lines)
    lines.choice("key-method", "2", ("2",))
    tunnel = network.tunnel_network(lines)
    _check_exclusive(lines)
    if "topology" not in lines:
        lines.warned.append(Warned(0, "topology", "absent: subnet is used; write `topology subnet`"))
    identity = pki.identity(lines, unix)
    policy = pki.policy(lines, identity.ca, unix, allow_no_authentication=allow_no_authentication)
    wrap, static_key, direction = channels.wrap(lines)
    v2_key, v2_max_age = channels.tls_crypt_v2(lines)
    tls_min, tls_max = pki.tls_versions(lines)
    tls = tls_settings(lines, keys.server_key(identity.cert), tls_min, tls_max)
    framing = channels.framing(lines)
    ping, ping_timeout, restart = timers.keepalive(lines)
    reneg_sec, reneg_sec_min, reneg_bytes, reneg_pkts = timers.renegotiation(lines)
    inactive, inactive_bytes = timers.inactivity(lines)
    status_interval, status_version = timers.status(lines)
    tun_mtu, mssfix, mssfix_mode, max_packet_size = network.sizes(lines)
    pool = network.pool(lines, tunnel)
    settings = clients.client_settings(lines, tunnel, framing)
    fixed = {client.address for client in settings.values() if client.address}
    return ServerConfig(
        port=lines.number("lport" if "lport" in lines else "port", 1194, 1, 65535),
        network=tunnel.network,
        prefix_len=tunnel.prefix_len,
        ca=identity.ca,
        cert=identity.cert,
        key=identity.key,
        wrap=wrap,
        static_key=static_key,
        key_direction=direction,
        auth=channels.auth(lines),
        data_ciphers=channels.data_ciphers(lines),
        ping=ping,
        ping_timeout=ping_timeout,
        push_ping_restart=restart,
        hand_window=lines.number("hand-window", 60, 5, 3600),
        tran_window=lines.number("tran-window", 3600, 1, 86_400),
        reneg_sec=reneg_sec,
        tls_timeout=lines.number("tls-timeout", 2, 1, 60),
        tls_version_min=tls_min,
        tls_version_max=tls_max,
        tun_mtu=tun_mtu,
        mssfix=mssfix,
        push=_pushes(lines, framing),
        client_to_client="client-to-client" in lines,
        duplicate_cn="duplicate-cn" in lines,
        max_clients=lines.number("max-clients", 1024, 1, 65_536),
        tls_crypt_v2_key=v2_key,
        tls_crypt_v2_max_age=v2_max_age,
        data_ciphers_fallback=channels.data_ciphers_fallback(lines),
        framing=framing,
        replay_window=lines.number("replay-window", 64, 1, 65_536),
        replay_time=lines.number("replay-window", 15, 0, 600, at=1),
        mssfix_mode=mssfix_mode,
        reneg_sec_min=reneg_sec_min,
        reneg_bytes=reneg_bytes,
        reneg_pkts=reneg_pkts,
        inactive=inactive,
        inactive_bytes=inactive_bytes,
        session_timeout=lines.number("session-timeout", 0, 0, INT_MAX),
        max_packet_size=max_packet_size,
        tls_cipher=tls.cipher,
        tls_ciphersuites=tls.ciphersuites,
        tls_groups=tls.groups,
        tls_cert_profile=tls.cert_profile,
        extra_certs=identity.extra_certs,
        policy=policy,
        clients=settings,
        ccd_exclusive="ccd-exclusive" in lines,
        reservations=network.reservations(lines, tunnel, pool, fixed),
        pool_first=pool[0],
        pool_last=pool[1],
        status_interval=status_interval,
        status_version=status_version,
        connect_freq=timers.connect_freq(lines),
    )


def _check_exclusive(lines: Collected) -> None:
    """Directives that exclude each other."""
    for name, other in _EXCLUSIVE:
        first, second = lines.get(name), lines.get(other)
        if first is not None and second is not None:
            earlier, later = sorted((first, second), key=lambda directive: directive.line)
            raise lines.error(later, f"not together with {earlier.name}; keep one of them")


def _check_routes(lines: Collected, config: ServerConfig, destinations: Destinations) -> None:
    """Pushed routes, in the order of the config."""
    tunnel = Prefix(config.network, config.prefix_len)
    destinations = destinations.replaced(tunnel=tunnel, dns_servers=config.dns_servers)
    check_routes(sorted(lines.pushed, key=lambda option: (option.file != lines.file, option.line)), destinations)


def _pushes(lines: Collected, framing: Compression) -> tuple[str, ...]:
    for directive in lines.every("push"):
        try:
            channels.check_push(directive.words[0], framing)
        except ValueError as error:
            raise lines.error(directive, str(error)) from None
        lines.pushed.append(PushedOption(directive.words[0], lines.file, directive.line))
    return tuple(directive.words[0] for directive in lines.every("push"))
