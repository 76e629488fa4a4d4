"""What server and client agree on: data cipher, protocol flags, the options string (OpenVPN ssl_ncp.c, options.c)."""

from __future__ import annotations

from hognose.openvpn.profile import ServerProfile

# IV_PROTO bits (OpenVPN ssl.h)
PROTO_DATA_V2 = 1 << 1
PROTO_REQUEST_PUSH = 1 << 2
PROTO_TLS_KEY_EXPORT = 1 << 3
PROTO_CC_EXIT = 1 << 7

# What OpenVPN's link-mtu adds to tun-mtu (its BF-CBC placeholder, SHA1, TCP); only ever compared by clients.
_LINK_MTU_EXTRA = 43


def proto_bits(peer_info: dict[str, str]) -> int:
    """IV_PROTO as an int; 0 when absent or no number."""
    value = peer_info.get("IV_PROTO", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 10 else 0


def client_ciphers(peer_info: dict[str, str]) -> tuple[str, ...]:
    """Ciphers that the client says it can (IV_CIPHERS, or both GCMs for IV_NCP=2)."""
    listed = peer_info.get("IV_CIPHERS")
    if listed is not None:
        return tuple(name.strip().upper() for name in listed.split(":") if name.strip())
    ncp = peer_info.get("IV_NCP", "")
    return ("AES-256-GCM", "AES-128-GCM") if ncp.isascii() and ncp.isdigit() and int(ncp) >= 2 else ()


def option_value(options: str, name: str) -> str | None:
    """The words behind `name` in an options string `V4,dev-type tun,…`; "" for a bare word, None when absent."""
    for option in options.split(","):
        words = option.split(" ", 1)
        if words[0] == name:
            return words[1] if len(words) > 1 else ""
    return None


def choose_cipher(ours: tuple[str, ...], peer_info: dict[str, str], options: str) -> str | None:
    """First of our data ciphers that the client can; its options string counts only without IV_CIPHERS."""
    theirs = client_ciphers(peer_info)
    if "IV_CIPHERS" not in peer_info:
        named = option_value(options, "cipher")
        if named:
            theirs += (named.upper(),)
    return next((cipher for cipher in ours if cipher in theirs), None)


def wants_cipher_pushed(peer_info: dict[str, str]) -> bool:
    """Whether `cipher` goes into the PUSH_REPLY: only clients that negotiate take it from there."""
    return "IV_CIPHERS" in peer_info or bool(client_ciphers(peer_info))


def protocol_flags(proto: int) -> tuple[str, ...]:
    """Flags to push: only what the client announced (OpenVPN push.c prepare_push_reply)."""
    flags = []
    if proto & PROTO_CC_EXIT:
        flags.append("cc-exit")
    if proto & PROTO_TLS_KEY_EXPORT:
        flags.append("tls-ekm")
    return tuple(flags)


def options_string(profile: ServerProfile, cipher: str | None) -> str:
    """Our side of the options consistency check; mismatches only make clients log a warning."""
    wrap = profile.wrap
    parts = ["V4", "dev-type tun", f"link-mtu {profile.tun_mtu + _LINK_MTU_EXTRA}", f"tun-mtu {profile.tun_mtu}"]
    parts.append(f"proto {profile.link_protocol}")
    if wrap.kind == "tls-auth" and wrap.direction is not None:
        parts.append(f"keydir {wrap.direction}")
    if cipher is not None:
        parts.append(f"cipher {cipher}")
    parts += [f"auth {wrap.digest}", "keysize 128"]
    if wrap.kind == "tls-auth":
        parts.append("tls-auth")
    return ",".join([*parts, "key-method 2", "tls-server"])
