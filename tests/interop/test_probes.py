"""Black-box probes of the hosted server from raw frames, and of Linux's TCP in the same run (docs/dev/probes.md)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.probes.place import LINUX, OURS, Runs
from tests.probes.probe import Probe
from tests.probes.table import PROBES
from tests.probes.under_test import running

pytestmark = [pytest.mark.interop, pytest.mark.alone, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    with running("hn-wire", "hosted", tmp_path_factory.mktemp("probes"), request) as made:
        yield made


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_probe(probe: Probe, runs: Runs) -> None:
    """The control first: what it does not do the probe must not ask for."""
    assert runs.verdict(probe, LINUX) == probe.expected_of("linux")
    assert runs.verdict(probe, OURS) == probe.expected
