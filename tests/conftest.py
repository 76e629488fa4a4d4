"""Shared by all tests: running as root, the tools they need, and a clear reason where something lacks."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.world import tender  # found through the path above

# How long an example takes says something about the machine, nothing about the code.
settings.register_profile("any", deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
# Every run draws the same examples, in CI and by hand; only `make explore` and a seed given by hand draw new ones.
settings.register_profile("fixed", settings.get_profile("any"), derandomize=True)
settings.register_profile("explore", settings.get_profile("any"), derandomize=False, print_blob=True)
# The same draws; a failure is not made smaller. For the mutation gate, which wants to know no more than that it fails.
settings.register_profile("unshrunk", settings.get_profile("fixed"), phases=(Phase.explicit, Phase.generate))
settings.load_profile("fixed")

NEEDED = {
    "interop": ("openvpn", "ip", "nft", "ping", "tcpdump", "strace"),
    "vm": ("openvpn", "ip", "nft", "ping", "tcpdump", "qemu-system-x86_64", "gcc"),
}


def pytest_configure(config: pytest.Config) -> None:
    """A seed asks for other examples than the fixed ones."""
    if config.getoption("--hypothesis-seed") is not None and not config.getoption("--hypothesis-profile"):
        settings.load_profile("explore")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Interop and VM tests need root and tools; in CI their absence is a failure, by hand a skip with its reason."""
    for marker, tools in NEEDED.items():
        missing = [tool for tool in tools if shutil.which(tool) is None]
        reason = "needs root" if os.geteuid() else f"needs {', '.join(missing)}" if missing else ""
        if not reason:
            continue
        for item in items:
            if item.get_closest_marker(marker):
                if os.environ.get("CI"):
                    raise pytest.UsageError(f"{marker} tests: {reason}")
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of several tells the one that reports."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["tenders"] = tender.used


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Report of a worker; one that crashed has none."""
    tender.used.update(getattr(node, "workeroutput", {}).get("tenders", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """On which carrier and with which tender .hvt guests ran."""
    for carrier, how in tender.used.items():
        terminalreporter.write_line(f"hvt carrier {carrier}: {how}")
