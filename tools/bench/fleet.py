"""What a fleet costs: a stack measured, ten thousand by proportion, and a plot of which bottleneck comes first.

`fleet`, processor time of a stack-year (signatures, decoding, figures of two rule sets) and bytes of a stack-year in an
archive and in a ledger with its figures. The plot goes to build/bench/fleet.png.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plumeproof.archive import Archive
from plumeproof.envelope_sequence import read_sequence
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.record import parse_record
from plumeproof.keys import load_keys
from plumeproof.plant_file import open_engine
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.timed_module import store_all
from tools.bench.again import measure_recompute
from tools.bench.figures import Figure
from tools.bench.gateway import SystemClock
from tools.bench.rig import ROOT
from tools.bench.stack import DEVICE, START_UTC_MS, write_archive

DAYS, ROUNDS, INDEX_ROUNDS = 10, 5, 5
STEPS = 3 + ROUNDS + 1  # told to tick
YEAR_DAYS = 365
DAY_MS = 86_400_000
STACKS = 10_000
CORES = (1, 4096)
READERS_MB_S = (100, 500, 2_000)  # a disk, a network of 5 Gbit/s, a fast array
PLOT = ROOT / "build" / "bench" / "fleet.png"


def measure(is_quick: bool, tick: Callable[[str], None]) -> list[Figure]:
    """Raises BenchError."""
    days, rounds = (1, 1) if is_quick else (DAYS, ROUNDS)
    again = measure_recompute(days, rounds, tick)
    tick("bytes")
    with tempfile.TemporaryDirectory(prefix="plumeproof-bench-") as folder:
        archive, ledger, figures, per_day, index_s = _one_day(Path(folder), days)
        tick("plot")
        plot(
            again.stack_year_s,
            archive * YEAR_DAYS,
            index_s * YEAR_DAYS,
            Path(folder) / "fleet.png" if is_quick else PLOT,
        )
    giga = YEAR_DAYS / 1e9
    return [
        Figure("stack_year_cpu_s", round(again.stack_year_s, 1), "s", f"one core, {days} days measured"),
        Figure("stack_year_index_s", round(index_s * YEAR_DAYS, 1), "s", "of it before the first part, by one process"),
        Figure("archive_gb", round(archive * giga, 2), "GB", "a stack-year of envelopes"),
        Figure("ledger_gb", round(ledger * giga, 2), "GB", "the same records in a ledger"),
        Figure("figures_gb", round(figures * giga, 2), "GB", f"its figures; {per_day:.0f} a day"),
        Figure("fleet_core_hours", round(again.stack_year_s * STACKS / 3600, 1), "h", f"{STACKS:,} stack-years"),
        Figure("fleet_archive_tb", round(archive * giga * STACKS / 1000, 1), "TB", f"{STACKS:,} stack-years"),
        Figure("core_reads_mb_s", round(archive * YEAR_DAYS / again.stack_year_s / 1e6, 1), "MB/s", "one busy core"),
    ]


def _one_day(folder: Path, days: int) -> tuple[float, float, float, float, float]:
    """Bytes in an archive, in a ledger, of its figures in one; how many figures; seconds of the index."""
    archive, keys_file, plant = write_archive(folder, days)
    keys, engine = load_keys(keys_file), open_engine(plant)
    spent = []
    for _ in range(INDEX_ROUNDS):
        begun = time.process_time()
        index = Archive(archive).index((DEVICE,))
        spent.append(time.process_time() - begun)
    index_s = statistics.median(spent)
    with archive.open("rb") as file:
        envelopes = [verify_envelope(item.raw, keys.public_key) for item in read_sequence(file)]
    records = [(parse_record(envelope), envelope) for envelope in envelopes]
    path = folder / "ledger.sqlite"
    writer = Writer(path)
    store_all(SqliteLedger(writer, SystemClock()), records)
    writer.close()
    of_records = path.stat().st_size
    writer = Writer(path)
    store, count = SqliteFigures(writer, SystemClock()), 0
    for day in range(START_UTC_MS, START_UTC_MS + days * DAY_MS, DAY_MS):
        strips = Archive(archive).read(index, keys, day, day + DAY_MS).strips
        found = engine.short_term_figures(strips, day, day + DAY_MS)
        found += engine.long_term_figures("day", day, found)
        store.commit(found, engine.documents(), 1)
        count += len(found)
    writer.close()
    of_figures = path.stat().st_size - of_records
    return archive.stat().st_size / days, of_records / days, of_figures / days, count / days, index_s / days


def plot(stack_year_s: float, stack_year_bytes: float, index_s: float, path: Path) -> None:
    """Hours for the fleet's year over cores: processors fall with their number, reading and the index do not."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Picture

    picture: Any = Picture(figsize=(8.0, 5.0), layout="constrained")
    FigureCanvasAgg(picture)
    axes = picture.add_subplot()
    cores = [2**power for power in range(CORES[1].bit_length())]
    axes.loglog(cores, [STACKS * stack_year_s / 3600 / n for n in cores], "k-", lw=2, label="processors")
    for megabytes, style in zip(READERS_MB_S, (":", "--", "-."), strict=True):
        hours = STACKS * stack_year_bytes / (megabytes * 1e6) / 3600
        axes.axhline(hours, color="tab:blue", ls=style, label=f"reading all at {megabytes:,} MB/s: {hours:,.1f} h")
    hours = STACKS * index_s / 3600
    axes.axhline(hours, color="tab:red", label=f"index, where one process starts all: {hours:,.1f} h")
    axes.set_xlabel("cores at work")
    axes.set_ylabel(f"hours for a year of {STACKS:,} stacks")
    axes.set_title("The higher line is the bottleneck: where they cross, more cores help no more", fontsize=10)
    axes.grid(True, which="both", alpha=0.25)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=110)
