"""The averages of one module and UTC day in a bundle, computed again from its records and compared bit for bit.

The newest revision of an interval rests on every record up to the highest it names, and is computed again. Older ones
rested on fewer records than there are now: that they are there, numbered without a gap, is all that can be checked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import rfc8785

from plumeproof.errors import EvidenceError
from plumeproof.evidence import intervals
from plumeproof.evidence.averaging import Sums, merge, sum_slots, to_averages
from plumeproof.evidence.strips import Strip
from plumeproof.model import Average

LINE_MAX_BYTES = 16 * 1024
LINES_MAX = 500_000  # of one day: 20 channels each second
DAY_MS = 86_400_000
MINUTE_MS = 60_000
_KEYS = {
    "device", "channel", "quantity", "unit", "interval_s", "start_utc_ms", "n_expected", "n_valid", "n_invalid", "mean",
    "minimum", "maximum", "deviation", "first_seq", "last_seq", "head_hash", "parameters_hash", "rule", "rule_version",
    "summation", "revision", "reason",
}  # fmt: skip
_WHOLE = ("interval_s", "start_utc_ms", "last_seq", "revision")


@dataclass(slots=True)
class Compared:
    """What a day gave. `findings`: (code, seq, sentence)."""

    equal: int = 0
    superseded: int = 0
    line_count: int = 0
    findings: list[tuple[str, int | None, str]] = field(default_factory=list)


def lines_of(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of a member, each exactly its RFC 8785 line. Raises EvidenceError (form)."""
    held = b""
    for piece in pieces:
        *whole, held = (held + piece).split(b"\n")
        for raw in whole:
            yield _line(raw)
        if len(held) > LINE_MAX_BYTES:
            raise EvidenceError("form", f"a line longer than {LINE_MAX_BYTES} bytes")
    if held:
        raise EvidenceError("form", "its last line does not end")


def _line(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw) if len(raw) <= LINE_MAX_BYTES else None
        if isinstance(found, dict) and rfc8785.dumps(found) == raw:
            return found
    except (ValueError, RecursionError, rfc8785.CanonicalizationError):
        pass  # said below, as for what is no object
    raise EvidenceError("form", f"{ascii(raw[:60])} is no line of a bundle")


def compare_day(
    device: str, day_utc_ms: int, lines: Iterable[dict[str, Any]], strips_of: Callable[[int, int], list[Strip]]
) -> Compared:
    """`lines`: all of a day; `strips_of(start, end)`: verified slots. Raises EvidenceError (form)."""
    found = Compared()
    groups: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for line in lines:
        found.line_count += 1
        if found.line_count > LINES_MAX:
            raise EvidenceError("form", f"more than {LINES_MAX} lines")
        if set(line) != _KEYS or any(type(line[name]) is not int for name in _WHOLE) or line["device"] != device:
            raise EvidenceError("form", f"a line is no average of {device}")
        at = (line["interval_s"], line["start_utc_ms"])
        if not 0 < at[0] * 1000 <= DAY_MS or not day_utc_ms <= at[1] <= day_utc_ms + DAY_MS - at[0] * 1000:
            raise EvidenceError("form", f"an average of {at[0]} s from {at[1]} is of no interval of this day")
        groups.setdefault(at, []).append(line)
    if groups:
        day = _Day(device, strips_of(day_utc_ms, day_utc_ms + DAY_MS))
        for (interval_s, start), rows in sorted(groups.items()):
            _compare(found, day, interval_s, start, rows)
    return found


def _compare(found: Compared, day: _Day, interval_s: int, start: int, rows: list[dict[str, Any]]) -> None:
    places: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        places.setdefault((str(row["channel"]), str(row["rule"]), str(row["rule_version"])), []).append(row)
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
        told = f"{row['device']} {place[0]} {interval_s} s from {start}"
        if place not in again:
            found.findings.append(("average_unfounded", row["last_seq"], f"{told}: no signed record makes it"))
            continue
        wanted = line_of_average(again[place]) | {"revision": row["revision"], "reason": row["reason"]}
        # A line in its RFC 8785 form has no -0 and no NaN, so == is equality of bits; only true would pass for 1
        if wanted == row and bool not in map(type, (*row.values(), *row["n_invalid"].values())):
            found.equal += 1
            continue
        name = next(name for name in sorted(_KEYS) if rfc8785.dumps(wanted[name]) != rfc8785.dumps(row[name]))
        sentence = f"{told}: {name} is {str(row[name])[:40]}, the records make {str(wanted[name])[:40]}"
        found.findings.append(("average", row["last_seq"], sentence))
    for place in sorted(again.keys() - newest.keys()):
        told = f"{place[0]} {interval_s} s from {start}: the records make it and it is not there"
        found.findings.append(("average_missing", again[place].last_seq, told))


def line_of_average(average: Average) -> dict[str, Any]:
    """As a bundle writes it."""
    found = {name: getattr(average, name) for name in _KEYS if name != "summation"}
    found["summation"] = average.order
    found["n_invalid"] = dict(average.n_invalid)
    found["head_hash"], found["parameters_hash"] = average.head_hash.hex(), average.parameters_hash.hex()
    return found


class _Day:
    """The slots of a day by minute; sums of minutes are made once."""

    def __init__(self, device: str, strips: Sequence[Strip]) -> None:
        self._device = device
        self._by_minute: dict[int, list[Strip]] = {}
        self._sums: dict[int, tuple[Sums, ...]] = {}
        for strip in strips:
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
        return to_averages(self._device, groups, start, interval_s)

    def _inside(self, start: int, last_seq: int) -> list[Strip]:
        return [strip for strip in self._by_minute.get(start, ()) if strip.seq <= last_seq]

    def _minute(self, start: int, last_seq: int) -> tuple[Sums, ...]:
        own = self._by_minute.get(start, [])
        if own and own[-1].seq > last_seq:
            return sum_slots(self._inside(start, last_seq), start, intervals.BASE_S)
        if start not in self._sums:
            self._sums[start] = sum_slots(own, start, intervals.BASE_S)
        return self._sums[start]
