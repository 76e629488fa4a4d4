"""LISTEN and SYN-RECEIVED: RFC 9293 section 3.10.7.2-4, RFC 6528, RFC 4987, RFC 7323."""

from __future__ import annotations

import random

import pytest
from tests.sim.segments import Segment, build
from tests.unit.tcp.tcp_script import CLIENT, CLIENT_PORT, MASK, MS, PORT, SERVER, Script

from hognose.drops import DropReason, Stat
from hognose.limits import TcpLimits
from hognose.tcp.no_connection import ANSWER_GROUPS, ANSWERS_PER_SECOND


def test_syn_is_answered_with_all_that_was_offered():
    script = Script()
    [answer] = script.syn()
    assert answer.flags == "SA"
    assert answer.ack == (script.irs + 1) & MASK
    assert (answer.mss, answer.sack_ok, answer.window) == (1460, True, 65535)
    assert answer.scale == 5, "65535 << 5 covers the 1 MiB receive buffer"
    assert answer.ts[1] == script.stamp()
    assert len(script.server) == 0, "no connection before the handshake is complete"


def test_nothing_is_answered_that_was_not_offered():
    script = Script()
    script.ts = False
    [answer] = script.syn(mss=None, scale=None, sack_ok=False)
    assert (answer.scale, answer.sack_ok, answer.ts) == (None, False, None)
    assert answer.mss == 1460


def test_the_third_segment_makes_a_connection():
    script = Script()
    conn = script.open()
    assert conn.peer == (script.address.to_bytes(4, "big"), CLIENT_PORT)
    assert conn.id > 0
    assert not conn.eof
    assert len(script.server) == 1
    assert script.server.accepted() == []


def test_the_third_segment_may_carry_data_and_a_fin():
    script = Script()
    script.syn()
    script.send("PFA", b"hello")
    [conn] = script.server.accepted()
    assert script.take() == b"hello"
    assert conn.eof
    assert [(s.flags, s.ack) for s in script.poll()] == [("A", 7)]


def test_a_repeated_syn_gets_the_same_answer():
    script = Script()
    [first] = script.syn()
    script.now += 300 * MS
    [again] = script.syn()
    assert (again.seq, again.ack) == (first.seq, first.ack)


def test_another_syn_of_the_same_peer_begins_anew():
    script = Script()
    script.syn()
    script.irs = 77_000
    [answer] = script.syn()
    assert answer.ack == 77_001
    script.send("A")
    script.poll()
    assert len(script.server.accepted()) == 1


def test_syn_ack_is_repeated_a_few_times_only():
    script = Script()
    script.syn()
    times = []
    for _ in range(400):
        times += [(script.now - script.start) // MS for s in script.wait(50) if s.flags == "SA"]
    assert times == [250, 750, 1_750, 3_750, 7_750]
    assert script.server.next_deadline() is None
    script.send("A")
    assert [s.flags for s in script.poll()] == ["R"], "the entry is gone"


@pytest.mark.parametrize("stamps", [True, False])
def test_the_round_trip_of_the_handshake_is_measured(stamps):
    """The first flight of a connection waits for 200 ms, not for a second, when it is lost (RFC 7323, RFC 6298)."""
    script = Script()
    script.ts = stamps
    script.syn()
    script.now += 40 * MS
    script.send("A")
    script.poll()
    script.accept()
    assert script.conn.info().srtt == 40 * MS
    assert script.conn.info().rto == 200 * MS


def test_a_repeated_syn_ack_measures_by_its_echo_only():
    """Karn: without timestamps it is unknown which of two was answered, and RFC 6298 (5.7) asks for three seconds."""
    for stamps, rto in ((True, 200), (False, 3000)):
        script = Script()
        script.ts = stamps
        script.syn()
        [again] = script.wait(260)
        if again.ts is not None:
            script.ts_echo = again.ts[0]
        script.now += 30 * MS
        script.send("A")
        script.poll()
        [conn] = script.server.accepted()
        assert conn.info().rto == rto * MS
        assert conn.info().srtt == (40 * MS if stamps else 0)


def test_a_repeated_syn_or_a_cookie_measures_nothing_without_an_echo():
    """Both SYNs were answered; and the repeats of a cookie are not counted."""
    for half_open in (16, 0):
        script = Script(limits=TcpLimits(half_open=half_open))
        script.ts = False
        script.syn()
        script.now += 10 * MS
        script.syn()
        script.now += 10 * MS
        script.send("A")
        script.poll()
        [conn] = script.server.accepted()
        assert (conn.info().srtt, conn.info().rto) == (0, 3000 * MS)


def test_an_echo_of_nothing_we_sent_measures_nothing():
    script = Script()
    script.syn()
    script.send("A", ts=(script.stamp(), 12345))
    script.poll()
    [conn] = script.server.accepted()
    assert conn.info().srtt == 0


def test_a_repeated_syn_is_answered_with_its_own_timestamp():
    """RFC 7323 section 4.3: with the first one's the peer would measure its own time-out."""
    script = Script()
    [first] = script.syn()
    script.now += 100 * MS
    [again] = script.syn()
    assert again.ts is not None
    assert again.ts[1] == first.ts[1] + 100
    script.now -= 50 * MS
    [late] = script.syn()
    assert late.ts[1] == again.ts[1], "an older one changes nothing"


def test_repeats_of_one_do_not_delay_those_of_another():
    script = Script()
    script.syn()
    script.wait(4_000)
    script.port += 1
    script.syn()
    assert [s.flags for s in script.wait(300)] == ["SA"]


def test_isns_differ_by_tuple_and_move_with_the_clock():
    """RFC 6528: 250 000 a second for one tuple, unrelated between tuples."""
    script = Script()
    [first] = script.syn()
    script.port += 1
    [other] = script.syn()
    script.port -= 1
    script.send("R", seq=1)
    script.now += 1000 * MS
    [later] = script.syn()
    assert (later.seq - first.seq) & MASK == 250_000
    assert abs(other.seq - first.seq) > 1000
    assert other.ts[0] != first.ts[0], "timestamps have an offset per connection"


def test_the_isn_depends_on_the_secret():
    one, two = Script(), Script(secret=b"k" * 32)
    assert one.syn()[0].seq != two.syn()[0].seq


def test_a_wrong_acknowledgement_is_reset_and_the_entry_stays():
    script = Script()
    script.syn()
    script.send("A", ack=5)
    [answer] = script.poll()
    assert (answer.flags, answer.seq) == ("R", 5)
    script.send("A")
    script.poll()
    assert len(script.server.accepted()) == 1


def test_an_old_duplicate_is_not_answered():
    script = Script()
    script.syn()
    script.send("A", seq=-100, ack=0)
    assert script.poll() == []


def test_a_reset_in_syn_received_must_hit_exactly():
    script = Script()
    script.syn()
    script.send("R", seq=2)
    script.send("A", seq=1)
    assert len(script.server.accepted()) == 1
    script = Script()
    script.syn()
    script.send("R", seq=1)
    assert script.poll() == []
    script.send("A", seq=1)
    assert script.server.accepted() == []
    assert script.poll()[0].flags == "R"


@pytest.mark.parametrize(
    ("flags", "answer"),
    [("A", "R"), ("SA", "R"), ("FA", "R"), ("PA", "R"), ("F", None), (".", None), ("R", None), ("RA", None)],
)
def test_segments_to_nobody(flags, answer):
    """RFC 9293 3.10.7.2: a RST that the sender of an ACK believes; nothing in answer to a RST, or without ACK."""
    script = Script()
    script.send(flags, b"xy", seq=500, ack=700)
    sent = script.poll(relative=False)
    assert script.drops(DropReason.TCP_NO_CONNECTION) == ("R" not in flags)
    assert script.stat(Stat.TCP_RESETS_SENT) == len(sent)
    if answer is None:
        assert sent == []
        return
    [reset] = sent
    assert (reset.flags, reset.seq) == (answer, 700)


def test_resets_are_limited():
    script = Script()
    for _ in range(1000):
        script.send("A", seq=1, ack=1)
    assert len(script.poll()) == ANSWERS_PER_SECOND
    script.now += 1000 * MS
    script.send("A", seq=1, ack=1)
    assert len(script.poll()) == 1


def test_answers_to_others_cannot_be_counted():
    """CVE-2016-5696 class: what is sent in another's name takes nothing from the sender's own limit, for long."""
    script = Script(random=random.Random(4).randbytes)
    shared = 0
    for second in range(200):
        script.now = script.start + second * 1_000 * MS
        script.address = 0x0A0000AA
        for _ in range(ANSWERS_PER_SECOND):
            script.send("A", seq=1, ack=1)
        script.poll()
        script.address = 0x0A0000BB
        script.send("A", seq=1, ack=1)
        shared += script.poll() == []
    assert shared < 200 * 3 // ANSWER_GROUPS


def test_sources_fall_into_other_groups_whatever_was_drawn():
    """The factor is odd, so that no bit of an address is lost: those that differ in the first one never share."""
    for drawn in (bytes(4), bytes((0, 0, 0, 2)), bytes((255, 255, 255, 254))):
        script = Script(random=lambda size, drawn=drawn: drawn[:size])
        answers = []
        for address in (0x0A000009, 0x8A000009):
            script.address = address
            for _ in range(2 * ANSWERS_PER_SECOND):
                script.send("A", seq=1, ack=1)
            answers.append(len(script.poll()))
        assert answers == [ANSWERS_PER_SECOND] * 2


def test_all_answers_together_are_limited():
    """20 for each of 64 groups, however many sources there are."""
    script = Script(random=lambda size: bytes((0x9E, 0x37, 0x79, 0xB1))[:size])
    for number in range(1, 8001):
        script.address = 0x0B000000 + number * 7919
        script.send("A", seq=1, ack=1)
    assert len(script.poll()) == 1280


def test_groups_are_drawn_when_the_first_second_begins_and_then_anew():
    drawn = []

    def draw(size: int) -> bytes:
        drawn.append(size)
        return bytes(size)

    script = Script(random=draw)
    for number in range(1, 4):
        for _ in range(5):
            script.send("A", seq=1, ack=1)
        assert drawn == [4] * number
        script.now += 1000 * MS


@pytest.mark.parametrize("port", [1, 255, 256, 0xC350])
def test_answers_have_the_ports_of_the_question(port):
    script = Script(port=port)
    script.port = 0xFFFF - port
    for flags in ("S", "A"):
        script.send(flags)
        [(_, _, pieces)] = script.server.poll(script.now)
        ports = b"".join(pieces)[20:24]
        assert (int.from_bytes(ports[:2], "big"), int.from_bytes(ports[2:], "big")) == (port, 0xFFFF - port)
        script.server.poll(script.now)


def measured(**changes):
    """Milliseconds that the third segment of a handshake measures; 0: nothing."""
    script = Script()
    script.ts = changes.pop("ts", True)
    script.syn()
    script.now += changes.pop("after") * MS
    echo = changes.pop("echo", 0)
    script.send("A", ts=(script.stamp(), (script.ts_echo + echo) & MASK) if script.ts else None)
    script.poll()
    return script.accept().info().srtt // MS


@pytest.mark.parametrize(
    ("echo", "after", "found"), [(0, 0, 1), (0, 1, 1), (0, 2, 2), (-59_990, 10, 60_000), (-59_991, 10, 0), (11, 10, 0)]
)
def test_an_echo_measures_a_minute_at_most(echo, after, found):
    assert measured(echo=echo, after=after) == found


def test_without_an_echo_time_itself_is_measured():
    assert [measured(ts=False, after=after) for after in (0, 1, 2, 200)] == [1, 1, 2, 200]


@pytest.mark.parametrize(
    "address", [0x0A000002, 0, 0x00FFFFFF, 0x7F000001, 0x7FFFFFFF, 0xE0000001, 0xF0000000, 0xFFFFFFFF]
)
def test_senders_that_cannot_be(address):
    """RFC 9293 MUST-57: no answer to multicast or broadcast; LAND: to ourselves."""
    script = Script()
    script.address = address
    script.syn()
    assert script.raw == []
    assert script.drops(DropReason.MARTIAN) == 1


def test_syn_and_fin_together_are_nonsense():
    script = Script()
    script.send("SF")
    assert script.poll() == []
    assert script.drops(DropReason.BAD_TCP_HEADER) == 1


@pytest.mark.parametrize(
    "options",
    [b"\x02\x00", b"\x02\x01\x05\xb4", b"\x02\xff\x05\xb4", b"\x08\x0a\0\0", b"\x03", b"\xfe\x02\xfd\x04ab", b"\0\2"],
)
def test_malformed_options_are_survived(options):
    """RFC 9293 MUST-7."""
    script = Script()
    script.send("S", raw_options=options)
    [answer] = script.poll(relative=False)
    assert answer.flags == "SA"
    assert answer.ts is None


def test_a_small_mss_is_raised_and_a_missing_one_is_536():
    script = Script()
    script.open(mss=None)
    script.write(bytes(2000))
    assert max(len(s.payload) for s in script.poll()) == 536 - 12
    script = Script()
    script.open(mss=8)
    script.write(bytes(500))
    assert max(len(s.payload) for s in script.poll()) == 88, "CVE-2019-11479 class"


def test_a_large_mss_is_cut_to_our_mtu():
    script = Script(mtu=1400)
    [answer] = script.syn(mss=9000)
    assert answer.mss == 1360
    script.open(mss=9000)
    script.write(bytes(5000))
    assert max(len(s.payload) for s in script.poll()) == 1360 - 12


def test_too_many_connections_are_reset():
    script = Script(limits=TcpLimits(connections=1))
    script.open()
    script.port += 1
    script.syn()
    script.send("A")
    assert [s.flags for s in script.poll()] == ["R"]
    assert script.drops(DropReason.TCP_CONNECTIONS_FULL) == 1
    assert script.server.accepted() == []


def test_a_bad_checksum_is_dropped_unless_the_device_vouches_for_it():
    script = Script()
    script.ts = False
    packet_size = []
    for ok in (False, True):
        packet = bytearray(one_syn())
        packet[-1] ^= 1
        packet_size.append(len(packet))
        script.server.receive(bytes(packet), 0, 20, len(packet), 0, ok, script.now)
        assert len(script.poll()) == (1 if ok else 0)
    assert script.drops(DropReason.BAD_TCP_CHECKSUM) == 1
    packet = one_syn()
    script.server.receive(packet, 0, 20, len(packet), 0, False, script.now)
    assert len(script.poll()) == 1


def one_syn() -> bytes:
    return build(Segment(1, 0, "S", mss=1460), CLIENT, CLIENT_PORT, SERVER, PORT)


@pytest.mark.parametrize("size", [0, 4, 12, 19])
def test_a_cut_header(size):
    script = Script()
    packet = one_syn()[: 20 + size]
    script.server.receive(packet, 0, 20, len(packet), 0, True, script.now)
    assert script.poll() == []
    assert script.drops(DropReason.BAD_TCP_HEADER) == 1


def test_a_data_offset_outside_the_segment():
    script = Script()
    for offset in (0x40, 0xF0):
        packet = bytearray(one_syn())
        packet[32] = offset
        script.server.receive(bytes(packet), 0, 20, len(packet), 0, True, script.now)
    assert script.poll() == []
    assert script.drops(DropReason.BAD_TCP_HEADER) == 2


def test_the_third_segment_must_lie_in_the_window():
    script = Script()
    script.syn()
    script.send("A", seq=100_000, ack=1)
    script.poll()
    assert script.server.accepted() == []
