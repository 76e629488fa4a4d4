"""A config as the session engine sees it."""

from __future__ import annotations

from hognose.config.model import ServerConfig
from hognose.limits import Limits
from hognose.openvpn.profile import ServerProfile, WrapSettings
from hognose.openvpn.tls.certificates import CertificateRules
from hognose.openvpn.tls.context import TlsContext, TlsSettings
from hognose.units import ipv4_text


def make_profile(config: ServerConfig, limits: Limits) -> ServerProfile:
    """Settings of all sessions; ConfigError when TLS cannot be set up with them."""
    wrap = WrapSettings(
        kind=config.wrap,
        key=config.static_key,
        direction=config.key_direction,
        digest=config.auth,
        v2_key=config.tls_crypt_v2_key,
        v2_max_age_days=config.tls_crypt_v2_max_age,
    )
    return ServerProfile(
        tls=TlsContext(_tls_settings(config)),
        wrap=wrap,
        ciphers=config.data_ciphers,
        fallback_cipher=config.data_ciphers_fallback,
        digest=config.auth,
        framing=config.framing,
        replay_window=config.replay_window,
        replay_time_s=config.replay_time,
        push=config.push,
        helpers=_helpers(config),
        ping_s=config.ping,
        ping_timeout_s=config.ping_timeout,
        inactive_s=config.inactive,
        inactive_bytes=config.inactive_bytes,
        session_timeout_s=config.session_timeout,
        hand_window_s=config.hand_window,
        tran_window_s=config.tran_window,
        reneg_s=config.reneg_sec,
        # OpenVPN: a server takes up to a tenth off, so that its clients do not all come at once.
        reneg_min_s=config.reneg_sec_min or config.reneg_sec * 9 // 10,
        reneg_bytes=config.reneg_bytes,
        reneg_packets=config.reneg_pkts,
        tls_timeout_s=config.tls_timeout,
        max_packet_size=config.max_packet_size,
        tun_mtu=config.tun_mtu,
        limits=limits.openvpn,
    )


def _tls_settings(config: ServerConfig) -> TlsSettings:
    policy = config.policy
    return TlsSettings(
        ca=config.ca,
        cert=config.cert,
        key=config.key,
        min_version=config.tls_version_min,
        max_version=config.tls_version_max,
        ciphers=config.tls_cipher,
        ciphersuites=config.tls_ciphersuites,
        groups=config.tls_groups,
        cert_profile=config.tls_cert_profile,
        extra_certs=config.extra_certs,
        crl=policy.crl,
        verify_client_cert=policy.verify_client_cert,
        rules=CertificateRules(
            fingerprints=policy.fingerprints,
            name_kind=policy.name_kind,
            name=policy.name,
            key_usage=policy.key_usage,
            eku=policy.eku,
            remote_cert_tls=policy.remote_cert_tls,
            username_field=policy.username_field,
        ),
    )


def _helpers(config: ServerConfig) -> tuple[str, ...]:
    """Pushes that follow from `server`, `keepalive` and our TCP (OpenVPN helper.c)."""
    helpers = [f"route-gateway {ipv4_text(config.server_address)}", "topology subnet"]
    if config.ping:
        helpers.append(f"ping {config.ping}")
    if config.push_ping_restart:
        helpers.append(f"ping-restart {config.push_ping_restart}")
    if config.tcp_nodelay:
        helpers.append("socket-flags TCP_NODELAY")  # OpenVPN's `tcp-nodelay` pushes the same
    return tuple(helpers)
