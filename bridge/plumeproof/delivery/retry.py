"""When again: exponential back-off with full jitter, and what a server asks for with Retry-After.

Functions of the number of failures and of a random number, so that the same numbers give the same waits (reference:
reliability section 3). Retry-After: RFC 9110 section 10.2.3, seconds or an HTTP date.
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

FIRST_S = 1.0  # never sooner: at most one request a second while an endpoint fails
LONGEST_S = 900.0  # 15 min
ASKED_LONGEST_S = 24 * 3600.0  # cap of what the other side may ask for
DOUBLINGS_MAX = 32  # 2.0 ** this is far above any cap and far below what a float holds
FIELD_MAX_CHARACTERS = 64  # an HTTP date has 29


def backoff_s(failures: int, dice: float, longest_s: float = LONGEST_S) -> float:
    """Seconds to wait after the `failures`-th failure in a row (1 is the first); `dice` is uniform in [0, 1)."""
    ceiling = min(longest_s, FIRST_S * 2.0 ** min(max(failures, 1), DOUBLINGS_MAX))
    return FIRST_S + dice * (ceiling - FIRST_S)


def parse_retry_after(value: str | None, now_utc_ms: int) -> float | None:
    """Seconds that a Retry-After field asks for, within 0 and 24 h; None where it says nothing that can be read."""
    text = (value or "").strip()
    if not text or len(text) > FIELD_MAX_CHARACTERS or not text.isascii():
        return None
    if text.isdigit():
        return min(float(text), ASKED_LONGEST_S)
    moment_s = parse_http_date(text)
    return None if moment_s is None else min(max(0.0, moment_s - now_utc_ms / 1000.0), ASKED_LONGEST_S)


def parse_http_date(text: str) -> float | None:
    """Unix seconds of an HTTP date (RFC 9110 section 5.6.7), None where it is none."""
    if not text or len(text) > FIELD_MAX_CHARACTERS:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
