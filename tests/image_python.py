"""Runs dist/hognose-python, the interpreter linked from the very objects of the image's, with the image's own library.

usage: image_python.py ARGUMENTS OF python, for example -m hognose serve --help
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPO / "image"))

import build  # noqa: E402  # found through the path above

INTERPRETER = str(REPO / "dist/hognose-python")


def environment(*paths: Path) -> dict[str, str]:
    """PYTHONHOME and PYTHONPATH: its own standard library, hognose, the image's packages, further paths."""
    interpreter = build.CACHE / f"interpreter-{build.interpreter_key()}"
    search = (REPO / "src", interpreter / "site", build.python_packages(), *paths)
    return {
        **os.environ,
        "PYTHONHOME": str(interpreter / "home"),
        "PYTHONPATH": ":".join(str(path) for path in search),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


if __name__ == "__main__":
    os.execve(INTERPRETER, [INTERPRETER, "-S", *sys.argv[1:]], environment())
