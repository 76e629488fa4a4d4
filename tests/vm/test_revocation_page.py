"""The page's revocation under qemu and as a guest of solo5-hvt: the commands as they stand there, without a restart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.interop.example_page import Example, make_pki
from tests.interop.revocation_page import check_growth, check_revocation
from tests.world.tender import hvt_carrier
from tests.world.topology import HOST, Topology

pytestmark = pytest.mark.vm


@pytest.fixture(scope="module")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Topology]:
    with Topology("hn-revoke", tmp_path_factory.mktemp("topology"), clients=3) as made:
        for space in made.clients:
            made.namespaces.run(space, "ip", "route", "add", "default", "via", HOST)
        yield made


@pytest.mark.timeout(600)
@pytest.mark.parametrize("machine", ["vm", "hvt"])
def test_revocation(machine: str, topology: Topology, tmp_path: Path) -> None:
    carrier = hvt_carrier() if machine == "hvt" else machine
    if carrier == "nested":
        pytest.skip("the nested machine's block device is a file of its own, out of our reach")
    with ExitStack() as stack:
        folder = tmp_path / "pki"
        folder.mkdir()
        example = Example("revocation", topology, make_pki(folder), tmp_path, stack)
        server = example.serve(carrier=carrier, mem=128)
        check_revocation(example, server)
        check_growth(example, server, carrier)
