"""RFC 6298, with numbers computed by hand."""

from __future__ import annotations

from hognose.tcp.rtt import INITIAL_RTO, MAX_RTO, MIN_RTO, RttEstimator

MS = 1_000_000


def test_begins_with_one_second():
    assert RttEstimator().rto == INITIAL_RTO == 1000 * MS


def test_first_measurement():
    """(2.2): SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 * RTTVAR."""
    rtt = RttEstimator()
    rtt.sample(100 * MS)
    assert (rtt.srtt, rtt.rttvar, rtt.rto) == (100 * MS, 50 * MS, 300 * MS)


def test_later_measurements():
    """(2.3): RTTVAR = 3/4 RTTVAR + 1/4 |SRTT - R'|, SRTT = 7/8 SRTT + 1/8 R'."""
    rtt = RttEstimator()
    rtt.sample(100 * MS)
    rtt.sample(180 * MS)
    assert rtt.rttvar == (50 * 3 + 80) * MS // 4
    assert rtt.srtt == (100 * 7 + 180) * MS // 8
    assert rtt.rto == rtt.srtt + 4 * rtt.rttvar


def test_the_handshake_counts_until_data_was_measured():
    """With it first losses cost 200 ms, not a second; (2.2) is for the first measurement of data all the same."""
    rtt = RttEstimator()
    rtt.begin(400 * MS)
    assert (rtt.srtt, rtt.rto) == (400 * MS, 1200 * MS)
    rtt.sample(40 * MS)
    assert (rtt.srtt, rtt.rttvar, rtt.rto) == (40 * MS, 20 * MS, MIN_RTO)
    rtt.sample(120 * MS)
    assert rtt.srtt == 50 * MS


def test_a_handshake_that_took_a_time_out_and_says_nothing():
    """(5.7): three seconds."""
    rtt = RttEstimator()
    rtt.begin(0)
    assert rtt.rto == 3000 * MS
    rtt.sample(40 * MS)
    assert rtt.rto == MIN_RTO


def test_floor_and_ceiling():
    rtt = RttEstimator()
    for _ in range(50):
        rtt.sample(1 * MS)
    assert rtt.rto == MIN_RTO
    rtt.sample(300_000 * MS)
    assert rtt.rto == MAX_RTO


def test_back_off_doubles_to_the_ceiling_and_ends_with_progress():
    rtt = RttEstimator()
    rtt.sample(100 * MS)
    seen = []
    for _ in range(10):
        rtt.timed_out()
        seen.append(rtt.rto // MS)
    assert seen == [600, 1200, 2400, 4800, 9600, 19200, 38400, 60000, 60000, 60000]
    assert rtt.backoff == 10
    rtt.progressed()
    assert (rtt.rto, rtt.backoff) == (300 * MS, 0)


def test_progress_without_a_measurement_returns_to_the_initial_value():
    rtt = RttEstimator()
    rtt.timed_out()
    rtt.progressed()
    assert rtt.rto == INITIAL_RTO
    rtt.progressed()
    assert rtt.rto == INITIAL_RTO


def test_a_measurement_of_zero_is_a_measurement():
    rtt = RttEstimator()
    rtt.sample(0)
    assert rtt.srtt > 0
    assert rtt.rto == MIN_RTO
