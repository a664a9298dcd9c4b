"""The measurement-based method of a source: its declared tonnes, and what has to stand beside them.

Annual average hourly emission, tier, uncertainty, corroborating calculation, quality assurance (EN 14181) and the hours
that were substituted, from the figures that the bridge made ((EU) 2018/2066 Art. 40 to 46, annex VIII; that CBAM's
definitive period asks for the same was not seen in its text: rule set cbam_2026).

    read = MeasuredReader(declared, hours, plant); one = read.source(source, share, periods, offset_min)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from plumeproof.cbam.attribution import divide
from plumeproof.cbam.entries import Corroboration
from plumeproof.documents.declared import Declared, DeclaredSource, add, multiply, pieces_of, text_of
from plumeproof.documents.hours import MISSING, STOPPED, SUBSTITUTED, Hour, HourSource
from plumeproof.documents.site import EmissionSource
from plumeproof.documents.site_time import time_text
from plumeproof.errors import ConfigError
from plumeproof.rules.figure import CO2E, STANDARDISED
from plumeproof.rules.figure import SUBSTITUTED as MASS_T
from plumeproof.rules.plant import Measurand, Plant
from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.tiers import TierJudgement, judge_tier

RATE_DECIMALS = 3  # of kg/h and m3/h
MEAN_DECIMALS = 6  # of g/m3
PCT_DECIMALS = 2
HOUR_MS = 3_600_000
KG_PER_T = Decimal(1000)
HUNDRED = Decimal(100)
STREAMS = ("CO2", "N2O")  # that have tiers


@dataclass(frozen=True, slots=True)
class Gap:
    """Consecutive hours of one kind. `kg`: of the gas, substituted; None: in no total."""

    start_utc_ms: int
    end_utc_ms: int
    status: str
    kg: Decimal | None


@dataclass(frozen=True, slots=True)
class Measured:
    """`co2e` and `mass`: of each year or month; `means`: concentrations of them. `mean_kg_h`: of the gas, over the
    operating hours; `mean_g_m3`, `mean_m3_h`: of the same hours, as they make the mass; None where there is none.
    `tier`: None where no uncertainty is stated."""

    source: EmissionSource
    plant: Plant
    measurand: Measurand
    rules: RuleSet
    co2e: tuple[Declared, ...]
    mass: tuple[Declared, ...]
    means: tuple[Declared, ...]
    t_co2e: Decimal
    t_gas: Decimal
    hours_op: int
    mean_kg_h: Decimal | None
    uncertainty_pct: Decimal | None
    tier: TierJudgement | None
    corroboration: Corroboration | None
    difference_pct: Decimal | None
    hours: tuple[Hour, ...]
    mean_g_m3: Decimal | None
    mean_m3_h: Decimal | None
    gaps: tuple[Gap, ...]
    biomass_evidence: str

    @property
    def is_closed(self) -> bool:
        """Whether the bridge has stored all of it."""
        return all(one.is_closed for one in self.co2e)

    @property
    def hours_missing(self) -> int:
        """Hours that are in no total: without a record, without flow, or with nothing to substitute from."""
        return sum(hour.status == MISSING for hour in self.hours)

    @property
    def hours_substituted(self) -> int:
        """Of the operating hours."""
        return sum(dict(one.figure.n_invalid).get("substituted", 0) for one in self.mass)

    def quality_references(self) -> list[tuple[str, str]]:
        """(what, words) of EN 14181 as the plant description has them."""
        found = []
        for calibration in self.measurand.calibrations:
            begins = time_text(calibration.begins, self.plant.utc_offset_min)
            day = "" if calibration.qal2_on is None else f" of {calibration.qal2_on}"
            told = f"{calibration.id}{day}, in force from {begins}: y = {calibration.a!r} + {calibration.b!r} x"
            found.append(("QAL2", told))
        for test in self.measurand.tests:
            found.append((test.what, f"{test.on.isoformat()}, {test.result}"))
        if self.measurand.qal3 is not None:
            found.append(("QAL3", f"{self.measurand.qal3.kind}, every {self.measurand.qal3.interval_days} days"))
        names = ", ".join(component.name for component in self.measurand.uncertainty)
        return [*found, ("uncertainty", names)] if names else found


class MeasuredReader:
    """Sources of one plant. Raises ConfigError, StoreError, RuleError."""

    def __init__(self, declared: DeclaredSource, hours: HourSource, plant: Plant) -> None:
        self._declared, self._hours, self._plant = declared, hours, plant

    def source(
        self,
        source: EmissionSource,
        biomass_evidence: str,
        period: tuple[int, int],
        corroboration: Corroboration | None,
    ) -> Measured:
        """All that is known of it in a period."""
        measurand = next(one for one in self._plant.measurands if one.id == source.measurand)
        where = f"source {source.id}"
        if measurand.biomass_share_pct and not biomass_evidence:
            told = f"{measurand.biomass_share_pct:g} % of its CO2 is zero-rated as biomass without evidence"
            raise ConfigError(where, f"{told}; name it as biomass_evidence, or take biomass_share_pct away")
        co2e = tuple(self._declared.of_period(source.measurand, CO2E, source.rule_set, period))
        mass = tuple(self._declared.of_period(source.measurand, MASS_T, source.rule_set, period))
        rules = next(one for one in self._declared.desk.engine.rule_sets if one.id == source.rule_set)
        offset = self._declared.desk.engine.offset_min(rules)
        hours = tuple(self._hours.of_period(source.measurand, source.rule_set, period))
        for _, start, end in pieces_of(period, offset):
            has_stood = any(hour.status == STOPPED and start <= hour.start_utc_ms < end for hour in hours)
            for found in (co2e, mass):
                own = [one for one in found if one.figure.start_utc_ms == start]
                if not own or (own[0].value is None and not has_stood):  # a standstill has no tonnes, and is no gap
                    span = f"{time_text(start, offset)} to {time_text(end, offset)}"
                    told = f"has no tonnes of {source.measurand} by {source.rule_set} from {span}"
                    raise ConfigError(where, f"{told}; choose another period, or see `plumeproof average`")
        t_co2e, t_gas = (add([one.value for one in found if one.value is not None]) for found in (co2e, mass))
        hours_op = sum(one.figure.n_valid + dict(one.figure.n_invalid).get("substituted", 0) for one in mass)
        pct = _uncertainty_pct(mass, t_gas)
        tier = None
        if pct is not None and measurand.greenhouse_gas in STREAMS:
            tier = judge_tier(measurand.greenhouse_gas, float(pct), measurand.tier)
        return Measured(
            source=source,
            plant=self._plant,
            measurand=measurand,
            rules=rules,
            co2e=co2e,
            mass=mass,
            means=tuple(
                one for one in self._declared.of_period(source.measurand, STANDARDISED, source.rule_set, period)
            ),
            t_co2e=t_co2e,
            t_gas=t_gas,
            hours_op=hours_op,
            mean_kg_h=divide(multiply(t_gas, KG_PER_T), Decimal(hours_op), RATE_DECIMALS) if hours_op else None,
            uncertainty_pct=pct,
            tier=tier,
            corroboration=corroboration,
            difference_pct=_difference_pct(t_gas, corroboration),
            hours=hours,
            mean_g_m3=_mean([one.mg_m3.scaleb(-3) for one in hours if one.mg_m3 is not None], MEAN_DECIMALS),
            mean_m3_h=_mean([one.m3_h for one in hours if one.m3_h is not None], RATE_DECIMALS),
            gaps=tuple(_gaps(hours)),
            biomass_evidence=biomass_evidence,
        )


def _mean(numbers: Sequence[Decimal], decimals: int) -> Decimal | None:
    return divide(add(numbers), Decimal(len(numbers)), decimals) if numbers else None


def _uncertainty_pct(mass: Sequence[Declared], t_gas: Decimal) -> Decimal | None:
    """Of the whole period, where one figure is the whole of it: how the parts of several go together nobody stated."""
    if len(mass) != 1 or mass[0].uncertainty is None or not t_gas > 0:
        return None
    return divide(multiply(mass[0].uncertainty, HUNDRED), t_gas, PCT_DECIMALS)


def _difference_pct(t_gas: Decimal, corroboration: Corroboration | None) -> Decimal | None:
    if corroboration is None or not t_gas > 0:
        return None
    return divide(multiply(add([t_gas, corroboration.t_gas.copy_negate()]), HUNDRED), t_gas, PCT_DECIMALS)


def _gaps(hours: Sequence[Hour]) -> list[Gap]:
    found: list[Gap] = []
    for hour in hours:
        if hour.status not in (SUBSTITUTED, MISSING):
            continue
        end = hour.start_utc_ms + HOUR_MS
        last = found[-1] if found else None
        if last is not None and last.end_utc_ms == hour.start_utc_ms and last.status == hour.status:
            kg = None if last.kg is None or hour.kg is None else add([last.kg, hour.kg])
            found[-1] = Gap(last.start_utc_ms, end, last.status, kg)
        else:
            found.append(Gap(hour.start_utc_ms, end, hour.status, hour.kg))
    return found


def ids_of(declared: Sequence[Declared]) -> str:
    """Of figures, for people."""
    return " ".join(one.id for one in declared)


def value_text(one: Declared) -> str:
    """A figure's number; "" for none."""
    return "" if one.value is None else text_of(one.value)
