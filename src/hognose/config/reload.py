"""Changes of a config that take effect while the server runs, and those that need a restart."""

from __future__ import annotations

from dataclasses import fields, replace

from hognose.config.model import CertificatePolicy, ServerConfig

LIVE = (
    "push",
    "clients",
    "ccd_exclusive",
    "reservations",
    "max_clients",
    "inactive",
    "inactive_bytes",
    "session_timeout",
    "status_interval",
    "status_version",
    "connect_freq",
)
LIVE_POLICY = ("crl", "fingerprints")
# The directive for each field whose name is not that of its directive with - for _.
_DIRECTIVES = {
    "network": "server",
    "prefix_len": "server",
    "static_key": "",  # tls-auth or tls-crypt
    "wrap": "",
    "ping_timeout": "keepalive",
    "push_ping_restart": "keepalive",
    "ping": "keepalive",
    "tls_crypt_v2_key": "tls-crypt-v2",
    "framing": "compress",
    "replay_time": "replay-window",
    "mssfix_mode": "mssfix",
    "reneg_sec_min": "reneg-sec",
    "pool_first": "ifconfig-pool",
    "pool_last": "ifconfig-pool",
    "name_kind": "verify-x509-name",
    "name": "verify-x509-name",
    "key_usage": "remote-cert-ku",
    "eku": "remote-cert-eku",
    "username_field": "x509-username-field",
}


def restart_fields(old: ServerConfig, new: ServerConfig) -> list[str]:
    """The directives, in order and each once, whose change takes effect only after a restart."""
    names: dict[str, None] = {}
    for name in _changed(old, new, ("policy", *LIVE)):
        directive = _DIRECTIVES.get(name, name.replace("_", "-"))
        for each in (directive,) if directive else (old.wrap, new.wrap):
            if each != "none":
                names[each] = None
    for name in _changed(old.policy, new.policy, LIVE_POLICY):
        names[_DIRECTIVES.get(name, name.replace("_", "-"))] = None
    return list(names)


def with_live_fields(old: ServerConfig, new: ServerConfig) -> ServerConfig:
    """The old config with those settings of the new one that can take effect at once."""
    policy = replace(old.policy, crl=new.policy.crl, fingerprints=new.policy.fingerprints)
    return replace(old, policy=policy, **{name: getattr(new, name) for name in LIVE})


def _changed(
    old: ServerConfig | CertificatePolicy, new: ServerConfig | CertificatePolicy, besides: tuple[str, ...]
) -> list[str]:
    return [
        each.name
        for each in fields(old)
        if each.name not in besides and getattr(old, each.name) != getattr(new, each.name)
    ]
