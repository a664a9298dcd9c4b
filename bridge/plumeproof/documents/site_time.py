"""Times of documents: RFC 3339 with the site's fixed offset."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def time_text(utc_ms: int, offset_min: int) -> str:
    """To the second; a part of one is left away."""
    return _local(utc_ms, offset_min).isoformat(timespec="seconds")


def days_of(start_utc_ms: int, end_utc_ms: int, offset_min: int) -> tuple[date, date]:
    """First and last day of [start, end) by the site's clock."""
    return _local(start_utc_ms, offset_min).date(), _local(end_utc_ms - 1, offset_min).date()


def instant_of(text: str) -> datetime:
    """Of RFC 3339 with an offset. Raises ValueError, also for a day that no calendar has."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("has no offset")
    return found


def _local(utc_ms: int, offset_min: int) -> datetime:
    return (_EPOCH + timedelta(milliseconds=utc_ms)).astimezone(timezone(timedelta(minutes=offset_min)))
