"""Protection and framing of packets: wraps of the control channel, data ciphers, compression framing."""

from __future__ import annotations

from hognose.config import keys, network
from hognose.config.collected import Collected
from hognose.config.lexer import Directive
from hognose.settings import DataSettings, WrapSettings
from hognose.vocabulary import (
    DATA_CIPHERS,
    DEFAULT_DATA_CIPHERS,
    DEFAULT_DIGEST,
    DIGESTS,
    Compression,
    WrapKind,
    data_cipher_named,
    digest_named,
)

_MIGRATE = "nothing is compressed; write `compress migrate`, which suits clients with and without compression"
# Options that the server itself pushes and decides (OpenVPN push.c, prepare_push_reply).
_SERVERS_OWN = frozenset({
    "auth-token", "cipher", "ifconfig", "key-derivation", "peer-id", "protocol-flags", "push-continuation",
})  # fmt: skip
_PUSH_MAX = 255


def wrap(lines: Collected) -> WrapSettings:
    """The control channel's wrap, with the digest of `auth`. ConfigError for bad keys, words and digests."""
    kind, key, direction = _static_wrap(lines)
    v2_key, v2_age, force_cookie = _tls_crypt_v2(lines)
    return WrapSettings(kind, key, direction, _auth(lines), v2_key, v2_age, force_cookie)


def data(lines: Collected) -> DataSettings:
    """The data channel: ciphers, framing, replay window, packet sizes. ConfigError for what is not supported."""
    mssfix, mode = network.mssfix(lines)
    return lines.filled(
        DataSettings(
            ciphers=_data_ciphers(lines),
            fallback_cipher=_data_ciphers_fallback(lines),
            framing=framing(lines),
            mssfix=mssfix,
            mssfix_mode=mode,
        )
    )


def _static_wrap(lines: Collected) -> tuple[WrapKind, bytes, int | None]:
    """(kind, static key, direction) of tls-auth or tls-crypt."""
    name: WrapKind = "tls-auth" if "tls-auth" in lines else "tls-crypt"
    directive = lines.get(name)
    if directive is None:
        return "none", b"", None
    try:
        static_key = keys.parse_static_key(lines.text(directive))
    except ValueError as error:
        raise lines.error(directive, str(error)) from None
    return name, static_key, _direction(lines, directive) if name == "tls-auth" else None


def _direction(lines: Collected, tls_auth: Directive) -> int | None:
    """Of `tls-auth FILE 0` or `key-direction 0`; None: one key for both directions."""
    words = tls_auth.words if tls_auth.block is not None else tls_auth.words[1:]
    other = lines.get("key-direction")
    direction = lines.word_number(tls_auth, words[0], 0, 1) if words else None
    if other is None:
        return direction
    also = lines.word_number(other, other.words[0], 0, 1)
    if direction not in (None, also):
        raise lines.error(other, f"tls-auth in line {tls_auth.line} says {direction}; keep one of them")
    return also


def _tls_crypt_v2(lines: Collected) -> tuple[bytes, int, bool]:
    """(server key, greatest age of clients' keys in days, 0 for any, force-cookie)."""
    age = lines.number("tls-crypt-v2-max-age", 0, 1, 36_500)
    directive = lines.get("tls-crypt-v2")
    if directive is None:
        if age_line := lines.get("tls-crypt-v2-max-age"):
            raise lines.error(
                age_line, "there is no tls-crypt-v2; write `tls-crypt-v2 v2-server.key` or remove the line"
            )
        return b"", 0, False
    words = directive.words if directive.block is not None else directive.words[1:]
    if words and words[0] not in ("force-cookie", "allow-noncookie"):
        raise lines.error(
            directive, f"`{words[0]}` is not understood; write `force-cookie`, `allow-noncookie` or nothing"
        )
    try:
        return keys.parse_tls_crypt_v2_key(lines.text(directive)), age, words[:1] == ("force-cookie",)
    except ValueError as error:
        raise lines.error(directive, str(error)) from None


def _auth(lines: Collected) -> str:
    """The digest of `auth`."""
    directive = lines.get("auth")
    if directive is None:
        return DEFAULT_DIGEST
    digest = digest_named(directive.words[0])
    if digest is None:
        raise lines.error(directive, f"`{directive.words[0]}` is not supported; write one of {', '.join(DIGESTS)}")
    return digest


def _data_ciphers(lines: Collected) -> tuple[str, ...]:
    """In order of preference, without doubles; `?` before a name leaves it out when it is not supported."""
    directive = lines.get("data-ciphers") or lines.get("ncp-ciphers")
    ciphers: list[str] = []
    if directive is None:
        ciphers += DEFAULT_DATA_CIPHERS
    else:
        for word in directive.words[0].upper().split(":"):
            name = word.removeprefix("?")
            if name == "DEFAULT":
                ciphers += DEFAULT_DATA_CIPHERS
            elif name in DATA_CIPHERS:
                ciphers.append(name)
            elif not word.startswith("?"):
                raise lines.error(directive, f"`{name}` is not supported; {_advice(directive.name)}")
    if not ciphers and directive is not None:
        raise lines.error(directive, f"no supported cipher; {_advice(directive.name)}")
    single = lines.get("cipher")
    if single is not None and single.words[0].upper() not in ciphers:
        # As OpenVPN 2.6: `cipher` takes no part in the negotiation, so it must not widen a narrowed list.
        text = f"ignored: `{single.words[0]}` is not in data-ciphers; clients negotiate one that is"
        lines.warn(single, text)
    return tuple(dict.fromkeys(ciphers))


def _advice(name: str) -> str:
    known = ", ".join(cipher for cipher in DATA_CIPHERS if cipher not in DEFAULT_DATA_CIPHERS)
    return f"write `{name} {':'.join(DEFAULT_DATA_CIPHERS)}`, for old clients with one of {known} behind"


def _data_ciphers_fallback(lines: Collected) -> str:
    """The cipher for clients that do not negotiate, "" for none."""
    directive = lines.get("data-ciphers-fallback")
    if directive is None:
        return ""
    name = data_cipher_named(directive.words[0])
    if name is None:
        raise lines.error(directive, f"`{directive.words[0]}` is not supported; write one of {', '.join(DATA_CIPHERS)}")
    return name


def framing(lines: Collected) -> Compression:
    """Framing of packets that could be compressed and never are (OpenVPN comp.c); ConfigError for compression."""
    allowed = lines.get("allow-compression")
    if allowed is not None and allowed.words[0] not in ("no", "stub-only"):
        raise lines.error(allowed, f"`{allowed.words[0]}` is not supported: {_MIGRATE}")
    compress, lzo = lines.get("compress"), lines.get("comp-lzo")
    if lzo is not None:
        if lzo.words != ("no",):
            raise lines.error(lzo, f"`{' '.join(('comp-lzo', *lzo.words))}` is not supported: {_MIGRATE}")
        return "comp-lzo"
    if compress is None:
        return "none"
    kind = compress.words[0] if compress.words else "stub"
    if kind == "stub":
        return "stub"
    if kind == "stub-v2":
        return "stub-v2"
    if kind == "migrate":
        return "migrate"
    raise lines.error(compress, f"`{kind}` is not supported: {_MIGRATE}")


def check_push(option: str, framed: Compression) -> None:
    """ValueError with what to do for an option that cannot be pushed or that would break the data channel."""
    if "," in option or not option.isprintable() or not option or len(option) > _PUSH_MAX:
        raise ValueError(f"an option of 1 to {_PUSH_MAX} printable characters without commas is needed")
    words = option.split()
    name, word = (words[0] if words else ""), (words[1] if len(words) > 1 else "")
    if name in _SERVERS_OWN:
        raise ValueError(f"`{name}` is told to each client by the server itself; remove the line")
    if name == "topology" and word != "subnet":
        raise ValueError("clients must use `topology subnet`; remove the line")
    if name == "fragment":
        raise ValueError("TCP needs no such fragments; remove the line")
    if (name == "comp-lzo" and (word, framed) != ("no", "comp-lzo")) or (
        name == "compress" and word != "stub-v2" and (word, framed) not in (("", "stub"), ("stub", "stub"))
    ):
        raise ValueError(f"`{option}` and the server's own framing differ: {_MIGRATE}")
