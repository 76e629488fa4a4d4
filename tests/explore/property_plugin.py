"""The plugin of pytest for a round of properties: nothing but properties, in an order by seed, up to a time."""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter

import pytest
from hypothesis import is_hypothesis_test, settings
from hypothesis.internal.conjecture import engine
from tests.explore import results
from tests.explore.seeding import derived, seed_urandom

# A failure is there to be told within the time of a run; by hand, alone, it may take hypothesis's five minutes.
SHRINKING_SECONDS = 10
PASSING = re.compile(r"(\d+) passing, (\d+) failing")
_OS_URANDOM = os.urandom


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("explore")
    group.addoption("--explore-order", type=int, default=0, help="seed of the order of the test files")
    group.addoption("--explore-backwards", action="store_true", help="the same order from its end")
    group.addoption("--explore-until", type=float, default=float("inf"), help="no test begins after this time")
    group.addoption("--explore-factor", type=float, default=1.0, help="how many times the usual number of examples")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Round(config), "round of properties")


class Round:
    """One round."""

    def __init__(self, config: pytest.Config) -> None:
        self._option = config.option
        self._examples: Counter[str] = Counter()
        self._collected: list[str] = []
        self._failed: list[str] = []
        if self._option.explore_until != float("inf"):
            assert isinstance(engine.MAX_SHRINKING_SECONDS, int)
            engine.MAX_SHRINKING_SECONDS = SHRINKING_SECONDS

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the properties; files in an order by seed, so that it is not always the same ones that time cuts."""
        found = [item for item in items if is_hypothesis_test(getattr(item, "obj", None))]
        paths = sorted({item.path for item in found})
        random.Random(self._option.explore_order).shuffle(paths)
        place = {path: number for number, path in enumerate(paths)}
        found.sort(key=lambda item: place[item.path])
        items[:] = found[::-1] if self._option.explore_backwards else found
        self._collected = [item.nodeid for item in items]
        if self._option.explore_factor != 1:
            for item in items:
                multiply(item, self._option.explore_factor)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> object:
        seed_urandom(derived(int(item.config.getoption("--hypothesis-seed") or 0), item.nodeid))
        try:
            return (yield)
        finally:
            os.urandom = _OS_URANDOM
            found = PASSING.findall(getattr(item, "hypothesis_statistics", ""))
            self._examples[item.nodeid] += sum(int(number) for pair in found for number in pair)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_runtest_teardown(self, item: pytest.Item) -> None:
        if time.monotonic() > self._option.explore_until:
            item.session.shouldstop = "the time is up"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name in self._failed:
            terminalreporter.write_line(
                f"alone: python -m pytest -p tests.explore.property_plugin --hypothesis-profile=explore "
                f"--hypothesis-seed={self._option.hypothesis_seed} --explore-factor={self._option.explore_factor:g} "
                f"'{name}'"
            )
        done = results.line(properties=self._examples, collected=self._collected, rounds=1)
        terminalreporter.write_line(done)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """A round that time has cut is none that was interrupted."""
        if session.shouldstop == "the time is up" and not self._failed:
            session.exitstatus = pytest.ExitCode.OK


def multiply(item: pytest.Item, factor: float) -> None:
    """Multiply the examples of a property, its own number or the profile's."""
    obj = item.obj  # type: ignore[attr-defined]  # of functions, not of all items
    test = getattr(obj, "__func__", obj)
    own = test._hypothesis_internal_use_settings
    test._hypothesis_internal_use_settings = settings(own, max_examples=max(1, round(own.max_examples * factor)))
