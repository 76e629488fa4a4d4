"""TcpServer as a whole: path MTU, many connections, timers, bugs contained, memory."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from tests.sim.segments import Segment, build
from tests.unit.tcp.tcp_script import CLIENT, CLIENT_PORT, MASK, MS, PORT, SERVER, Script

from hognose.drops import DropReason
from hognose.limits import TcpLimits
from hognose.tcp.connection import TcpConnection

WIDE = 60_000


def quote(script: Script, position: int, *, port: int = CLIENT_PORT) -> bytes:
    """An IPv4 header and 8 bytes of a segment of ours, as an ICMP error quotes it."""
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 1500, 0, 0x4000, 60, 6, 0, SERVER, CLIENT)
    return ip + struct.pack(">HHI", PORT, port, (script.iss + position) & MASK)


def large_in_flight() -> Script:
    script = Script()
    script.open(window=WIDE)
    script.write(bytes(10_000))
    assert max(len(s.payload) for s in script.poll()) == 1448
    return script


def test_fragmentation_needed_lowers_the_segment_size():
    """RFC 1191; what is in flight is sent again at the new size."""
    script = large_in_flight()
    script.server.icmp_error(3, 4, 1400, quote(script, 1), script.now)
    again = script.poll()
    assert again[0].seq == 1
    assert max(len(s.payload) for s in again) == 1400 - 52
    assert sum(len(s.payload) for s in again) == 10_000


@pytest.mark.parametrize(("timestamps", "mtu", "size"), [(True, 552, 500), (False, 552, 512), (False, 1400, 1360)])
def test_the_least_size_that_a_router_is_believed(timestamps, mtu, size):
    script = Script()
    script.ts = timestamps
    script.open(window=WIDE)
    script.write(bytes(10_000))
    script.poll()
    script.server.icmp_error(3, 4, mtu, quote(script, 1), script.now)
    assert max(len(s.payload) for s in script.poll()) == size


def test_a_router_that_names_our_own_size_changes_nothing():
    script = large_in_flight()
    script.server.icmp_error(3, 4, 1500, quote(script, 1), script.now)
    assert script.poll() == []


def test_a_deadline_that_stays_is_one_entry():
    """Of the heap, however often the connection is worked on."""
    script = large_in_flight()
    before = script.server.sizes().timers
    for _ in range(50):
        script.send("A", ack=1, window=WIDE)
        script.poll()
        script.write(b"x")
        script.poll()
    assert script.server.sizes().timers - before <= 1


def test_a_smaller_path_is_no_congestion():
    """RFC 1191 section 6.5: what a router found too large goes again, and the congestion window stays."""
    script = large_in_flight()
    before = script.conn.info().cwnd
    script.server.icmp_error(3, 4, 1400, quote(script, 1), script.now)
    script.poll()
    script.now += 40 * MS
    script.send("A")
    assert script.conn.send_queued == 0
    assert before <= script.conn.info().cwnd <= 2 * before


@pytest.mark.parametrize(
    ("icmp_type", "code", "mtu", "position", "port"),
    [
        (3, 4, 1400, 20_000, CLIENT_PORT),  # never sent
        (3, 4, 1400, 10_001, CLIENT_PORT),  # nor is this: SND.NXT
        (3, 4, 1400, 0, CLIENT_PORT),  # acknowledged, the byte before SND.UNA
        (3, 4, 1400, -5000, CLIENT_PORT),  # acknowledged long ago
        (3, 4, 1400, 1, CLIENT_PORT + 1),  # of another connection
        (3, 4, 551, 1, CLIENT_PORT),  # below what is believed
        (3, 4, 1600, 1, CLIENT_PORT),  # larger than ours
        (3, 3, 1400, 1, CLIENT_PORT),  # a hard error is a soft one (RFC 5927 section 6)
        (11, 0, 1400, 1, CLIENT_PORT),
    ],
)
def test_icmp_errors_that_change_nothing(icmp_type, code, mtu, position, port):
    script = large_in_flight()
    script.server.icmp_error(icmp_type, code, mtu, quote(script, position, port=port), script.now)
    assert script.poll() == []
    assert script.ended == []


@pytest.mark.parametrize("size", [0, 8, 20, 27])
def test_a_short_quotation_is_ignored(size):
    script = large_in_flight()
    script.server.icmp_error(3, 4, 1400, quote(script, 1)[:size], script.now)
    assert script.poll() == []


def test_connections_do_not_mix():
    script = Script()
    conns = []
    for number in range(20):
        script.port = 50_000 + number
        script.irs = 1000 * number
        script.open()
        conns.append((script.conn, script.port, script.iss, script.irs))
    for _, port, iss, irs in conns:
        script.port, script.iss, script.irs, script.next, script.seen = port, iss, irs, 1, 1
        script.send("PA", b"%d" % port)
    assert sorted(b"".join(c.take()) for c in script.server.readable()) == [b"%d" % p for _, p, _, _ in conns]
    assert len({conn.id for conn, *_ in conns}) == 20
    assert len(script.server.poll(script.now)) == 20


def test_ids_are_never_used_again():
    script = Script()
    first = script.open().id
    script.send("R")
    script.poll()
    assert script.open().id > first


def test_open_and_close_leave_nothing_behind():
    """T34: after all is over no timer is left and no table holds anything."""
    script = Script()
    for number in range(200):
        script.port = 20_000 + number
        script.open()
        script.write(b"x" * 100)
        script.poll()
        script.send("FA")
        script.conn.close(script.now)
        script.poll()
        script.send("A")
        script.poll()
    assert script.ended == ["FINISHED"] * 200
    assert len(script.server) == 0
    script.wait(120_000)
    assert script.server.next_deadline() is None


def test_time_wait_entries_are_bounded():
    script = Script(limits=TcpLimits(connections=4))
    for number in range(6):
        script.port = 20_000 + number
        script.open()
        script.conn.close(script.now)
        script.poll()
        script.send("FA")
        script.poll()
    assert script.ended == ["FINISHED"] * 6
    answers = []
    for number in range(6):
        script.port = 20_000 + number
        script.send("FA", seq=1, ack=2)
        answers.append(script.poll(relative=False)[0].flags)
    assert answers == ["R", "R", "A", "A", "A", "A"], "the oldest went first"


def test_a_reused_tuple_after_a_reset():
    script = Script()
    script.open()
    script.send("R")
    assert script.ended == ["RESET_BY_PEER"], "without waiting for a poll"
    script.irs = 500_000
    assert script.open().peer == (CLIENT.to_bytes(4, "big"), CLIENT_PORT)


def test_a_reset_with_the_first_segment():
    script = Script()
    script.syn()
    script.send("A", b"x")
    script.send("R")
    assert len(script.server.accepted()) == 1
    assert script.ended == ["RESET_BY_PEER"]
    assert script.poll() == []


def test_a_bug_in_one_connection_spares_the_others(monkeypatch):
    script = Script()
    script.open()
    broken = script.conn
    script.port += 1
    script.open()
    original = TcpConnection.output

    def output(self, now, out):
        if self is broken:
            raise ZeroDivisionError
        original(self, now, out)

    monkeypatch.setattr(TcpConnection, "output", output)
    script.write(b"still here")
    broken.write([b"boom"])
    with pytest.raises(ZeroDivisionError):
        script.server.poll(script.now)
    sent = script.poll()
    assert [s.payload for s in sent] == [b"still here"]
    assert script.ended == ["ABORTED"]
    assert len(script.server) == 1


def test_what_was_already_built_survives_the_bug_of_another(monkeypatch):
    script = Script()
    script.open()
    first = script.conn
    script.port += 1
    script.open()
    original = TcpConnection.output

    def output(self, now, out):
        if self is first:
            raise ZeroDivisionError
        original(self, now, out)

    monkeypatch.setattr(TcpConnection, "output", output)
    first.write([b"boom"])
    script.write(b"built before")
    with pytest.raises(ZeroDivisionError):
        script.server.poll(script.now)
    assert script.server.next_deadline() == 0, "there is something to send"
    assert [s.payload for s in script.poll()] == [b"built before"]


def test_something_to_send_is_due_at_once():
    script = Script()
    script.open()
    assert script.server.next_deadline() is None or script.server.next_deadline() > 0
    script.write(b"x")
    assert script.server.next_deadline() == 0
    script.poll()
    assert script.server.next_deadline() > script.now


def test_timers_of_many_connections_come_in_order():
    script = Script()
    for number in range(3):
        script.port = 20_000 + number
        script.open(after=100)
        script.write(b"x")
        script.poll()
    start = script.now
    times = []
    for _ in range(25):
        times += [(script.now - start) // (10 * MS) for _ in script.wait(10)]
    assert times == [5, 15, 25], "a probe 250 ms after each was sent, 100 ms apart"


def test_a_deadline_before_its_time_does_nothing():
    script = Script()
    script.open()
    script.write(b"x")
    script.poll()
    script.server.handle_deadline(script.now)
    assert script.poll() == []


def test_super_segment_lengths_of_a_received_frame():
    """l3 and l4 count in the frame: 26 bytes of vnet header and Ethernet in front."""
    script = Script()
    script.open()
    segment = Segment(
        script.irs + 1, (script.iss + 1) & MASK, "PA", 65535, bytes(5000), ts=(script.stamp(), script.ts_echo)
    )
    packet = bytes(26) + build(segment, CLIENT, CLIENT_PORT, SERVER, PORT) + b"padding"
    script.server.receive(packet, 26, 46, len(packet) - 7, 1448, False, script.now)
    assert script.take() == bytes(5000)
    assert script.drops(DropReason.BAD_TCP_CHECKSUM) == 0


def test_readable_connections_of_several_polls():
    script = Script()
    script.open()
    first = script.conn
    script.send("PA", b"a")
    script.poll()
    script.port += 1
    script.open()
    script.send("PA", b"b")
    script.poll()
    assert script.server.readable() == [first, script.conn]


def test_memory_per_connection_is_small():
    """T33: a peer that only completes the handshake costs little."""
    script = Script()
    script.open()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(200):
        script.port = 20_000 + number
        script.open()
    connections = (tracemalloc.get_traced_memory()[0] - before) / 200
    before = tracemalloc.get_traced_memory()[0]
    for number in range(200):
        script.port = 30_000 + number
        script.syn()
    half_open = (tracemalloc.get_traced_memory()[0] - before) / 200
    tracemalloc.stop()
    assert connections < 3_000
    assert half_open < 1_000


def test_servers_beside_each_other_do_not_know_each_other():
    """Of other addresses, ports, secrets and MTUs; one peer speaks to all of them with one address and port."""
    scripts = [
        Script(local=0x0A000002, port=1194, secret=bytes(32), mtu=1500),
        Script(local=0x0A000002, port=443, secret=bytes(32), mtu=1500),
        Script(local=0x0A080001, port=1194, secret=bytes(32), mtu=1400),
        Script(local=0x0A000002, port=1194, secret=bytes(range(32)), mtu=1500),
    ]
    for script in scripts:
        script.open()
    assert len({script.iss for script in scripts}) == 4
    for number, script in enumerate(scripts):
        script.send("PA", bytes([number]) * 10)
        script.write(bytes([number]) * 3000)
    for number, script in enumerate(scripts):
        assert script.take() == bytes([number]) * 10
        sent = script.poll()
        assert b"".join(segment.payload for segment in sent) == bytes([number]) * 3000
        assert len(sent[0].payload) == (1348 if number == 2 else 1448)
        assert script.raw[0][2][0][12:16] == script.local.to_bytes(4, "big")
        assert len(script.server) == 1
    scripts[0].send("R", seq=scripts[0].next)
    assert [len(script.server) for script in scripts] == [0, 1, 1, 1]


def test_a_cookie_of_one_server_is_worth_nothing_at_another():
    limits = TcpLimits(half_open=0)
    one = Script(local=0x0A000002, port=1194, limits=limits)
    other = Script(local=0x0A000002, port=443, limits=limits)
    other.syn()
    one.syn()
    other.iss = one.iss
    other.send("A")
    assert [segment.flags for segment in other.poll()] == ["R"]
    assert other.server.accepted() == []
    one.send("A")
    assert one.poll() == []
    assert len(one.server.accepted()) == 1
