"""Instants as people write them: a local day, month or year of a site, or RFC 3339 with its zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from plumeproof.errors import ConfigError

_DAY = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_instant(text: str, offset_min: int, option: str) -> int:
    """UTC ms. `2026`, `2026-12`, `2026-12-01`: local midnight on the site's fixed offset. Raises ConfigError."""
    try:
        day = _DAY.fullmatch(text)
        if day is not None:
            year, month, number = (int(part or 1) for part in day.groups())
            return _ms(datetime(year, month, number, tzinfo=UTC)) - offset_min * 60_000
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return _ms(found)
        mend = "has no time zone; add Z or +01:00"
    except (ValueError, OverflowError):
        mend = "is no time; write 2026-12-01 (a local day of the site) or 2026-12-01T14:00:00Z"
    raise ConfigError(option, f"{text[:40]!r} {mend}")


def _ms(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)
