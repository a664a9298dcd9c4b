"""Command line of the campaign of the same bits; what it does: docstring of tools.bitequal.

With --json standard output holds one JSON object only. Exit status: 0 all hashes are equal; 1 one is not, or a process
has failed; 2 wrong usage; 130 stopped at once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FINE, FINDINGS, INTERRUPTED = 0, 1, 130
TARGETS: dict[str, dict[str, str]] = {
    "native": {},
    "generic": {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},  # no vectors beyond SSE2
}


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The choices of a command line; argparse ends with 2 on wrong ones."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bitequal", description="compare the bits of a year's figures"
    )
    parser.add_argument("--days", type=int, default=365, help="from 1 January (365)")
    parser.add_argument("--slot-ms", type=int, default=60_000, help="of first level data (60000)")
    parser.add_argument("--pieces", type=int, default=1_000, help="at most one an hour (1000)")
    parser.add_argument("--targets", nargs="+", choices=list(TARGETS), default=list(TARGETS), metavar="TARGET")
    parser.add_argument("--seed", type=int, default=1, help="of the records and the cuts (1)")
    parser.add_argument("--json", action="store_true", help="print what was found as one JSON object")
    chosen = parser.parse_args(arguments)
    if chosen.days < 1 or not 1 <= chosen.pieces <= chosen.days * 24:
        parser.error("--days is above 0, --pieces 1 to 24 a day")
    if not 1_000 <= chosen.slot_ms <= 60_000 or 60_000 % chosen.slot_ms:
        parser.error("--slot-ms is 1000 to 60000 and divides a minute")
    return chosen


def cache_of_kernels() -> Path:
    """Where the kernels of another target stay compiled: a folder for each state of all their sources, because numba
    itself looks at one file only. Compiling takes longer than a day's figures."""
    told = hashlib.sha256()
    for path in sorted((ROOT / "bridge" / "plumeproof" / "rules").glob("_*.py")):
        told.update(path.read_bytes())
    return ROOT / ".cache" / "bitequal" / told.hexdigest()[:16]


def run_target(target: str, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """All ways in a process of that target. Raises RuntimeError with the last line that it said."""
    paths = os.pathsep.join(str(ROOT / folder) for folder in (".", "bridge", "firmware"))
    asked = {name: getattr(chosen, name) for name in ("days", "slot_ms", "pieces", "seed")}
    own = {"NUMBA_CACHE_DIR": str(cache_of_kernels())} if TARGETS[target] else {}
    done = subprocess.run(
        [sys.executable, "-m", "tools.bitequal.year", json.dumps(asked)],
        env={**os.environ, "PYTHONPATH": paths, **TARGETS[target], **own},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{target}: {(done.stderr.strip().splitlines() or ['ended without a word'])[-1]}")
    return [{"target": target, **one} for one in json.loads(done.stdout)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status."""
    chosen = parse_arguments(arguments)
    found: list[dict[str, Any]] = []
    try:
        for target in chosen.targets:
            found += run_target(target, chosen)
    except KeyboardInterrupt:
        return INTERRUPTED
    except RuntimeError as error:
        print(f"bitequal: {error}", file=sys.stderr)
        return FINDINGS
    is_equal = len({one["sha256"] for one in found}) == 1
    if chosen.json:
        print(json.dumps({"days": chosen.days, "slot_ms": chosen.slot_ms, "is_equal": is_equal, "runs": found}))
    else:
        for one in found:
            print(
                f"{one['target']:8} {one['pieces']:5} pieces {one['threads']} threads: {one['figures']} figures, "
                f"{one['sha256'][:16]} in {one['seconds']} s"
            )
        print("the same bits everywhere" if is_equal else "THE BITS DIFFER")
    return FINE if is_equal else FINDINGS


if __name__ == "__main__":
    sys.exit(main())
