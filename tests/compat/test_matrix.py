"""The covering subset of the compatibility matrix against the hosted server: what CI runs of docs/compatibility.md."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Future
from threading import Thread

import pytest
from tests.compat import results
from tests.compat.cells import CIPHERS, RELEASES, TRANSPORTS, WRAPS, Cell, all_cells, covering_cells
from tests.world import old_clients

pytestmark = pytest.mark.interop

WORKERS = 6  # they wait for renegotiations most of the time
CELLS = covering_cells()


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Cell, Future[results.Result]]]:
    """All selected cells under way, several side by side; each test waits for its own."""
    functions = [item for item in request.session.items if isinstance(item, pytest.Function)]
    chosen = [item.callspec.params["cell"] for item in functions if item.function is test_cell]
    cells = [cell for cell in chosen if isinstance(cell, Cell)]
    futures: dict[Cell, Future[results.Result]] = {cell: Future() for cell in cells}
    folder = tmp_path_factory.mktemp("compat")

    def run() -> None:
        try:
            results.run_cells(cells, "hognose", folder, WORKERS, lambda cell, result: futures[cell].set_result(result))
        except BaseException as error:
            for future in futures.values():
                if not future.done():
                    future.set_exception(error)

    thread = Thread(target=run)
    thread.start()
    yield futures
    thread.join()


@pytest.mark.timeout(480)
@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_cell(outcomes: dict[Cell, Future[results.Result]], cell: Cell) -> None:
    """A mirror without that client's suite is a failure too: nothing is known of the cell then."""
    result = outcomes[cell].result()
    assert result.outcome == results.PASSED, f"{cell.name}: {result.reason}"


def test_the_subset_covers_every_pair() -> None:
    assert tuple(old_clients.ORIGINS) == RELEASES
    tls = ("TLSv1.2", "TLSv1.3")
    kinds = {"release": RELEASES, "transport": TRANSPORTS, "wrap_name": WRAPS, "cipher": CIPHERS, "tls": tls}
    for one, other in itertools.combinations(kinds, 2):
        met = {(getattr(cell, one), getattr(cell, other)) for cell in CELLS}
        assert met == set(itertools.product(kinds[one], kinds[other])), f"{one} and {other}"
    assert len({(cell.release, cell.client_renegotiates) for cell in CELLS}) == 2 * len(RELEASES)
    assert len({(cell.transport, cell.client_renegotiates) for cell in CELLS}) == 2 * len(TRANSPORTS)
    assert {cell.tls for cell in all_cells() if cell.wrap == "tls-crypt-v2"} == {"TLSv1.2", "TLSv1.3"}


def test_a_release_that_cannot_be_had_is_told_of() -> None:
    """The matrix ends with 1 then: nothing is known of its cells."""
    passed, absent = (Cell(release, "udp", "none", "AES-256-GCM") for release in ("2.6", "2.7"))
    late, never = (Cell("2.5", "tcp", wrap, "AES-256-GCM") for wrap in ("tls-crypt", "none"))
    known = {
        passed.name: results.Result(results.PASSED, "", "2.6.14", "abc", 1.0, ""),
        absent.name: results.Result(results.NOT_SERVED, "404 Not Found", "", "abc", 1.0, ""),
        late.name: results.Result(results.FAILED, "no pong", "2.5.1", "abc", 1.0, ""),
    }
    assert results.shortfall([passed], known) == []
    assert results.shortfall([passed, late, absent, never], known) == [
        "OpenVPN 2.7 cannot be had, 1 of its cells were not run: 404 Not Found",
        f"{late.name}: failed",
        f"{never.name}: not run",
    ]
