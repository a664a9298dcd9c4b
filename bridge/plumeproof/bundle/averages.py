"""The averages of one module and UTC day in a bundle, computed again from its records and compared bit for bit.

The newest revision of an interval rests on every record up to the highest it names, and is computed again. Older ones
rested on fewer records than there are now: that they are there, numbered without a gap, is all that can be checked.
Intervals that day_sums.py makes at once and finds equal are done with; every other is made and judged by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plumeproof.bundle.arrays import refuse
from plumeproof.bundle.columns import ROW_NAMES, Columns, rows_of
from plumeproof.bundle.day import DAY_MS, DaySums
from plumeproof.evidence import intervals
from plumeproof.evidence.averaging import Sums, merge, sum_slots, to_averages
from plumeproof.evidence.strips import Strip
from plumeproof.model import Average

MINUTE_MS = 60_000


@dataclass(slots=True)
class Compared:
    """What a day gave. `findings`: (code, seq, sentence)."""

    equal: int = 0
    superseded: int = 0
    row_count: int = 0
    findings: list[tuple[str, int | None, str]] = field(default_factory=list)


def compare_day(device: str, day_utc_ms: int, columns: Columns, strips: Sequence[Strip]) -> Compared:
    """`strips`: all that touch the day, in seq order. Raises EvidenceError (form): an interval of no such day."""
    length_ms = columns.arrays["interval_s"].astype(np.int64) * 1000
    start = columns.arrays["start_utc_ms"]
    refuse(length_ms == 0, "interval_s", "is 0")
    is_outside = (start < day_utc_ms) | (start > day_utc_ms + DAY_MS - length_ms)
    is_outside |= (DAY_MS % length_ms != 0) | (start % length_ms != 0)
    refuse(is_outside, "start_utc_ms", "is no interval of this day")
    is_equal = DaySums(day_utc_ms, strips).are_equal(columns)
    found = Compared(row_count=columns.row_count)
    found.equal = int(columns.arrays["row_count"][is_equal].sum(dtype=np.int64))
    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for rows in rows_of(columns, np.flatnonzero(~is_equal).tolist()):
        groups.setdefault((rows[0]["interval_s"], rows[0]["start_utc_ms"]), []).extend(rows)
    if groups:
        day = _Day(device, strips)
        for (interval_s, start_utc_ms), rows in groups.items():
            _compare(found, day, interval_s, start_utc_ms, rows)
    return found


def _compare(found: Compared, day: _Day, interval_s: int, start: int, rows: list[dict[str, Any]]) -> None:
    places: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        places.setdefault((row["channel"], row["rule"], row["rule_version"]), []).append(row)
    newest = {}
    for place, own in places.items():
        if [row["revision"] for row in own] != list(range(len(own))):
            told = f"{place[0]} {interval_s} s from {start}: revisions are not 0 to {len(own) - 1}"
            found.findings.append(("average_revisions", own[-1]["last_seq"], told))
        found.superseded += len(own) - 1
        newest[place] = own[-1]
    again = {
        (one.channel, one.rule, one.rule_version): one
        for one in day.averages(interval_s, start, max(row["last_seq"] for row in newest.values()))
    }
    for place, row in newest.items():
        told = f"{day.device} {place[0]} {interval_s} s from {start}"
        if place not in again:
            found.findings.append(("average_unfounded", row["last_seq"], f"{told}: no signed record makes it"))
            continue
        wanted = row_of_average(again[place]) | {"revision": row["revision"], "reason": row["reason"]}
        # Columns hold no NaN and no zero with a sign, so == is equality of bits
        wrong = [name for name in sorted(ROW_NAMES) if wanted[name] != row[name]]
        if not wrong:
            found.equal += 1
            continue
        name = wrong[0]
        sentence = f"{told}: {name} is {str(row[name])[:40]}, the records make {str(wanted[name])[:40]}"
        found.findings.append(("average", row["last_seq"], sentence))
    for place in sorted(again.keys() - newest.keys()):
        told = f"{place[0]} {interval_s} s from {start}: the records make it and it is not there"
        found.findings.append(("average_missing", again[place].last_seq, told))


def row_of_average(average: Average) -> dict[str, Any]:
    """As rows_of gives it."""
    found = {name: getattr(average, name) for name in ROW_NAMES if name != "summation"}
    found["summation"] = average.order
    found["n_invalid"] = dict(average.n_invalid)
    found["head_hash"], found["parameters_hash"] = average.head_hash.hex(), average.parameters_hash.hex()
    return found


class _Day:
    """The slots of a day by minute; sums of minutes are made once."""

    def __init__(self, device: str, strips: Sequence[Strip]) -> None:
        self.device = device
        self._by_minute: dict[int, list[Strip]] = {}
        self._sums: dict[int, tuple[Sums, ...]] = {}
        self._long = [strip for strip in strips if strip.values is None]  # of lost slots, which may cover months
        for strip in strips:
            if strip.values is not None:
                for start in range(strip.first_utc_ms - strip.first_utc_ms % MINUTE_MS, strip.end_utc_ms, MINUTE_MS):
                    self._by_minute.setdefault(start, []).append(strip)

    def averages(self, interval_s: int, start: int, last_seq: int) -> list[Average]:
        """From the records up to `last_seq`."""
        end = start + interval_s * 1000
        if intervals.base_of(interval_s) == intervals.BASE_S:
            minutes = [self._minute(at, last_seq) for at in range(start, end, MINUTE_MS)]
            groups = minutes[0] if interval_s == intervals.BASE_S else merge(minutes, start, interval_s)
        else:
            known = [
                one for at in range(start - start % MINUTE_MS, end, MINUTE_MS) for one in self._inside(at, last_seq)
            ]
            unique = {one.seq: one for one in known}
            groups = sum_slots([unique[seq] for seq in sorted(unique)], start, interval_s)
        return to_averages(self.device, groups, start, interval_s)

    def _inside(self, start: int, last_seq: int) -> list[Strip]:
        own = self._by_minute.get(start, [])
        if self._long:
            lost = [strip for strip in self._long if strip.touches(start, start + MINUTE_MS)]
            own = sorted((*own, *lost), key=lambda strip: strip.seq)
        return [strip for strip in own if strip.seq <= last_seq]

    def _minute(self, start: int, last_seq: int) -> tuple[Sums, ...]:
        own = self._inside(start, 2**63)
        if own and own[-1].seq > last_seq:
            return sum_slots(self._inside(start, last_seq), start, intervals.BASE_S)
        if start not in self._sums:
            self._sums[start] = sum_slots(own, start, intervals.BASE_S)
        return self._sums[start]
