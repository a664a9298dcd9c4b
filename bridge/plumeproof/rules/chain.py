"""The whole chain of a plant over months of slots, on one thread or several (rules "FLD"; EVIDENCE.md section 3).

Calibrated, standardised by four peripherals, flow, load, minutes, and longer intervals of them. A thread takes whole
pieces of the longest interval, whose minutes are still near when they are merged; every result is of its own minutes
only, so the bits are those of one thread, whatever the pieces. The kernels hold no interpreter's lock.

    found = run(plan, raw, status, stopped, threads=2)
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from plumeproof.errors import RuleError
from plumeproof.rules import _chain, _merges, _peripherals

NEEDS_T, NEEDS_P, NEEDS_H2O, NEEDS_O2 = (
    _peripherals.NEEDS_T,
    _peripherals.NEEDS_P,
    _peripherals.NEEDS_H2O,
    _peripherals.NEEDS_O2,
)
LEVELS_MIN = (10, 30, 60, 1440)
PIECE_MIN = 1440  # of a thread's work at least, where no level is longer: below some ms threads only cost

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """What is done with each channel, by its row.

    `lines` (channels, 4): scale, offset, a, b. `needs`: bits. `roles`: rows of T degC, p kPa, H2O vol-%, O2 vol-%, flow
    m3/h; -1: the value in `fixed`. `load_of`: rows whose load is summed, mg/h, 0 where concentration or flow is below
    zero with `is_zeroed`. `o2_clamp`, `o2_invalid_above`: none where infinite. `flow_zero_k`: 0 degC of the flow's own
    formula (HJ 75 prints 273). `worst`: the greatest status that counts.
    """

    lines: Array
    needs: Array
    roles: tuple[int, ...]
    o2_reference_pct: float = 0.0
    fixed: tuple[float, ...] = (0.0,) * 5
    load_of: tuple[int, ...] = ()
    o2_air: float = 21.0
    o2_clamp: float = np.inf
    o2_invalid_above: float = np.inf
    is_o2_wet: bool = False
    is_low_spared: bool = False
    is_zeroed: bool = False
    flow_zero_k: float = 273.15
    worst: int = 0


@dataclass(frozen=True, slots=True)
class ChainSums:
    """Of minutes, or of longer intervals: `n` slots that count with what they need, `sums` (4, rows, intervals): total,
    m2, least, greatest; `load_n` and `load` in the order of `load_of`. `expected` and `own` of minutes only: slots in
    which the plant was not stopped, and that count by themselves."""

    n: Array
    sums: Array
    load_n: Array
    load: Array
    expected: Array = field(default_factory=lambda: np.zeros(0, np.int32))
    own: Array = field(default_factory=lambda: np.zeros((0, 0), np.int32))


def run(
    plan: ChainPlan,
    raw: Array,
    status: Array,
    stopped: Array,
    slots: int = 60,
    levels_min: Sequence[int] = LEVELS_MIN,
    threads: int = 1,
    into: dict[int, ChainSums] | None = None,
) -> dict[int, ChainSums]:
    """Sums by length in minutes, 1 first. `raw` float32 or float64, `status` (channels, minutes * slots), `stopped`
    (minutes * slots): 1 where the plant's state is not reported. What is left over a level's last whole interval has
    none. `into`: what an earlier call of this shape gave, to be written over. Raises RuleError for shapes that do not
    fit."""
    channels, width = raw.shape
    if width % slots or status.shape != raw.shape or stopped.shape != (width,) or plan.lines.shape != (channels, 4):
        raise RuleError("chain", f"values {raw.shape}, statuses {status.shape} and {slots} slots a minute do not fit")
    if max(plan.roles) >= channels or any(not 0 <= at < channels for at in plan.load_of):
        raise RuleError("chain", f"names a row beyond its {channels} channels")
    minutes = width // slots
    found = room(plan, channels, minutes, levels_min) if into is None else into
    work = _Work(plan, raw, status, stopped, slots, found)
    _chain.kernel_for(raw.dtype.name)  # compiled once, before threads ask for it
    piece = int(np.lcm.reduce([PIECE_MIN, *levels_min]))
    pieces = [(first, min(first + piece, minutes)) for first in range(0, minutes, piece)]
    if threads == 1 or len(pieces) == 1:
        for one in pieces:
            work.do(one)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work.do, pieces))
    return found


def room(plan: ChainPlan, channels: int, minutes: int, levels_min: Sequence[int]) -> dict[int, ChainSums]:
    """Empty results."""

    def of(count: int) -> tuple[Array, Array, Array, Array]:
        loads = (len(plan.load_of), count)
        shape = (channels, count)
        return np.zeros(shape, np.int32), np.zeros((4, *shape)), np.zeros(loads, np.int32), np.zeros(loads)

    found = {1: ChainSums(*of(minutes), np.zeros(minutes, np.int32), np.zeros((channels, minutes), np.int32))}
    return found | {length: ChainSums(*of(minutes // length)) for length in levels_min}


class _Work:
    """What every piece needs."""

    def __init__(
        self, plan: ChainPlan, raw: Array, status: Array, stopped: Array, slots: int, found: dict[int, ChainSums]
    ) -> None:
        limits = (plan.o2_air, plan.o2_reference_pct, plan.o2_clamp, plan.o2_invalid_above, plan.flow_zero_k)
        self._found = found
        self._inputs = (
            np.ascontiguousarray(raw),
            np.ascontiguousarray(status),
            np.ascontiguousarray(stopped),
            np.uint8(plan.worst),
            slots,
            np.ascontiguousarray(plan.lines, np.float64),
            np.asarray(plan.needs, np.uint8),
            np.array(plan.roles, np.int64),
            np.array(plan.fixed, np.float64),
            np.array(limits, np.float64),
            plan.is_o2_wet,
            plan.is_low_spared,
            plan.is_zeroed,
            np.array(plan.load_of, np.int64),
        )

    def do(self, piece: tuple[int, int]) -> None:
        """Minutes of a piece, and the longer intervals that lie in it."""
        first, end = piece
        fine = self._found[1]
        _chain.run_chain(
            *self._inputs, first, end, fine.expected, fine.own, fine.n, fine.sums, fine.load_n, fine.load
        )  # fmt: skip
        for length, one in self._found.items():
            if length > 1:
                begin, stop = first // length, end // length
                _merges.merge_minutes(fine.n, fine.sums, length, begin, stop, one.n, one.sums)
                _merges.merge_loads(fine.load_n, fine.load, length, begin, stop, one.load_n, one.load)
