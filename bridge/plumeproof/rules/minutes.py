"""Minutes of a plant: of every quantity the sums of the first level data that count, and why the others do not.

Only slots in which the plant is not stopped count (averaging-rules 3.4, E03), whatever the rule set; coverage on the
basis of the whole period or of operating time is told apart later by what is expected. Sums are added in the order
"lanes20-v1" (bridge/EVIDENCE.md). A minute follows from the records on it and the plant description alone, so a live
bridge, a bulk run and a verifier make the same bits from it.

    minutes = sum_minutes(lay_out(plant, strips, start_utc_ms, count), start_utc_ms)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plumeproof.evidence import decoding
from plumeproof.rules import _kernels
from plumeproof.rules.channel_source import MINUTE_MS
from plumeproof.rules.first_level import Quantity, Row
from plumeproof.rules.plant_state import STATE_COUNT, STOPPED
from plumeproof.rules.status import RANGE_END

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Minutes:
    """Arrays are (quantities, minutes). `expected`: slots in which the plant was not stopped; `n` of them count, with
    `total`, `m2` (squared deviations from the mean of the minute), `low`, `high`; all 0 where nothing counts.
    `range_end`: of these, how many are the end of the range instead of what lies beyond it (S).
    `invalid`: status number to how many of the expected slots have it. `states`: (codes of plant_state, minutes), ms.
    """

    start_utc_ms: int
    quantities: tuple[Quantity, ...]
    expected: Counts
    n: Counts
    total: Values
    m2: Values
    low: Values
    high: Values
    range_end: Counts
    invalid: dict[int, Counts]
    states: Counts

    @property
    def count(self) -> int:
        """Of minutes."""
        return int(self.n.shape[1])

    def part(self, first: int, end: int) -> Minutes:
        """Minutes [first, end) of these."""
        window = (slice(None), slice(first, end))
        return Minutes(
            start_utc_ms=self.start_utc_ms + first * MINUTE_MS,
            quantities=self.quantities,
            expected=self.expected[window],
            n=self.n[window],
            total=self.total[window],
            m2=self.m2[window],
            low=self.low[window],
            high=self.high[window],
            range_end=self.range_end[window],
            invalid={status: counts[window] for status, counts in self.invalid.items() if counts[window].any()},
            states=self.states[window],
        )


def sum_minutes(rows: Sequence[Row], start_utc_ms: int) -> Minutes:
    """The minutes of rows that `lay_out` made; all rows have the same number of them."""
    count = rows[0].values.shape[0]
    shape = (len(rows), count)
    expected, n, range_end = (np.zeros(shape, np.int64) for _ in range(3))
    sums = np.zeros((4, *shape))
    invalid: dict[int, Counts] = {}
    for index, row in enumerate(rows):
        operating = row.state != STOPPED
        is_end = (row.status == RANGE_END) & operating
        counted = (decoding.is_valid(row.status) & operating) | is_end
        range_end[index] = np.count_nonzero(is_end, axis=1)
        expected[index] = np.count_nonzero(operating, axis=1)
        _sum_row(row, counted, n[index], sums[:, index])
        if counted.all():
            continue
        for status in np.unique(row.status[operating & ~counted]).tolist():
            counts = invalid.setdefault(status, np.zeros(shape, np.int64))
            counts[index] = np.count_nonzero((row.status == status) & operating, axis=1)
    return Minutes(
        start_utc_ms=start_utc_ms,
        quantities=tuple(row.quantity for row in rows),
        expected=expected,
        n=n,
        total=sums[0],
        m2=sums[1],
        low=sums[2],
        high=sums[3],
        range_end=range_end,
        invalid=dict(sorted(invalid.items())),
        states=_state_ms(rows),
    )


def _sum_row(row: Row, counted: npt.NDArray[np.bool_], n: Counts, sums: Values) -> None:
    """Into `n` (minutes,) and `sums` (4, minutes)."""
    found = np.zeros((1, len(n)), np.int32)
    wide = np.zeros((4, 1, len(n)))
    marks = np.ascontiguousarray(~counted).view(np.uint8).reshape(1, -1)
    values = np.ascontiguousarray(row.values).reshape(1, -1)
    _kernels.sum_minutes(values, marks, 0, row.quantity.slots, found, wide)
    n[:] = found[0]
    sums[:] = wide[:, 0]


def _state_ms(rows: Sequence[Row]) -> Counts:
    """Milliseconds of every state in every minute, by the row of most slots: all rows tell the same states."""
    finest = max(rows, key=lambda row: row.quantity.slots)
    counts = [np.count_nonzero(finest.state == state, axis=1) for state in range(STATE_COUNT)]
    return np.array(counts, np.int64) * finest.quantity.slot_ms
