"""What an outlet reports by HJ 212, from averages and figures of the ledger: real-time, minutes, hours, days.

Min, Avg and Max are those of the averages (measured), or of the rule set's figures where the link names one; Zs values
are its standardised figures, masses (Cou) its mass figures, or concentration times flow where both are of one gas. A
day is made of the hours of the site's clock, as averages have UTC days only. What has no value has its flag alone.

    station = LedgerStation(plan, averages, figures, clock, [10], 60, by_cause=False)
    upload = station.message("hour", start_utc_ms, 3600)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import isfinite
from typing import Protocol

from plumeproof.figure_ids import id_of_average, id_of_figure
from plumeproof.hj212.messages import Item, Upload
from plumeproof.hj212.numbers import MS_OF_MIN, to_time, value_text
from plumeproof.hj212_equipment import EquipmentReader, IntervalAverages
from plumeproof.hj212_link import CN_OF, DAY, MINUTE, REAL_TIME, Entry, LinkPlan
from plumeproof.model import Average
from plumeproof.ports import Clock
from plumeproof.rules.figure import FLOW, FLOW_ID, MASS, MEASURED, SHORT_TERM, STANDARDISED, Figure
from plumeproof.rules.hj212_flags import STOPPED, FlagTable, load_flags
from plumeproof.rules.status import STATUS_LETTERS

HOUR_S, DAY_HOURS, VALID_HOURS = 3600, 24, 20  # reference: section 4.6, a day from at least 20 valid hours
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
MASS_DECIMALS = 3  # of Cou in kg, as the reference's packets have it
FRESH_INTERVALS = 3  # a module behind the newest by more is not of the present
OLDEST_PRESENT_MS = HOUR_MS
DUTY_OF = {cn: duty for duty, cn in CN_OF.items()}
KG_PER_MG = Fraction(1, 10**6)
RAN_NOT = "stopped"  # cause of first level data in which the plant stood still
NORMAL = "N"
RUN_TIME = "2041"
LARGEST = 10**15  # more is no measurement, and a packet would have no room for its digits


@dataclass(frozen=True, slots=True)
class Triple:
    """Mean, minimum, maximum, in the factor's unit, exactly."""

    mean: Fraction | None
    low: Fraction | None
    high: Fraction | None


@dataclass(frozen=True, slots=True)
class Reading:
    """One factor over one interval. `total`: m3 of a flow, kg of a pollutant. `flag`: by the link's rule."""

    entry: Entry
    measured: Triple
    converted: Triple | None
    total: Fraction | None
    flag: str
    rests_on: tuple[str, ...]


class TermFigures(Protocol):
    """What a station needs of ports.FigureStore."""

    def of_period(self, plant: str, level: str, start_utc_ms: int, end_utc_ms: int) -> Sequence[Figure]:
        """As FigureStore.of_period."""


class LedgerStation:
    """delivery.hj212_orders.Station. Raises StoreError."""

    def __init__(
        self,
        plan: LinkPlan,
        averages: IntervalAverages,
        figures: TermFigures,
        clock: Clock,
        minutes: Sequence[int],
        real_time_interval_s: int,
        by_cause: bool,
    ) -> None:
        """`by_cause`: an interval that is not normal has the flag of its commonest cause, not the standard's D."""
        self.plan = plan
        self.utc_offset_min = plan.utc_offset_min
        self._averages, self._figures, self._clock = averages, figures, clock
        self._minutes, self._real_time_s, self._by_cause = tuple(minutes), real_time_interval_s, by_cause
        self._flags: FlagTable = load_flags()
        self._equipment = EquipmentReader(plan.equipment, averages, real_time_interval_s, plan.utc_offset_min)
        self.has_equipment = bool(plan.equipment)

    def minutes(self) -> tuple[int, ...]:
        """As Station.minutes."""
        return self._minutes

    def real_time(self) -> tuple[int, Upload] | None:
        """As Station.real_time."""
        entries, length_ms = self.plan.entries_of(REAL_TIME), self._real_time_s * 1000
        if not entries:
            return None
        starts = {}
        for device in {entry.source.device for entry in entries}:
            found = dict(self._averages.newest_starts(device))
            if self._real_time_s in found:
                starts[device] = found[self._real_time_s]
        newest = max(starts.values(), default=None)
        if newest is None or self._clock.utc_ms() - newest > OLDEST_PRESENT_MS:
            return None
        items: list[Item] = [{"DataTime": self.time_text(newest)}]
        rests_on: list[str] = []
        for entry in entries:
            start = starts.get(entry.source.device, 0)
            average = None
            if newest - start <= FRESH_INTERVALS * length_ms:
                average = self._average(entry, self._real_time_s, start)
            code, item = entry.code, {}
            value = None if average is None else _linear(entry, average.mean)
            if average is None or value is None or abs(value) >= LARGEST:
                item[f"{code}-Flag"] = self._flag(average)
            else:
                if start != newest:
                    item[f"{code}-SampleTime"] = self.time_text(start)
                item[f"{code}-Rtd"] = value_text(value, entry.decimals)
                item[f"{code}-Flag"] = self._flag(average)
                rests_on.append(id_of_average(average))
            items.append(item)
        return newest, Upload("2011", tuple(items), tuple(rests_on))

    def states(self) -> tuple[int, Upload] | None:
        """As Station.states."""
        found = self._equipment.state()
        return None if found is None or self._clock.utc_ms() - found[0] > OLDEST_PRESENT_MS else found

    def count(self, cn: str, begin_utc_ms: int, end_utc_ms: int, minute_min: int) -> int:
        """As Station.count."""
        return len(self._starts(cn, begin_utc_ms, end_utc_ms, minute_min))

    def history(self, cn: str, begin_utc_ms: int, end_utc_ms: int, minute_min: int) -> Iterator[Upload | None]:
        """As Station.history."""
        for start in self._starts(cn, begin_utc_ms, end_utc_ms, minute_min):
            if cn == RUN_TIME:
                yield self._equipment.run_time(start)
                continue
            yield self.message(DUTY_OF[cn], start, minute_min * 60 if cn == CN_OF[MINUTE] else HOUR_S)

    def message(self, duty: str, start_utc_ms: int, interval_s: int) -> Upload | None:
        """The statistics of one minute interval, hour or day that begins there; None where nothing is known of it."""
        entries = self.plan.entries_of(duty)
        if duty == DAY:
            readings = self._day(entries, start_utc_ms)
        else:
            readings = self._readings(entries, start_utc_ms, interval_s)
        if not any(reading.rests_on for reading in readings):
            return None
        items: list[Item] = [{"DataTime": self.time_text(start_utc_ms)}]
        items += [self._item(reading) for reading in readings]
        rests_on = dict.fromkeys(one for reading in readings for one in reading.rests_on)
        return Upload(CN_OF[duty], tuple(items), tuple(rests_on))

    def day_start(self, utc_ms: int) -> int:
        """Begin of the day of the site's clock that an instant lies in, UTC ms."""
        offset_ms = self.utc_offset_min * MS_OF_MIN
        return (utc_ms + offset_ms) // DAY_MS * DAY_MS - offset_ms

    def time_text(self, utc_ms: int) -> str:
        """DataTime."""
        return to_time(utc_ms, self.utc_offset_min)

    def _starts(self, cn: str, begin: int, end: int, minute_min: int) -> range:
        """Begins in the span of what is over: a day sent before its end would be the one that the platform keeps."""
        if not (self.has_equipment if cn == RUN_TIME else self.plan.entries_of(DUTY_OF[cn])):
            return range(0)
        step = {"2051": minute_min * MS_OF_MIN, "2061": HOUR_MS, "2031": DAY_MS, RUN_TIME: DAY_MS}[cn]
        offset_ms = self.utc_offset_min * MS_OF_MIN
        first = -(-(begin + offset_ms) // step) * step - offset_ms
        return range(first, min(end, self._clock.utc_ms() - step) + 1, step)

    def _readings(self, entries: Sequence[Entry], start: int, interval_s: int) -> list[Reading]:
        figures: dict[tuple[str, str], Figure] = {}
        end = start + interval_s * 1000
        if self.plan.rule_set is not None:
            for figure in self._figures.of_period(self.plan.plant, SHORT_TERM, start, end):
                if (figure.rule_set, figure.start_utc_ms, figure.end_utc_ms) == (self.plan.rule_set, start, end):
                    figures[figure.measurand, figure.layer] = figure
        averages = {entry.code: self._average(entry, interval_s, start) for entry in entries}
        flow = next((averages[entry.code] for entry in entries if entry.is_flow), None)
        flow_entry = next((entry for entry in entries if entry.is_flow), None)
        flow_m3 = None
        if flow is not None and flow_entry is not None:
            m3_s = _linear(flow_entry, flow.mean)
            flow_m3 = None if m3_s is None else m3_s * interval_s
        return [self._reading(entry, averages[entry.code], figures, flow_m3, interval_s) for entry in entries]

    def _reading(
        self,
        entry: Entry,
        average: Average | None,
        figures: dict[tuple[str, str], Figure],
        flow_m3: Fraction | None,
        interval_s: int,
    ) -> Reading:
        measured, rests_on = Triple(None, None, None), []
        figure = figures.get((entry.measurand, MEASURED))
        if figure is not None and figure.value is not None:
            measured = _triple(entry, figure.value, figure.minimum, figure.maximum)
            rests_on.append(id_of_figure(figure))
        elif average is not None:
            measured = _triple(entry, average.mean, average.minimum, average.maximum)
        if average is not None:
            rests_on.append(id_of_average(average))
        standardised = figures.get((entry.measurand, STANDARDISED))
        converted = None
        if standardised is not None and standardised.value is not None:
            mg_m3 = (standardised.value, standardised.minimum, standardised.maximum)
            converted = Triple(*(None if one is None else _exact(one) / entry.mg_per_m3 for one in mg_m3))
            rests_on.append(id_of_figure(standardised))
        total = None
        mass = figures.get((entry.measurand, MASS))
        if entry.is_flow:
            total = flow_m3
        elif mass is not None:  # what does not count by the rule set is substituted in other papers, and not said here
            if mass.value is not None and mass.is_valid:
                total = _exact(mass.value * _run_share(entry, mass)) * interval_s / HOUR_S  # kg/h while the plant ran
                rests_on.append(id_of_figure(mass))
        elif entry.measurand in self.plan.may_multiply and flow_m3 is not None and measured.mean is not None:
            total = measured.mean * entry.mg_per_m3 * flow_m3 * KG_PER_MG
        state = figures.get((FLOW_ID, FLOW)) or standardised or figure
        is_stopped = state is not None and state.state == STOPPED
        flag = self._flags.flag_of(STOPPED)[0] if is_stopped else self._flag(average)
        return Reading(entry, measured, converted, total, flag, tuple(rests_on))

    def _day(self, entries: Sequence[Entry], start: int) -> list[Reading]:
        hours = [self._readings(entries, start + hour * HOUR_MS, HOUR_S) for hour in range(DAY_HOURS)]
        return [self._day_of([hour[at] for hour in hours]) for at in range(len(entries))]

    def _day_of(self, hours: Sequence[Reading]) -> Reading:
        """One factor's day: from its valid hours, or from all that have values where none is valid."""
        counts = Counter(hour.flag for hour in hours)
        good = [hour for hour in hours if hour.flag == NORMAL and hour.measured.mean is not None]
        used = good or [hour for hour in hours if hour.measured.mean is not None]
        if len(good) >= VALID_HOURS:
            flag = NORMAL
        else:
            others = [one for one in counts if one != NORMAL]
            flag = max(others, key=lambda one: (counts[one], one), default=self._flags.flag_of("F")[0])
            if not self._by_cause and flag != self._flags.flag_of(STOPPED)[0]:
                flag = self._flags.flag_of("F")[0]
        totals = [hour.total for hour in hours if hour.total is not None]
        zs = [hour.converted for hour in used if hour.converted is not None]
        return Reading(
            hours[0].entry,
            _over([hour.measured for hour in used]),
            _over(zs) if zs else None,
            sum(totals, Fraction(0)) if totals else None,
            flag,
            tuple(one for hour in hours for one in hour.rests_on),
        )

    def _item(self, reading: Reading) -> Item:
        entry, found = reading.entry, {}
        code = entry.code
        total = None if reading.total is None or abs(reading.total) >= LARGEST else reading.total
        if total is not None and entry.is_flow:
            found[f"{code}-Cou"] = value_text(total, entry.decimals)
        elif total is not None and entry.mass_scale is not None:
            found[f"{code}-Cou"] = value_text(total * entry.mass_scale, MASS_DECIMALS)
        for prefix, triple in (("", reading.measured), ("Zs", reading.converted)):
            if triple is not None:
                values = (("Min", triple.low), ("Avg", triple.mean), ("Max", triple.high))
                for name, value in values:
                    if value is not None and abs(value) < LARGEST:
                        found[f"{code}-{prefix}{name}"] = value_text(value, entry.decimals)
        return found | {f"{code}-Flag": reading.flag}

    def _average(self, entry: Entry, interval_s: int, start: int) -> Average | None:
        """The newest revision; None where the channel has none, or measured in another unit then."""
        found = None
        for average in self._averages.newest(entry.source.device, interval_s, start):
            if average.channel == entry.source.channel and average.unit == entry.unit:
                found = average
        return found

    def _flag(self, average: Average | None) -> str:
        """Normal from three quarters of valid values on (reference: section 4.6, waste gas)."""
        if average is None:
            return self._flags.flag_of("L")[0]
        if average.mean is not None and 4 * average.n_valid >= 3 * average.n_expected:
            return self._flags.flag_of("V")[0]
        if not self._by_cause:
            return self._flags.flag_of("F")[0]
        counts: Counter[str] = Counter()
        for cause, count in average.n_invalid:
            counts[STATUS_LETTERS.get("exception" if cause.startswith("exception_") else cause, "F")] += count
        letter = max(counts, key=lambda one: (counts[one], one), default="L")
        return self._flags.flag_of(letter)[0]


def _exact(value: float) -> Fraction:
    """The shortest decimal that is this float64: what every other document shows of it."""
    return Fraction(Decimal(repr(value)))


def _linear(entry: Entry, value: float | None) -> Fraction | None:
    return None if value is None or not isfinite(value) else _exact(value) * entry.scale + entry.offset


def _run_share(entry: Entry, mass: Figure) -> float:
    """Of the term in which the plant ran: an hour's mass is that part of its kg/h, to the bit of
    documents/hours.py and of every daily mass."""
    n_run = mass.n_expected - dict(mass.n_invalid).get(RAN_NOT, 0)
    return n_run / ((mass.end_utc_ms - mass.start_utc_ms) // entry.slot_ms)


def _triple(entry: Entry, mean: float | None, low: float | None, high: float | None) -> Triple:
    return Triple(*(_linear(entry, one) for one in (mean, low, high)))


def _over(triples: Sequence[Triple]) -> Triple:
    means = [one.mean for one in triples if one.mean is not None]
    lows = [one.low for one in triples if one.low is not None]
    highs = [one.high for one in triples if one.high is not None]
    mean = sum(means, Fraction(0)) / len(means) if means else None
    return Triple(mean, min(lows, default=None), max(highs, default=None))
