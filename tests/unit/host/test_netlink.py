"""The macvtap on the NIC: which link operations are asked for, and what becomes of the kernel's refusals."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from hognose.errors import DeviceError
from hognose.host.netlink import set_up_macvtap

# As PID 1 finds it: the package itself needs what the image does not carry, its modules do not.
PACKAGE = {
    "__init__.py": "raise ImportError('sqlite3')\n",
    "iproute/__init__.py": "",
    "iproute/linux.py": """
class IPRoute:
    links = {'eth0': 2}
    calls = []
    error = None

    def link_lookup(self, ifname):
        return [self.links[ifname]] if ifname in self.links else []

    def link(self, command, **fields):
        self.calls.append((command, fields))
        if command == 'add':
            if self.error:
                raise self.error
            self.links[fields['ifname']] = 9

    def close(self):
        self.calls.append(('close', {}))
""",
}


@pytest.fixture
def route(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The module of a package that stands in for pyroute2."""
    for name, text in PACKAGE.items():
        path = tmp_path / "pyroute2" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in [name for name in sys.modules if name.split(".")[0] == "pyroute2"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    for name in ("pyroute2", "pyroute2.iproute", "pyroute2.iproute.linux"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))  # undone at the end, with what is imported meanwhile
        del sys.modules[name]
    with pytest.raises(DeviceError):
        set_up_macvtap("none", "tap0")
    module = sys.modules["pyroute2.iproute.linux"]
    module.IPRoute.calls.clear()
    return module


def test_a_passthru_macvtap_on_the_interface(route: ModuleType) -> None:
    assert set_up_macvtap("eth0", "tap0") == 9
    assert route.IPRoute.calls == [
        ("set", {"index": 2, "state": "up"}),
        ("add", {"ifname": "tap0", "kind": "macvtap", "link": 2, "macvtap_mode": "passthru"}),
        ("set", {"index": 9, "state": "up"}),
        ("close", {}),
    ]


def test_an_interface_that_is_not_there(route: ModuleType) -> None:
    with pytest.raises(DeviceError, match=r"^no network interface eth1$"):
        set_up_macvtap("eth1", "tap0")
    assert route.IPRoute.calls == [("close", {})]


@pytest.mark.parametrize("error", [OSError(16, "Device or resource busy"), RuntimeError("Device or resource busy")])
def test_what_the_kernel_refuses_is_one_line(route: ModuleType, error: Exception) -> None:
    """Of whatever class: the library's own has moved between versions."""
    route.IPRoute.error = error
    with pytest.raises(DeviceError, match=r"^setting up macvtap on eth0: .*Device or resource busy$"):
        set_up_macvtap("eth0", "tap0")
    assert route.IPRoute.calls[-1] == ("close", {})


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in [name for name in sys.modules if name.split(".")[0] == "pyroute2"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(DeviceError, match=r"^pyroute2 is not installed$"):
        set_up_macvtap("eth0", "tap0")
