"""Ids of figures, averages and records: what documents and `plumeproof trace` call them by. Stable, printable, exact.

    line-1/CO2/co2e/month/20261130T2300Z/eu_mrr/r0     plant, measurand, layer, level, begin in UTC, rule set, revision
    line-1/NOx/validated/30min/20261201T1300Z/eu_ied_waste/r0
    plume-01/nox/60s/20261201T130000Z/plain_utc-1/r0   module, channel, interval, begin, rule and version, revision
    plume-01/seq1204                                   module, record

An id without its revision means the newest one. In what people type, parts may be left out and a begin may be written
as the site's clock shows it (2026-12, 2026-12-01, 2026-12-01T14:00); it must then fit one id only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote

from plumeproof.errors import ConfigError
from plumeproof.model import Average
from plumeproof.rules.figure import LEVELS, SHORT_TERM, Figure

ID_MAX = 256  # characters that are read
MINUTE_MS = 60_000
SEQ_MAX = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UTC = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)?Z")
_LOCAL = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d)?)?)?)?)?")
_TERM = re.compile(r"[1-9]\d{0,3}min")
_INTERVAL = re.compile(r"[1-9]\d{0,6}s")
_SEQ = re.compile(r"seq([1-9]\d{0,18})")
_REVISION = re.compile(r"r(0|[1-9]\d{0,8})")
_PART = re.compile(r"[A-Za-z0-9._~%:+-]{1,96}")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person typed, part by part. `kind`: figure, average or record; `words`: parts that are none of the
    others, in their order; `instant`: the text of a begin; `period`: level or length of it."""

    text: str
    kind: str
    words: tuple[str, ...]
    period: str | None
    instant: str | None
    seq: int | None
    revision: int | None

    @property
    def around_utc_ms(self) -> tuple[int, int] | None:
        """Where the begin may lie, whatever the site's clock; None: anywhere."""
        if self.instant is None:
            return None
        if (exact := _exact(self.instant)) is not None:
            return exact, exact + 1
        first, end = _span(self.instant)
        return first - 15 * 3_600_000, end + 15 * 3_600_000

    def fits(self, parts: Sequence[str], start_utc_ms: int, offset_min: int) -> bool:
        """Whether an id of these parts (instant and revision among them) is meant."""
        if self.instant is not None:
            exact = _exact(self.instant)
            local = (_EPOCH + timedelta(milliseconds=start_utc_ms + offset_min * MINUTE_MS)).isoformat()
            if exact != start_utc_ms if exact is not None else not local.startswith(self.instant):
                return False
        if self.period not in (None, SHORT_TERM) and self.period not in parts:
            return False
        at = iter(parts)
        return all(word in at for word in self.words)  # each behind the one before


def id_of_figure(one: Figure) -> str:
    """Of one that was made anew and never stored (no reason of a revision) the id of the newest revision."""
    end = f"/r{one.revision}" if one.reason else ""
    return "/".join(parts_of_figure(one)) + end


def parts_of_figure(one: Figure) -> tuple[str, ...]:
    """Without the revision."""
    return (one.plant, one.measurand, one.layer, period_of(one), utc_text(one.start_utc_ms), one.rule_set)


def period_of(one: Figure) -> str:
    """The level, and of a short term its length."""
    return f"{(one.end_utc_ms - one.start_utc_ms) // MINUTE_MS}min" if one.level == SHORT_TERM else one.level


def id_of_average(one: Average) -> str:
    """Of a row of the ledger."""
    return "/".join(parts_of_average(one)) + f"/r{one.revision}"


def parts_of_average(one: Average) -> tuple[str, ...]:
    """Without the revision. A channel's id may hold a slash: it is written %2F."""
    rule = quote(f"{one.rule}-{one.rule_version}", safe="")
    return (one.device, quote(one.channel, safe=""), f"{one.interval_s}s", utc_text(one.start_utc_ms, True), rule)


def id_of_record(device: str, seq: int) -> str:
    """Of a record."""
    return f"{device}/seq{seq}"


def utc_text(utc_ms: int, with_seconds: bool = False) -> str:
    """ISO 8601 basic form; figures begin on whole minutes, averages on whole seconds."""
    return (_EPOCH + timedelta(milliseconds=utc_ms)).strftime("%Y%m%dT%H%M%SZ" if with_seconds else "%Y%m%dT%H%MZ")


def read_id(text: str) -> Wanted:
    """Raises ConfigError for what is no id and no part of one."""
    parts = text.split("/")
    if len(text) > ID_MAX or any(_PART.fullmatch(part) is None for part in parts):
        raise ConfigError(f"{ascii(text)[:60]}", "is no id; `plumeproof trace --list` shows those that are there")
    revision = None
    if len(parts) > 1 and (found := _REVISION.fullmatch(parts[-1])) is not None:
        revision = int(found[1])
        parts.pop()
    # Whole ids go by the place of their parts, whatever a measurand is called
    if len(parts) == 6 and _UTC.fullmatch(parts[4]) and _is_instant(parts[4]):
        return Wanted(text, "figure", (*parts[:3], parts[5]), parts[3], parts[4], None, revision)
    if len(parts) == 5 and _INTERVAL.fullmatch(parts[2]) and _UTC.fullmatch(parts[3]) and _is_instant(parts[3]):
        return Wanted(text, "average", (*parts[:2], parts[4]), parts[2], parts[3], None, revision)
    if len(parts) == 2 and (found := _SEQ.fullmatch(parts[1])) is not None and int(found[1]) <= SEQ_MAX:
        return Wanted(text, "record", (parts[0],), None, None, int(found[1]), revision)
    words: list[str] = []
    kind, period, instant = "figure", None, None
    for part in parts:
        if period is None and _INTERVAL.fullmatch(part):
            kind, period = "average", part
        elif period is None and (_TERM.fullmatch(part) or part in LEVELS):
            period = part
        elif instant is None and _is_instant(part):
            instant = part
        else:
            words.append(part)
    return Wanted(text, kind, tuple(words), period, instant, None, revision)


def only_one(wanted: Wanted, found: Sequence[str], near: Callable[[], Iterable[str]]) -> str:
    """The one id that is meant, of those that fit. `near`: what to offer where none does. Raises ConfigError."""
    if len(found) == 1:
        return found[0]
    where = wanted.text
    if found:
        told = ", ".join(found[:6]) + (", ..." if len(found) > 6 else "")
        raise ConfigError(where, f"fits {len(found)} of them: {told}; write more parts, or ask with --list")
    offered = ", ".join(list(near())[:6])
    mend = f"there are {offered}" if offered else "there are none at all"
    raise ConfigError(where, f"is no {wanted.kind} that is stored here; {mend}; `plumeproof trace --list` shows more")


def unquoted(part: str) -> str:
    """The name that a part stands for."""
    return unquote(part)


def _is_instant(part: str) -> bool:
    try:
        if (exact := _exact(part)) is not None:
            return 0 <= exact
        return _LOCAL.fullmatch(part) is not None and _span(part)[0] >= 0
    except ValueError:
        return False


def _exact(part: str) -> int | None:
    """UTC ms of an instant with its zone; None: a clock's time without one. Raises ValueError."""
    found = _UTC.fullmatch(part)
    if found is not None:
        year, month, day, hour, minute, second = (int(one or 0) for one in found.groups())
        return _ms(datetime(year, month, day, hour, minute, second, tzinfo=UTC))
    if part.endswith("Z") or re.search(r"T.*[+-]\d\d:\d\d$", part):
        return _ms(datetime.fromisoformat(part))
    return None


def _span(part: str) -> tuple[int, int]:
    """The span that a clock's time names, as if it were UTC. Raises ValueError."""
    whole = part + "2026-01-01T00:00:00"[len(part) :]
    first = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    days = {4: 366, 7: 31}.get(len(part), 1)
    return _ms(first), _ms(first + timedelta(days=days))


def _ms(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(milliseconds=1)
