"""A server on one carrier, and the probes that pytest has chosen running at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from tests.probes.place import ARGUMENTS, AT_ONCE, Place, Runs
from tests.probes.probe import Probe
from tests.world.pki import SERVER, current_authority
from tests.world.server import Server, ServerSettings

# Nothing is said twice by the application while a probe looks at TCP.
LINES = ["tls-timeout 60", "hand-window 600"]
AT_ONCE_EMULATED = 12  # under qemu's emulation a handshake of TLS takes its time
PADDING = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), bytes(6000))


@contextmanager
def running(prefix: str, carrier: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Runs]:
    """The server is up, its TLS flight is longer than what may be in flight, and the probes run."""
    authority = current_authority()
    identity = authority.issue("server", SERVER, extensions=[PADDING])
    config = ServerSettings(authority, identity, "none", extra=LINES).text()
    with Place(prefix, folder) as place:
        with Server(carrier, place.namespaces, config, folder, arguments=ARGUMENTS).ready() as server:
            runs = Runs(place, chosen(request), AT_ONCE if carrier in ("hosted", "hvt") else AT_ONCE_EMULATED)
            try:
                yield runs
            finally:
                runs.stop()
            assert place.wire.spoiled == []
            assert place.wire.lost() == 0
            assert "internal_error" not in server.log


def chosen(request: pytest.FixtureRequest) -> list[Probe]:
    """The probes of the module's tests that this run has."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function)]
    here = [item for item in tests if item.module is request.module and "probe" in item.fixturenames]
    probes = dict.fromkeys(item.callspec.params["probe"] for item in here)
    return [probe for probe in probes if isinstance(probe, Probe)]
