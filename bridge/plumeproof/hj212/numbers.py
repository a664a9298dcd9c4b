"""Numbers and times as HJ 212 packets write them: decimals of the factor's format, local times without a zone. Pure.

N5.2 is at most five digits before the point and two behind it. Only the decimals are kept to: the format of CO2 (N3.3,
in mg/m3) is too narrow for any stack, and the reference's own packets send six digits there.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

_FORMAT = re.compile(r"N\d{1,2}(?:\.(\d))?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACES = ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))
MS_OF_MIN = 60_000
SECONDS_DIGITS, QN_DIGITS = 14, 17  # yyyyMMddhhmmss, and with zzz


def decimals_of(value_format: str) -> int:
    """Digits behind the point. Raises ValueError for what is no format of the factor table."""
    found = _FORMAT.fullmatch(value_format)
    if found is None:
        raise ValueError(f"{value_format[:20]!r} is no format such as N5.2")
    return int(found[1] or 0)


def value_text(value: Fraction, decimals: int) -> str:
    """With exactly `decimals` digits behind the point, rounded once from the exact value, a tie to the even digit
    (GB/T 8170). Zero has no sign."""
    whole = round(value * 10**decimals)  # Fraction's rounding is that of GB/T 8170
    digits = str(abs(whole)).rjust(decimals + 1, "0")
    text = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
    return f"-{text}" if whole < 0 else text


def to_time(utc_ms: int, utc_offset_min: int, digits: int = SECONDS_DIGITS) -> str:
    """yyyyMMddhhmmss, with 17 digits also milliseconds, on the site's clock."""
    moment = _EPOCH + timedelta(milliseconds=utc_ms + utc_offset_min * MS_OF_MIN)
    seconds = moment.strftime("%Y%m%d%H%M%S").rjust(SECONDS_DIGITS, "0")
    return seconds if digits == SECONDS_DIGITS else f"{seconds}{moment.microsecond // 1000:03}"


def parse_time(text: str, utc_offset_min: int) -> int:
    """UTC ms of yyyyMMddhhmmss or yyyyMMddhhmmsszzz. Raises ValueError."""
    if len(text) not in (SECONDS_DIGITS, QN_DIGITS) or not text.isascii() or not text.isdigit():
        raise ValueError(f"{text[:40]!r} is no time yyyyMMddhhmmss")
    year, month, day, hour, minute, second = (int(text[at:end]) for at, end in _PLACES)
    moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)  # ValueError where there is no such time
    return (moment - _EPOCH) // timedelta(milliseconds=1) + int(text[14:] or 0) - utc_offset_min * MS_OF_MIN
