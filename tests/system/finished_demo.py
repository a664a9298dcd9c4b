"""One finished demo, made by the command that a newcomer types; the fixture of it is in conftest.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.demo.layout import Layout

DEMO_S = 15  # at least one 10 s interval closes
LIMIT_S = 110


@dataclass(frozen=True)
class FinishedDemo:
    """`lines`: of standard output. `figures`: the last of them."""

    layout: Layout
    status: int
    lines: list[str]
    errors: str

    @property
    def figures(self) -> dict[str, Any]:
        return json.loads(self.lines[-1])


def run_demo(root: Path) -> FinishedDemo:
    """`plumeproof demo` for DEMO_S seconds."""
    command = [sys.executable, "-m", "plumeproof", "demo", "--seconds", str(DEMO_S), "--json", "--dir", str(root)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return FinishedDemo(Layout(root), run.returncode, run.stdout.splitlines(), run.stderr)


def parts_below(root: Path) -> list[str]:
    """Command lines of running processes that name a folder."""
    return [words for _, words in processes_below(root)]


def processes_below(root: Path) -> list[tuple[int, str]]:
    """Their ids and command lines."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:  # it has just ended
                continue
            if any(str(root) in word for word in words):
                found.append((int(entry.name), " ".join(words)))
    return found
