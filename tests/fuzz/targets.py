"""All fuzz targets by name: functions of bytes that raise when something is wrong."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz import (
    config_damage,
    config_targets,
    datagram_targets,
    gateway_target,
    openvpn_targets,
    packet_targets,
)

Target = Callable[[bytes], None]

TARGETS: dict[str, Target] = {
    "framing": openvpn_targets.framing,
    "control-wrap": openvpn_targets.control_wrap,
    "session-wrap": openvpn_targets.session_wrap,
    "wrapped-key": openvpn_targets.wrapped_key,
    "control-body": openvpn_targets.control_body,
    "key-message": openvpn_targets.key_message,
    "control-strings": openvpn_targets.control_strings,
    "session-records": openvpn_targets.session_records,
    "data-records": openvpn_targets.data_records,
    "config-lines": config_targets.config_lines,
    "config-text": config_targets.config_text_target,
    "block-device": config_targets.block_device,
    "config-damage": config_damage.config_damage,
    "ipv4-header": packet_targets.ipv4_header,
    "tcp-options": packet_targets.tcp_options,
    "icmp-message": packet_targets.icmp_message,
    "ip-fragments": packet_targets.ip_fragments,
    "tcp-reassembly": packet_targets.tcp_reassembly,
    "nat-rewrite": packet_targets.nat_rewrite,
    "tcp-segments": packet_targets.tcp_segments,
    "stateless-look": datagram_targets.stateless_look,
    "datagram-sessions": datagram_targets.datagram_sessions,
    "gateway-frames": gateway_target.gateway_frames,
    "gateway-stream": gateway_target.gateway_stream,
}
