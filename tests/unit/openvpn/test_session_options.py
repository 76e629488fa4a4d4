"""Effects of directives on a session: renegotiation, ends by time, what is pushed, keys, ciphers, framings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.openvpn.client import OPTIONS
from tests.unit.openvpn.link import ADMISSION, SECOND, Link, kit, profile
from tests.world.today import UNIX

from hognose.drops import DropReason
from hognose.openvpn.session_events import Authenticated, Disagreed, Established, Renegotiated
from hognose.wire import openvpn as wire

PACKET = b"\x45" + bytes(99)


def info(proto: int, *lines: str, ciphers: str = "AES-256-GCM:AES-128-GCM") -> str:
    return "\n".join([f"IV_PROTO={proto}", "IV_NCP=2", f"IV_CIPHERS={ciphers}", *lines, ""])


def established(link: Link) -> Established:
    return next(event for event in link.events if isinstance(event, Established))


def exchange(link: Link, packets: list[bytes] | None = None) -> None:
    """Packets both ways arrive as they are."""
    want = [PACKET + bytes((n,)) for n in range(3)] if packets is None else packets
    before = len(link.inner), len(link.client.packets)
    for packet in want:
        link.client.send(packet)
    for record in link.session.seal(want, link.now):
        link.send(record, to_server=False)
    link.run(lambda: (len(link.inner), len(link.client.packets)) == (before[0] + len(want), before[1] + len(want)), 5)
    assert link.inner[before[0] :] == want
    assert link.client.packets[before[1] :] == want


def renegotiations(link: Link) -> list[int]:
    return [event.key_id for event in link.events if isinstance(event, Renegotiated)]


def pushed(link: Link) -> list[str]:
    [reply] = [message for message in link.client.messages if message.startswith("PUSH_REPLY")]
    return reply.split(",")[1:]


def with_admission(link: Link, **changes: Any) -> Link:
    """The gateway's answer is another one."""
    link.admit = False
    link.client.start(link.now)
    link.run(lambda: link.has(Authenticated), 10)
    link.session.admit(replace(ADMISSION, **changes), link.now)
    link.run(lambda: link.client.established, 10)
    return link


# -- renegotiation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["in", "out"])
def test_reneg_bytes(direction: str) -> None:
    link = Link(profile(reneg_bytes=2000, reneg_s=0, ping_timeout_s=0), kit())
    link.connect()
    for _ in range(19):
        exchange_one(link, direction)
    link.rest(61)
    assert renegotiations(link) == []
    exchange_one(link, direction)
    exchange_one(link, direction)
    link.run(lambda: renegotiations(link) == [1], 70)
    link.rest(61)
    assert renegotiations(link) == [1]  # the count begins anew


def exchange_one(link: Link, direction: str) -> None:
    if direction == "in":
        link.client.send(PACKET)
        link.rest(0.01)
    else:
        for record in link.session.seal([PACKET], link.now):
            link.send(record, to_server=False)
        link.rest(0.01)


def test_reneg_pkts() -> None:
    link = Link(profile(reneg_packets=10, reneg_s=0, ping_timeout_s=0), kit())
    link.connect()
    for number in range(1, 32):
        exchange_one(link, "in")
        link.rest(1)
        assert renegotiations(link) == list(range(1, number // 10 + 1))


def test_reneg_sec_lies_between_min_and_max_and_differs() -> None:
    found = []
    for _ in range(12):
        link = Link(profile(reneg_s=400, reneg_min_s=200, ping_timeout_s=0), kit())
        link.connect()
        begin = link.now
        link.run(lambda link=link: bool(renegotiations(link)), 410)
        found.append((link.now - begin) // SECOND)
    assert all(199 <= seconds <= 401 for seconds in found)
    assert len(set(found)) > 6


def test_reneg_sec_0_leaves_it_to_the_client() -> None:
    link = Link(profile(reneg_s=0, ping_timeout_s=0), kit())
    link.connect()
    link.rest(8000)
    assert renegotiations(link) == []
    link.client.renegotiate(link.now)
    link.run(lambda: renegotiations(link) == [1], 10)


# -- ends by time ------------------------------------------------------------------------------------------------------


def test_control_packets_keep_a_client_alive_too() -> None:
    """Authentic ones, an acknowledgement of nothing is enough (OpenVPN ssl.c tls_pre_decrypt)."""
    link = Link(profile("tls-crypt", ping_s=0, ping_timeout_s=60), kit("tls-crypt"))
    link.connect()
    for _ in range(3):
        link.rest(50)
        link.session.receive([link.client.wrapped(wire.ACK_V1, link.client.negotiations[0], b"\0")], link.now, UNIX)
    assert link.session.ended is None
    link.run(lambda: link.session.ended is not None, 61)


def test_inactive_counts_traffic_only() -> None:
    link = Link(profile(inactive_s=80, ping_timeout_s=0), kit())
    link.connect()
    for _ in range(5):
        link.rest(60)
        exchange_one(link, "in")
    assert link.session.ended is None
    link.run(lambda: link.session.ended is not None, 95)  # pings go on
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.INACTIVE
    assert link.client.pings > 5


def test_inactive_with_too_few_bytes() -> None:
    link = Link(profile(inactive_s=80, inactive_bytes=10_000, ping_timeout_s=0), kit())
    link.connect()
    for _ in range(20):
        if link.session.ended is None:
            exchange_one(link, "out")
            link.rest(10)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.INACTIVE


def test_session_timeout_ends_it_whatever_happens() -> None:
    link = Link(profile(session_timeout_s=100, ping_timeout_s=0), kit())
    link.connect()
    begin = link.now
    while link.session.ended is None:
        exchange_one(link, "in")
        link.rest(5)
        assert link.now - begin < 110 * SECOND
    assert link.session.ended.reason is DropReason.SESSION_TIMEOUT
    assert link.now - begin >= 99 * SECOND


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proto", "messages"),
    [(990, ["AUTH_FAILED,TEMP[backoff 10,advance no]:the server is full"]), (990 & ~(1 << 8), [])],
    ids=["bit 8", "without"],
)
def test_a_temporary_refusal(proto: int, messages: list[str]) -> None:
    link = Link(profile(), kit(peer_info=info(proto)), admit=False)
    link.client.start(link.now)
    link.run(lambda: link.has(Authenticated), 10)
    link.session.refuse("the server is full", link.now, DropReason.CLIENTS_FULL, temporary=True)
    link.run(lambda: link.session.ended is not None, 10)
    assert link.client.messages == messages
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.CLIENTS_FULL


# -- push --------------------------------------------------------------------------------------------------------------

SERVER_PUSH = ("route 198.18.0.0 255.255.0.0", "dhcp-option DNS 192.0.2.53", "route 198.19.0.0 255.255.0.0")


def test_pushes_of_one_client() -> None:
    link = with_admission(Link(profile(push=SERVER_PUSH), kit()), push=("route 203.0.113.0 255.255.255.0",))
    options = pushed(link)
    assert options[:3] == list(SERVER_PUSH)
    assert options.index("topology subnet") < options.index("route 203.0.113.0 255.255.255.0")
    assert options.index("route 203.0.113.0 255.255.255.0") < options.index("ifconfig 10.8.0.2 255.255.255.0")


def test_push_reset_leaves_what_a_client_needs() -> None:
    link = with_admission(Link(profile(push=SERVER_PUSH), kit()), push_reset=True, push=("block-ipv6",))
    options = pushed(link)
    assert not set(options) & set(SERVER_PUSH)
    assert options[:3] == ["route-gateway 10.8.0.1", "topology subnet", "block-ipv6"]
    exchange(link)


def test_push_remove_takes_out_by_prefix() -> None:
    changes = {"push_remove": ("route 198.19", "dhcp-option"), "push": ("dhcp-option DNS 192.0.2.99",)}
    options = pushed(with_admission(Link(profile(push=SERVER_PUSH), kit()), **changes))
    assert "route 198.18.0.0 255.255.0.0" in options
    assert "route 198.19.0.0 255.255.0.0" not in options
    assert [option for option in options if option.startswith("dhcp-option")] == ["dhcp-option DNS 192.0.2.99"]


@given(st.lists(st.text("abc 123", min_size=1, max_size=250), max_size=80))
@settings(max_examples=60, deadline=None)
def test_any_pushes_arrive_complete_and_in_messages_that_clients_take(options: list[str]) -> None:
    from hognose.openvpn.control.push import push_replies

    replies = push_replies(options)
    assert all(len(reply) < 1024 for reply in replies)
    got = [option for reply in replies for option in reply.split(",")[1:] if not option.startswith("push-cont")]
    assert got == options
    marks = [reply.rpartition(",")[2] for reply in replies]
    if len(replies) > 1:
        assert marks == ["push-continuation 2"] * (len(replies) - 1) + ["push-continuation 1"]


# -- packets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", ["none", "tls-auth", "tls-crypt", "tls-crypt-v2"])
@pytest.mark.parametrize("size", [154, 400, 1250])
def test_no_control_packet_is_longer_than_max_packet_size(wrap: str, size: int) -> None:
    ours = profile(wrap, max_packet_size=size, push=SERVER_PUSH * 12)
    link = Link(ours, kit(wrap, hello_padding=8000))  # in pieces, whose acknowledgements ride on ours
    sizes: list[int] = []
    poll = link.session.poll

    def spy(now: int, unix: int) -> list[bytes]:
        records = poll(now, unix)
        sizes.extend(len(record) for record in records if record[0] >> 3 == wire.CONTROL_V1)
        return records

    link.session.poll = spy  # type: ignore[method-assign]  # a spy
    link.connect()
    link.client.renegotiate(link.now)
    link.run(lambda: renegotiations(link) == [1], 20)
    assert max(sizes) <= size
    assert max(sizes) > (size - 60 if size == 1250 else size - 1), "four acknowledgements, as much TLS as there is room"


# -- keys and ciphers --------------------------------------------------------------------------------------------------


def test_key_export_without_protocol_flags() -> None:
    """Bit 3 without bit 7: `key-derivation tls-ekm` (OpenVPN push.c prepare_push_reply)."""
    link = Link(profile(), kit(peer_info=info(1 << 1 | 1 << 2 | 1 << 3)))
    link.connect()
    assert "key-derivation tls-ekm" in pushed(link)
    assert not any(option.startswith("protocol-flags") for option in pushed(link))
    assert established(link).key_source == "tls-ekm"
    exchange(link)


@given(st.integers(0, 0x1FFF))
@settings(max_examples=40, deadline=None)
def test_no_flag_is_pushed_that_the_client_did_not_announce(proto: int) -> None:
    proto |= 1 << 2  # wants the reply unasked
    link = Link(profile(), kit(peer_info=info(proto)))
    link.client.cipher = "AES-256-GCM"
    link.connect()
    flags = [word for option in pushed(link) if option.startswith("protocol-flags") for word in option.split()[1:]]
    bits = {"cc-exit": 7, "tls-ekm": 3, "dyn-tls-crypt": 9, "aead-epoch": 10}
    assert all(proto >> bits[flag] & 1 for flag in flags)
    assert ("peer-id 7" in pushed(link)) == bool(proto >> 1 & 1)
    exchange(link)
    link.client.renegotiate(link.now)
    link.run(lambda: renegotiations(link) == [1], 10)


def test_data_ciphers_fallback_is_for_clients_that_say_nothing() -> None:
    link = Link(profile(fallback_cipher="AES-256-CBC"), kit(peer_info="IV_PROTO=6\n", options="V4,dev-type tun"))
    link.client.cipher = "AES-256-CBC"
    link.connect()
    assert established(link).cipher == "AES-256-CBC"
    assert not any(option.startswith("cipher") for option in pushed(link))
    exchange(link)
    link = Link(
        profile(fallback_cipher="AES-256-CBC"),
        kit(peer_info="IV_PROTO=6\n", options="V4,dev-type tun,cipher AES-256-CBC"),
    )
    link.client.start(link.now)
    link.run(lambda: link.session.ended is not None, 20)
    assert link.session.ended is not None
    assert link.session.ended.reason is DropReason.NO_SHARED_CIPHER


@pytest.mark.parametrize("digest", ["SHA1", "SHA256", "SHA512"])
@pytest.mark.parametrize("proto", [6, 990], ids=["PRF", "tls-ekm"])
def test_cbc_data_channels(digest: str, proto: int) -> None:
    link = Link(
        profile(ciphers=("AES-256-CBC",), digest=digest),
        kit(peer_info=info(proto, ciphers="AES-256-CBC"), data_digest=digest),
    )
    link.connect()
    exchange(link, [b"\x45" + bytes(size) for size in (0, 1, 10, 11, 12, 15, 16, 1400)])
    link.client.renegotiate(link.now)
    link.run(lambda: renegotiations(link) == [1], 10)
    exchange(link)


@pytest.mark.parametrize("cipher", ["AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305"])
def test_epoch_data_channels(cipher: str) -> None:
    link = Link(profile(ciphers=(cipher,)), kit(peer_info=info(8094, ciphers=cipher)))
    link.connect()
    assert established(link).header == "V2+epoch"
    exchange(link)
    link.client.send_epoch = 3
    exchange(link)
    link.client.renegotiate(link.now)
    link.run(lambda: renegotiations(link) == [1], 10)
    link.client.send_epoch = 1
    exchange(link)


@pytest.mark.parametrize(
    ("ours", "framing", "lines", "push", "works"),
    [
        ("migrate", "", (), None, True),
        ("migrate", "comp-lzo", ("IV_COMP_STUBv2=1",), "compress stub-v2", True),
        ("migrate", "comp-lzo", (), "comp-lzo no", True),
        ("migrate", "stub", ("IV_COMP_STUB=1", "IV_COMP_STUBv2=1"), "compress stub-v2", True),
        ("comp-lzo", "comp-lzo", (), None, True),
        ("stub", "stub", (), None, True),
        ("none", "comp-lzo", (), None, False),
    ],
)
def test_compression_framings(ours: str, framing: str, lines: tuple[str, ...], push: str | None, works: bool) -> None:
    """Results of a client with `comp-lzo` or `compress` in its config at a server with each framing."""
    options = OPTIONS + (",comp-lzo" if framing else "")
    link = Link(profile(framing=ours), kit(peer_info=info(990, *lines), options=options, framing=framing))
    link.client.start(link.now)
    if not works:
        link.run(lambda: link.session.ended is not None, 20)
        assert link.session.ended is not None
        assert link.session.ended.reason is DropReason.FRAMING_MISMATCH
        [event] = [event for event in link.events if isinstance(event, Disagreed)]
        assert "compress migrate" in event.detail
        return
    link.run(lambda: link.client.established and link.has(Established), 10)
    assert [option for option in pushed(link) if option.startswith("comp")] == ([push] if push else [])
    exchange(link, [PACKET, *([b"\x50" + bytes(30)] if framing else []), b"\x46" + bytes(23)])
    link.client.renegotiate(link.now)
    link.run(lambda: renegotiations(link) == [1], 10)
    exchange(link)
    assert sum(link.counters.drops) == 0


@pytest.mark.parametrize(("proto", "forced", "works"), [(990, True, True), (990 & ~8, True, False), (982, False, True)])
def test_key_material_exporters_can_be_forced(proto: int, forced: bool, works: bool) -> None:
    """IV_PROTO's bit 3 says that a client can (OpenVPN ssl.h IV_PROTO_TLS_KEY_EXPORT)."""
    link = Link(profile(force_tls_key_material_export=forced), kit(peer_info=info(proto)))
    link.client.start(link.now)
    link.run(lambda: link.has(Established) or link.session.ended is not None, 20)
    assert link.has(Established) is works
    if not works:
        assert link.session.ended is not None
        assert link.session.ended.reason is DropReason.BAD_KEY_METHOD
        [event] = [event for event in link.events if isinstance(event, Disagreed)]
        assert "force-tls-key-material-export" in event.detail


def test_peer_info_of_an_unknown_kind_is_no_reason_to_fail() -> None:
    for text in (
        "",
        "IV_PROTO=\n",
        "IV_PROTO=99999999999999\nIV_NCP=2\n",
        "IV_PROTO=-1\n",
        "=\n==\n",
        "IV_NCP=\u0662\n",
    ):
        link = Link(profile(fallback_cipher="AES-256-GCM"), kit(peer_info=text))
        link.client.start(link.now)
        link.run(lambda link=link: link.has(Established) or link.session.ended is not None, 20)
        link.session.receive([b"\x30" + bytes(40)], link.now, UNIX)
        assert link.has(Established)
