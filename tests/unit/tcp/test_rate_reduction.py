"""Proportional rate reduction against RFC 9937 section 6.2 as it is written."""

from __future__ import annotations

import random
from fractions import Fraction
from math import ceil

import pytest

from hognose.tcp.rate_reduction import RateReduction

MSS = 100


@pytest.mark.parametrize("seed", range(20))
def test_any_recovery_is_rfc_9937s(seed: int) -> None:
    draw = random.Random(seed)
    recover_fs = draw.choice((50, 100, 1000, 7777))
    ours = RateReduction(recover_fs, MSS)
    recover_fs = max(recover_fs, MSS)
    prr_delivered = prr_out = 0
    ssthresh = max(2 * MSS, recover_fs * 7 // 10)
    for _ in range(60):
        delivered = draw.choice((0, 0, 1, MSS, 3 * MSS))
        pipe = draw.choice((0, MSS, ssthresh - MSS, ssthresh - 1, ssthresh, ssthresh + 1, ssthresh + MSS))
        safe = draw.random() < 0.5
        prr_delivered += delivered
        if pipe > ssthresh:
            count = ceil(Fraction(prr_delivered * ssthresh, recover_fs)) - prr_out
        else:
            count = max(prr_delivered - prr_out, delivered)
            if safe:
                count += MSS
            count = min(ssthresh - pipe, count)
        assert ours.window(delivered, pipe, ssthresh, MSS, advanced=safe) == pipe + max(0, count)
        if draw.random() < 0.6:
            size = draw.choice((1, MSS, 2 * MSS))
            ours.sent(size)
            prr_out += size
