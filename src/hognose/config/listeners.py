"""The ports that a config listens on: `proto`, `port` and `local` (OpenVPN 2.7 link-options.rst)."""

from __future__ import annotations

from hognose.config.collected import Collected
from hognose.config.lexer import Directive
from hognose.settings import DEFAULT_PORT, ListenerSettings
from hognose.units import Port
from hognose.vocabulary import Proto

MAX_LISTENERS = 8
_PROTOS: dict[str, Proto] = {
    **dict.fromkeys(("udp", "udp4"), "udp"),
    **dict.fromkeys(("tcp", "tcp-server", "tcp4", "tcp4-server"), "tcp"),
}
_ANY = ("*", "0.0.0.0")


def listeners(lines: Collected) -> tuple[ListenerSettings, ...]:
    """Protocol and port of each listener, in the order of the config; one unless `local` names ports or protocols.

    What a `local` leaves out is that of `proto` and `port`, udp and 1194 when they are absent. ConfigError for an
    unknown protocol, an IPv6 address, a port out of range, and more than MAX_LISTENERS.
    """
    port = lines.number("lport" if "lport" in lines else "port", DEFAULT_PORT, 1, 65_535)
    proto = _proto(lines, port)
    found: dict[ListenerSettings, None] = {}
    plain = None
    for directive in lines.every("local"):
        _check_host(lines, directive)
        words = directive.words[1:]
        if words:
            own = lines.word_number(directive, words[0], 1, 65_535)
            found[ListenerSettings(_named(lines, directive, words[1]) if len(words) > 1 else proto, own)] = None
        else:
            plain = directive
    if plain is not None and found:
        found[ListenerSettings(proto, port)] = None
    if len(found) > MAX_LISTENERS:
        raise lines.error(lines.every("local")[-1], f"more than {MAX_LISTENERS} listeners; remove a `local` line")
    return tuple(found) or (ListenerSettings(proto, port),)


def _proto(lines: Collected, port: Port) -> Proto:
    """The protocol of `proto`; ConfigError for two of them, with the lines that both need."""
    given = lines.every("proto")
    named = [_named(lines, directive, directive.words[0]) for directive in given]
    if len(set(named)) > 1:
        text = f"two protocols; for both write `local * {port} udp` and `local * {port} tcp` and no `proto`"
        raise lines.error(given[-1], text)
    return named[0] if named else "udp"


def _named(lines: Collected, directive: Directive, word: str) -> Proto:
    found = _PROTOS.get(word)
    if found is not None:
        return found
    better = "tcp" if word.startswith("tcp") else "udp"
    shown = " ".join(word_of if word_of != word else better for word_of in (directive.name, *directive.words))
    why = "not supported (yet): clients come over IPv4" if "6" in word else "no protocol of a server"
    raise lines.error(directive, f"`{word}` is {why}; write `{shown}`")


def _check_host(lines: Collected, directive: Directive) -> None:
    """Warn of an address: there is one, which is a boot argument. ConfigError for IPv6."""
    host = directive.words[0]
    if ":" in host:
        better = " ".join(("local", "*", *directive.words[1:]))
        raise lines.error(directive, f"{host}: clients come over IPv4 only (yet); write `{better}`")
    if host not in _ANY:
        lines.warn(directive, "ignored: the address comes from the boot argument --ipv4")
