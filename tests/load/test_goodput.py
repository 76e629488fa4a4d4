"""Goodput at loss beside Linux's own sender; by hand, for single transfers differ by half."""

from __future__ import annotations

import pytest
from tests.interop import loss_comparison

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


def test_goodput_at_five_percent_loss_beside_linux() -> None:
    """A short run of loss_comparison.py; docs/dev/test-records.md has the figures of record."""
    found = loss_comparison.compare(0.05, range(1, 4), 40, 0.75)
    assert found["ratio"] >= 0.6, found
