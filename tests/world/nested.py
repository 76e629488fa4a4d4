"""A machine that can run dist/hognose.hvt where this one cannot: Debian's kernel with kvm-amd under qemu's emulation.

Its NIC is bridged with the tap that the tender serves, so the host sees the guest's frames on its own tap as it does
without the machine in between. Made from Debian packages, kept in the cache folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from .tender import REPO, compile_tender

sys.path.insert(0, str(REPO / "image"))

import build  # found through the path above
import pack

MODULES = ("kvm-amd", "tun", "virtio_pci", "virtio_net", "bridge")
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in $(cat /modules/order); do insmod /modules/$module; done
ip link add br0 type bridge
tunctl -t tap100 >/dev/null
for link in eth0 tap100 br0; do ip link set $link up; done
ip link set eth0 master br0
ip link set tap100 master br0
/tender --mem=256 --block:storage=/server.conf.full --net:service=tap100 -- /guest.hvt $(cat /arguments)
echo "nested: exit status $?"
poweroff -f
"""


@cache
def host_image() -> tuple[Path, bytes]:
    """The kernel, and an initramfs that lacks only the guest, its config and its arguments."""
    found = subprocess.run(
        ["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True, check=True
    )
    package = re.findall(r"Depends: (linux-image-\S+)", found.stdout)[0]
    folder = build.CACHE / f"nested-{package}"
    version = package.removeprefix("linux-image-")
    with build.exclusive("nested"):
        if not folder.exists():
            _unpack(package, version, folder)
    order: list[Path] = []
    for module in MODULES:
        command = ["modprobe", "-d", folder, "-S", version, "--show-depends", module]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        order += [Path(line.split()[1]) for line in listed.splitlines() if line.startswith("insmod")]
    order = list(dict.fromkeys(order))
    entries = [(name, 0o040755, b"") for name in ("bin", "dev", "proc", "sys", "modules")]
    entries += [
        ("init", 0o100755, INIT.encode()),
        ("bin/busybox", 0o100755, (folder / "bin/busybox").read_bytes()),
        ("tender", 0o100755, compile_tender().read_bytes()),
        ("modules/order", 0o100644, "\n".join(path.name for path in order).encode()),
    ]
    entries += [(f"modules/{path.name}", 0o100644, path.read_bytes()) for path in order]
    return folder / f"boot/vmlinuz-{version}", pack.cpio(entries)


def _unpack(package: str, version: str, folder: Path) -> None:
    partial = folder.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    subprocess.run(["apt-get", "download", "-q", package, "busybox-static"], cwd=partial, check=True)
    for archive in partial.glob("*.deb"):
        subprocess.run(["dpkg", "-x", archive, partial], check=True)
        archive.unlink()
    subprocess.run(["depmod", "-b", partial, version], check=True)
    partial.rename(folder)


def command(folder: Path, guest: Path, config: Path, arguments: list[str], tap: str, cpu: str = "max") -> list[str]:
    """The qemu line of a nested machine that runs `guest`; its initramfs is written to folder."""
    kernel, base = host_image()
    extra = [
        ("guest.hvt", 0o100644, guest.read_bytes()),
        ("server.conf.full", 0o100644, config.read_bytes()),
        ("arguments", 0o100644, " ".join(arguments).encode()),
    ]
    initramfs = folder / "nested.cpio"
    initramfs.write_bytes(base + pack.cpio(extra))
    qemu = shutil.which("qemu-system-x86_64") or "qemu-system-x86_64"
    line = [qemu, "-accel", "tcg,thread=multi", "-cpu", cpu, "-smp", "1", "-m", "1536", "-nodefaults", "-nographic"]
    line += ["-no-reboot", "-serial", "stdio", "-kernel", str(kernel), "-initrd", str(initramfs)]
    line += ["-append", "console=ttyS0 panic=-1 tsc=reliable quiet ipv6.disable=1"]
    line += ["-netdev", f"tap,id=n0,ifname={tap},script=no,downscript=no,vnet_hdr=on"]
    return [*line, "-device", f"virtio-net-pci,netdev=n0,mac=02:00:00:00:01:{os.getpid() % 256:02x},romfile="]
