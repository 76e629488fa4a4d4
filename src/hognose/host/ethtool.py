"""Features of a network interface by ioctl (linux/ethtool.h): one that is off is switched on.

Ethtool over netlink would need a kernel option more and a family of pyroute2 that the image does not carry.
"""

from __future__ import annotations

import fcntl
from array import array
from struct import Struct, pack

TX_UDP_SEGMENTATION = "tx-udp-segmentation"

_SIOCETHTOOL = 0x8946
_GSTRINGS, _GSSET_INFO, _GFEATURES, _SFEATURES = 0x1B, 0x37, 0x3A, 0x3B
_FEATURES = 4  # ETH_SS_FEATURES, a set of strings
_NAME_LEN = 32  # ETH_GSTRING_LEN
_FEATURES_MOST = 1024  # bits; Linux 6.12 has 64
_SSET_INFO = Struct("=IIQI")  # command, reserved, mask of sets, number of strings
_HEAD = Struct("=II")  # command, number of 32-bit blocks
_STRINGS_HEAD = Struct("=III")  # command, set, number of strings
_GET_BLOCK = Struct("=IIII")  # available, requested, active, never changed
_SET_BLOCK = Struct("=II")  # valid, requested


def switch_on(interface: str, feature: str) -> bool:
    """Switch a feature on; True when it is active after that.

    False, and no error, where the interface, the feature or the right to change it is missing: the kernel then does in
    software what the NIC does not.
    """
    from socket import AF_NETLINK, SOCK_RAW, socket  # the nano-kernel has no use for it

    try:
        with socket(AF_NETLINK, SOCK_RAW) as asked:
            names = _names(asked.fileno(), interface)
            if feature not in names:
                return False
            block, bit = divmod(names.index(feature), 32)
            blocks = (len(names) + 31) // 32
            command = bytearray(_HEAD.size + blocks * _SET_BLOCK.size)
            _HEAD.pack_into(command, 0, _SFEATURES, blocks)
            _SET_BLOCK.pack_into(command, _HEAD.size + block * _SET_BLOCK.size, 1 << bit, 1 << bit)
            _ask(asked.fileno(), interface, command)
            command = bytearray(_HEAD.size + blocks * _GET_BLOCK.size)
            _HEAD.pack_into(command, 0, _GFEATURES, blocks)
            _ask(asked.fileno(), interface, command)
            _, _, active, _ = _GET_BLOCK.unpack_from(command, _HEAD.size + block * _GET_BLOCK.size)
            return bool(active >> bit & 1)
    except OSError:
        return False


def _names(fd: int, interface: str) -> list[str]:
    """Names of all features by their number."""
    command = bytearray(_SSET_INFO.pack(_GSSET_INFO, 0, 1 << _FEATURES, 0))
    _ask(fd, interface, command)
    _, _, _, count = _SSET_INFO.unpack(command)
    count = min(count, _FEATURES_MOST)
    command = bytearray(_STRINGS_HEAD.size + count * _NAME_LEN)
    _STRINGS_HEAD.pack_into(command, 0, _GSTRINGS, _FEATURES, count)
    _ask(fd, interface, command)
    starts = range(_STRINGS_HEAD.size, len(command), _NAME_LEN)
    return [bytes(command[at : at + _NAME_LEN]).partition(b"\0")[0].decode("ascii", "replace") for at in starts]


def _ask(fd: int, interface: str, command: bytearray) -> None:
    """One request, answered in place; OSError as of ioctl."""
    memory = array("B", command)
    address, _ = memory.buffer_info()
    fcntl.ioctl(fd, _SIOCETHTOOL, pack("=16sQ16x", interface.encode(), address))
    command[:] = memory.tobytes()
