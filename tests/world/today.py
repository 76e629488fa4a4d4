"""The one day on which everything in virtual time plays: clocks begin at it, certificates are made for it.

Whatever the machine's clock says, a test of unit, sim and fuzz finds the same certificates valid.
"""

from __future__ import annotations

from datetime import UTC, datetime

UNIX = 1_800_000_000  # 2027-01-15 08:00:00 UTC
TODAY = datetime.fromtimestamp(UNIX, UTC)
