"""Makes the materiality view of a site: every declared hour weighed in t CO2e and looked at for weaknesses.

An hour's tonnes are its kg (hours.py), less the biomass share, times the potential that the rule set names, all as
exact decimals: the tonnes that the statement declares, hour by hour.

    view = view_of(site_file, opened, period)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact

from plumeproof.documents.declared import Declared, DeclaredSource, Period, add, decimal_of, text_of
from plumeproof.documents.gwp_values import load_gwp_values
from plumeproof.documents.hours import MEASURED, MISSING, SUBSTITUTED, HourSource
from plumeproof.documents.materiality import (
    CALCULATED,
    DEFAULT_PCT,
    Materiality,
    Reason,
    SourceView,
    WeighedHour,
    account,
)
from plumeproof.documents.materiality import SUBSTITUTED as SUBSTITUTED_KIND
from plumeproof.documents.readiness_file import ReadinessFile, read_readiness
from plumeproof.documents.site import EmissionSource, SiteFile, decimal_text
from plumeproof.documents.site_time import days_of
from plumeproof.documents.statement_inputs import calculated
from plumeproof.documents.statement_plan import read_statement_plan
from plumeproof.documents.weaknesses import FACTOR, Readings, Watch, charts_of
from plumeproof.errors import ConfigError
from plumeproof.figure_desk import FigureDesk
from plumeproof.ledger_strips import LedgerStrips, Tick
from plumeproof.rules.figure import CO2E
from plumeproof.rules.gwp import load_gwp
from plumeproof.rules.plant import Measurand
from plumeproof.rules.rule_set import RuleSet
from plumeproof.section import list_of, text_like

EMISSION = "emission_factor"
SUBSTITUTED_TEXT = "no valid measurement: the rule set's substitute stands for it"
Weighed = tuple[SourceView, list[WeighedHour]]
_EXACT = Context(prec=1200, traps=[Inexact])


@dataclass(frozen=True, slots=True)
class Opened:
    """A plant with its ledger; `readings`: zero and span checks of a measurand."""

    desk: FigureDesk
    ledger: LedgerStrips
    readings: Readings


def threshold_of(site_file: SiteFile) -> tuple[Decimal, str]:
    """Per cent, and where it stands. Raises ConfigError."""
    section = site_file.section("verification")
    where = f"{site_file.path.name} [verification] quantitative_threshold_pct"
    if not section.has("quantitative_threshold_pct"):
        return (
            DEFAULT_PCT,
            "default: a public summary of (EU) 2025/2546; [verification] quantitative_threshold_pct sets another",
        )
    return section.value("quantitative_threshold_pct", decimal_text("0", "100"), DEFAULT_PCT), where


def view_of(
    site_file: SiteFile, plants: Mapping[str, Opened], period: Period, tick: Tick = lambda count: None
) -> Materiality:
    """Of all declared sources. `tick` is told of days that are read. Raises ConfigError, RuleError, StoreError."""
    if not site_file.site.sources:
        raise ConfigError(str(site_file.path), "declares no [[source]]; without one there are no tonnes to judge")
    own, threshold = read_readiness(site_file), threshold_of(site_file)[0]
    found = []
    for source in chosen_sources(site_file):
        opened = plants[site_file.site.outlet(source.outlet)[1].plant]
        found.append(weigh(source, opened, own, period, threshold, tick))
    offset_min = next(iter(plants.values())).desk.engine.plant.utc_offset_min
    found += weigh_activities(site_file, own, period, threshold, offset_min)
    return together(site_file, found, period)


def chosen_sources(site_file: SiteFile) -> tuple[EmissionSource, ...]:
    """What the statement counts: [statement] sources, or all. Raises ConfigError where a gas would count twice."""
    site = site_file.site
    wanted = site_file.section("statement").value("sources", list_of(text_like()), ())
    chosen = tuple(one for one in site.sources if not wanted or one.id in wanted)
    seen: dict[tuple[str, str], str] = {}
    for one in chosen:
        other = seen.setdefault((site.outlet(one.outlet)[1].plant, one.measurand), one.id)
        if other != one.id:
            told = f"is the gas of {other} again: it would count twice; choose with sources in [statement]"
            raise ConfigError(f"{site_file.path}: source {one.id}", told)
    return chosen


def weigh_activities(
    site_file: SiteFile, own: ReadinessFile, period: Period, threshold: Decimal, offset_min: int
) -> list[Weighed]:
    """The calculated emissions of [statement] in the period; each rests on its factor. Raises ConfigError."""
    if not site_file.has_table("statement.activity"):
        return []
    plan = read_statement_plan(site_file)
    values = load_gwp_values(plan.gwp, site_file.path.parent)
    first, last = days_of(*period, offset_min)
    found: list[Weighed] = []
    for activity in plan.activities:
        if activity.last < first or last < activity.first:
            continue
        one = calculated(activity, plan, values, period, offset_min)
        factor = next(entry for entry in plan.factors if entry.id == activity.factor)
        known = [entry for entry in own.factors if (entry.source, entry.what) == (activity.id, EMISSION)]
        is_known = any(
            entry.value == factor.value and entry.valid_from <= activity.first and activity.last <= entry.valid_to
            for entry in known
        )
        kinds = frozenset[str]() if is_known else frozenset({FACTOR})
        weighed = WeighedHour(activity.id, one.start_utc_ms, one.co2e_t, kinds, hours=0)
        told = f"{EMISSION} {text_of(factor.value)} ({factor.id}) is not confirmed"
        reason = Reason(FACTOR, told, 0, one.co2e_t, one.start_utc_ms, one.start_utc_ms)
        view = SourceView(
            activity.id,
            CALCULATED,
            one.gas,
            factor.id,
            f"{factor.source}, {factor.publication}",
            account([weighed], threshold),
            () if is_known else (reason,),
            (),
            0,
            0,
            (),
        )
        found.append((view, [weighed]))
    return found


def together(site_file: SiteFile, found: Sequence[Weighed], period: Period) -> Materiality:
    """What `weigh` has found of each source."""
    threshold, where = threshold_of(site_file)
    whole = account([hour for _, hours in found for hour in hours], threshold)
    return Materiality(period[0], period[1], tuple(view for view, _ in found), whole, where)


def greenhouse(source: EmissionSource, desk: FigureDesk) -> tuple[Measurand, RuleSet]:
    """What is declared, and by which rules. Raises ConfigError where that has no tonnes of CO2e."""
    plant = desk.engine.plant
    one = next((entry for entry in plant.measurands if entry.id == source.measurand), None)
    rules = next((entry for entry in desk.engine.rule_sets if entry.id == source.rule_set), None)
    where = f"source {source.id}"
    if rules is None:
        there = ", ".join(entry.id for entry in desk.engine.rule_sets)
        raise ConfigError(where, f"rule set {source.rule_set[:40]} is none of plant {plant.id}: {there}")
    if one is None:
        raise ConfigError(where, f"{source.measurand[:40]} is no measurand of plant {plant.id}")
    if one.greenhouse_gas is None:
        raise ConfigError(where, f"{one.id} is no greenhouse gas by plant {plant.id}; set greenhouse_gas there")
    if rules.settings.gwp is None:
        raise ConfigError(where, f"rule set {rules.id} makes no CO2e; name one that does, such as eu_mrr")
    return one, rules


def weigh(
    source: EmissionSource, opened: Opened, own: ReadinessFile, period: Period, threshold: Decimal, tick: Tick
) -> Weighed:
    """One declared source: its view, and its hours. Raises ConfigError, RuleError, StoreError."""
    desk, plant = opened.desk, opened.desk.engine.plant
    one, rules = greenhouse(source, desk)
    charts = charts_of(one, rules.settings, opened.readings, period[1])
    mine = [factor for factor in own.factors if factor.source == source.id]
    watch = Watch(plant, one, rules.settings, charts, own.cylinders, mine)
    assert rules.settings.gwp is not None  # seen by greenhouse
    potential = decimal_of(load_gwp().of_set(rules.settings.gwp, str(one.greenhouse_gas)).value)
    fossil = _EXACT.subtract(Decimal(1), decimal_of(one.biomass_share_pct).scaleb(-2))
    weight = _EXACT.multiply(fossil, potential).scaleb(-3)  # t CO2e of a kg
    hours: list[WeighedHour] = []
    reasons: dict[tuple[str, str], list[WeighedHour]] = {}
    missing = measured = 0
    for hour in HourSource(desk, opened.ledger, tick).of_period(one.id, rules.id, period):
        if hour.kg is None:
            missing += hour.status == MISSING
            continue
        measured += hour.status == MEASURED
        found = [(SUBSTITUTED_KIND, SUBSTITUTED_TEXT)] if hour.status == SUBSTITUTED else []
        found += watch.of_hour(hour.start_utc_ms) if hour.kg else []  # a plant that stands still rests on nothing
        kinds = frozenset(kind for kind, _ in found)
        hours.append(WeighedHour(source.id, hour.start_utc_ms, _EXACT.multiply(hour.kg, weight), kinds))
        for key in dict.fromkeys(found):
            reasons.setdefault(key, []).append(hours[-1])
    declared: tuple[Declared, ...] = tuple(
        DeclaredSource(desk, opened.ledger).of_period(one.id, CO2E, rules.id, period)
    )
    view = SourceView(
        source.id,
        plant.id,
        one.id,
        rules.id,
        f"version {rules.version}, {rules.status}",
        account(hours, threshold),
        tuple(
            Reason(
                kind,
                text,
                len(own_hours),
                add([one.tonnes for one in own_hours]),
                own_hours[0].start_utc_ms,
                own_hours[-1].start_utc_ms,
            )
            for (kind, text), own_hours in reasons.items()
        ),
        declared,
        measured,
        missing,
        watch.not_judged,
    )
    return view, hours
