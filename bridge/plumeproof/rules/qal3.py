"""QAL3: control charts of zero and span readings, each a small state machine (EN 14181:2014; reference 8.4).

A chart belongs to one channel of one device and to zero or span. It takes readings in time order, d = reading -
reference, and says of each: fine, warning or alarm. s_AMS comes from QAL1 data, in the unit of the reading.

    shewhart   |d| > warning s, |d| > action s; no memory
    cusum      precision and drift (charts of qal3_cusum.py), h and k of [S12]
    ewma       z = L d + (1 - L) z, alarm when |z| > width s sqrt(L / (2 - L) (1 - (1 - L)^2t))   (ISO 7870-6 family)

A chart with a memory is held by its alarm: until somebody has adjusted or repaired and begins another one, further
readings are answered with "held" and change nothing. Charts are not stored: they are made anew from signed records.

    chart = start_chart(Key("plume-01", "NOx", "span"), "cusum", s_ams=1.2)
    chart, point = chart.take(Reading(utc_ms, 101.4, 100.0))
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from plumeproof.errors import ParametersError, RuleError
from plumeproof.evidence.reader import Reader
from plumeproof.rules.qal3_cusum import CusumConstants, CusumState, step_cusum
from plumeproof.rules.table_file import load_table, read_confidence, read_note

KINDS = ("shewhart", "cusum", "ewma")
POINTS = ("zero", "span")
FINE, WARNING, ALARM, HELD = "fine", "warning", "alarm", "held"
MAGNITUDE_MAX = 1e100  # as rules/series.py
UTC_MS_MAX = 4_102_444_800_000  # 2100-01-01, the last year that is averaged
FACTOR_MAX = 1e6  # of s_AMS


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Whose chart: the channel of a device, at zero or span."""

    device: str
    channel: str
    point: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What the AMS showed of a reference material. The reference may change: the chart sees the difference only."""

    utc_ms: int
    reading: float
    reference: float


@dataclass(frozen=True, slots=True)
class ShewhartSettings:
    """In units of s_AMS."""

    warning: float
    action: float


@dataclass(frozen=True, slots=True)
class EwmaSettings:
    """`smoothing` 0..1: weight of the newest; `are_limits_exact`: narrower at first, else their final width."""

    smoothing: float
    width: float
    are_limits_exact: bool


@dataclass(frozen=True, slots=True)
class ChartSettings:
    """Of all kinds, from tables/qal3_charts.json, with the confidence of each."""

    shewhart: ShewhartSettings
    cusum: CusumConstants
    ewma: EwmaSettings
    confidence: tuple[tuple[str, float, str], ...] = field(default=(), compare=False)  # kind, 0..1, source


@dataclass(frozen=True, slots=True)
class EwmaState:
    """`z`, and (1 - smoothing)^2t for the exact limits, multiplied up reading by reading."""

    z: float = 0.0
    fading: float = 1.0


@dataclass(frozen=True, slots=True)
class Point:
    """One reading judged. `statistic` and the limits (None: there is none) are what a plot shows.

    `alarm`: "" or what it is about (deviation, precision, drift). `correction` is to be added to the readings of the
    AMS, where `has_correction` (drift of a CUSUM chart).
    """

    utc_ms: int
    d: float
    verdict: str
    alarm: str
    statistic: float
    warning_limit: float | None
    action_limit: float | None
    correction: float
    has_correction: bool
    cusum: CusumState | None


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and its state; `take` gives the next one, this one stays as it is.

    `readings`: taken since the start; `held_by`: the alarm that holds it, "" when it runs.
    """

    key: Key
    kind: str
    s_ams: float
    settings: ChartSettings
    last_utc_ms: int | None = None
    readings: int = 0
    held_by: str = ""
    cusum: CusumState = CusumState()
    ewma: EwmaState = EwmaState()

    def take(self, reading: Reading) -> tuple[Chart, Point]:
        """The next reading. Raises RuleError (not after the last one, no finite number)."""
        d = _difference(reading)
        self._refuse_time(reading.utc_ms)
        chart = replace(self, last_utc_ms=reading.utc_ms)
        if self.held_by:
            held = self.cusum if self.kind == "cusum" else None
            return chart, Point(reading.utc_ms, d, HELD, "", 0.0, None, None, 0.0, False, held)
        chart = replace(chart, readings=self.readings + 1)
        if self.kind == "shewhart":
            return chart, self._shewhart(reading.utc_ms, d)
        if self.kind == "cusum":
            return self._cusum(chart, reading.utc_ms, d)
        return self._ewma(chart, reading.utc_ms, d)

    def _refuse_time(self, utc_ms: int) -> None:
        if type(utc_ms) is not int or not 0 <= utc_ms <= UTC_MS_MAX:
            raise RuleError("utc_ms", f"{utc_ms!r} is no UTC in whole milliseconds between 1970 and 2100")
        if self.last_utc_ms is not None and utc_ms <= self.last_utc_ms:
            raise RuleError("utc_ms", f"{utc_ms} is not after {self.last_utc_ms}; give readings in time order, once")

    def _shewhart(self, utc_ms: int, d: float) -> Point:
        limits = self.settings.shewhart
        warning, action = limits.warning * self.s_ams, limits.action * self.s_ams
        verdict = ALARM if abs(d) > action else WARNING if abs(d) > warning else FINE
        alarm = "deviation" if verdict == ALARM else ""
        return Point(utc_ms, d, verdict, alarm, d, warning, action, 0.0, False, None)

    def _cusum(self, chart: Chart, utc_ms: int, d: float) -> tuple[Chart, Point]:
        state, alarm, correction = step_cusum(self.settings.cusum, self.s_ams, self.cusum, d)
        verdict = ALARM if alarm else FINE
        statistic = state.sum_pos if state.sum_pos >= state.sum_neg else 0.0 - state.sum_neg
        action = self.settings.cusum.h_x * self.s_ams
        point = Point(utc_ms, d, verdict, alarm, statistic, None, action, correction, alarm == "drift", state)
        return replace(chart, cusum=state, held_by=alarm), point

    def _ewma(self, chart: Chart, utc_ms: int, d: float) -> tuple[Chart, Point]:
        settings = self.settings.ewma
        stays = 1.0 - settings.smoothing
        z = settings.smoothing * d + stays * self.ewma.z
        fading = self.ewma.fading * stays * stays
        share = settings.smoothing / (2.0 - settings.smoothing)
        narrowed = share * (1.0 - fading) if settings.are_limits_exact else share
        action = settings.width * self.s_ams * math.sqrt(narrowed)
        alarm = "drift" if abs(z) > action else ""
        point = Point(utc_ms, d, ALARM if alarm else FINE, alarm, z, None, action, 0.0, False, None)
        return replace(chart, ewma=EwmaState(z, fading), held_by=alarm), point


def start_chart(key: Key, kind: str, s_ams: float, settings: ChartSettings | None = None) -> Chart:
    """An empty chart. Raises RuleError."""
    if kind not in KINDS:
        raise RuleError("kind", f"{kind[:40]!r} is none of {', '.join(KINDS)}")
    if key.point not in POINTS:
        raise RuleError("point", f"{key.point[:40]!r} is none of {', '.join(POINTS)}")
    if not 0.0 < s_ams <= MAGNITUDE_MAX:
        raise RuleError("s_ams", f"{s_ams} is not above 0; take the standard deviation from QAL1 data")
    return Chart(key, kind, float(s_ams), settings if settings is not None else load_chart_settings())


@cache
def load_chart_settings() -> ChartSettings:
    """The settings of this release."""
    return load_table("qal3_charts", _read_settings)[1]


def chart_settings_with(warning_sigma: float, action_sigma: float) -> ChartSettings:
    """Those of this release with a rule set's shewhart_warning_sigma and shewhart_action_sigma. Raises RuleError."""
    if not 0.0 < warning_sigma <= action_sigma <= FACTOR_MAX:
        raise RuleError("shewhart_warning_sigma", "must be above 0 and at most shewhart_action_sigma")
    limits = ShewhartSettings(float(warning_sigma), float(action_sigma))
    return replace(load_chart_settings(), shewhart=limits)


def _difference(reading: Reading) -> float:
    for name, value in (("reading", reading.reading), ("reference", reading.reference)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= MAGNITUDE_MAX:
            raise RuleError(name, f"{value!r} is no reading; leave it out, a missing check is no zero")
    return float(reading.reading) - float(reading.reference)


def _read_settings(reader: Reader) -> ChartSettings:
    shewhart, cusum, ewma = (reader.inner(kind) for kind in KINDS)
    sure = tuple(
        (kind, read_confidence(inner), read_note(inner, "source"))
        for kind, inner in zip(KINDS, (shewhart, cusum, ewma), strict=True)
    )
    settings = read_numbers(shewhart, cusum, ewma, sure)
    for inner in (shewhart, cusum, ewma):
        inner.done()
    return settings


def read_numbers(
    shewhart: Reader, cusum: Reader, ewma: Reader, sure: tuple[tuple[str, float, str], ...]
) -> ChartSettings:
    """The numbers of the three kinds, in the order of KINDS. Raises ParametersError."""
    found = ChartSettings(
        ShewhartSettings(_positive(shewhart, "warning"), _positive(shewhart, "action")),
        CusumConstants(*(_positive(cusum, name) for name in ("h_x", "k_x", "h_s", "k_s", "adjust_share"))),
        EwmaSettings(_positive(ewma, "smoothing"), _positive(ewma, "width"), _truth(ewma, "are_limits_exact")),
        sure,
    )
    if found.shewhart.warning > found.shewhart.action:
        raise ParametersError("range", "shewhart: warning is above action")
    if found.cusum.adjust_share > 1.0 or found.ewma.smoothing > 1.0:
        raise ParametersError("range", "cusum: adjust_share or ewma: smoothing is above 1")
    return found


def _positive(reader: Reader, key: str) -> float:
    value = reader.decimal(key)
    if not 0.0 < value <= FACTOR_MAX:
        raise ParametersError("range", f"{reader.where}: {key} is not above 0, or beyond {FACTOR_MAX:g}")
    return value


def _truth(reader: Reader, key: str) -> bool:
    value: Any = reader.take(key)
    if not isinstance(value, bool):
        raise ParametersError("type", f"{reader.where}: {key} is not true or false")
    return value
