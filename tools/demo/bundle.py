"""What a demo ends with: the bundle of its period (bridge/BUNDLE.md), checked by the command and a second verifier.

Both get the registry that the demo made for its own keys, and the command also the anchors that the keeper has. What is
not closed when the plant stops has no average and is outside: a short demo has records and few averages, or none. What
a module sealed before it knew the time is in no period, and so in no bundle.
"""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from tools.demo.layout import CHECKOUT, Layout

VERIFIER = CHECKOUT / "tools" / "second_verifier.py"


@dataclass(frozen=True, slots=True)
class BundleFindings:
    """`signatures`, `averages`: that the command found good; `second_...`: the second verifier. `findings`: lines."""

    is_fine: bool = False
    is_second_fine: bool = False
    signatures: int = 0
    averages: int = 0
    second_signatures: int = 0
    second_averages: int = 0
    findings: tuple[str, ...] = ()


def end_with_bundle(layout: Layout) -> BundleFindings:
    """Export and verify, by the commands that a user has; what they say is in the log `bundle`."""
    began = dt.datetime.fromtimestamp(_first_start_s(layout), dt.UTC).date()
    behind = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    plumeproof, bundle, keys = (sys.executable, "-m", "plumeproof"), str(layout.bundle), str(layout.keys)
    period = ("--from", began.isoformat(), "--to", behind.isoformat())
    export = (*plumeproof, "evidence", "export", "-c", str(layout.config), *period, "-o", bundle, "--json")
    verify = (*plumeproof, "evidence", "verify", bundle, "--keys", keys, "--anchor", str(layout.kept))
    exported, told = _ask(layout, *export)
    if exported:
        return BundleFindings(findings=(f"bundle: export ended with status {exported}; see {layout.log('bundle')}",))
    status, told = _ask(layout, *verify, "--html", str(layout.verdict), "--json")
    second_status, second = _ask(layout, sys.executable, str(VERIFIER), bundle, "--keys", keys)
    is_fine, is_second_fine = (
        status == 0 and told.get("fine") is True,
        second_status == 0 and second.get("fine") is True,
    )
    findings = [] if is_fine else [f"`evidence verify` is not content; see {layout.log('bundle')}"]
    findings += [] if is_second_fine else [f"the second verifier is not content; see {layout.log('bundle')}"]
    counts = told.get("records_verified", 0), told.get("averages_equal", 0)
    second_counts = second.get("signatures", 0), second.get("averages", 0)
    if counts != second_counts:
        findings.append(f"the two verifiers count differently: {counts} and {second_counts} signatures and averages")
        is_second_fine = False
    return BundleFindings(is_fine, is_second_fine, *counts, *second_counts, tuple(findings))


def with_bundle(figures: dict[str, object], found: BundleFindings) -> dict[str, object]:
    """The figures of a run and those of its bundle."""
    findings = figures["findings"]
    assert isinstance(findings, list)
    return figures | {
        "bundle_ok": found.is_fine,
        "second_verifier_ok": found.is_second_fine,
        "bundle_signatures": found.signatures,
        "bundle_averages": found.averages,
        "findings": [*findings, *found.findings],
    }


def _first_start_s(layout: Layout) -> float:
    with layout.events.open(encoding="utf-8") as file:
        return float(json.loads(file.readline())["t_utc_ns"]) / 1e9


def _ask(layout: Layout, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit status, and the object on the last line of standard output, where there is one."""
    with layout.log("bundle").open("a") as log:  # in a group of its own: a second Ctrl-C is not for it
        ended = subprocess.run(
            words, cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=log, text=True, process_group=0, check=False
        )
        log.write(ended.stdout)
    lines = ended.stdout.splitlines()
    try:
        told = json.loads(lines[-1]) if lines else {}
    except ValueError:
        told = {}
    return ended.returncode, told if isinstance(told, dict) else {}
