"""A pytest plugin of `make quick`: no test begins when the time is up, and the last line names how many ran."""

from __future__ import annotations

import os
import time

import pytest

SECONDS = float(os.environ.get("HOGNOSE_QUICK_S", "26"))


class Budget:
    """Of one run; with several workers it is the one that hands out tests which looks at the clock."""

    def __init__(self, session: pytest.Session, clock: float) -> None:
        self._session = session
        self._end = clock + SECONDS
        self.ran = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count, and stop when the time is up."""
        if report.when == "call":
            self.ran += 1
        if time.monotonic() > self._end:
            runner = self._session.config.pluginmanager.getplugin("dsession") or self._session
            runner.shouldstop = f"{SECONDS:.0f} s are up after {self.ran} tests: `make unit` runs all of them"


def pytest_sessionstart(session: pytest.Session) -> None:
    """The time counts from here; a worker is stopped by the one that hands out its tests."""
    if not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Budget(session, time.monotonic()))
