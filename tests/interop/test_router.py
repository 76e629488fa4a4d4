"""The hosted server beside a Linux router: a single address, and failover."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.interop.cases import Setting
from tests.interop.router_cases import check_router_of_a_single_address
from tests.world.topology import Topology

pytestmark = pytest.mark.interop


def test_router_of_a_single_address(tmp_path: Path) -> None:
    with Topology("hn-router", tmp_path, clients=1) as topology:
        check_router_of_a_single_address(Setting(topology, tmp_path), "hosted")
