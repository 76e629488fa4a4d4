"""Runs under hognose-python: prints, as JSON, every Python file that the image needs (module name -> path).

Imports what PID 1 imports, and by hand what is only imported when something goes wrong or on first use.
"""

import importlib
import json
import pkgutil
import sys

import hognose
from hognose.host import netlink

LATE = (
    "traceback",
    "linecache",
    "warnings",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.ascii",
    "runpy",
    "pkgutil",
    "zipimport",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.hazmat.primitives.asymmetric.rsa",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "cryptography.hazmat.primitives.asymmetric.ed448",
    "cryptography.hazmat.primitives.asymmetric.padding",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.serialization.ssh",
)
SKIP = ("hognose.cli.serve", "hognose.cli.main", "hognose.cli.config_tool", "hognose.cli.config_parser",
        "hognose.config.embed", "hognose.host.signals", "hognose.__main__")  # fmt: skip


def main() -> None:
    """Import all, print the list."""
    for name in LATE:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(hognose.__path__, "hognose."):
        if module.name not in SKIP:
            importlib.import_module(module.name)
    netlink._iproute().close()
    found = {}
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if path and path.endswith(".py") and name != "__main__":
            found[name] = path
    # The parent package is replaced by an empty one at run time, but must be found (host/netlink.py).
    spec = importlib.util.find_spec("pyroute2.iproute")
    assert spec is not None
    assert spec.origin is not None
    found.setdefault("pyroute2.iproute", spec.origin)
    sys.stdout.write(json.dumps(found, indent=1, sort_keys=True))


main()
