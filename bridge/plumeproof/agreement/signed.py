"""What each tongue must say of an hour: the signed figure, converted by exact decimals and rounded once.

Nothing here is taken from the code that writes a tongue but the plan of a link (which factor is which channel in which
unit). The number of a float64 is its shortest decimal. Rounding is that which each tongue's own page states:

    statement   kg with all digits; t with six, half away from zero (DIN 1333)
    CBAM        t with six, half away from zero; g/m3 and m3/h with all digits
    HJ 212      decimals of the factor's format, masses in kg with three, a tie to the even digit (GB/T 8170)
    API         all digits
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING, Protocol

from plumeproof.agreement.said import API, FIGURE, FLAG, HJ212, STATEMENT, STATUS
from plumeproof.figure_ids import id_of_average, id_of_figure
from plumeproof.model import Average
from plumeproof.rules.figure import FLOW, FLOW_ID, MASS, MEASURED, STANDARDISED, Figure
from plumeproof.rules.hj212_flags import STOPPED, load_flags
from plumeproof.rules.status import STATUS_LETTERS

if TYPE_CHECKING:  # the engine behind them takes its second to load; the service needs no more than their shape
    from plumeproof.documents.hours import Hour
    from plumeproof.hj212_link import Entry, LinkPlan

HOUR_S, HOUR_MS = 3600, 3_600_000
TONNES_DECIMALS, MASS_DECIMALS = 6, 3
HOUR_MEASURED, HOUR_DUTY = "measured", "hour"  # words of documents/hours.py and of site.toml
LARGEST = 10**15  # HJ 212: what is larger is no measurement and is not said (bridge/HJ212.md)
_DIGITS = Context(prec=1200)  # of any float64 written out

Subject = tuple[str, ...]
AveragesOf = Callable[[str, int, int], Sequence[Average]]  # (module, interval in s, begin): newest of each channel
FiguresOf = Callable[[str, int, int], Sequence[Figure]]  # (plant, begin, end): newest short terms
DueOf = Callable[[tuple[int, int]], set[tuple[Subject, int]]]
HourOf = Callable[[str, int], "Hour | None"]  # (measurand, begin) where a declared source is the link's own mass


@dataclass(frozen=True, slots=True)
class Signed:
    """`value`: a number, or words; None: there is none. `decimals`: digits that the tongue writes, None: all of them.
    `trace`: the id that `plumeproof trace` opens."""

    value: Decimal | str | None
    decimals: int | None
    trace: str


class Account(Protocol):
    """Of one tongue."""

    tongue: str

    def of(self, subject: Subject, start_utc_ms: int) -> Mapping[str, Signed] | None:
        """Every quantity that must be said of this hour; None: nothing signed stands behind the subject."""

    def due(self, period: tuple[int, int]) -> set[tuple[Subject, int]]:
        """What there is to say of hours that begin in [start, end)."""

    def forget(self) -> None:
        """The ledger may have changed since it was last asked."""


class HourAccount:
    """Of the statement's and the CBAM document's hours, by source."""

    def __init__(self, tongue: str, hours: Mapping[tuple[str, int], Hour]) -> None:
        self.tongue, self._hours = tongue, hours

    def of(self, subject: Subject, start_utc_ms: int) -> Mapping[str, Signed] | None:
        """As Account.of."""
        hour = self._hours.get((subject[0], start_utc_ms))
        if hour is None:
            return None
        trace = hour.figure_id
        tonnes = None if hour.kg is None else rounded(Fraction(hour.kg) / 1000, TONNES_DECIMALS, is_even=False)
        found = {
            "mass_t": Signed(tonnes, TONNES_DECIMALS, trace),
            STATUS: Signed(hour.status, None, trace),
            FIGURE: Signed(trace or None, None, trace),
        }
        if self.tongue == STATEMENT:
            return found | {"mass_kg": Signed(hour.kg, None, trace)}
        g_m3 = None if hour.mg_m3 is None else hour.mg_m3.scaleb(-3, _DIGITS)
        found["concentration_g_per_Nm3"] = Signed(g_m3, None, trace)
        return found | {"flow_Nm3_per_h": Signed(hour.m3_h, None, trace)}

    def due(self, period: tuple[int, int]) -> set[tuple[Subject, int]]:
        """As Account.due."""
        return {((source,), start) for source, start in self._hours if period[0] <= start < period[1]}

    def forget(self) -> None:
        """As Account.forget: the hours were handed over."""


class AverageAccount:
    """Of reports to a platform: averages as they are."""

    tongue = API

    def __init__(self, averages: AveragesOf, due: DueOf = lambda period: set()) -> None:
        """`due`: what a platform must be told of."""
        self._averages, self._due = averages, due
        self._last: tuple[tuple[str, int, int], Sequence[Average]] | None = None

    def of(self, subject: Subject, start_utc_ms: int) -> Mapping[str, Signed] | None:
        """As Account.of."""
        device, channel, interval = subject
        asked = (device, int(interval), start_utc_ms)
        if self._last is None or self._last[0] != asked:  # the channels of a module are asked for one after the other
            self._last = (asked, self._averages(*asked))
        one = next((one for one in self._last[1] if one.channel == channel), None)
        if one is None:
            return None
        trace = id_of_average(one)
        numbers = {"mean": one.mean, "minimum": one.minimum, "maximum": one.maximum, "deviation": one.deviation}
        found = {name: Signed(_decimal(value), None, trace) for name, value in numbers.items()}
        found |= {
            "expected": Signed(Decimal(one.n_expected), 0, trace),
            "valid": Signed(Decimal(one.n_valid), 0, trace),
        }
        found |= {"unit": Signed(one.unit, None, trace), "quantity": Signed(one.quantity, None, trace)}
        causes = ",".join(f"{cause}={count}" for cause, count in sorted(one.n_invalid))
        return found | {"invalid": Signed(causes, None, trace)}

    def due(self, period: tuple[int, int]) -> set[tuple[Subject, int]]:
        """As Account.due."""
        return self._due(period)

    def forget(self) -> None:
        """As Account.forget."""
        self._last = None


class LinkAccount:
    """Of one HJ 212 link's hour messages."""

    tongue = HJ212

    def __init__(
        self, plan: LinkPlan, by_cause: bool, averages: AveragesOf, figures: FiguresOf, hour_of: HourOf | None = None
    ) -> None:
        """`by_cause`: the link's interval_flags. `hour_of`: declared hours by the link's own rule set, whose mass
        is the packet's."""
        self._plan, self._by_cause = plan, by_cause
        self._averages, self._figures, self._hour_of = averages, figures, hour_of
        self._entries = {entry.code: entry for entry in plan.entries_of(HOUR_DUTY)}
        self._flags = load_flags()
        self._last: tuple[int, dict[str, dict[str, Signed]]] | None = None

    def of(self, subject: Subject, start_utc_ms: int) -> Mapping[str, Signed] | None:
        """As Account.of."""
        mn, code = subject
        if mn != self._plan.mn or code not in self._entries:
            return None
        return self._at(start_utc_ms).get(code)

    def status_of(self, subject: Subject, start_utc_ms: int) -> str | None:
        """Of the hour of the declared source that this factor's mass is; None where it is none's."""
        entry = self._entries.get(subject[1]) if subject[0] == self._plan.mn else None
        if entry is None or not entry.measurand or self._hour_of is None:
            return None
        hour = self._hour_of(entry.measurand, start_utc_ms)
        return None if hour is None else hour.status

    def due(self, period: tuple[int, int]) -> set[tuple[Subject, int]]:
        """As Account.due: hours of which anything is known."""
        found = set[tuple[Subject, int]]()
        for start in range(-(-period[0] // HOUR_MS) * HOUR_MS, period[1], HOUR_MS):
            if any(one.trace for quantities in self._at(start).values() for one in quantities.values()):
                found |= {((self._plan.mn, code), start) for code in self._entries}
        return found

    def forget(self) -> None:
        """As Account.forget."""
        self._last = None

    def _at(self, start: int) -> dict[str, dict[str, Signed]]:
        """Of all factors of one hour."""
        if self._last is None or self._last[0] != start:
            self._last = (start, self._of_hour(start))
        return self._last[1]

    def _of_hour(self, start: int) -> dict[str, dict[str, Signed]]:
        plan, figures = self._plan, dict[tuple[str, str], Figure]()
        if plan.rule_set is not None:
            for one in self._figures(plan.plant, start, start + HOUR_MS):
                if (one.rule_set, one.start_utc_ms, one.end_utc_ms) == (plan.rule_set, start, start + HOUR_MS):
                    figures[one.measurand, one.layer] = one
        averages = {code: self._average(entry, start) for code, entry in self._entries.items()}
        flow_m3: Fraction | None = None
        for code, entry in self._entries.items():
            average = averages[code]
            if entry.is_flow and average is not None and (m3_s := _in_unit(entry, average.mean)) is not None:
                flow_m3 = m3_s * HOUR_S
        return {
            code: self._of_factor(entry, averages[code], figures, flow_m3, start)
            for code, entry in self._entries.items()
        }

    def _of_factor(
        self,
        entry: Entry,
        average: Average | None,
        figures: Mapping[tuple[str, str], Figure],
        flow_m3: Fraction | None,
        start: int,
    ) -> dict[str, Signed]:
        own = "" if average is None else id_of_average(average)
        measured = figures.get((entry.measurand, MEASURED))
        found: dict[str, Signed] = {}
        values: tuple[float | None, float | None, float | None]
        if measured is not None and measured.value is not None:
            trace, values = id_of_figure(measured), (measured.minimum, measured.value, measured.maximum)
        else:
            trace = own
            values = (None, None, None) if average is None else (average.minimum, average.mean, average.maximum)
        for name, value in zip(("Min", "Avg", "Max"), values, strict=True):
            exact = _in_unit(entry, value)
            if exact is not None and abs(exact) < LARGEST:
                found[name] = Signed(rounded(exact, entry.decimals, is_even=True), entry.decimals, trace)
        mean = _in_unit(entry, values[1])
        standardised = figures.get((entry.measurand, STANDARDISED))
        if standardised is not None and standardised.value is not None:
            trace = id_of_figure(standardised)
            for name, value in (
                ("ZsMin", standardised.minimum),
                ("ZsAvg", standardised.value),
                ("ZsMax", standardised.maximum),
            ):
                if value is not None:
                    exact = Fraction(Decimal(repr(value))) / entry.mg_per_m3
                    if abs(exact) >= LARGEST:
                        continue
                    found[name] = Signed(rounded(exact, entry.decimals, is_even=True), entry.decimals, trace)
        total = self._total(entry, own, mean, figures.get((entry.measurand, MASS)), flow_m3, start)
        if total is not None:
            found["Cou"] = total
        state = figures.get((FLOW_ID, FLOW)) or standardised or measured
        is_stopped = state is not None and state.state == STOPPED
        flag = self._flags.flag_of(STOPPED)[0] if is_stopped else self._flag(average)
        return found | {FLAG: Signed(flag, None, own)}

    def _total(
        self,
        entry: Entry,
        own: str,
        mean: Fraction | None,
        mass: Figure | None,
        flow_m3: Fraction | None,
        start: int,
    ) -> Signed | None:
        """Cou: m3 of a flow, kg of a pollutant."""
        if entry.is_flow:
            if flow_m3 is None or abs(flow_m3) >= LARGEST:
                return None
            return Signed(rounded(flow_m3, entry.decimals, is_even=True), entry.decimals, own)
        kg, trace = None, own
        if mass is not None:
            trace = id_of_figure(mass)
            if mass.value is not None and mass.is_valid:
                ran = (mass.n_expected - dict(mass.n_invalid).get("stopped", 0)) / (HOUR_MS // entry.slot_ms)
                kg = Fraction(Decimal(repr(mass.value * ran)))  # the very float64 of the plant's daily masses
            hour = self._hour_of(entry.measurand, start) if self._hour_of is not None else None
            if hour is not None and hour.kg is not None and hour.status == HOUR_MEASURED:
                kg, trace = Fraction(hour.kg), hour.figure_id
        elif entry.measurand in self._plan.may_multiply and flow_m3 is not None and mean is not None:
            kg = mean * entry.mg_per_m3 * flow_m3 / 10**6
        if kg is None or entry.mass_scale is None or abs(kg) >= LARGEST:
            return None
        return Signed(rounded(kg * entry.mass_scale, MASS_DECIMALS, is_even=True), MASS_DECIMALS, trace)

    def _average(self, entry: Entry, start: int) -> Average | None:
        found = self._averages(entry.source.device, HOUR_S, start)
        return next((one for one in found if (one.channel, one.unit) == (entry.source.channel, entry.unit)), None)

    def _flag(self, average: Average | None) -> str:
        """N from three quarters of valid values on (reference: reporting-interfaces section 4.6, waste gas)."""
        if average is None:
            return self._flags.flag_of("L")[0]
        if average.mean is not None and average.n_valid * 4 >= average.n_expected * 3:
            return self._flags.flag_of("V")[0]
        letters: Counter[str] = Counter()
        if self._by_cause:
            for cause, count in average.n_invalid:
                letters[STATUS_LETTERS.get("exception" if cause.startswith("exception_") else cause, "F")] += count
        most = max(letters, key=lambda one: (letters[one], one), default="L" if self._by_cause else "F")
        return self._flags.flag_of(most)[0]


def rounded(exact: Fraction, decimals: int, is_even: bool) -> Decimal:
    """Once; a tie to the even digit, or away from zero."""
    scaled = exact * 10**decimals
    whole = round(scaled) if is_even else int(abs(scaled) + Fraction(1, 2)) * (-1 if scaled < 0 else 1)
    return Decimal(whole).scaleb(-decimals, _DIGITS)


def _decimal(value: float | None) -> Decimal | None:
    return None if value is None or not isfinite(value) else Decimal(repr(value))


def _in_unit(entry: Entry, value: float | None) -> Fraction | None:
    found = _decimal(value)
    return None if found is None else Fraction(found) * entry.scale + entry.offset
