"""Exit statuses: one number per cause, the same for PID 1's last console line and for the hosted process."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """Cause of the program's end."""

    OK = 0  # an orderly end: power button, SIGTERM, SIGINT
    INTERNAL = 1  # a bug of ours
    ARGUMENTS = 2  # an unknown or missing argument
    CONFIG = 3  # the config cannot be used
    BLOCK_DEVICE = 4  # no block device, or nothing readable on it
    FRAME_DEVICE = 5  # no network device, or it went away
