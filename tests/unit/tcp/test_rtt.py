"""RFC 6298, with numbers computed by hand."""

from __future__ import annotations

import random

import pytest

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


def test_a_measurement_of_zero_is_the_least_there_is():
    rtt = RttEstimator()
    rtt.sample(0)
    assert (rtt.srtt, rtt.rttvar) == (1, 0)
    for _ in range(3):
        rtt.sample(0)
        assert rtt.srtt == 1


def test_a_steady_round_trip_leaves_the_granularity():
    """(2.3): RTO = SRTT + max(G, K * RTTVAR), with K = 4 and G = 1 ms; after a back-off too (5.7)."""
    rtt = RttEstimator()
    for _ in range(100):
        rtt.sample(300 * MS)
    assert (rtt.srtt, rtt.rto) == (300 * MS, 301 * MS)
    rtt.timed_out()
    assert rtt.rto == 602 * MS
    rtt.progressed()
    assert (rtt.rto, rtt.backoff) == (301 * MS, 0)


def test_the_time_to_a_probe_is_two_round_trips():
    """RFC 8985 section 7.2; a second without a measurement, 10 ms at least."""
    rtt = RttEstimator()
    assert rtt.pto == 1000 * MS
    for sample, pto in ((4, 10), (5, 10), (6, 12), (300, 600)):
        rtt = RttEstimator()
        rtt.begin(sample * MS)
        assert rtt.pto == pto * MS


@pytest.mark.parametrize("seed", range(5))
def test_any_life_is_rfc_6298s(seed):
    """Sections 2 and 5, in seconds, as they are written."""
    draw = random.Random(seed)
    rtt = RttEstimator()
    srtt = rttvar = None
    backed_off = 0
    for _ in range(500):
        event = draw.random()
        if event < 0.6:
            measured = draw.choice((0.0005, 0.04, 0.5, 3.0, 30.0)) * draw.uniform(0.8, 1.2)
            rtt.sample(int(measured * 1e9))
            if srtt is None or rttvar is None:
                srtt, rttvar = measured, measured / 2
            else:
                rttvar = 3 / 4 * rttvar + 1 / 4 * abs(srtt - measured)
                srtt = 7 / 8 * srtt + 1 / 8 * measured
            backed_off = 0
        elif event < 0.8:
            rtt.timed_out()
            backed_off += 1
        else:
            rtt.progressed()
            backed_off = 0
        base = 1.0 if srtt is None or rttvar is None else min(60.0, max(0.2, srtt + max(0.001, 4 * rttvar)))
        rto = min(60.0, base * 2**backed_off)
        assert rtt.rto == pytest.approx(rto * 1e9, abs=200)
        assert rtt.backoff == backed_off
        if srtt is not None:
            assert rtt.srtt == pytest.approx(srtt * 1e9, abs=50)
            assert rtt.pto == pytest.approx(max(0.01, 2 * srtt) * 1e9, abs=100)
