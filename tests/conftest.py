"""What all tests share: running as root, the tools they need, and a clear reason where something lacks."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.world import tender  # found through the path above

# How long an example takes says something about the machine, nothing about the code.
settings.register_profile("hognose", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hognose")

NEEDED = {
    "interop": ("openvpn", "ip", "nft", "ping", "tcpdump", "strace"),
    "vm": ("openvpn", "ip", "nft", "ping", "tcpdump", "qemu-system-x86_64", "gcc"),
}


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """On which carrier and with which tender .hvt guests ran."""
    for carrier, how in tender.used.items():
        terminalreporter.write_line(f"hvt carrier {carrier}: {how}")
