"""Reports to a platform back into values: the JSON body that its API takes, with the digits that stand in it. Pure.

The names of the fields are the platform's (its profile says which); their meaning is that of bridge/PROFILES.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from plumeproof.agreement.said import API, MQTT, Said, Spoken
from plumeproof.delivery.nesting import is_deeper

DEPTH_MAX = 16
NUMBERS = ("mean", "minimum", "maximum", "deviation")
COUNTS = ("expected", "valid")
WORDS = ("unit", "quantity")
INVALID, REVISION = "invalid", "revision"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Names:
    """What a platform calls the fields: ours to its own."""

    report: Mapping[str, str]
    average: Mapping[str, str]


def read_payload(place: str, body: bytes, names: Names) -> Spoken:
    """One body."""
    try:
        if is_deeper(body, DEPTH_MAX):
            raise ValueError(f"nests deeper than {DEPTH_MAX}")
        content = json.loads(body, parse_float=Decimal, parse_int=Decimal)
        report = names.report
        module, interval = content[report["module"]], int(content[report["interval_s"]])
        said = [
            one
            for at, average in enumerate(content[report["averages"]], 1)
            for one in _of_average(average, f"{place} average {at}", str(module), interval, names.average)
        ]
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        told = f"is no report with the fields of this profile: {type(error).__name__} {str(error)[:100]}"
        return Spoken(API, (), (f"{place}: {told}",))
    return Spoken(API, said)


def average_id(subject: tuple[str, ...], start_utc_ms: int, rule: str, revision: int) -> str:
    """What `plumeproof trace` opens. `rule`: with its version."""
    module, channel, interval = subject
    begin = (_EPOCH + timedelta(milliseconds=start_utc_ms)).strftime("%Y%m%dT%H%M%SZ")
    return f"{module}/{quote(channel, safe='')}/{interval}s/{begin}/{quote(rule, safe='')}/r{revision}"


def read_topic(place: str, body: bytes) -> Spoken:
    """The body of a topic `average`: one average, with our own names."""
    try:
        if is_deeper(body, DEPTH_MAX):
            raise ValueError(f"nests deeper than {DEPTH_MAX}")
        one = json.loads(body, parse_float=Decimal, parse_int=Decimal)
        own = _OwnNames()
        said = list(_of_average(one, place, str(one["module"]), int(one["interval_s"]), own))
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        return Spoken(MQTT, (), (f"{place}: is no average of ours: {type(error).__name__} {str(error)[:100]}",))
    return Spoken(MQTT, [replace(one, tongue=MQTT) for one in said])


class _OwnNames(dict[str, str]):
    """Each field is called what it is."""

    def __missing__(self, name: str) -> str:
        return name


def newest_only(said: Sequence[Said]) -> list[Said]:
    """Without what a later revision of the same average has replaced."""
    newest: dict[tuple[tuple[str, ...], int], int] = {}
    for one in said:
        key = (one.subject, one.start_utc_ms)
        newest[key] = max(newest.get(key, 0), _revision_of(one))
    return [one for one in said if _revision_of(one) == newest[one.subject, one.start_utc_ms]]


def _revision_of(one: Said) -> int:
    return int(one.traces[0].rpartition("/r")[2])


def _of_average(one: Any, place: str, module: str, interval: int, names: Mapping[str, str]) -> Iterator[Said]:
    start = (datetime.fromisoformat(one[names["start"]]) - _EPOCH) // timedelta(milliseconds=1)
    subject = (module, str(one[names["channel"]]), str(interval))
    unit = str(one[names["unit"]])
    traces = (
        average_id(subject, start, f"{one[names['rule']]}-{one[names['ruleVersion']]}", int(one[names[REVISION]])),
    )
    for name in (*NUMBERS, *COUNTS):
        value = one[names[name]]
        if value is not None and not isinstance(value, Decimal):
            raise ValueError(f"{name} is no number")
        yield Said(API, place, subject, start, name, None if value is None else str(value), unit, traces)
    for name in WORDS:
        yield Said(API, place, subject, start, name, str(one[names[name]]), "", traces)
    causes = ",".join(f"{cause}={int(count)}" for cause, count in sorted(one[names[INVALID]].items()))
    yield Said(API, place, subject, start, INVALID, causes, "", traces)
