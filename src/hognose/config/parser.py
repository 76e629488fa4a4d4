"""A config's text to a ServerConfig: the checks of all parts together."""

from __future__ import annotations

from hognose.config import channels, clients, keys, network, pki, timers
from hognose.config.collected import Collected, ReadFile, ReadFolder
from hognose.config.lexer import lex
from hognose.config.listeners import listeners
from hognose.config.model import ServerConfig, Warned
from hognose.config.pushed import PushedOption, check_routes
from hognose.config.tls_choices import tls_choices
from hognose.destinations import Destinations
from hognose.settings import AdmissionSettings, ControlSettings, TlsSettings
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
    ports = listeners(lines)
    network.check_device(lines)
    lines.choice("key-method", "2", ("2",))
    tunnel = network.tunnel_network(lines)
    _check_exclusive(lines)
    if "topology" not in lines:
        lines.warned.append(Warned(0, "topology", "absent: subnet is used; write `topology subnet`"))
    tls = _tls(lines, unix, allow_no_authentication)
    wrap, framing = channels.wrap(lines), channels.framing(lines)
    liveness, renegotiation, status = timers.liveness(lines), timers.renegotiation(lines), timers.status(lines)
    addresses, data = network.settings(lines, tunnel, ports), channels.data(lines)
    single = clients.client_settings(lines, tunnel, framing)
    fixed = {client.address for client in single.values() if client.address}
    return ServerConfig(
        network=addresses,
        tls=tls,
        wrap=wrap,
        control=lines.filled(ControlSettings(exit_notify=timers.exit_notify(lines))),
        data=data,
        liveness=liveness,
        renegotiation=renegotiation,
        admission=lines.filled(
            AdmissionSettings(
                push=_pushes(lines, framing),
                clients=single,
                reservations=network.reservations(lines, tunnel, network.pool(lines, tunnel), fixed),
                connect_freq=timers.frequency(lines, "connect-freq"),
                connect_freq_initial=timers.frequency(lines, "connect-freq-initial"),
            )
        ),
        status=status,
    )


def _tls(lines: Collected, unix: UnixSeconds | None, allow_no_authentication: bool) -> TlsSettings:
    identity = pki.identity(lines, unix)
    crl = pki.crl(lines, identity.ca, unix)
    rules = pki.certificate_rules(lines)
    verify = pki.verify_client_cert(lines, allow_no_authentication)
    least, greatest = pki.tls_versions(lines)
    chosen = tls_choices(lines, keys.server_key(identity.cert), least, greatest)
    return TlsSettings(
        ca=identity.ca,
        cert=identity.cert,
        key=identity.key,
        min_version=least,
        max_version=greatest,
        ciphers=chosen.cipher,
        ciphersuites=chosen.ciphersuites,
        groups=chosen.groups,
        cert_profile=chosen.cert_profile,
        extra_certs=identity.extra_certs,
        crl=crl,
        verify_client_cert=verify,
        rules=rules,
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
    destinations = destinations.replaced(tunnel=config.network.tunnel, dns_servers=config.dns_servers)
    check_routes(sorted(lines.pushed, key=lambda option: (option.file != lines.file, option.line)), destinations)


def _pushes(lines: Collected, framing: Compression) -> tuple[str, ...]:
    for directive in lines.every("push"):
        try:
            channels.check_push(directive.words[0], framing)
        except ValueError as error:
            raise lines.error(directive, str(error)) from None
        lines.pushed.append(PushedOption(directive.words[0], lines.file, directive.line))
    return tuple(directive.words[0] for directive in lines.every("push"))
