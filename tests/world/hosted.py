"""`python -m hognose` with a server that looks at its config once a second, and takes unmarked text after six.

A user's server takes five times as long; the intervals themselves are tested in virtual time and on the machines.
"""

from __future__ import annotations

from hognose.cli import config_watch
from hognose.cli.main import main

config_watch.CHECK_INTERVAL_NS //= 5
config_watch.WHOLE_INTERVAL_NS //= 5

main()
