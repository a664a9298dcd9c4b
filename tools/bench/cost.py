"""Cost against work: a plot from one day to a stack-year, both axes logarithmic; in proportion is slope 1."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.bench.again import Stack
from tools.bench.month import Month

DAYS = (1, 3, 10, 30, 100, 365)
RECOMPUTED_DAYS = (1, 3, 10, 30)  # a year of records takes minutes to be sealed first
QUICK_DAYS = (1, 2)
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Curve:
    """Times of one kind of work. `days` and `spent_s` belong together."""

    name: str
    days: tuple[int, ...]
    spent_s: tuple[float, ...]

    @property
    def slope(self) -> float:
        """Of the straight line through the logarithms, least squares."""
        return float(np.polyfit(np.log(self.days), np.log(self.spent_s), 1)[0])


def measure_cost(is_quick: bool, tick: Callable[[str], None]) -> list[Curve]:
    """Processor time of one thread."""
    one: list[float] = []
    chain: list[float] = []
    days, rounds = (QUICK_DAYS, 1) if is_quick else (DAYS, ROUNDS)
    for count in days:
        tick(f"cost of {count} d")
        month = Month(count)
        for work, found in ((month.one_level, one), (month.chain, chain)):
            work()  # memory that the results lie in is given by the system at the first touch
            found.append(statistics.median(_spent(work) for _ in range(rounds)))
        del month
    again: list[float] = []
    stacks = QUICK_DAYS if is_quick else RECOMPUTED_DAYS
    for count in stacks:
        tick(f"recompute {count} d")
        with Stack(count) as stack:
            stack.recompute()
            again.append(statistics.median(stack.recompute() for _ in range(1 if is_quick else 3)))
    return [
        Curve("recompute from signed records", stacks, tuple(again)),
        Curve("chain of five levels", days, tuple(chain)),
        Curve("one level", days, tuple(one)),
    ]


def _spent(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def draw(curves: list[Curve], path: Path) -> None:
    """A PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(7.5, 5.0), layout="constrained")
    FigureCanvasAgg(picture)
    axes = picture.add_subplot()
    for curve, mark in zip(curves, "os^", strict=True):
        axes.loglog(curve.days, curve.spent_s, marker=mark, label=f"{curve.name}: slope {curve.slope:.3f}")
        # A line of slope 1 through the last point: what is on it costs the same a day, whatever the work
        far = np.array((curve.days[0], curve.days[-1]))
        axes.loglog(far, curve.spent_s[-1] * far / curve.days[-1], color="0.6", linewidth=0.8, linestyle=":", zorder=1)
    ticks = sorted({day for curve in curves for day in curve.days})
    axes.set_xticks(ticks, [f"{day} d" if day < 365 else "1 stack-year" for day in ticks])
    axes.minorticks_off()
    axes.set_xlabel("work: days of one stack, 12 channels at 1 Hz")
    axes.set_ylabel("processor time of one thread, s")
    axes.set_title("Cost against work; dotted: slope 1")
    axes.grid(visible=True, linewidth=0.4, alpha=0.6)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=130, metadata={"Software": None})
