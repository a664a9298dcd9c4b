"""Periods on the fixed offset of a site: short terms on the clock grid, days, months, years (averaging-rules 12).

No daylight saving: a day always has 24 hours. Periods are half-open [start, end) in UTC ms; names and counts are those
of the local calendar. A period begins at hh:00 or hh:30 of the site's clock, never at the first sample.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

MINUTE_MS = 60_000
DAY_MIN = 1_440
DAY_MS = DAY_MIN * MINUTE_MS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def floor_to(utc_ms: int, length_min: int, offset_min: int) -> int:
    """Start of the period of this length, which divides a day, that holds an instant."""
    length_ms, offset_ms = length_min * MINUTE_MS, offset_min * MINUTE_MS
    return (utc_ms + offset_ms) // length_ms * length_ms - offset_ms


def day_of(utc_ms: int, offset_min: int) -> tuple[int, int]:
    """[start, end) of the local day."""
    start = floor_to(utc_ms, DAY_MIN, offset_min)
    return start, start + DAY_MS


def month_of(utc_ms: int, offset_min: int) -> tuple[int, int]:
    """[start, end) of the local calendar month."""
    local = _local(utc_ms, offset_min)
    following = (local.year + local.month // 12, local.month % 12 + 1)
    return _utc_ms(local.year, local.month, offset_min), _utc_ms(*following, offset_min)


def year_of(utc_ms: int, offset_min: int) -> tuple[int, int]:
    """[start, end) of the local calendar year."""
    year = _local(utc_ms, offset_min).year
    return _utc_ms(year, 1, offset_min), _utc_ms(year + 1, 1, offset_min)


def year_number(utc_ms: int, offset_min: int) -> int:
    """The local calendar year."""
    return _local(utc_ms, offset_min).year


def month_number(utc_ms: int, offset_min: int) -> int:
    """The local calendar month, 1 to 12."""
    return _local(utc_ms, offset_min).month


def _local(utc_ms: int, offset_min: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=utc_ms + offset_min * MINUTE_MS)


def _utc_ms(year: int, month: int, offset_min: int) -> int:
    return int((datetime(year, month, 1, tzinfo=UTC) - _EPOCH) / timedelta(milliseconds=1)) - offset_min * MINUTE_MS
