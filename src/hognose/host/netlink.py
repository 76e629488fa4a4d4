"""rtnetlink through pyroute2: the few link operations of PID 1, typed. No other module imports pyroute2.

pyroute2's package import pulls in sqlite, multiprocessing and more that the image does not carry; an empty parent
package avoids that: only the modules of the rtnetlink socket are loaded.
"""

from __future__ import annotations

import importlib.util
import logging
import sys
import types
from typing import Any

from hognose.errors import DeviceError


def _iproute() -> Any:  # pyroute2 has no types
    if "pyroute2" not in sys.modules:
        spec = importlib.util.find_spec("pyroute2")
        if spec is None or spec.submodule_search_locations is None:
            raise DeviceError("pyroute2 is not installed")
        package = types.ModuleType("pyroute2")
        package.__path__ = list(spec.submodule_search_locations)
        sys.modules["pyroute2"] = package
    # It warns of a traffic-control clock that this kernel has no use for.
    logging.getLogger("pyroute2").setLevel(logging.ERROR)
    logging.getLogger("pr2modules").setLevel(logging.ERROR)
    from pyroute2.iproute.linux import IPRoute

    return IPRoute()


def set_up_macvtap(interface: str, name: str) -> int:
    """Bring `interface` up and put a passthru macvtap `name` on it; returns the macvtap's interface index.

    passthru gives the macvtap the NIC's own MAC and everything that arrives (Linux
    drivers/net/macvlan.c, MACVLAN_MODE_PASSTHRU).
    Raises DeviceError.
    """
    route = _iproute()
    try:
        found = route.link_lookup(ifname=interface)
        if not found:
            raise DeviceError(f"no network interface {interface}")
        route.link("set", index=found[0], state="up")
        route.link("add", ifname=name, kind="macvtap", link=found[0], macvtap_mode="passthru")
        index = int(route.link_lookup(ifname=name)[0])
        route.link("set", index=index, state="up")
        return index
    except DeviceError:
        raise
    except Exception as error:  # NetlinkError's class moved between versions
        raise DeviceError(f"setting up macvtap on {interface}: {error}") from None
    finally:
        route.close()
