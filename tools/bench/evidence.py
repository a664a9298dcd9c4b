"""The bundle of a month of two modules beside the bare verification of the same signatures: processor time of both.

Twelve channels at 1 Hz, a record a minute, averages of the five usual lengths, figures of two rule sets for each stack.
*Bare* is the benchmark `line`'s: `cryptography`'s ECDSA P-256 over the same Sig_structures, everything made before.
Export and verification run in processes of their own, on the same one core as bare and between its rounds; their start
and imports are counted. Once a round verification has every processor, as a user's: what is waited then is wall time.
`rss_mib` is the greatest anonymous memory that any of them had.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from plumeproof.averaging_stage import AveragingStage
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.record import parse_record
from plumeproof.figures_stage import FiguresStage
from plumeproof.keys import build_entry, parse_keys
from plumeproof.plant_file import open_engine
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.timed_module import store_all
from tools.bench.figures import Figure
from tools.bench.gateway import SystemClock, bare_work_of, one_core, verify_bare
from tools.bench.rig import BenchError
from tools.bench.sealed import START_UTC_MS
from tools.bench.stack import CHANNELS, SLOTS, describe_plant, seal_stack

DEVICES = ("stack-01", "stack-02")
DAYS, ROUNDS = 30, 3
STEPS = 2 + 4 * ROUNDS  # told to tick
INTERVALS_S = (60, 600, 1_800, 3_600, 86_400)
PORTION = 1_000  # records stored at once
DAY_MS = 86_400_000
# One verb in a process of its own; then its processor time, s, and the greatest anonymous memory that it had, KiB
_RUN = """
import json, sys, threading, time
from plumeproof.cli import main
most, over = [0], threading.Event()
def watch():
    while not over.wait(0.05):
        with open("/proc/self/status") as file:
            most[0] = max([most[0], *(int(line.split()[1]) for line in file if line.startswith("RssAnon"))])
thread = threading.Thread(target=watch)
thread.start()
status = main(sys.argv[1:])
over.set()
thread.join()
print(json.dumps([status, time.process_time(), most[0]]))
"""


def measure(is_quick: bool, tick: Callable[[str], None]) -> list[Figure]:
    """Raises BenchError."""
    days, rounds = (1, 1) if is_quick else (DAYS, ROUNDS)
    processors = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory(prefix="plumeproof-bench-") as name, one_core():
        folder = Path(name)
        tick("records, averages and figures")
        works = _build(folder, days)
        count = sum(len(work) for _, work in works)
        spent: dict[str, list[float]] = {"bare": [], "export": [], "all": [], "plain": [], "waited": []}
        most_kib, told = 0, {}
        for bundle, ledger in (("all", "all.sqlite"), ("plain", "plain.sqlite")):
            tick(f"bundle, {bundle}")
            _run("export", folder, ledger, f"{bundle}.zip", days)
        for number in range(rounds):
            tick(f"bare, round {number + 1} of {rounds}")
            spent["bare"].append(sum(verify_bare(key, work)[1] for key, work in works))
            tick("export")
            _, export_s, kib = _run("export", folder, "all.sqlite", "all.zip", days)
            spent["export"].append(export_s)
            most_kib = max(most_kib, kib)
            tick("verify on every processor")
            began_s = time.monotonic()
            _run("verify", folder, "", "all.zip", days, processors)
            spent["waited"].append(time.monotonic() - began_s)
            tick("verify")
            for bundle in ("all", "plain"):
                found, verify_s, kib = _run("verify", folder, "", f"{bundle}.zip", days)
                spent[bundle].append(verify_s)
                most_kib, told[bundle] = max(most_kib, kib), found
        size = (folder / "all.zip").stat().st_size
        wrong = [found for found in told.values() if not found["fine"] or found["records_verified"] != count]
        if wrong or not told["all"]["figures_equal"] or told["plain"]["figures_equal"]:
            raise BenchError(f"a good bundle of {count} records is found to be {json.dumps(wrong)[:300]}")
    samples = days * 1440 * len(DEVICES) * SLOTS * len(CHANNELS)
    ratio = {
        name: statistics.median(one / bare for one, bare in zip(spent[name], spent["bare"], strict=True))
        for name in ("export", "all", "plain", "waited")
    }
    seconds = {name: statistics.median(own) for name, own in spent.items()}
    return [
        Figure("verify_vs_bare", round(ratio["all"], 2), "ratio", "records, averages and figures; limit 1.5"),
        Figure("verify_plain_vs_bare", round(ratio["plain"], 2), "ratio", "the same without figures of plants"),
        Figure("export_vs_bare", round(ratio["export"], 2), "ratio", "records, averages and figures; limit 1.5"),
        Figure(
            "verify_waited_vs_bare",
            round(ratio["waited"], 2),
            "ratio",
            f"what a person waits with {len(processors)} processors, beside bare on one",
        ),
        Figure("verify_waited_s", round(seconds["waited"], 2), "s"),
        Figure("verify_s", round(seconds["all"], 2), "s", "processor time, start included"),
        Figure("verify_plain_s", round(seconds["plain"], 2), "s"),
        Figure("export_s", round(seconds["export"], 2), "s"),
        Figure("bare_s", round(seconds["bare"], 2), "s", f"{count:,} signatures"),
        Figure("rss_mib", round(most_kib / 1024, 1), "MiB", "greatest anonymous memory of all runs"),
        Figure("bundle_bytes_per_sample", round(size / samples, 2), "bytes", f"{size:,} bytes in all"),
        Figure("averages_equal", told["all"]["averages_equal"], ""),
        Figure("figures_equal", told["all"]["figures_equal"], ""),
        Figure("load_1min", round(os.getloadavg()[0], 1), "", f"{os.cpu_count()} processors; others' work included"),
    ]


def _build(folder: Path, days: int) -> list[tuple[Any, list[tuple[bytes, bytes]]]]:
    """keys.json, and a ledger with figures and one without; of each module its key and the bare work."""
    modules = [seal_stack(days, number + 1, device) for number, device in enumerate(DEVICES)]
    entries = [build_entry(module.device, module.public_key) for module in modules]
    (folder / "keys.json").write_text(json.dumps(entries))
    keys = parse_keys(json.dumps(entries).encode(), "bench")
    engines = []
    for device in DEVICES:
        (folder / f"{device}.toml").write_text(describe_plant(device, device))
        engines.append(open_engine(folder / f"{device}.toml"))
    works = []
    writer = Writer(folder / "all.sqlite")
    ledger, averages = SqliteLedger(writer, SystemClock()), SqliteAverages(writer, SystemClock())
    for module in modules:
        raws = [raw for _, raw in module.journal.values()]
        for at in range(0, len(raws), PORTION):
            envelopes = [verify_envelope(raw, keys.public_key) for raw in raws[at : at + PORTION]]
            store_all(ledger, [(parse_record(envelope), envelope) for envelope in envelopes])
        # Boot and parameters have no UTC yet: they lie before the period, and are not in the bundle
        works.append((module.key.public_key(), [bare_work_of(raw, keys) for raw in raws[-days * 1440 :]]))
        module.journal.clear()
    averaging = AveragingStage(ledger, averages, INTERVALS_S, 0)
    while averaging.step():
        pass
    writer.close()
    (folder / "plain.sqlite").write_bytes((folder / "all.sqlite").read_bytes())
    writer = Writer(folder / "all.sqlite")
    ledger, averages = SqliteLedger(writer, SystemClock()), SqliteAverages(writer, SystemClock())
    figures = FiguresStage(ledger, averages, SqliteFigures(writer, SystemClock()), engines, 0)
    while figures.step():
        pass
    writer.close()
    return works


def _run(
    what: str, folder: Path, ledger: str, bundle: str, days: int, processors: Collection[int] = ()
) -> tuple[dict[str, Any], float, int]:
    """What the verb says, its processor time, and memory, KiB. `processors`: others than this process may use."""
    words = ["evidence", what, "--keys", str(folder / "keys.json"), "--json"]
    if what == "export":
        end = START_UTC_MS + days * DAY_MS
        period = [time.strftime("%Y-%m-%d", time.gmtime(at / 1000)) for at in (START_UTC_MS - DAY_MS, end)]
        words += ["--ledger", str(folder / ledger), "--from", period[0], "--to", period[1], "-o", str(folder / bundle)]
    else:
        words += [str(folder / bundle)]
    widen = f"import os; os.sched_setaffinity(0, {sorted(processors)})\n" if processors else ""
    done = subprocess.run([sys.executable, "-c", widen + _RUN, *words], capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or len(lines) != 2:
        raise BenchError(f"evidence {what}: {done.stderr.strip()[-300:]} {done.stdout[:300]}")
    status, spent_s, kib = json.loads(lines[1])
    if status:
        raise BenchError(f"evidence {what}: status {status}: {lines[0][:300]}")
    found: dict[str, Any] = json.loads(lines[0])
    return found, spent_s, kib
