"""The weaknesses that OpenVPN servers have had, tried on a whole gateway; docs/dev/cve-tests.md lists the tests.

After every attack another client is served as before, and no exception was counted.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.packet import Raw
from tests.unit.gateway.gateway_world import ADDRESS, GATEWAY, OUTSIDE, GatewayWorld, Remote, query
from tests.unit.openvpn.client import OCC_EXIT, ModelClient
from tests.unit.openvpn.link import client_identity, kit
from tests.unit.openvpn.stages import body_of, control, v3_reset
from tests.world.pki import Authority

from hognose.drops import DropReason, Stat
from hognose.errors import ConfigError
from hognose.host.console import format_value
from hognose.units import SECOND
from hognose.wire import openvpn as wire

RESET = b"\x38" + bytes(range(1, 9)) + b"\0" + bytes(4)
STAGES = ("connected", "half a length", "half a record", "reset", "TLS", "established", "renegotiating")


def echo(source: str) -> IP:
    return IP(src=source, dst=GATEWAY, ttl=64) / ICMP(id=7, seq=1) / b"ping"


def unharmed(world: GatewayWorld, bob: Remote) -> None:
    """Bob is served, and nothing went wrong inside."""
    bob.take()
    assert len(bob.inner(echo(bob.tunnel_address))) == 1
    assert world.dropped(DropReason.INTERNAL_ERROR) == 0
    assert world.events_of("internal_error") == []


def at_stage(world: GatewayWorld, stage: str) -> Remote:
    """A client that has come so far and from now on only says what the test says."""
    if stage in ("established", "renegotiating"):
        remote = world.client("alice")
        assert remote.vpn is not None
        if stage == "renegotiating":
            world.rest(11)
            vpn = remote.vpn
            vpn.renegotiate(world.now)
            remote.records(*vpn.poll(world.now))
            remote.vpn = None
            world.frames()
        remote.vpn = None
        return remote
    remote = world.remote()
    if stage == "half a length":
        remote.send(b"\0")
    elif stage == "half a record":
        remote.send(b"\0\x0e" + RESET[:7])
    elif stage in ("reset", "TLS"):
        vpn = ModelClient(kit())
        vpn.start(world.now)
        remote.records(*vpn.poll(world.now))
        world.frames()
        if stage == "TLS":
            answer = remote.stream
            vpn.receive(answer[2 : 2 + int.from_bytes(answer[:2], "big")], world.now)
            remote.records(*vpn.poll(world.now))
    world.frames()
    return remote


# -- bytes of the stream -----------------------------------------------------------------------------------------------

HOSTILE = [
    b"\0\0", b"\xff\xff" + bytes(4000), b"\x08\x01" + bytes(2049), b"\x08\0" + bytes(2048), b"\x08\0" + b"\x20" * 2048,
    b"\0\1" * 700, b"\0\1\x20" * 400, b"\0\1\x48" * 400, b"\0\2\x48\0" * 300, b"\0\4\x38\0\0\0" * 200, b"\0\1\xff" * 99,
]  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("data", HOSTILE, ids=lambda data: f"{data[:5].hex()} {len(data)}")
def test_cve_2017_7478_length_extremes_of_the_stream(data: bytes, stage: str) -> None:
    """CVE-2017-7478: lengths of 0, 1, the largest, one more, 65,535, and records of hardly anything, at every stage."""
    world = GatewayWorld()
    bob = world.client("bob", "192.0.2.12")
    remote = at_stage(world, stage)
    remote.send(data)
    world.frames()
    unharmed(world, bob)
    length = int.from_bytes(data[:2], "big")
    if not 0 < length <= 2048 and not stage.startswith("half"):
        assert world.dropped(DropReason.BAD_FRAME_LENGTH) == (stage not in ("established", "renegotiating"))
        assert remote.closed == (stage != "connected")  # a stranger learns nothing, not even when it failed
    world.rest(80)
    assert remote.reset or stage != "connected"
    unharmed(world, bob)
    assert world.gateway.client_count in (1, 2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stage=st.sampled_from(STAGES), parts=st.lists(st.binary(max_size=300), max_size=6), seed=st.integers(0, 99))
def test_any_bytes_at_any_stage_end_at_most_that_client(stage: str, parts: list[bytes], seed: int) -> None:
    """Raw bytes, or well-framed records of them, cut anywhere."""
    world = GatewayWorld()
    bob = world.client("bob", "192.0.2.12")
    remote = at_stage(world, stage)
    rng = random.Random(seed)
    for part in parts:
        if rng.random() < 0.7 and part:
            remote.records(part)
        else:
            remote.send(part, rng.choice((1, 7, 1460)))
        world.frames()
    unharmed(world, bob)


# -- resets and sends --------------------------------------------------------------------------------------------------


def download(world: GatewayWorld, remote: Remote, sport: int) -> int:
    """A flow to outside; its outside port."""
    world.outside.clear()
    remote.inner(query(remote.tunnel_address, sport=sport))
    return int(world.outside[-1][UDP].sport)


@pytest.mark.stress
@pytest.mark.parametrize("how", ["RST", "FIN", "RST while nothing is read", "hard reset", "connects again", "EXIT"])
def test_cve_2023_46850_storms_of_resets_in_the_middle_of_sends(how: str) -> None:
    """CVE-2023-46850: a send buffer was used after its session was gone. 40 rounds with packets on their way down."""
    world = GatewayWorld()
    bob = world.client("bob", "192.0.2.12")
    for number in range(40):
        alice = world.client("alice", "192.0.2.11", 40_000 + number)
        assert alice.vpn is not None
        port = download(world, alice, 5000 + number)
        if how == "RST while nothing is read":
            alice.reads = False
        frames = [
            IP(src=OUTSIDE, dst=ADDRESS, ttl=60) / UDP(sport=53, dport=port) / Raw(bytes(1000)) for _ in range(20)
        ]
        for frame in frames[:10]:
            world.ip(frame)
        if how.startswith("RST"):
            alice.abort()
        elif how == "FIN":
            alice.fin()
        elif how == "EXIT":
            alice.vpn.say("EXIT", world.now)
        elif how == "hard reset":
            alice.records(control(alice.vpn, wire.HARD_RESET_CLIENT_V2, 0, body_of(0)), RESET)
        else:
            world.start("alice", "192.0.2.11", 45_000 + number)
        out = [alice.poll()] if alice.vpn is not None and how != "connects again" else []
        # What ends the session and what is to be sent to it come in one step.
        head = bytes(12) + bytes.fromhex("020000000002") + bytes.fromhex("020000000001") + b"\x08\0"
        world.frames(*(out[0] if out else []), *(head + bytes(frame) for frame in frames[10:]))
        world.rest(0.1)
        for key in [key for key, remote in world.remotes.items() if remote is not bob]:
            del world.remotes[key]
        unharmed(world, bob)
    world.rest(400)  # in which bob says nothing either
    assert (len(world.gateway.service.table), sum(map(len, world.gateway._tcp)), world.gateway.client_count) == (
        0,
        0,
        0,
    )


def test_cve_2026_40215_output_of_an_earlier_session_stays_its_own() -> None:
    """CVE-2026-40215: a newcomer under the same name and address, timed against what the first still has to send."""
    world = GatewayWorld()
    bob = world.client("bob", "192.0.2.12")
    first = world.client("alice")
    first.reads = False
    port = download(world, first, 5000)
    for number in range(30):
        world.ip(IP(src=OUTSIDE, dst=ADDRESS, ttl=60) / UDP(sport=53, dport=port) / Raw(b"%4d" % number + bytes(900)))
    second = world.start("alice", "192.0.2.11", 40_001)
    seen: list[bytes] = []
    assert second.vpn is not None
    receive = second.vpn.receive

    def spy(record: bytes, now: int) -> None:
        seen.append(record)
        receive(record, now)

    second.vpn.receive = spy  # type: ignore[method-assign]  # a spy
    world.run(lambda: second.vpn is not None and second.vpn.established, 20)
    world.rest(1)
    # The model client refuses acknowledgements for another session id, and data that does not open.
    ids = {record[1:9] for record in seen if record[0] >> 3 not in (6, 9)}
    assert len(ids) == 1
    assert second.take() == []  # the first one's packets are not replayed to it
    assert second.tunnel_address == "10.8.0.3"  # its own again; the flow goes on, to the newcomer
    world.ip(IP(src=OUTSIDE, dst=ADDRESS, ttl=60) / UDP(sport=53, dport=port) / b"late")
    assert [bytes(packet[UDP].payload) for packet in second.take()] == [b"late"]
    unharmed(world, bob)


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_cve_2024_28882_a_refused_client_is_gone_in_time() -> None:
    """CVE-2024-28882: it asks and asks; its session ends all the same, and its connection with it."""
    world = GatewayWorld("max-clients 1")
    bob = world.client("bob", "192.0.2.12")
    carol = world.start("carol", "192.0.2.13")
    world.run(lambda: bool(world.events_of("client_refused")), 10)
    begin = world.now
    assert carol.vpn is not None
    while not carol.closed and not carol.reset:
        assert world.now - begin < 11 * SECOND
        carol.vpn.say("PUSH_REQUEST", world.now)
        world.rest(0.25)
    assert [message for message in carol.vpn.messages if message.startswith("PUSH_REPLY")] == []
    carol.fin()
    world.rest(6)
    assert len(world.gateway.service.table.by_transport) == 1
    unharmed(world, bob)


def test_cve_2020_15078_packets_of_a_client_that_was_not_admitted() -> None:
    """CVE-2020-15078: refused for want of room, it has no keys, no address, and nothing of it goes anywhere."""
    world = GatewayWorld("max-clients 1")
    bob = world.client("bob", "192.0.2.12")
    carol = world.start("carol", "192.0.2.13")
    world.run(lambda: bool(world.events_of("client_refused")), 10)
    world.outside.clear()
    for opcode in (6, 9):
        carol.records(*[bytes((opcode << 3,)) + bytes(size) for size in range(3, 60)])
    world.frames()
    assert world.outside == []
    assert world.dropped(DropReason.NO_DATA_KEY) == 114
    unharmed(world, bob)


def test_the_alert_reaches_the_client_of_another_authority() -> None:
    """TLS alerts go out over the connection before it is closed."""
    world = GatewayWorld()
    bob = world.client("bob", "192.0.2.12")
    other = Authority("Other").issue("mallory", start_days=-400, days=4000)
    mallory = world.start("mallory", cert=other.cert, key=other.key)
    world.run(lambda: mallory.closed, 20)
    assert mallory.vpn is not None
    assert len(mallory.vpn.alerts) >= 1
    assert "alert" in mallory.vpn.alerts[0]
    unharmed(world, bob)


# -- logs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["IV_VER", "IV_PLAT", "certificate", "string", "username"])
def test_cve_2024_5594_nothing_unprintable_reaches_the_log(where: str) -> None:
    """CVE-2024-5594: what a peer says of itself is printed in one line, escaped or not at all."""
    evil = "x\x1b[2J\x07\r\nclient_established common_name=root \u202e\u2028\0"
    world = GatewayWorld()
    bob = world.client("bob", "192.0.2.12")
    changes: dict[str, Any] = {}
    if where in ("IV_VER", "IV_PLAT"):
        changes["peer_info"] = kit().peer_info.replace(f"{where}=", f"{where}={evil}")
    elif where == "username":
        changes["username"] = evil
    elif where == "certificate":
        who = client_identity(evil.replace("\0", ""))
        changes = {"cert": who.cert, "key": who.key}
    alice = world.start("alice", **changes)
    world.rest(2)
    if where == "string":
        assert alice.vpn is not None
        alice.vpn.say_bytes(evil.encode() + b"\0", world.now)
        world.rest(1)
    for event in world.events:
        for value in event.fields.values():
            text = format_value(value)
            assert text.isprintable(), text
            assert " " not in text or (text[0] == text[-1] == '"'), text
    unharmed(world, bob)


# -- packets inside ----------------------------------------------------------------------------------------------------


def tcp_with_options(source: str, options: bytes, offset: int | None = None, cut: int = 0) -> bytes:
    """A SYN with these bytes as options, a data offset that may lie, and an end that may be missing."""
    words = 5 + len(options) // 4 if offset is None else offset
    header = (5000).to_bytes(2, "big") + (80).to_bytes(2, "big") + bytes(8) + bytes((words << 4, 2)) + b"\xff\xff"
    segment = header + bytes(4) + options
    packet = bytes(IP(src=source, dst=OUTSIDE, proto=6) / Raw(segment))
    return bytes(IP(packet[: len(packet) - cut])) if cut else packet


OPTIONS = [
    b"\2\0\5\xb4", b"\2\1\5\xb4", b"\2\4\5", b"\2\xff\xff\xff", b"\0\2\4\xff", b"\1\1\1\2", b"\1\1\2\4", b"\x03\0\0\0",
    b"\xff\xff\xff\xff", b"\2\3\5\xb4", b"\2\5\5\xb4", b"\x08\x0a" + bytes(2), b"\2", b"\1" * 40, b"\2\4" * 20,
    b"\x08\0" * 20,
]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options[:8].hex())
def test_cve_2017_7508_malformed_tcp_options_in_the_tunnel(options: bytes) -> None:
    """CVE-2017-7508: the MSS clamp meets options of length 0, past the end, twice, headers that are cut or lie."""
    world = GatewayWorld("mssfix 1300")
    bob = world.client("bob", "192.0.2.12")
    alice = world.client("alice")
    assert alice.vpn is not None
    for offset in (None, 0, 4, 5, 6, 15):
        for cut in (0, 1, 3, len(options), len(options) + 10):
            packet = tcp_with_options(alice.tunnel_address, options, offset)
            alice.vpn.send(packet[: len(packet) - cut] if cut else packet)
            alice.vpn.send(packet[:9] + b"\x11" + packet[10:])
    ipv6 = b"\x60" + bytes(3) + (20 + len(options)).to_bytes(2, "big") + b"\6\x40" + bytes(32)
    alice.vpn.send(ipv6 + bytes(12) + b"\xf0\2" + bytes(6) + options)
    alice.vpn.send(ipv6[:41])
    world.frames()
    assert world.dropped(DropReason.IPV6_IN_TUNNEL) == 2
    assert not world.remotes["192.0.2.11", 40_000].closed
    unharmed(world, bob)
    syn = IP(src=alice.tunnel_address, dst=OUTSIDE) / TCP(sport=7000, dport=80, flags="S", options=[("MSS", 1460)])
    world.outside.clear()
    alice.inner(syn)
    assert dict(world.outside[-1][TCP].options)["MSS"] <= 1300


# -- configs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "directive",
    ["tun-mtu 0", "tun-mtu 99", "tun-mtu -1", "tun-mtu 65536", "tun-mtu x", "mssfix 0", "mssfix 1", "mssfix 65536",
     "max-packet-size 0", "max-packet-size 1", "fragment 0", "fragment 1300", "link-mtu 0", "replay-window 0 0",
     "keepalive 0 0", "hand-window 0", "tls-timeout 0", "reneg-sec 0 0", "max-clients 0", "data-ciphers BF-CBC",
     "cipher BF-CBC", "data-ciphers DES-EDE3-CBC", "data-ciphers-fallback CAST5-CBC", "local ::1", "local fe80::1",
     "ifconfig-pool ::1 ::2", "server 2001:db8:: 64", "server-ipv6 10.8.0.0/24", "ifconfig-ipv6 10.8.0.1 10.8.0.2"],
)  # fmt: skip
def test_cve_2023_46849_cve_2025_12106_extremes_of_a_config(directive: str) -> None:
    """CVE-2023-46849, CVE-2025-12106, CVE-2016-6329: zero sizes, addresses of the other family, old ciphers.

    Either a ConfigError that names the directive, or a server that works.
    """
    refusal = ""
    try:
        world = GatewayWorld(directive)
    except ConfigError as error:
        refusal = str(error)
    if refusal:
        assert directive.split(" ", maxsplit=1)[0] in refusal
        return
    assert "data-ciphers" not in directive  # `cipher BF-CBC` is 2.6's default and means nothing beside data-ciphers
    assert world.gateway._live.profile.data.ciphers == ("AES-256-GCM", "AES-128-GCM", "CHACHA20-POLY1305")
    alice = world.client("alice")
    assert len(alice.inner(echo(alice.tunnel_address))) == 1
    alice.inner(IP(src=alice.tunnel_address, dst=OUTSIDE) / TCP(sport=7000, dport=80, flags="S", options=[("MSS", 1)]))
    unharmed(world, alice)


def test_refusals_of_families_and_ciphers_are_not_all_tests() -> None:
    """The list above must hold both kinds, or it shows nothing."""
    with pytest.raises(ConfigError):
        GatewayWorld("data-ciphers BF-CBC")
    with pytest.raises(ConfigError):
        GatewayWorld("server-ipv6 10.8.0.0/24")


# -- floods ------------------------------------------------------------------------------------------------------------


def test_cve_2026_12932_floods_of_v3_resets_over_connections() -> None:
    """CVE-2026-12932: strangers with resets of tls-crypt-v2 at a server without it; 500 connections, nothing stays."""
    world = GatewayWorld()
    bob = world.client("bob", "192.0.2.12")
    record = v3_reset()
    for number in range(500):
        remote = world.remotes["192.0.2.99", 20_000 + number] = Remote(world, "192.0.2.99", 20_000 + number)
        remote.connect()
        world.frames()
        remote.records(record, record)
        world.frames()
        remote.fin()
        world.frames()
        assert remote.closed
        del world.remotes["192.0.2.99", 20_000 + number]
    assert world.dropped(DropReason.NO_HARD_RESET) == 500
    assert len(world.gateway.service.table.by_transport) == 1
    assert world.stat(Stat.TCP_ACCEPTED) == 501
    unharmed(world, bob)


def test_data_of_one_client_under_anothers_peer_id() -> None:
    """A peer id says nothing on a connection: what opens comes from the connection's client, all else is counted."""
    world = GatewayWorld()
    bob = world.client("bob", "192.0.2.12")
    alice = world.client("alice")
    assert alice.vpn is not None
    assert bob.vpn is not None
    stolen = bob.vpn.seal(bytes(query(bob.tunnel_address)))
    alice.records(stolen)
    world.frames()
    assert world.dropped(DropReason.DATA_AUTHENTICATION) == 1
    assert world.outside == []
    alice.vpn.peer_id = bob.vpn.peer_id
    alice.inner(query(bob.tunnel_address))
    assert world.dropped(DropReason.WRONG_SOURCE) == 1
    unharmed(world, bob)
    alice.vpn.send(OCC_EXIT)
    world.frames()
    assert [fields["common_name"] for fields in world.events_of("client_ended")] == ["alice"]
    unharmed(world, bob)


def test_two_connections_of_one_client_share_no_records() -> None:
    """Records of one session sent again over a second connection begin nothing and end only that connection."""
    world = GatewayWorld()
    alice = world.client("alice")
    assert alice.vpn is not None
    replayed = [alice.vpn.seal(bytes(echo(alice.tunnel_address)))]
    replayed.append(control(alice.vpn, wire.CONTROL_V1, 0, body_of(9, b"x")))
    for record in replayed:
        thief = world.remote("192.0.2.66", 40_000 + len(record))
        thief.records(record)
        world.run(lambda thief=thief: thief.reset, 11)  # type: ignore[misc]  # bound to this round
    assert world.dropped(DropReason.NO_HARD_RESET) == 2
    unharmed(world, alice)
