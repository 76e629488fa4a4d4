"""Directives to a ServerConfig: meaning, defaults, and checks that say what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from hognose.config import keys
from hognose.config.directives import DIRECTIVES, INSTEAD
from hognose.config.lexer import Directive, lex
from hognose.config.model import DEFAULT_CIPHERS, ServerConfig, Warned
from hognose.errors import ConfigError
from hognose.units import Ipv4Int, ipv4_int, ipv4_text

ReadFile = Callable[[str], str]
_TCP = ("tcp", "tcp-server", "tcp4", "tcp4-server")
_DIGESTS = ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512", "MD5")
_PUSH_MAX = 255


def parse(text: str, file: str, read_file: ReadFile | None = None) -> tuple[ServerConfig, list[Warned]]:
    """The config and the lines that were ignored.

    read_file reads a file named in the config, relative to it; None: every file must be embedded.
    ConfigError names file, line and directive.
    """
    return _Parser(file, read_file).run(lex(text, file))


class _Parser:
    """One run over one config; values stand here until they are checked together."""

    def __init__(self, file: str, read_file: ReadFile | None) -> None:
        self._file = file
        self._read_file = read_file
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
            self._warned.append(Warned(directive.line, name, f"ignored: {row.text}"))
            return
        count = len(directive.words) + (1 if directive.block is not None and row.file else 0)
        low = 1 if row.file else row.min_words
        if not low <= count <= max(row.max_words, low):
            want = str(low) if low == row.max_words else f"{low} to {row.max_words}"
            raise self._error(directive, f"takes {want} word(s), {len(directive.words)} given ({row.text})")
        if name == "push":
            self._take_push(directive)
            return
        if name in self._found and not row.repeatable and self._found[name] != directive:
            raise self._error(directive, f"given twice, first in line {self._found[name].line}; keep one")
        self._found[name] = directive

    def _take_push(self, directive: Directive) -> None:
        option = directive.words[0]
        if "," in option or not option.isprintable() or not option or len(option) > _PUSH_MAX:
            raise self._error(directive, f"an option of 1 to {_PUSH_MAX} printable characters without commas is needed")
        self._push.append(option)

    def _unknown(self, directive: Directive) -> ConfigError:
        name = directive.name
        if name in INSTEAD:
            return self._error(directive, INSTEAD[name])
        close = get_close_matches(name, DIRECTIVES, 1, 0.8)
        hint = f"; did you mean {close[0]}?" if close else ""
        return self._error(directive, f"not supported (yet){hint}")

    # -- checks ----------------------------------------------------------------------------------------------------

    def _check_shape(self) -> None:
        """Directives that admit one value, and those that must be there."""
        proto = self._found.get("proto")
        if proto is None:
            raise ConfigError("the default would be UDP; write `proto tcp`", file=self._file, directive="proto")
        if proto.words[0] not in _TCP:
            raise self._error(proto, f"`{proto.words[0]}` is not supported (yet); write `proto tcp`")
        self._only("mode", "server")
        self._only("topology", "subnet")
        self._only("dev-type", "tun")
        self._only("remote-cert-tls", "client")
        self._only("verify-client-cert", "require")
        self._only("comp-lzo", "no")
        self._only("allow-compression", "no")
        dev = self._found.get("dev")
        if dev is None or not dev.words[0].startswith("tun"):
            if dev is not None:
                raise self._error(dev, f"`{dev.words[0]}` is not supported; write `dev tun`")
            raise ConfigError("missing; write `dev tun`", file=self._file, directive="dev")
        for name, example in (("server", "server 10.8.0.0 255.255.255.0"), ("ca", "ca ca.crt"),
                              ("cert", "cert server.crt"), ("key", "key server.key")):  # fmt: skip
            if name not in self._found:
                raise ConfigError(f"missing; write `{example}`", file=self._file, directive=name)
        if "tls-auth" in self._found and "tls-crypt" in self._found:
            raise self._error(self._found["tls-crypt"], "not together with tls-auth; keep one of them")
        if "port" in self._found and "lport" in self._found:
            raise self._error(self._found["lport"], "not together with port; keep one of them")
        if "topology" not in self._found:
            self._warned.append(Warned(0, "topology", "absent: subnet is used; write `topology subnet`"))

    def _only(self, name: str, value: str) -> None:
        directive = self._found.get(name)
        if directive is not None and directive.words[:1] != (value,):
            given = directive.words[0] if directive.words else "nothing"
            raise self._error(directive, f"`{given}` is not supported (yet); write `{name} {value}`")

    # -- values ----------------------------------------------------------------------------------------------------

    def _build(self) -> ServerConfig:
        network, prefix_len = self._network()
        ping, ping_timeout, restart = self._keepalive()
        ca, cert, key = (self._pem(name) for name in ("ca", "cert", "key"))
        try:
            warnings = keys.check_identity(ca, cert, key)
        except keys.BadPemError as error:
            raise self._error(self._found[error.directive], error.message) from None
        self._warned += [Warned(self._found[name].line, name, text) for name, text in warnings]
        wrap, static_key, direction = self._wrap()
        return ServerConfig(
            port=self._number("port", 1194, 1, 65535) if "lport" not in self._found
            else self._number("lport", 1194, 1, 65535),
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
            tls_version_min=self._tls_version("tls-version-min", "1.2"),
            tls_version_max=self._tls_version("tls-version-max", ""),
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
            raise self._error(
                directive, f"host bits are set; write `server {ipv4_text(network & mask)} {ipv4_text(mask)}`"
            )
        return network, 32 - inverted.bit_length()

    def _address(self, directive: Directive, word: str) -> Ipv4Int:
        try:
            return ipv4_int(word)
        except ValueError:
            raise self._error(
                directive, f"`{word}` is no IPv4 address; write `server 10.8.0.0 255.255.255.0`"
            ) from None

    def _keepalive(self) -> tuple[int, int, int]:
        """(ping, the server's own time-out, ping-restart to push) as OpenVPN's helper_keepalive has them."""
        both = self._found.get("keepalive")
        if both is None:
            restart = "ping-restart" if "ping-restart" in self._found else "ping-exit"
            return self._number("ping", 0, 0, 86_400), self._number(restart, 0, 0, 86_400), 0
        ping, restart_s = (self._word_number(both, word, 1, 43_200) for word in both.words)
        if restart_s < 2 * ping:
            raise self._error(
                both, f"the second number must be at least twice the first; write `keepalive {ping} {ping * 6}`"
            )
        return ping, 2 * restart_s, restart_s

    def _pem(self, name: str) -> str:
        directive = self._found[name]
        if directive.block is not None:
            return directive.block
        path = directive.words[0]
        if path == "[inline]":
            raise self._error(directive, f"its block is missing; write <{name}> … </{name}>")
        if self._read_file is None:
            raise self._error(
                directive, f"the file {path} is not embedded; make the config with `hognose config embed`"
            )
        try:
            return self._read_file(path)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not a text file"
            raise self._error(directive, f"cannot read {path}: {why}") from None

    def _wrap(self) -> tuple[str, bytes, int | None]:
        name = "tls-auth" if "tls-auth" in self._found else "tls-crypt" if "tls-crypt" in self._found else ""
        if not name:
            return "none", b"", None
        directive = self._found[name]
        try:
            static_key = keys.parse_static_key(self._pem(name))
        except ValueError as error:
            raise self._error(directive, str(error)) from None
        direction: int | None = None
        if name == "tls-auth":
            words = directive.words if directive.block is not None else directive.words[1:]
            if not words and "key-direction" in self._found:
                directive = self._found["key-direction"]
                words = directive.words
            if words:
                direction = self._word_number(directive, words[0], 0, 1)
        return name, static_key, direction

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
            raise self._error(directive, "no supported cipher is left")
        single = self._found.get("cipher")
        if single is not None:
            name = single.words[0].upper()
            if name in DEFAULT_CIPHERS:
                ciphers.append(name)
            else:
                self._warned.append(
                    Warned(single.line, "cipher", f"ignored: {name} is not supported; clients negotiate")
                )
        return tuple(dict.fromkeys(ciphers))

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
        return version

    def _mssfix(self) -> int:
        directive = self._found.get("mssfix")
        if directive is None or not directive.words:
            return 1492
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
