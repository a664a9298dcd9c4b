"""A report's bytes become a report, or a problem that names every place: I-JSON first, then the schema, then its rules.

The rules beyond the schema are those of openapi.yaml, `deliverReport`. Nothing is stored or changed here.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tools.eu_platform.description import Description
from tools.eu_platform.problems import Finding, Problem

LAST_BITS = 1e-9  # relative: a mean may leave [minimum, maximum] by the rounding of its sum


@dataclass(frozen=True, slots=True)
class Report:
    """What the platform looks at; the averages stay as they came."""

    gateway: str
    module: str
    interval_s: int
    first_id: int
    last_id: int
    count: int
    period_start: str
    period_end: str


def parse_report(body: bytes, description: Description) -> Report:
    """Raises Problem: malformed-body for what is not JSON as agreed, report-refused for the rest."""
    document = parse_json(body)
    faults = description.find_faults(document)
    if not faults:
        faults = list(_broken_rules(document))
    if faults:
        raise Problem("report-refused", f"{faults[0].pointer or 'the body'}: {faults[0].detail}", faults)
    averages = document["averages"]
    return Report(
        gateway=document["gateway"],
        module=document["module"],
        interval_s=int(document["interval_s"]),
        first_id=int(averages[0]["id"]),
        last_id=int(averages[-1]["id"]),
        count=len(averages),
        period_start=min((average["start"] for average in averages), key=_to_time),
        period_end=max((average["end"] for average in averages), key=_to_time),
    )


def parse_json(body: bytes) -> Any:
    """I-JSON. Raises Problem."""
    try:
        document = json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
        # A lone surrogate ("\ud800") is JSON, but no text that could ever be written down.
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeError as error:
        raise Problem("malformed-body", f"not UTF-8 at {error.start}") from error  # type: ignore[attr-defined]
    except json.JSONDecodeError as error:
        raise Problem("malformed-body", f"not JSON at byte {error.pos}") from error
    except RecursionError as error:
        raise Problem("malformed-body", "nested too deeply") from error
    except ValueError as error:
        raise Problem("malformed-body", str(error)[:100]) from error
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice in one object")
    return members


def _no_constant(_text: str) -> float:
    raise ValueError("NaN and Infinity are no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is beyond IEEE 754 double")
    return number


def _broken_rules(document: dict[str, Any]) -> Iterator[Finding]:
    before = 0
    for index, average in enumerate(document["averages"]):
        place = f"/averages/{index}"
        if average["id"] <= before:
            yield Finding(f"{place}/id", "order", "ids must ascend, each once")
        before = average["id"]
        yield from _broken_times(average, document["interval_s"], place)
        if average["firstSeq"] > average["lastSeq"]:
            yield Finding(f"{place}/firstSeq", "order", "firstSeq is above lastSeq")
        yield from _broken_values(average, place)


def _broken_times(average: dict[str, Any], interval_s: int, place: str) -> Iterator[Finding]:
    times = {}
    for name in ("start", "end"):
        try:
            times[name] = _to_time(average[name])
        except ValueError:
            yield Finding(f"{place}/{name}", "date-time", "no such day")
    if len(times) == 2 and (times["end"] - times["start"]).total_seconds() != interval_s:
        yield Finding(f"{place}/end", "interval", "end is not start plus interval_s")


def _broken_values(average: dict[str, Any], place: str) -> Iterator[Finding]:
    values = [average["minimum"], average["mean"], average["maximum"]]
    if None in values:
        if values != [None] * 3 or average["deviation"] is not None:
            yield Finding(f"{place}/mean", "values", "minimum, mean, maximum and deviation are not null together")
        return
    low, mean, high = map(float, values)
    slack = LAST_BITS * max(abs(low), abs(high))
    if not low - slack <= mean <= high + slack or low > high:
        yield Finding(f"{place}/mean", "values", "not minimum <= mean <= maximum")


def _to_time(text: str) -> dt.datetime:
    """Of a text that satisfies the schema. Raises ValueError for days that no calendar has."""
    return dt.datetime.fromisoformat(text)
