"""The bulk kernels beside numpy and pandas on the same arrays, and beside the speed at which they can be read at all.

One process on one core, interleaved rounds, medians. *One level*: count, mean or sum, least, greatest and deviation of
every minute and hour of twelve channels at one slot a second, float32 with a status each; some slots do not count.
numpy does it at its best (`reduceat`, `where`, `einsum`), pandas by its grouped sums. *Chain*: calibrated, converted to
the reference state with four measured peripherals, flow, load, minutes, and 10 min, 30 min, 1 h and 1 d of them; numpy
makes minutes and hours of them only. What each finds is compared before any time counts.
Not here: polars and duckdb, which would want an environment of their own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from plumeproof.rules import _kernels, _merges, chain
from tools.bench.figures import Figure
from tools.bench.gateway import one_core
from tools.bench.rig import BenchError

CHANNELS, DAYS, ROUNDS = 12, 30, 9
QUICK_DAYS, QUICK_ROUNDS = 1, 1
PANDAS_ROUNDS = 3  # it takes fifty times as long
WORST = 2
LEVELS_MIN = (10, 30, 60, 1440)
NEEDS = np.array([0, 0, 0, 0, 7, 15, 15, 15, 8, 8, 15, 15], np.uint8)
LOAD_OF = np.arange(5, CHANNELS)
BASE = (140.0, 100.0, 15.0, 8.0, 200_000.0, 100.0, 50.0, 20.0, 5.0, 10.0, 60.0, 3.0)
LINE = (1.0, 0.0, -0.5, 1.02)  # scale, offset, a, b of a concentration
STARTS = 5
STEPS = ROUNDS + 3
START = (
    "import time; begin = time.perf_counter()\n"
    "import numpy as np\nfrom plumeproof.rules import _kernels\n"
    "_kernels.sum_minutes(np.zeros((1, 60)), np.zeros((1, 60), np.uint8), 2, 60, np.zeros((1, 1), np.int32), "
    "np.zeros((4, 1, 1)))\nprint(time.perf_counter() - begin)"
)


class Month:
    """The arrays, and what the kernels write into."""

    def __init__(self, days: int) -> None:
        rng = np.random.default_rng(1)
        slots = days * 86_400
        self.minutes = slots // 60
        self.values = np.empty((CHANNELS, slots), np.float32)
        for row, base in enumerate(BASE):
            self.values[row] = base * (1 + 0.02 * rng.standard_normal(slots, dtype=np.float32))
        self.status = (rng.random((CHANNELS, slots), dtype=np.float32) < 2e-4).astype(np.uint8) * 9
        for day in range(days):  # ten minutes of a zero and span check
            self.status[:, day * 86_400 + 10_800 : day * 86_400 + 11_400] = 6
        self.stopped = np.zeros(slots, np.uint8)
        self.lines = np.tile(np.array(LINE), (CHANNELS, 1))
        self.lines[:5] = (1.0, 0.0, 0.0, 1.0)
        self.n, self.sums = np.zeros((CHANNELS, self.minutes), np.int32), np.zeros((4, CHANNELS, self.minutes))
        self.hours = np.zeros((CHANNELS, self.minutes // 60), np.int32), np.zeros((4, CHANNELS, self.minutes // 60))
        self.plan = chain.ChainPlan(
            self.lines, NEEDS, (0, 1, 2, 3, 4), 11.0, load_of=tuple(LOAD_OF.tolist()), is_o2_wet=True, worst=WORST
        )
        self.found = chain.room(self.plan, CHANNELS, self.minutes, LEVELS_MIN)

    def one_level(self) -> None:
        _kernels.sum_minutes(self.values, self.status, WORST, 60, self.n, self.sums)
        _merges.merge_minutes(self.n, self.sums, 60, 0, self.minutes // 60, *self.hours)

    def chain(self) -> None:
        self.run_chain(1)

    def chain_by_two(self) -> None:
        self.run_chain(2)

    def run_chain(self, threads: int) -> None:
        chain.run(self.plan, self.values, self.status, self.stopped, 60, LEVELS_MIN, threads, self.found)

    def read(self) -> None:
        """Every byte once, and nothing made of it."""
        self.values.view(np.int32).max()
        self.status.max()

    def by_numpy(self) -> list[Any]:
        return [_sums(values, status <= WORST) for values, status in zip(self.values, self.status, strict=True)]

    def by_pandas(self) -> list[Any]:
        minute = np.repeat(np.arange(self.minutes, dtype=np.int32), 60)
        found = []
        for values, status in zip(self.values, self.status, strict=True):
            counts = status <= WORST
            grouped = pd.Series(values[counts].astype(np.float64)).groupby(minute[counts], sort=False)
            found.append(grouped.agg(["count", "mean", "min", "max", "std"]))
        return found

    def chain_by_numpy(self) -> list[Any]:
        """Minutes and hours of the chain, day by day so that numpy's arrays stay near; no other levels."""
        found: list[Any] = []
        for first in range(0, self.values.shape[1], 86_400):
            raw = self.values[:, first : first + 86_400].astype(np.float64)
            counts = self.status[:, first : first + 86_400] <= WORST
            t, p, h2o, wet, flow = raw[:5]
            kelvin, dry = 273.15 + t, 100.0 - h2o
            factors = kelvin / 273.15, 101.325 / p, 100.0 / dry
            o2 = (21.0 - 11.0) / (21.0 - wet * factors[2])
            normal = flow * 273.15 / kelvin * p / 101.325 * dry / 100.0
            flow_counts = counts[4] & counts[:3].all(axis=0)
            day = [_sums(row, has) for row, has in zip(raw[:4], counts[:4], strict=True)] + [_sums(normal, flow_counts)]
            loads = []
            for row in LOAD_OF:
                value = LINE[2] + LINE[3] * raw[row]
                # Wet oxygen needs the moisture, whatever else the channel needs.
                has = counts[row] & counts[2:4].all(axis=0)
                if NEEDS[row] == 15:
                    value = value * factors[0] * factors[1] * factors[2]
                    has = has & counts[:2].all(axis=0)
                day.append(_sums(value * o2, has))
                loads.append(np.where(has & flow_counts, value * normal, 0.0).reshape(-1, 60).sum(axis=1))
            found.append((day, loads))
        return found

    def check(self) -> None:
        """Raises BenchError where the peers do not find what the kernels find."""
        self.one_level()
        by_numpy, by_pandas = self.by_numpy(), self.by_pandas()
        for row in range(CHANNELS):
            has = self.n[row] > 0
            mean = self.sums[0, row][has] / self.n[row][has]
            spread = np.sqrt(self.sums[1, row][has] / (self.n[row][has] - 1))
            is_same = (
                np.array_equal(by_numpy[row][0], self.n[row])
                and np.allclose(by_numpy[row][1], self.sums[0, row], rtol=1e-12)
                and np.allclose(by_numpy[row][2], self.sums[1, row], rtol=1e-9)
                and np.allclose(by_pandas[row]["mean"], mean, rtol=1e-12)
                and np.allclose(by_pandas[row]["std"], spread, rtol=1e-9)
            )
            if not is_same:
                raise BenchError(f"channel {row}: numpy or pandas finds something else than the kernels")
        self.chain()
        fine = self.found[1]
        for day, (rows, loads) in enumerate(self.chain_by_numpy()):
            here = slice(day * 1440, day * 1440 + 1440)
            is_same = np.allclose(np.array(loads), fine.load[:, here], rtol=1e-12) and all(
                np.array_equal(found[0], fine.n[row, here])
                and np.allclose(found[1], fine.sums[0, row, here], rtol=1e-12)
                and np.allclose(found[2], fine.sums[1, row, here], rtol=1e-9)
                for row, found in enumerate(rows)
            )
            if not is_same:
                raise BenchError(f"day {day}: numpy's chain finds something else than the kernels")


def measure(is_quick: bool, tick: Callable[[str], None]) -> list[Figure]:
    """Raises BenchError."""
    days, rounds = (QUICK_DAYS, QUICK_ROUNDS) if is_quick else (DAYS, ROUNDS)
    with one_core():
        tick("arrays")
        month = Month(days)
        tick("what the peers find")
        month.check()
        works = (month.one_level, month.by_numpy, month.read, month.chain, month.chain_by_numpy, month.by_pandas)
        times: dict[str, list[float]] = {work.__name__: [] for work in works}
        for number in range(rounds):
            tick(f"round {number + 1} of {rounds}")
            for work in works:
                if work is not works[-1] or number < PANDAS_ROUNDS:
                    begin = time.perf_counter()
                    work()
                    times[work.__name__].append(time.perf_counter() - begin)
        tick("live record and starts")
        live_us = _live_us()
        starts = [_start_s() for _ in range(1 if is_quick else STARTS)]
    median_s = {name: statistics.median(found) for name, found in times.items()}
    one, chain = median_s["one_level"], median_s["chain"]
    millions = month.values.size / 1e6
    return [
        Figure(
            "vs_numpy", round(median_s["by_numpy"] / one, 1), "ratio", f"reduceat; {millions:.1f} M values, one core"
        ),
        Figure("vs_pandas", round(median_s["by_pandas"] / one, 1), "ratio", "groupby, minutes only"),
        Figure("of_read_bandwidth", round(median_s["read"] / one, 3), "ratio", "reading every byte once"),
        Figure("one_level_ms", round(one * 1e3, 2), "ms"),
        Figure("chain_ms", round(chain * 1e3, 2), "ms", "five levels"),
        Figure("chain_vs_numpy", round(median_s["chain_by_numpy"] / chain, 1), "ratio", "minutes and hours only"),
        Figure("live_kernel_us", round(live_us, 1), "us", "60 slots of 12 channels, call from Python included"),
        Figure("cached_start_s", round(statistics.median(starts), 3), "s", "import of numba and numpy included"),
    ]


def _sums(values: Any, counts: Any) -> tuple[Any, ...]:
    """Minutes and hours of one row, by numpy."""
    starts = np.arange(0, len(values), 60)
    kind = values.dtype.type
    n = np.add.reduceat(counts, starts, dtype=np.int64)
    total = np.add.reduceat(np.where(counts, values, kind(0)), starts, dtype=np.float64)
    mean = total / np.maximum(n, 1)
    away = np.where(counts.reshape(-1, 60), values.reshape(-1, 60) - mean[:, None], 0.0)
    m2 = np.einsum("ij,ij->i", away, away)
    low = np.minimum.reduceat(np.where(counts, values, kind(np.inf)), starts)
    high = np.maximum.reduceat(np.where(counts, values, kind(-np.inf)), starts)
    hour_n, hour_total = n.reshape(-1, 60).sum(1), total.reshape(-1, 60).sum(1)
    between = mean.reshape(-1, 60) - (hour_total / np.maximum(hour_n, 1))[:, None]
    hour_m2 = (m2.reshape(-1, 60) + n.reshape(-1, 60) * between**2).sum(1)
    return n, total, m2, hour_n, hour_total, hour_m2, low.reshape(-1, 60).min(1), high.reshape(-1, 60).max(1)


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
