"""The directive table: every directive this server knows, what becomes of it, how many words it takes.

honour: takes effect. ignore: accepted with a warning that says why; its files are not read. Other
directives of OpenVPN are answered by INSTEAD, or with "not supported (yet)".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["honour", "ignore"]


@dataclass(frozen=True, slots=True)
class Row:
    """min_words … max_words count what stands behind the name; file: the first word names a file to embed."""

    verdict: Verdict
    text: str
    min_words: int = 0
    max_words: int = 32
    file: bool = False
    repeatable: bool = False


def _honour(text: str, low: int, high: int, *, file: bool = False, repeatable: bool = False) -> Row:
    return Row("honour", text, low, high, file, repeatable)


def _ignore(text: str) -> Row:
    return Row("ignore", text, repeatable=True)


_NO_USERS = "this program is alone in its machine; there are no users to change to"
_NO_DISK = "there is no disk to write to"
_OWN_STACK = "this server has its own network stack"
_LOG_CONSOLE = "the log is the console"

DIRECTIVES: dict[str, Row] = {
    # mode and network
    "mode": _honour("`server` only", 1, 1),
    "tls-server": _honour("always so", 0, 0),
    "server": _honour(
        "tunnel network and netmask, e.g. `server 10.8.0.0 255.255.255.0`; the first address is ours", 2, 3
    ),
    "topology": _honour("`subnet` only", 1, 1),
    "dev": _honour("`tun` or a name beginning with it, or any name with `dev-type tun`", 1, 1),
    "dev-type": _honour("`tun` only", 1, 1),
    "proto": _honour("`tcp`, `tcp-server`, `tcp4` or `tcp4-server`", 1, 1),
    "port": _honour("TCP port to listen on, 1194 when absent", 1, 1),
    "lport": _honour("as `port`", 1, 1),
    "client-to-client": _honour("clients may reach each other", 0, 0),
    "duplicate-cn": _honour("several sessions with one certificate", 0, 0),
    "max-clients": _honour("authenticated clients at most", 1, 1),
    "push": _honour("an option for every client", 1, 1, repeatable=True),
    "tun-mtu": _honour("576 … 1500, pushed to clients that ask", 1, 1),
    "mssfix": _honour("largest outer packet that inner TCP may cause; `0` switches it off", 0, 2),
    # TLS and control channel
    "ca": _honour("certificates that clients' must descend from", 1, 1, file=True),
    "cert": _honour("the server's certificate, intermediates behind it", 1, 1, file=True),
    "key": _honour("the server's private key, not encrypted", 1, 1, file=True),
    "tls-auth": _honour("static key and direction for HMACs on the control channel", 1, 2, file=True),
    "tls-crypt": _honour("static key for the encryption of the control channel", 1, 1, file=True),
    "key-direction": _honour("`0` or `1`, for an inline tls-auth", 1, 1),
    "auth": _honour("HMAC digest of tls-auth", 1, 1),
    "cipher": _honour("takes no part in the negotiation; a warning when it is not in data-ciphers", 1, 1),
    "data-ciphers": _honour("AEAD ciphers in order of preference; `?` marks optional ones", 1, 1),
    "ncp-ciphers": _honour("as `data-ciphers`", 1, 1),
    "tls-version-min": _honour("`1.2` or `1.3`", 1, 2),
    "tls-version-max": _honour("`1.2` or `1.3`", 1, 1),
    "verify-client-cert": _honour("`require` only", 0, 1),
    "remote-cert-tls": _honour("`client`: always checked", 1, 1),
    "hand-window": _honour("seconds for a key negotiation", 1, 1),
    "tran-window": _honour("seconds for which an old key is still good", 1, 1),
    "reneg-sec": _honour("seconds between key negotiations; 0 leaves it to the clients", 1, 2),
    "tls-timeout": _honour("seconds until a control message is sent again", 1, 1),
    # timers
    "keepalive": _honour("ping after the first, client restart after the second number of seconds", 2, 2),
    "ping": _honour("seconds of silence after which a ping is sent", 1, 1),
    "ping-restart": _honour("seconds without a packet after which a client is dropped", 1, 1),
    "ping-exit": _honour("as `ping-restart`", 1, 1),
    "tcp-nodelay": _honour("always on, also pushed", 0, 0),
    "socket-flags": _honour("`TCP_NODELAY` is always on", 0, 8),
    "comp-lzo": _honour("`no` only", 0, 1),
    "allow-compression": _honour("`no` only", 1, 1),
    # harmless
    "dh": _ignore("key exchange uses elliptic curves; the file is not read"),
    "ecdh-curve": _ignore("OpenSSL's own choice of curves is used"),
    "persist-key": _ignore("there is no restart to persist over"),
    "persist-tun": _ignore("there is no restart to persist over"),
    "persist-local-ip": _ignore("there is no restart to persist over"),
    "ifconfig-pool-persist": _ignore(f"{_NO_DISK}; a client gets the same address while the server runs"),
    "user": _ignore(_NO_USERS),
    "group": _ignore(_NO_USERS),
    "chroot": _ignore(_NO_USERS),
    "cd": _ignore("paths are relative to the config file"),
    "daemon": _ignore("always in the foreground"),
    "nice": _ignore(_NO_USERS),
    "mlock": _ignore("nothing is ever swapped"),
    "log": _ignore(_LOG_CONSOLE),
    "log-append": _ignore(_LOG_CONSOLE),
    "syslog": _ignore(_LOG_CONSOLE),
    "status": _ignore(_NO_DISK),
    "status-version": _ignore(_NO_DISK),
    "writepid": _ignore(_NO_DISK),
    "verb": _ignore("the boot argument -l sets the log level"),
    "mute": _ignore("log lines about peers are limited per second"),
    "mute-replay-warnings": _ignore("replays are counted, not logged"),
    "suppress-timestamps": _ignore(_LOG_CONSOLE),
    "machine-readable-output": _ignore(_LOG_CONSOLE),
    "explicit-exit-notify": _ignore("only for UDP"),
    "local": _ignore("the address comes from the boot argument --ipv4"),
    "nobind": _ignore("a server always listens"),
    "multihome": _ignore("there is one address"),
    "float": _ignore("only for UDP"),
    "sndbuf": _ignore(_OWN_STACK),
    "rcvbuf": _ignore(_OWN_STACK),
    "txqueuelen": _ignore(_OWN_STACK),
    "fast-io": _ignore(_OWN_STACK),
    "passtos": _ignore(_OWN_STACK),
    "mtu-disc": _ignore(_OWN_STACK),
    "tcp-queue-limit": _ignore(_OWN_STACK),
    "bcast-buffers": _ignore(_OWN_STACK),
    "max-routes-per-client": _ignore("a client has one address"),
    "comp-noadapt": _ignore("nothing is compressed"),
    "setenv": _ignore("no script is ever run"),
    "setenv-safe": _ignore("no script is ever run"),
    "tmp-dir": _ignore(_NO_DISK),
    "errors-to-stderr": _ignore(_LOG_CONSOLE),
    "script-security": _ignore("no script is ever run"),
    "auth-nocache": _ignore("nothing is cached"),
    "disable-dco": _ignore(_OWN_STACK),
    "tun-ipv6": _ignore("the tunnel carries IPv4 only"),
    "replay-window": _ignore("64 packets; TCP keeps the order"),
}

# Lines that mean what happens anyway: not worth a warning.
SILENT = frozenset({("dh", "none"), ("explicit-exit-notify", "0")})

# What to write instead, for directives that people will certainly try.
INSTEAD: dict[str, str] = {
    "tls-crypt-v2": "not supported (yet); write `tls-crypt ta.key`",
    "crl-verify": "not supported (yet); without it revoked clients would get in, so the server does not start",
    "server-ipv6": "not supported (yet); the tunnel carries IPv4 only",
    "server-bridge": "not supported; write `server NETWORK NETMASK`",
    "fragment": "not supported over TCP; remove the line",
    "compress": "not supported; remove the line, also in the clients",
    "connection": "this is a client's block; a server's config has `server NETWORK NETMASK`",
    "remote": "this is a client's directive; a server's config has `server NETWORK NETMASK`",
    "tls-client": "this is a client's directive; a server's config has `server NETWORK NETMASK`",
    "pull": "this is a client's directive; a server's config has `server NETWORK NETMASK`",
    "ifconfig-pool": "not supported (yet); all addresses of `server NETWORK NETMASK` are the pool",
    "client": "this is a client's directive; a server's config has `server NETWORK NETMASK`",
    "secret": "static-key mode has no server; write ca, cert and key",
    "plugin": "not supported; nothing but this program runs in its machine",
    "up": "no script is ever run; remove the line",
    "down": "no script is ever run; remove the line",
    "client-connect": "no script is ever run; remove the line",
    "auth-user-pass-verify": "no script is ever run, and passwords are not supported (yet)",
    "route": 'not supported (yet); to send a route to clients write `push "route …"`',
}
