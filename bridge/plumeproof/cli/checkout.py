"""Verbs whose work lies in tools/ of the source checkout, which is not installed: started as processes from there."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import plumeproof

CHECKOUT = Path(plumeproof.__file__).resolve().parents[2]


def run_tool(verb: str, module: str, words: Sequence[str], mend: str = "clone the project and run it there") -> int:
    """Exit status; where the system allows it this process becomes the tool, so that signals need no forwarding."""
    place = CHECKOUT.joinpath(*module.split("."))
    if not place.with_suffix(".py").is_file() and not (place / "__main__.py").is_file():
        print(
            f"plumeproof {verb}: it is part of the source checkout and this is an installed package; {mend}",
            file=sys.stderr,
        )
        return 2
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    command = [sys.executable, "-m", module, *words]
    if os.name != "posix":
        return subprocess.run(command, env=environment, check=False).returncode
    sys.stdout.flush()
    os.execve(sys.executable, command, environment)  # noqa: S606 - no shell between us and our own program
