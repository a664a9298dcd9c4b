"""What a demo ends with: the bundle of its period (bridge/BUNDLE.md), checked by the command and by others.

The others are tools/second_verifier.py (signatures, averages) and tools/second_witness.py (anchors, the manifest's
signature). All get the registry that the demo made for its own keys, and the command also the anchors that the keeper
has and the keys with which the platform signs receipts, fetched from the platform while it was there. What is
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

VERIFIER, WITNESS = CHECKOUT / "tools" / "second_verifier.py", CHECKOUT / "tools" / "second_witness.py"


@dataclass(frozen=True, slots=True)
class BundleFindings:
    """`is_second_fine`: the others are content and count the same. The counts are of what the command found good.

    `receipts`: that bear a signature of the platform. `findings`: lines.
    """

    is_fine: bool = False
    is_second_fine: bool = False
    signatures: int = 0
    averages: int = 0
    anchors: int = 0
    receipts: int = 0
    findings: tuple[str, ...] = ()


def end_with_bundle(layout: Layout) -> BundleFindings:
    """Export and verify, by the commands that a user has; what they say is in the log `bundle`."""
    began = dt.datetime.fromtimestamp(_first_start_s(layout), dt.UTC).date()
    behind = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    plumeproof, bundle, keys = (sys.executable, "-m", "plumeproof"), str(layout.bundle), str(layout.keys)
    period = ("--from", began.isoformat(), "--to", behind.isoformat())
    export = (*plumeproof, "evidence", "export", "-c", str(layout.config), *period, "-o", bundle, "--json")
    verify = (*plumeproof, "evidence", "verify", bundle, "--keys", keys, "--anchor", str(layout.kept))
    signers = ("--platform-keys", str(layout.platform_keys))
    exported, told = _ask(layout, *export)
    if exported:
        return BundleFindings(findings=(f"bundle: export ended with status {exported}; see {layout.log('bundle')}",))
    status, told = _ask(layout, *verify, *signers, "--html", str(layout.verdict), "--json")
    second_status, second = _ask(layout, sys.executable, str(VERIFIER), bundle, "--keys", keys)
    _, third = _ask(layout, sys.executable, str(WITNESS), bundle, "--keys", keys)
    is_fine = status == 0 and told.get("fine") is True
    opinions = {
        "`evidence verify`": is_fine,
        "the second verifier": second_status == 0 and second.get("fine") is True,
        "the second witness": third.get("finding_count") == 0,  # without an anchor it is not fine, nor at fault
    }
    findings = [f"{who} is not content; see {layout.log('bundle')}" for who, is_content in opinions.items()
                if not is_content]  # fmt: skip
    counts = tuple(told.get(name, 0) for name in ("records_verified", "averages_equal", "anchors"))
    others = second.get("signatures", 0), second.get("averages", 0), third.get("anchors", 0)
    if counts != others:
        findings.append(f"signatures, averages and anchors are {counts} by the command and {others} by the others")
    is_second_fine = all(list(opinions.values())[1:]) and counts == others
    return BundleFindings(is_fine, is_second_fine, *counts, told.get("receipts_signed", 0), tuple(findings))


def with_bundle(figures: dict[str, object], found: BundleFindings) -> dict[str, object]:
    """The figures of a run and those of its bundle."""
    findings = figures["findings"]
    assert isinstance(findings, list)
    return figures | {
        "bundle_ok": found.is_fine,
        "second_verifier_ok": found.is_second_fine,
        "bundle_signatures": found.signatures,
        "bundle_averages": found.averages,
        "bundle_anchors": found.anchors,
        "bundle_receipts": found.receipts,
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
