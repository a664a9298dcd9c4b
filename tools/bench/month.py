"""A month of slots for the averaging bench, and what the kernels make of it; every peer is given the same arrays.

Twelve channels at one slot a second: float32 with a status each, some of which do not count. Channels 0 to 4 are
temperature, pressure, moisture, wet oxygen and flow of a stack, seven concentrations follow. *One level*: count, mean,
deviation, least and greatest of minutes and hours. *Chain*: calibrated, converted to the reference state with the four
peripherals, flow, load, and the same of five levels, 1 min to 1 d, with what is valid.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from plumeproof.rules import _kernels, _merges, chain
from tools.bench.rig import BenchError

CHANNELS = 12
WORST = 2  # greatest status that counts
LEVELS_MIN = (1, 10, 30, 60, 1440)
FLOW, FIRST_LOAD = 4, 5  # from FIRST_LOAD on: concentrations, which have a load
NEEDS = np.array([0, 0, 0, 0, 7, 15, 15, 15, 8, 8, 15, 15], np.uint8)
CONVERTED = 15  # needs of a concentration for temperature, pressure, moisture and oxygen; 8: oxygen only
A, B = -0.5, 1.02  # calibration function of the concentrations
AIR_PCT, REFERENCE_PCT = 21.0, 11.0
KELVIN, ATMOSPHERE_KPA = 273.15, 101.325
DAY_SLOTS = 86_400
_BASE = (140.0, 100.0, 15.0, 8.0, 200_000.0, 100.0, 50.0, 20.0, 5.0, 10.0, 60.0, 3.0)


class Level(NamedTuple):
    """Of a level, (channels, intervals); `load` (concentrations, intervals) and `is_valid` of the chain only.
    What stands where `n` is 0 is never looked at, nor a deviation where it is 1."""

    n: Any
    mean: Any
    deviation: Any  # of the sample
    low: Any
    high: Any
    load: Any = None  # sum
    is_valid: Any = None  # two thirds of the slots that were to come


Found = dict[int, Level]  # by length, min


class Month:
    """The arrays, and what the kernels write into."""

    def __init__(self, days: int) -> None:
        rng = np.random.default_rng(1)
        slots = days * DAY_SLOTS
        self.days, self.minutes = days, slots // 60
        # A month at most is drawn; a year is that month again and again.
        drawn = min(days, 30) * DAY_SLOTS
        values = np.empty((CHANNELS, drawn), np.float32)
        for row, base in enumerate(_BASE):
            values[row] = base * (1 + 0.02 * rng.standard_normal(drawn, dtype=np.float32))
        status = (rng.random((CHANNELS, drawn), dtype=np.float32) < 2e-4).astype(np.uint8) * 9
        self.stopped = np.zeros(slots, np.uint8)
        for day in range(0, drawn, DAY_SLOTS):  # ten minutes of a zero and span check
            status[:, day + 10_800 : day + 11_400] = 6
        for day in range(0, slots, DAY_SLOTS):  # half an hour at a standstill
            self.stopped[day + 50_000 : day + 51_800] = 1
        times = -(-slots // drawn)
        self.values = values if times == 1 else np.ascontiguousarray(np.tile(values, times)[:, :slots])
        self.status = status if times == 1 else np.ascontiguousarray(np.tile(status, times)[:, :slots])
        lines = np.tile(np.array((1.0, 0.0, A, B)), (CHANNELS, 1))  # scale, offset, a, b
        lines[:FIRST_LOAD] = (1.0, 0.0, 0.0, 1.0)
        loads = tuple(range(FIRST_LOAD, CHANNELS))
        self._plan = chain.ChainPlan(
            lines, NEEDS, (0, 1, 2, 3, FLOW), REFERENCE_PCT, load_of=loads, o2_air=AIR_PCT, is_o2_wet=True, worst=WORST
        )
        self._sums = chain.room(self._plan, CHANNELS, self.minutes, LEVELS_MIN[1:])
        self._is_valid: dict[int, Any] = {}

    def one_level(self) -> None:
        """Minutes and hours."""
        minutes, hours = self._sums[1], self._sums[60]
        _kernels.sum_minutes(self.values, self.status, WORST, 60, minutes.n, minutes.sums)
        _merges.merge_minutes(minutes.n, minutes.sums, 60, 0, self.minutes // 60, hours.n, hours.sums)

    def chain(self, threads: int = 1) -> None:
        """All of it."""
        chain.run(
            self._plan, self.values, self.status, self.stopped, 60, LEVELS_MIN[1:], threads=threads, into=self._sums
        )
        expected = self._sums[1].expected
        for length, sums in self._sums.items():
            wanted = expected.reshape(-1, length).sum(axis=1)
            self._is_valid[length] = 3 * sums.n >= 2 * np.maximum(wanted, 1)

    def chain_2threads(self) -> None:
        """The same by two."""
        self.chain(threads=2)

    def results_mib(self) -> float:
        """All that the chain writes, of a channel and a year; its scratch is some hundred KiB for each thread."""
        arrays = [getattr(sums, name) for sums in self._sums.values() for name in sums.__dataclass_fields__]
        arrays += self._is_valid.values()
        return float(sum(array.nbytes for array in arrays)) / CHANNELS / self.days * 365 / 2**20

    def read(self) -> None:
        """Every byte once, and nothing made of it."""
        self.values.view(np.int32).max()
        self.status.max()

    def found(self, has_chain: bool) -> Found:
        """What the kernels found last."""
        return {length: self._level(length, has_chain) for length in (LEVELS_MIN if has_chain else (1, 60))}

    def _level(self, length: int, has_chain: bool) -> Level:
        sums = self._sums[length]
        n, (total, m2, low, high) = sums.n, sums.sums
        deviation = np.sqrt(m2 / np.maximum(n - 1, 1))
        of_chain = (sums.load.copy(), self._is_valid[length]) if has_chain else ()
        return Level(n.copy(), total / np.maximum(n, 1), deviation, low.copy(), high.copy(), *of_chain)


def compare(who: str, found: Found, expected: Found) -> None:
    """Raises BenchError where a peer finds something else."""
    for length, level in expected.items():
        other = found[length]
        is_same = np.array_equal(other.n, level.n)
        has, some = level.n > 0, level.n > 1
        for name in ("mean", "low", "high") if is_same else ():
            is_same &= np.allclose(getattr(other, name)[has], getattr(level, name)[has], rtol=1e-12, atol=0)
        # The squares of deviations cancel: fifteen digits of a value are eleven of its distance from the mean.
        is_same = is_same and np.allclose(other.deviation[some], level.deviation[some], rtol=1e-8, atol=0)
        if level.load is not None:
            is_same = is_same and np.allclose(other.load, level.load, rtol=1e-12, atol=0)
            is_same = is_same and np.array_equal(other.is_valid, level.is_valid)
        if not is_same:
            raise BenchError(f"{who}: finds something else than the kernels in a level of {length} min; mend the peer")
