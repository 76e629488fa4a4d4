"""Packets of no session: a prefix has its share, all together a limit, and beyond it a repetition gets through."""

from __future__ import annotations

from hognose.vpn.initial_rate import FLOOD_LIFE, PER_PREFIX, PREFIXES, REPEATS_PER_PREFIX, InitialRate

MS = 1_000_000
SECOND = 1000 * MS
START = 100 * SECOND
ID = b"session1"


def source(number: int, port: int = 1194) -> bytes:
    """An address in a /24 of its own."""
    return (0x0B000000 + (number << 8)).to_bytes(4, "big") + port.to_bytes(2, "big")


def rate(most: int = 2000, length: int = SECOND) -> InitialRate:
    return InitialRate(most, length, b"secret!!", START)


def test_a_prefix_has_twenty_a_second() -> None:
    subject = rate()
    neighbours = [bytes((198, 51, 100, host)) + b"\4\xaa" for host in range(30)]
    assert [subject.allows(one, ID, START) for one in neighbours] == [True] * 20 + [False] * 10
    assert PER_PREFIX == 20
    assert subject.allows(bytes((198, 51, 101, 1)) + b"\4\xaa", ID, START)
    assert subject.allows(neighbours[0], ID, START + SECOND)


def test_forged_packets_of_a_prefix_do_not_lock_its_hosts_out() -> None:
    """A repetition passes; those of a prefix have a bound of their own."""
    subject = rate()
    hosts = [bytes((198, 51, 100, host % 250)) + (1 + host).to_bytes(2, "big") for host in range(300)]
    for now in (START, START + SECOND, START + 2 * SECOND):
        for number in range(PER_PREFIX):
            subject.allows(bytes((198, 51, 100, 251)) + b"\4\xaa", b"%08d" % number, now)
        passed = sum(subject.allows(host, ID, now) for host in hosts)
        assert passed == (0 if now == START else REPEATS_PER_PREFIX)
    assert REPEATS_PER_PREFIX == 200


def test_one_that_is_refused_for_its_prefix_takes_nothing_from_all_others() -> None:
    subject = rate(most=25)
    for _ in range(1000):
        subject.allows(source(1), ID, START)
    assert [subject.allows(source(number), ID, START) for number in range(2, 9)] == [True] * 5 + [False] * 2


def test_over_the_limit_only_a_repetition_passes() -> None:
    subject = rate(most=10)
    for number in range(10):
        assert subject.allows(source(number), ID, START)
    client = source(77)
    after = {0: False, 399: False, 1000: True}
    for delay, passes in after.items():
        fill(subject, START + delay * MS)
        assert subject.allows(client, ID, START + delay * MS) is passes, delay


def fill(subject: InitialRate, now: int) -> None:
    """Use up this second's packets of all."""
    for number in range(20):
        subject.allows(source(1000 + number), b"%08d" % (now // MS % 10**8), now)


def test_a_repetition_after_a_tenth_of_a_second_or_ten_is_none() -> None:
    for delay, passes in ((100, False), (700, False), (1000, True), (2500, True), (4300, True), (5200, False)):
        subject = rate(most=10)
        fill(subject, START)
        assert not subject.allows(source(77), ID, START)
        fill(subject, START + delay * MS)
        assert subject.allows(source(77), ID, START + delay * MS) is passes, delay


def test_another_session_id_or_port_is_no_repetition() -> None:
    for key, session_id in ((source(77), b"session2"), (source(77, 1195), ID), (source(78), ID)):
        subject = rate(most=10)
        fill(subject, START)
        subject.allows(source(77), ID, START)
        fill(subject, START + SECOND)
        assert not subject.allows(key, session_id, START + SECOND)


def test_repetitions_have_a_limit_too() -> None:
    subject = rate(most=10)
    clients = [source(200 + number) for number in range(30)]
    fill(subject, START)
    for one in clients:
        subject.allows(one, ID, START)
    fill(subject, START + SECOND)
    assert sum(subject.allows(one, ID, START + SECOND) for one in clients) == 10


def test_in_a_flood_of_many_a_client_is_in_within_its_first_repetitions() -> None:
    """20,000 forged packets a second, each of its own /24; clients repeat their hard reset after 1 to 2.4 s."""
    subject = rate()
    now, number, waiting = START, 0, {}
    served = 0
    for tick in range(60):
        now = START + tick * 100 * MS
        for _ in range(2000):
            number += 1
            subject.allows(source(number), b"%08d" % number, now)
        if tick < 20:
            waiting[source(60_000 + tick)] = now
        for client, since in list(waiting.items()):
            age = (now - since) // (100 * MS)
            if age in (0, 15, 40) and subject.allows(client, ID, now):
                served += 1
                del waiting[client]
    assert served >= 18


def test_memory_of_a_flood_is_given_back() -> None:
    subject = rate(most=10)
    fill(subject, START)
    subject.allows(source(77), ID, START)
    quiet = START + FLOOD_LIFE + SECOND
    assert subject.allows(source(1), ID, quiet)  # and forgets
    fill(subject, quiet)
    assert not subject.allows(source(77), ID, quiet)


def test_the_number_of_prefixes_is_bounded() -> None:
    subject = rate(most=100_000)
    passed = sum(subject.allows(source(number), ID, START) for number in range(PREFIXES + 100))
    assert passed == PREFIXES == 4096


def test_a_limit_over_more_than_a_second() -> None:
    """connect-freq-initial 3 10"""
    subject = rate(3, 10 * SECOND)
    times = [0, 2, 4, 6, 9, 10, 11]
    assert [subject.allows(source(second), b"%08d" % second, START + second * SECOND) for second in times] == [
        True, True, True, False, False, True, True,
    ]  # fmt: skip


def test_repetitions_of_one_prefix_do_not_use_up_those_of_all() -> None:
    subject = rate(most=300)
    hosts = [bytes((198, 51, 100, host % 250)) + (1 + host).to_bytes(2, "big") for host in range(400)]
    client = source(77)
    for now in (START, START + SECOND):
        for number in range(300):
            subject.allows(source(1000 + number), b"%08d" % (now // MS % 10**8), now)
        passed = sum(subject.allows(host, ID, now) for host in hosts)
        assert passed == (0 if now == START else REPEATS_PER_PREFIX)
        assert subject.allows(client, ID, now) is (now > START)
