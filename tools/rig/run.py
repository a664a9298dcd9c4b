"""The suite of a rig, run by pytest in a process of its own, and the report of what became of it.

The same files on every rig: the module's system tests and tests/hil. Outcomes are written by tests/conftest.py, one
JSON line a test; what tests have seen of bus, records and power comes with them.
"""

from __future__ import annotations

import argparse
import datetime
import getpass
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.rig.report import Run, Test, write_report
from tools.rig.wiring import find_wiring

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(".cache") / "rig"
SUITE = ("tests/system/test_module.py", "tests/hil")
CAPTURES = "tests/captures"
OUTCOMES_MAX_BYTES = 64 * 1024 * 1024
WORDS = ("passed", "failed", "skipped")


class RunError(Exception):
    """There is nothing to report; one line: what and how to mend."""


def run_suite(chosen: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Run and report; 0 when no test failed, 1 otherwise. Raises RunError, WiringError."""
    wiring = find_wiring(chosen.rig, chosen.module)
    folder = chosen.output
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = folder / "outcomes.jsonl"
    outcomes.unlink(missing_ok=True)
    words = ["-q", "--rig", chosen.rig, "--cuts", str(chosen.cuts), "--soak-seconds", str(chosen.soak_seconds)]
    words += [
        "--rig-outcomes",
        str(outcomes.resolve()),
        "--timeout",
        str(round(300 + 2 * chosen.soak_seconds + 20 * chosen.cuts)),
    ]
    words += [] if chosen.module is None else ["--module", chosen.module]
    files = (*SUITE, CAPTURES) if chosen.with_captures else SUITE
    began = datetime.datetime.now().astimezone()
    ended = subprocess.run([sys.executable, "-m", "pytest", *files, *words, *chosen.pytest], cwd=ROOT, check=False)
    tests = read_outcomes(outcomes)
    if not tests:
        raise RunError(f"no test ran (pytest ended with {ended.returncode}); see above")
    run = Run(
        wiring=wiring,
        who=chosen.who or getpass.getuser(),
        began=began,
        ended=datetime.datetime.now().astimezone(),
        revision=_revision(),
        tests=tests,
    )
    report = folder / "report.html"
    write_report(report, run)
    said = ", ".join(f"{sum(test.outcome == word for test in tests)} {word}" for word in WORDS)
    say(f"{report}: {said}")
    return 0 if ended.returncode == 0 else 1


def read_outcomes(path: Path) -> list[Test]:
    """One for each test, the worst of its phases; in the order they ran. Raises RunError."""
    if not path.exists():
        return []
    if path.stat().st_size > OUTCOMES_MAX_BYTES:
        raise RunError(f"{path}: larger than {OUTCOMES_MAX_BYTES} bytes")
    found: dict[str, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        one = found.setdefault(entry["test"], {"outcome": "passed", "seconds": 0.0, "reason": "", "seen": {}})
        one["seconds"] += entry["seconds"]
        one["seen"] |= entry["seen"]
        if entry["outcome"] != "passed":
            one["outcome"], one["reason"] = entry["outcome"], entry["reason"]
    return [Test(name, one["outcome"], one["seconds"], one["reason"], one["seen"]) for name, one in found.items()]


def _revision() -> str:
    """Of the checkout, with a plus when it is changed; empty where there is no git."""
    words = ("git", "describe", "--always", "--dirty=+", "--abbrev=12")
    try:
        ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return ended.stdout.strip()
