"""Directives to a ServerConfig: meaning, defaults, and checks that say what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from hognose.config import keys
from hognose.config.directives import DIRECTIVES, INSTEAD, SILENT, Row
from hognose.config.lexer import INLINE, Directive, lex, split_lines
from hognose.config.model import DEFAULT_CIPHERS, ServerConfig, Warned
from hognose.config.openvpn_words import OPENVPN_WORDS
from hognose.errors import ConfigError
from hognose.units import Ipv4Int, UnixSeconds, ipv4_int, ipv4_text

ReadFile = Callable[[str], str]
_TCP = ("tcp", "tcp-server", "tcp4", "tcp4-server")
_DIGESTS = ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "MD5")
_PUSH_MAX = 255
_REQUIRED = {
    "server": "server 10.8.0.0 255.255.255.0",
    "ca": "ca ca.crt",
    "cert": "cert server.crt",
    "key": "key server.key",
}
_EXCLUSIVE = (
    ("tls-auth", "tls-crypt"),
    ("port", "lport"),
    ("data-ciphers", "ncp-ciphers"),
    ("ping-restart", "ping-exit"),
    ("keepalive", "ping"),
    ("keepalive", "ping-restart"),
    ("keepalive", "ping-exit"),
)


def parse(
    text: str, file: str, read_file: ReadFile | None = None, unix: UnixSeconds | None = None
) -> tuple[ServerConfig, list[Warned]]:
    """The config and the lines that are ignored or questionable, in order.

    read_file reads a file named in the config, relative to it, and raises OSError or UnicodeDecodeError; None: every
    file must be embedded. unix: the wall clock, to warn of certificates out of their time; None: their dates are not
    looked at. ConfigError names file, line and directive.
    """
    config, warned = _Parser(file, read_file, unix).run(lex(text, file))
    return config, sorted(warned, key=lambda warning: warning.line)


class _Parser:
    """One run over one config; values stand here until they are checked together."""

    def __init__(self, file: str, read_file: ReadFile | None, unix: UnixSeconds | None) -> None:
        self._file = file
        self._read_file = read_file
        self._unix = unix
        self._found: dict[str, Directive] = {}
        self._push: list[str] = []
        self._warned: list[Warned] = []

    def run(self, directives: list[Directive]) -> tuple[ServerConfig, list[Warned]]:
        for directive in directives:
            self._take(directive)
        self._check_shape()
        return self._build(), self._warned

    # -- collecting ------------------------------------------------------------------------------------------------

    def _take(self, directive: Directive) -> None:
        name = directive.name
        row = DIRECTIVES.get(name)
        if row is None:
            raise self._unknown(directive)
        if row.verdict == "ignore":
            if (name, *directive.words) not in SILENT:
                self._warned.append(Warned(directive.line, name, f"ignored: {row.text}"))
            return
        self._check_count(directive, row)
        if name == "push":
            self._take_push(directive)
            return
        first = self._found.setdefault(name, directive)
        if (first.words, first.block) != (directive.words, directive.block):
            raise self._error(directive, f"given twice, first in line {first.line}; keep one")

    def _check_count(self, directive: Directive, row: Row) -> None:
        """A block stands for the file's name, and only where a file is wanted."""
        if directive.block is not None and not row.file:
            raise self._error(directive, f"is no block; write `{directive.name} …` on one line ({row.text})")
        count = len(directive.words) + (directive.block is not None)
        if directive.name == "server" and len(directive.words) == 1:  # a slip in a much-read handbook
            other = f"for the server's certificate write `cert {directive.words[0]}`"
            raise self._error(directive, f"the netmask is missing; write `{_REQUIRED['server']}`; {other}")
        if not row.min_words <= count <= row.max_words:
            want = f"{row.min_words}" if row.min_words == row.max_words else f"{row.min_words} to {row.max_words}"
            raise self._error(directive, f"takes {want} word(s), {count} given ({row.text})")

    def _take_push(self, directive: Directive) -> None:
        option = directive.words[0]
        if "," in option or not option.isprintable() or not option or len(option) > _PUSH_MAX:
            raise self._error(directive, f"an option of 1 to {_PUSH_MAX} printable characters without commas is needed")
        self._push.append(option)

    def _unknown(self, directive: Directive) -> ConfigError:
        name = directive.name
        if name in INSTEAD:
            return self._error(directive, INSTEAD[name])
        if name in OPENVPN_WORDS:
            return self._error(directive, "not supported (yet)")
        close = get_close_matches(name, [*DIRECTIVES, *INSTEAD, *OPENVPN_WORDS], 1, 0.7)
        hint = f"; did you mean {close[0]}?" if close else ""
        return self._error(directive, f"no directive of OpenVPN{hint}")

    # -- checks ----------------------------------------------------------------------------------------------------

    def _check_shape(self) -> None:
        """Directives that admit one value, those that must be there, those that exclude each other."""
        self._check_transport()
        self._only("mode", "server")
        self._only("topology", "subnet")
        self._only("remote-cert-tls", "client")
        self._only("comp-lzo", "no")
        self._only("allow-compression", "no")
        client_cert = self._found.get("verify-client-cert")
        if client_cert is not None and client_cert.words:
            self._only("verify-client-cert", "require")
        for name, example in _REQUIRED.items():
            if name not in self._found:
                raise ConfigError(f"missing; write `{example}`", file=self._file, directive=name)
        for name, other in _EXCLUSIVE:
            if name in self._found and other in self._found:
                later = max(self._found[name], self._found[other], key=lambda directive: directive.line)
                raise self._error(later, f"not together with {other if later.name == name else name}; keep one of them")
        if "topology" not in self._found:
            self._warned.append(Warned(0, "topology", "absent: subnet is used; write `topology subnet`"))
        if "comp-lzo" in self._found:
            line = self._found["comp-lzo"].line
            self._warned.append(Warned(line, "comp-lzo", "clients must not have comp-lzo or compress at all"))

    def _check_transport(self) -> None:
        proto = self._found.get("proto")
        if proto is None:
            raise ConfigError("missing, which means UDP; write `proto tcp`", file=self._file, directive="proto")
        if proto.words[0] not in _TCP:
            raise self._error(proto, f"`{proto.words[0]}` is not supported (yet); write `proto tcp`")
        self._only("dev-type", "tun")
        dev = self._found.get("dev")
        if dev is None:
            raise ConfigError("missing; write `dev tun`", file=self._file, directive="dev")
        if not dev.words[0].startswith("tun") and "dev-type" not in self._found:
            raise self._error(dev, f"`{dev.words[0]}` is not supported; write `dev tun`")

    def _only(self, name: str, value: str) -> None:
        directive = self._found.get(name)
        if directive is not None and directive.words[:1] != (value,):
            given = directive.words[0] if directive.words else "nothing"
            raise self._error(directive, f"`{given}` is not supported (yet); write `{name} {value}`")

    # -- values ----------------------------------------------------------------------------------------------------

    def _build(self) -> ServerConfig:
        network, prefix_len = self._network()
        ping, ping_timeout, restart = self._keepalive()
        ca, cert, key = (self._file_text(name) for name in ("ca", "cert", "key"))
        try:
            warnings = keys.check_identity(ca, cert, key, self._unix)
        except keys.BadPemError as error:
            raise self._error(self._found[error.directive], error.message) from None
        self._warned += [Warned(self._found[name].line, name, text) for name, text in warnings]
        wrap, static_key, direction = self._wrap()
        tls_min, tls_max = self._tls_versions()
        return ServerConfig(
            port=self._number("lport" if "lport" in self._found else "port", 1194, 1, 65535),
            network=network,
            prefix_len=prefix_len,
            ca=ca,
            cert=cert,
            key=key,
            wrap=wrap,  # type: ignore[arg-type]  # one of the three literals by construction
            static_key=static_key,
            key_direction=direction,
            auth=self._auth(),
            data_ciphers=self._ciphers(),
            ping=ping,
            ping_timeout=ping_timeout,
            push_ping_restart=restart,
            hand_window=self._number("hand-window", 60, 5, 3600),
            tran_window=self._number("tran-window", 3600, 1, 86_400),
            reneg_sec=self._number("reneg-sec", 3600, 0, 2_147_483_647),
            tls_timeout=self._number("tls-timeout", 2, 1, 60),
            tls_version_min=tls_min,
            tls_version_max=tls_max,
            tun_mtu=self._number("tun-mtu", 1500, 576, 1500),
            mssfix=self._mssfix(),
            push=tuple(self._push),
            client_to_client="client-to-client" in self._found,
            duplicate_cn="duplicate-cn" in self._found,
            max_clients=self._number("max-clients", 1024, 1, 65_536),
        )  # fmt: skip

    def _network(self) -> tuple[Ipv4Int, int]:
        directive = self._found["server"]
        network, mask = (self._address(directive, word) for word in directive.words[:2])
        if len(directive.words) == 3 and directive.words[2] != "nopool":
            raise self._error(directive, "the third word can only be `nopool`")
        if len(directive.words) == 3:
            raise self._error(directive, "`nopool` is not supported (yet)")
        inverted = 0xFFFFFFFF & ~mask
        if inverted & (inverted + 1) or not 3 <= inverted.bit_length() <= 24:
            raise self._error(directive, "the netmask must be one of 255.0.0.0 … 255.255.255.248")
        if network & inverted:
            better = f"server {ipv4_text(network & mask)} {ipv4_text(mask)}"
            raise self._error(directive, f"host bits are set; write `{better}`")
        if network >> 24 in (0, 127) or network >> 28 >= 14:
            raise self._error(directive, f"{ipv4_text(network)} is no network for hosts; write one of RFC 1918")
        return network, 32 - inverted.bit_length()

    def _address(self, directive: Directive, word: str) -> Ipv4Int:
        try:
            return ipv4_int(word)
        except ValueError:
            raise self._error(directive, f"`{word}` is no IPv4 address; write `{_REQUIRED['server']}`") from None

    def _keepalive(self) -> tuple[int, int, int]:
        """(ping, the server's own time-out, ping-restart to push) as OpenVPN's helper_keepalive has them."""
        both = self._found.get("keepalive")
        if both is None:
            return self._ping_alone()
        ping, restart_s = (self._word_number(both, word, 1, 43_200) for word in both.words)
        if restart_s < 2 * ping:
            better = f"keepalive {ping} {ping * 6}"
            raise self._error(both, f"the second number must be at least twice the first; write `{better}`")
        return ping, 2 * restart_s, restart_s

    def _ping_alone(self) -> tuple[int, int, int]:
        """As _keepalive, from ping and ping-restart: they are this side's; the ping is pushed all the same."""
        ping = self._number("ping", 0, 0, 86_400)
        name = "ping-restart" if "ping-restart" in self._found else "ping-exit"
        restart = self._number(name, 0, 0, 86_400)
        if not restart:
            self._warned.append(
                Warned(0, "keepalive", "absent: clients that vanish are noticed late; write `keepalive 10 60`")
            )
        elif not ping:
            line = self._found[name].line
            self._warned.append(Warned(line, name, "idle clients will be dropped; write `keepalive 10 60`"))
        return ping, restart, 0

    def _file_text(self, name: str) -> str:
        """What a directive's block or file holds, lines ended by LF."""
        directive = self._found[name]
        text = directive.block
        if text is None:
            text = self._read(directive)
            if "\0" in text or f"</{name}>" in text:
                raise self._error(directive, f"{directive.words[0]} is not a text file that can be embedded")
        return "\n".join(split_lines(text.rstrip("\r\n"))) + "\n"

    def _read(self, directive: Directive) -> str:
        path = directive.words[0]
        if path == INLINE:
            raise self._error(directive, f"its block is missing; write <{directive.name}> … </{directive.name}>")
        if self._read_file is None:
            how = "make the config with `hognose config embed`"
            raise self._error(directive, f"the file {path} is not embedded; {how}")
        try:
            return self._read_file(path)
        except (OSError, UnicodeDecodeError) as error:
            why = (error.strerror or str(error)) if isinstance(error, OSError) else "not a text file"
            raise self._error(directive, f"cannot read {path}: {why}") from None

    def _wrap(self) -> tuple[str, bytes, int | None]:
        name = "tls-auth" if "tls-auth" in self._found else "tls-crypt" if "tls-crypt" in self._found else ""
        if not name:
            return "none", b"", None
        directive = self._found[name]
        try:
            static_key = keys.parse_static_key(self._file_text(name))
        except ValueError as error:
            raise self._error(directive, str(error)) from None
        return name, static_key, self._direction(directive) if name == "tls-auth" else None

    def _direction(self, tls_auth: Directive) -> int | None:
        """Of `tls-auth FILE 0` or `key-direction 0`; None: one key for both directions."""
        words = tls_auth.words if tls_auth.block is not None else tls_auth.words[1:]
        other = self._found.get("key-direction")
        direction = self._word_number(tls_auth, words[0], 0, 1) if words else None
        if other is None:
            return direction
        also = self._word_number(other, other.words[0], 0, 1)
        if direction not in (None, also):
            raise self._error(other, f"tls-auth in line {tls_auth.line} says {direction}; keep one of them")
        return also

    def _auth(self) -> str:
        directive = self._found.get("auth")
        if directive is None:
            return "SHA1"
        digest = directive.words[0].upper().replace("-", "")
        if digest not in _DIGESTS:
            raise self._error(directive, f"`{directive.words[0]}` is not supported; write one of {', '.join(_DIGESTS)}")
        return digest

    def _ciphers(self) -> tuple[str, ...]:
        directive = self._found.get("data-ciphers") or self._found.get("ncp-ciphers")
        ciphers: list[str] = []
        if directive is None:
            ciphers += DEFAULT_CIPHERS
        else:
            for word in directive.words[0].upper().split(":"):
                name = word.removeprefix("?")
                if name == "DEFAULT":
                    ciphers += DEFAULT_CIPHERS
                elif name in DEFAULT_CIPHERS:
                    ciphers.append(name)
                elif not word.startswith("?"):
                    known = ":".join(DEFAULT_CIPHERS)
                    raise self._error(directive, f"`{name}` is not supported (yet); write `data-ciphers {known}`")
        if not ciphers and directive is not None:
            raise self._error(directive, f"no supported cipher; write `data-ciphers {':'.join(DEFAULT_CIPHERS)}`")
        single = self._found.get("cipher")
        if single is not None and single.words[0].upper() not in ciphers:
            # As OpenVPN 2.6: `cipher` takes no part in the negotiation, so it must not widen a narrowed list.
            text = f"ignored: `{single.words[0]}` is not in data-ciphers; clients negotiate one that is"
            self._warned.append(Warned(single.line, "cipher", text))
        return tuple(dict.fromkeys(ciphers))

    def _tls_versions(self) -> tuple[str, str]:
        """Least and greatest version; "" for the greatest that there is."""
        least, greatest = self._tls_version("tls-version-min", "1.2"), self._tls_version("tls-version-max", "")
        if greatest and greatest < least:
            directive = self._found["tls-version-max"]
            raise self._error(directive, f"less than tls-version-min; write `tls-version-max {least}`")
        return least, greatest

    def _tls_version(self, name: str, default: str) -> str:
        directive = self._found.get(name)
        if directive is None:
            return default
        version = directive.words[0]
        if version in ("1.0", "1.1") and name == "tls-version-min":
            self._warned.append(Warned(directive.line, name, "1.2 is the least that is spoken"))
            return "1.2"
        if version not in ("1.2", "1.3"):
            raise self._error(directive, f"`{version}` is not supported; write `{name} 1.2` or `{name} 1.3`")
        if directive.words[1:] not in ((), ("or-highest",)):
            raise self._error(directive, f"`{directive.words[1]}` is not understood; write `{name} {version}`")
        return version

    def _mssfix(self) -> int:
        directive = self._found.get("mssfix")
        if directive is None or not directive.words:
            return 1492  # the default of OpenVPN 2.6, `mssfix 1492 mtu`
        value = self._word_number(directive, directive.words[0], 0, 65_535)
        mode = directive.words[1] if len(directive.words) > 1 else ""
        if mode not in ("", "mtu"):
            raise self._error(directive, f"`{mode}` is not supported (yet); write `mssfix {value} mtu`")
        # Without `mtu` the number leaves out the outer IPv4 and TCP headers (OpenVPN mss.c frame_calculate_mssfix).
        return value if mode == "mtu" or value == 0 else value + 40

    def _number(self, name: str, default: int, low: int, high: int) -> int:
        directive = self._found.get(name)
        return default if directive is None else self._word_number(directive, directive.words[0], low, high)

    def _word_number(self, directive: Directive, word: str, low: int, high: int) -> int:
        if not (word.isascii() and word.isdigit() and len(word) < 11 and low <= int(word) <= high):
            raise self._error(directive, f"`{word}` is no number from {low} to {high}")
        return int(word)

    def _error(self, directive: Directive, message: str) -> ConfigError:
        return ConfigError(message, file=self._file, line=directive.line, directive=directive.name)
