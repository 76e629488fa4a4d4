"""PUSH_REPLY messages: every option once, none too long, and their time."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.openvpn.link import ADMISSION, SECOND, START, profile

from hognose.address import parse_ipv4
from hognose.openvpn.control.agreement import Agreement
from hognose.openvpn.control.key_state import KeyState
from hognose.openvpn.control.push import Admission, Push, push_options, push_replies


@given(st.lists(st.text("abc .0123", min_size=1, max_size=200), max_size=60))
def test_push_replies_hold_every_option_once_in_order(options: list[str]) -> None:
    replies = push_replies(options)
    found = []
    for number, reply in enumerate(replies):
        parts = reply.split(",")
        assert parts.pop(0) == "PUSH_REPLY"
        assert len(reply) < 1024
        if len(replies) > 1:
            assert parts.pop() == f"push-continuation {1 if number == len(replies) - 1 else 2}"
        found += parts
    assert found == options


def test_several_messages_say_which_is_the_last() -> None:
    """OpenVPN push.c send_push_reply: 2 for more, 1 for the last; one message says nothing."""
    one, two, three = "a" * 900, "b" * 900, "c" * 50
    assert push_replies([one]) == [f"PUSH_REPLY,{one}"]
    assert push_replies([one, two, three]) == [
        f"PUSH_REPLY,{one},push-continuation 2",
        f"PUSH_REPLY,{two},push-continuation 2",
        f"PUSH_REPLY,{three},push-continuation 1",
    ]
    assert push_replies([]) == ["PUSH_REPLY"]
    assert push_replies(["\u00e9" * 400, "\u00e9" * 70]) == [
        f"PUSH_REPLY,{chr(0xE9) * 400},push-continuation 2",
        f"PUSH_REPLY,{chr(0xE9) * 70},push-continuation 1",
    ], "bytes count"


AGREED = Agreement("AES-256-GCM", "none", True, False, False, True, ("cipher AES-256-GCM",))
CLIENT = Admission(parse_ipv4("10.8.0.9"), parse_ipv4("255.255.255.0"), 3, ("route 192.0.2.0 255.255.255.0",))
HELPERS = ["route-gateway 10.8.0.1", "topology subnet"]
IFCONFIG = "ifconfig 10.8.0.9 255.255.255.0"


def test_options_come_in_openvpns_order() -> None:
    """Options for all, those that every client needs, its own ones, its address, what both sides agreed on (push.c)."""
    ours = profile(push=("block-ipv6", "dhcp-option DNS 192.0.2.53"), tun_mtu=1400)
    common = ["block-ipv6", "dhcp-option DNS 192.0.2.53", *HELPERS]
    own = [*CLIENT.push, IFCONFIG]
    assert push_options(ours, CLIENT, AGREED, {}) == [*common, *own, "peer-id 3", "cipher AES-256-GCM"]
    assert push_options(ours, CLIENT, AGREED, {"IV_MTU": "1600"})[-1] == "tun-mtu 1400"
    assert push_options(ours, CLIENT, replace(AGREED, v2=False, push=()), {}) == [*common, *own]
    reset = replace(CLIENT, push_reset=True, push=())
    assert push_options(ours, reset, AGREED, {}) == [*HELPERS, IFCONFIG, "peer-id 3", "cipher AES-256-GCM"]
    fewer = replace(CLIENT, push_remove=("dhcp-option", "route 192"))
    assert push_options(ours, fewer, AGREED, {})[:4] == ["block-ipv6", *HELPERS, CLIENT.push[0]]


@pytest.mark.parametrize(("second", "replies"), [(828, 1), (829, 2)])
def test_a_reply_ends_before_it_has_940_bytes(second: int, replies: int) -> None:
    """PUSH_REPLY, a comma and 100 bytes, a comma and these."""
    found = push_replies(["a" * 100, "b" * second])
    assert len(found) == replies
    if replies == 1:
        assert len(found[0]) == 940


def test_one_reply_in_thirty_seconds_and_none_while_one_is_on_its_way() -> None:
    """Requests may cross the first reply (OpenVPN push.c); a client that takes none must not fill the queue."""
    sent: list[str] = []
    reliability = SimpleNamespace(idle=True)
    key = cast(KeyState, SimpleNamespace(reliability=reliability, send_message=sent.append, tls=object()))
    agreement = Agreement("AES-256-GCM", "none", True, False, False, True, ())
    push = Push()
    push.send(key, profile(), agreement, {}, START)
    assert sent == [], "not admitted"
    push.admission = ADMISSION
    for now, idle, count in (
        (START, False, 0),
        (START, True, 1),
        (START + 30 * SECOND - 1, True, 1),
        (START + 30 * SECOND, False, 1),
        (START + 30 * SECOND, True, 2),
    ):
        reliability.idle = idle
        push.send(key, profile(), agreement, {}, now)
        assert len(sent) == count
    assert "ifconfig 10.8.0.2 255.255.255.0" in sent[0]
    restored = cast(KeyState, SimpleNamespace(reliability=reliability, send_message=sent.append, tls=None))
    push.send(restored, profile(), agreement, {}, START + 60 * SECOND)
    assert len(sent) == 2, "without TLS nothing can be sent"
