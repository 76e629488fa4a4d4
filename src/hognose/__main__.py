"""`python -m hognose`."""

from __future__ import annotations

from hognose.cli.main import main

main()
