"""The averaging engine beside its peers: kernels, a live record, recomputation, memory, start; and cost against work.

Kernels and peers do the same work on the same arrays in one process on one core (month.py), round after round; what
each finds is compared before any time counts, and loading is never counted. Times of one thread are processor times, so
that a busy machine meets all alike; with two threads it is the clock's, and two free cores are needed. A ratio is the
median of the rounds. Peers: numpy in two forms, pandas, polars, duckdb, each in the fastest form that we found
(by_*.py); `chain_vs_best` is the fastest of them, whoever that is, `chain_vs_whole_arrays` the fastest without days cut
by hand, which are the peers that performance notes have. `vs_numpy` is `reduceat` over whole arrays, as
performance notes have it; `vs_numpy_near` is numpy tuned by hand, day by day.
The plot goes to build/bench/cost.png, of a short run to a folder that is forgotten.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from plumeproof.rules import _kernels
from tools.bench.again import measure_recompute
from tools.bench.arithmetic import limit_s
from tools.bench.cost import Curve, draw, measure_cost
from tools.bench.figures import Figure
from tools.bench.gateway import one_core
from tools.bench.live import measure_running, measure_updates
from tools.bench.month import CHANNELS, WORST, Month, compare
from tools.bench.rig import ROOT, BenchError, InterpreterMissing

DAYS, ROUNDS = 30, 9
QUICK_DAYS, QUICK_ROUNDS = 1, 1
PEER_ROUNDS = 5  # they take ten to a hundred times as long
HISTORY_DAYS, RECOMPUTED_DAYS, RECOMPUTE_ROUNDS = 4, 20, 3
PLOT = ROOT / "build" / "bench" / "cost.png"
STARTS = 5
STEPS = ROUNDS + RECOMPUTE_ROUNDS + 18
START = (
    "import time; begin = time.perf_counter()\n"
    "import numpy as np\nfrom plumeproof.rules import _kernels\n"
    "_kernels.sum_minutes(np.zeros((1, 60)), np.zeros((1, 60), np.uint8), 2, 60, np.zeros((1, 1), np.int32), "
    "np.zeros((4, 1, 1)))\nprint(time.perf_counter() - begin)"
)
ONE_LEVEL = ("numpy", "numpy_near", "pandas", "polars", "duckdb")
CHAIN = ("numpy", "numpy_near", "polars", "duckdb")
WHOLE_ARRAYS = ("numpy", "polars", "duckdb")  # the peers of performance notes: nobody cuts the month into days for them
Works = dict[str, Callable[[], Any]]
Rounds = dict[str, list[tuple[float, float]]]  # clock and processor time, s


def measure(is_quick: bool, tick: Callable[[str], None]) -> list[Figure]:
    """Raises BenchError, PartError; InterpreterMissing without peers."""
    tick("peers")
    _find_peers()
    with one_core():
        tick("arrays and what the peers find")
        month = Month(QUICK_DAYS if is_quick else DAYS)
        works = _works(month)
        rounds = _rounds(works, QUICK_ROUNDS if is_quick else ROUNDS, tick)
        tick("a live record and starts")
        live_us = _live_us()
        starts = [_start_s() for _ in range(1 if is_quick else STARTS)]
        arithmetic_s = limit_s(month.values.shape[1])
    millions, results_mib = month.values.size / 1e6, month.results_mib()
    del works, month
    with one_core():
        short, long = measure_updates(1 if is_quick else HISTORY_DAYS, tick)
        again = measure_recompute(*((1, 1) if is_quick else (RECOMPUTED_DAYS, RECOMPUTE_ROUNDS)), tick)
        curves = measure_cost(is_quick, tick)
    running = measure_running(tick)
    tick("plot")
    _draw(curves, is_quick)
    slope = {curve.name: curve.slope for curve in curves}
    year_s = {curve.name: curve.spent_s[-1] / curve.days[-1] * 365 for curve in curves}
    one, chain = _median(rounds["one_level"], 1), _median(rounds["chain"], 1)
    return [
        *_beside(rounds, "one", "one_level", ONE_LEVEL, "vs_{}", f"minutes and hours of {millions:.1f} M values"),
        Figure("of_read_bandwidth", _of(rounds, "read", "one_level", 3), "ratio", "reading every byte once"),
        Figure("one_level_ms", round(one * 1e3, 2), "ms"),
        *_best(rounds),
        *_beside(rounds, "chain", "chain", CHAIN, "chain_vs_{}", "the same chain, five levels"),
        Figure("chain_ms", round(chain * 1e3, 2), "ms", "one thread"),
        Figure(
            "chain_of_arithmetic", round(arithmetic_s / chain, 2), "ratio", "its operations in a cache, nothing else"
        ),
        Figure("chain_2threads_ms", round(_median(rounds["chain_2threads"], 0) * 1e3, 2), "ms", "by the clock"),
        Figure("live_kernel_us", round(live_us, 1), "us", f"60 slots of {CHANNELS} channels, call included; limit 50"),
        Figure("live_update_ms", round(long.mean_ms, 2), "ms", "processor time a record, hours' ends in it; limit 2"),
        Figure("live_update_short_ms", round(short.mean_ms, 2), "ms", "the same with three hours of history"),
        Figure("live_update_median_ms", round(long.median_ms, 2), "ms", "a record that ends nothing"),
        Figure("live_update_worst_ms", round(long.worst_ms, 2), "ms", "the record that ends an hour"),
        Figure("recompute_vs_verify", round(again.vs_bare, 2), "ratio", "bare verification; limit 1.6"),
        Figure("recompute_vs_envelope", round(again.vs_envelope, 2), "ratio", "strict envelopes, verified"),
        Figure("recompute_stack_year_s", round(again.stack_year_s, 1), "s", "by proportion"),
        Figure("chain_stack_year_s", round(year_s["chain of five levels"], 2), "s"),
        Figure("channel_year_mib", round(results_mib, 1), "MiB", "beyond what is read; limit 64"),
        Figure("chain_slope", round(slope["chain of five levels"], 3), "", "log time over log work; 1: in proportion"),
        Figure("cached_start_s", round(statistics.median(starts), 3), "s", "import of numba and numpy included"),
        Figure("first_record_s", round(running.first_record_s, 2), "s", "start of the bridge to its ledger; limit 3"),
        Figure("rss_mib", round(running.rss_mib, 1), "MiB", "a running bridge, one plant, a broker; limit 150"),
        Figure("load_1min", round(os.getloadavg()[0], 1), "", f"{os.cpu_count()} processors; others' work included"),
    ]


def _find_peers() -> None:
    """Their environment, made at the first use, behind our own: numpy is one for all."""
    command = [sys.executable, str(ROOT / "tools" / "setup" / "peers.py")]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise InterpreterMissing(answer.stderr.strip().splitlines()[-1])
    folder = answer.stdout.strip()
    os.environ["POLARS_MAX_THREADS"] = "1"
    sys.path.append(sysconfig.get_path("purelib", vars={"base": folder, "platbase": folder}))


def _works(month: Month) -> Works:
    """What is timed, by name, everything compared once. Raises BenchError."""
    from tools.bench.by_duckdb import DuckdbPeer
    from tools.bench.by_numpy import NumpyPeer
    from tools.bench.by_pandas import PandasPeer
    from tools.bench.by_polars import PolarsPeer

    numpy, near, polars, duckdb = NumpyPeer(month, False), NumpyPeer(month, True), PolarsPeer(month), DuckdbPeer(month)
    peers = {"numpy": numpy, "numpy_near": near, "pandas": PandasPeer(month), "polars": polars, "duckdb": duckdb}
    month.one_level()
    expected = month.found(has_chain=False)
    for name in ONE_LEVEL:
        compare(name, peers[name].found(peers[name].one_level()), expected)
    month.chain_2threads()
    by_two = month.found(has_chain=True)
    month.chain()
    expected = month.found(has_chain=True)
    compare("two threads", by_two, expected)
    for name in CHAIN:
        compare(name, peers[name].found(peers[name].chain()), expected)
    works: Works = {"one_level": month.one_level, "read": month.read, "chain": month.chain}
    works["chain_2threads"] = month.chain_2threads
    works |= {f"one {name}": peers[name].one_level for name in ONE_LEVEL}
    return works | {f"chain {name}": peers[name].chain for name in CHAIN}


def _rounds(works: Works, count: int, tick: Callable[[str], None]) -> Rounds:
    found: Rounds = {name: [] for name in works}
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    for number in range(count):
        tick(f"round {number + 1} of {count}")
        for name, work in works.items():
            if " " in name and number >= PEER_ROUNDS:
                continue
            if own is not None and name == "chain_2threads":
                os.sched_setaffinity(0, range(os.cpu_count() or 1))
            begin, begin_cpu = time.perf_counter(), time.process_time()
            work()
            found[name].append((time.perf_counter() - begin, time.process_time() - begin_cpu))
            if own is not None and name == "chain_2threads":
                os.sched_setaffinity(0, own)
    return found


def _median(times: list[tuple[float, float]], which: int) -> float:
    return statistics.median(one[which] for one in times)


def _of(rounds: Rounds, name: str, own: str, digits: int = 1) -> float:
    """How many times the processor time of `own`."""
    return round(_median(rounds[name], 1) / _median(rounds[own], 1), digits)


def _beside(rounds: Rounds, kind: str, own: str, names: tuple[str, ...], field: str, beside: str) -> list[Figure]:
    return [Figure(field.format(name), _of(rounds, f"{kind} {name}", own), "ratio", beside) for name in names]


def _best(rounds: Rounds) -> list[Figure]:
    """Beside the fastest of all peers, and beside the fastest of those that performance notes have."""
    found = []
    for field, names in (("best", CHAIN), ("whole_arrays", WHOLE_ARRAYS)):
        best = min(names, key=lambda name: _median(rounds[f"chain {name}"], 1))
        by_two = _median(rounds[f"chain {best}"], 0) / _median(rounds["chain_2threads"], 0)
        found += [
            Figure(f"chain_vs_{field}", _of(rounds, f"chain {best}", "chain"), "ratio", f"{best}; one thread each"),
            Figure(f"chain_vs_{field}_2threads", round(by_two, 1), "ratio", f"{best} has one thread; by the clock"),
        ]
    return [*found, Figure("chain_best", min(CHAIN, key=lambda name: _median(rounds[f"chain {name}"], 1)), "")]


def _draw(curves: list[Curve], is_quick: bool) -> None:
    if is_quick:
        with tempfile.TemporaryDirectory(prefix="plumeproof-bench-") as folder:
            draw(curves, Path(folder) / PLOT.name)
        return
    draw(curves, PLOT)


def _live_us() -> float:
    values, status = np.ones((CHANNELS, 60)), np.zeros((CHANNELS, 60), np.uint8)
    n, sums = np.zeros((CHANNELS, 1), np.int32), np.zeros((4, CHANNELS, 1))
    found = []
    for _ in range(200):
        begin = time.perf_counter()
        _kernels.sum_minutes(values, status, WORST, 60, n, sums)
        found.append(time.perf_counter() - begin)
    return statistics.median(found) * 1e6


def _start_s() -> float:
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"the kernels do not start: {done.stderr.strip().splitlines()[-1:]}")
    return float(done.stdout)
