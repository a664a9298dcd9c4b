"""What one report carried, by reference: a bundle names its averages, and whoever checks it builds the bytes again.

A platform's signed receipt names the SHA-256 of what it was sent. A bundle does not hold that; it holds the averages,
and in a line of receipts.jsonl which of them went under which number (BUNDLE.md section 2.1). From these the body is
built as delivery/report.py builds it, so the digest proves that the platform got just these figures.

    batch = parse_batch(batch_of(body)); numbered = AverageReader(read).numbered("plume-01", batch)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from plumeproof.bundle.columns import ROW_NAMES, parse_columns, rows_of
from plumeproof.errors import EvidenceError
from plumeproof.model import Average

NAMES = {"gateway", "interval_s", "rows", "runs"}
AVERAGES_MAX = 500  # of one report (delivery/report.py)
NUMBER_END = 1 << 53  # RFC 8785 carries no greater number
TEXT_MAX = 200  # characters
DAYS_HELD = 4  # of one length of intervals: a report has one or two
DAY_MS = 86_400_000
SEQ_DIGITS = 19

Row = tuple[str, str, str]  # channel, rule, version of the rule
_Day = dict[tuple[int, int, Row], Average]


@dataclass(frozen=True, slots=True)
class Batch:
    """`averages`: (number, start_utc_ms, revision, row) in the order in which they were sent."""

    gateway: str
    interval_s: int
    averages: tuple[tuple[int, int, int, Row], ...]

    def is_within(self, start_utc_ms: int, end_utc_ms: int) -> bool:
        """Whether all of it lies in [start, end)."""
        starts = [start for _, start, _, _ in self.averages]
        return start_utc_ms <= min(starts) and max(starts) + self.interval_s * 1000 <= end_utc_ms


def batch_of(body: bytes) -> dict[str, Any] | None:
    """For receipts.jsonl, from a report's body; None for one whose fields a profile has given other names."""
    try:
        content = json.loads(body)
        sent = content["averages"]
        own = [(one["channel"], one["rule"], one["ruleVersion"]) for one in sent]
        rows = sorted(set(own))
        runs: list[list[int]] = []  # number and row of the first, start, revision, count: numbers and rows follow
        for one, row in zip(sent, own, strict=True):
            number, at, revision = one["id"], rows.index(row), one["revision"]
            start = int(datetime.fromisoformat(one["start"]).timestamp()) * 1000
            last = runs[-1] if runs else [0, 0, 0, 0, 0]
            if [number - last[4], at - last[4], start, revision] == last[:4] and last[4]:
                last[4] += 1
            else:
                runs.append([number, at, start, revision, 1])
        return {
            "gateway": content["gateway"],
            "interval_s": content["interval_s"],
            "rows": [list(row) for row in rows],
            "runs": runs,
        }
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError):
        return None


def parse_batch(said: Any) -> Batch:
    """Read strictly. Raises EvidenceError (form)."""
    if not isinstance(said, dict) or set(said) != NAMES:
        raise _fault("has other names")
    gateway, interval_s, rows, runs = (said[name] for name in ("gateway", "interval_s", "rows", "runs"))
    if not _is_text(gateway) or type(interval_s) is not int or not 0 < interval_s * 1000 <= DAY_MS:
        raise _fault("gateway or interval_s is none")
    if not isinstance(rows, list) or not all(
        isinstance(one, list) and len(one) == 3 and all(map(_is_text, one)) for one in rows
    ):
        raise _fault("rows are no list of channel, rule and version")
    known: list[Row] = [(one[0], one[1], one[2]) for one in rows]
    if not isinstance(runs, list) or len(known) > AVERAGES_MAX or known != sorted(set(known)):
        raise _fault("rows do not ascend")
    averages: list[tuple[int, int, int, Row]] = []
    for run in runs:
        if not isinstance(run, list) or len(run) != 5 or not all(type(n) is int and 0 <= n < NUMBER_END for n in run):
            raise _fault("a run is no list of five numbers")
        number, at, start, revision, count = run
        if not 0 < count <= AVERAGES_MAX - len(averages) or at + count > len(known) or start % (interval_s * 1000):
            raise _fault("a run leaves its rows, its grid or a report")
        averages += [(number + step, start, revision, known[at + step]) for step in range(count)]
    numbers = [number for number, _, _, _ in averages]
    if not averages or numbers != sorted(set(numbers)):
        raise _fault("numbers do not ascend")
    return Batch(gateway, interval_s, tuple(averages))


class AverageReader:
    """The averages of a bundle by their place. `read`: the bytes of a member, None where there is none."""

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        self._read = read
        self._days: dict[tuple[str, int, int], _Day] = {}  # device, day, interval_s

    def numbered(self, device: str, batch: Batch) -> Iterator[tuple[int, Average]]:
        """Those of a batch. Raises EvidenceError (missing): one is not there; (form): its member is none."""
        for number, start, revision, row in batch.averages:
            found = self._day(device, start - start % DAY_MS, batch.interval_s).get((start, revision, row))
            if found is None:
                told = f"{row[0]} {batch.interval_s} s from {start}, revision {revision}"
                raise EvidenceError("missing", f"{told}, which it is about, is not in the bundle")
            yield number, found

    def _day(self, device: str, day: int, interval_s: int) -> _Day:
        place = (device, day, interval_s)
        if place not in self._days:
            while len(self._days) >= DAYS_HELD:
                self._days.pop(next(iter(self._days)))
            raw = self._read(f"data/averages/{device}/{day:0{SEQ_DIGITS}}.cbor")
            self._days[place] = {} if raw is None else _opened(device, raw, interval_s)
        return self._days[place]


def _opened(device: str, raw: bytes, interval_s: int) -> _Day:
    columns = parse_columns(raw)
    chosen = [at for at, length in enumerate(columns.arrays["interval_s"].tolist()) if length == interval_s]
    found: _Day = {}
    for rows in rows_of(columns, chosen):
        for row in rows:
            own = {name: row[name] for name in ROW_NAMES if name != "summation"}
            own["n_invalid"] = tuple(sorted(row["n_invalid"].items()))
            own |= {name: bytes.fromhex(row[name]) for name in ("head_hash", "parameters_hash")}
            average = Average(device=device, order=row["summation"], **own)
            found[row["start_utc_ms"], row["revision"], (row["channel"], row["rule"], row["rule_version"])] = average
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_MAX


def _fault(detail: str) -> EvidenceError:
    return EvidenceError("form", f"a receipt's batch: {detail}")
