"""PUSH_REPLY messages: every option once, none too long, and their time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.openvpn.link import ADMISSION, START, profile

from hognose.openvpn.control.agreement import Agreement
from hognose.openvpn.control.key_state import KeyState
from hognose.openvpn.control.push import PUSH_RESEND_GUARD, Push, push_replies


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
        (START + PUSH_RESEND_GUARD - 1, True, 1),
        (START + PUSH_RESEND_GUARD, False, 1),
        (START + PUSH_RESEND_GUARD, True, 2),
    ):
        reliability.idle = idle
        push.send(key, profile(), agreement, {}, now)
        assert len(sent) == count
    assert "ifconfig 10.8.0.2 255.255.255.0" in sent[0]
    restored = cast(KeyState, SimpleNamespace(reliability=reliability, send_message=sent.append, tls=None))
    push.send(restored, profile(), agreement, {}, START + 2 * PUSH_RESEND_GUARD)
    assert len(sent) == 2, "without TLS nothing can be sent"
