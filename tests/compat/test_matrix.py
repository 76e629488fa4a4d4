"""The covering subset of the compatibility matrix against the hosted server: what CI runs of docs/compatibility.md."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from threading import Thread

import pytest
from tests.compat import results
from tests.compat.cells import CIPHERS, WRAPS, Cell, all_cells, covering_cells
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
    releases = [release for release in old_clients.ORIGINS if release != "2.4"]
    assert {(cell.wrap_name, cell.cipher) for cell in CELLS} == {(wrap, cipher) for wrap in WRAPS for cipher in CIPHERS}
    assert {(cell.release, cell.wrap_name) for cell in CELLS} == {(one, wrap) for one in releases for wrap in WRAPS}
    assert {(cell.release, cell.cipher) for cell in CELLS} == {(one, cipher) for one in releases for cipher in CIPHERS}
    assert {(cell.release, cell.tls) for cell in CELLS} == {(one, f"TLSv1.{n}") for one in releases for n in (2, 3)}
    assert {cell.release for cell in CELLS if cell.client_renegotiates} == set(releases)
    assert {cell.release for cell in CELLS if not cell.client_renegotiates} == set(releases)
    assert {cell.tls for cell in all_cells() if cell.wrap == "tls-crypt-v2"} == {"TLSv1.2", "TLSv1.3"}
