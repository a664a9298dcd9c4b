"""What a statement's numbers are added from: of every source and month or year the declared figure, or an activity.

CO2 counts with its CO2e figure, the fossil part that the averaging has made by the plant description of its time; what
the mass is more than it is biogenic and stands apart. Other gases count with their mass times the statement's own
potential, in exact decimals: the averaging's CO2e follows what its regime uses. Uncertainties are the figures'
own (JCGM 100, k = 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path

from plumeproof.documents.declared import Declared, DeclaredSource, Period, add, decimal_of, pieces_of
from plumeproof.documents.gwp_values import GwpValues
from plumeproof.documents.hours import HourSource
from plumeproof.documents.site import EmissionSource, Site
from plumeproof.documents.site_time import days_of, time_text
from plumeproof.documents.statement_plan import Activity, StatementPlan
from plumeproof.errors import ConfigError
from plumeproof.rules.figure import CO2E, SUBSTITUTED, Figure
from plumeproof.rules.plant import Measurand

COVERAGE_FACTOR = 2
UNCERTAINTY_STEP = Decimal("0.000001")  # of a tonne: a gram
_EXACT = Context(prec=1200)
_ROOT = Context(prec=50)  # of square roots, before UNCERTAINTY_STEP; the same digits on every machine


@dataclass(frozen=True, slots=True)
class StatementInput:
    """`mass_t` of the gas, None where a factor gives CO2e; `biogenic_t`: biogenic CO2 in it, not in `co2e_t`.
    `uncertainty_t` of `co2e_t`, expanded, and `common_t` of it what all figures of a plant share; None: not known.
    `potential`: what (mass less biogenic) was multiplied by, None where a factor gives CO2e. `rule_set`: by which the
    figure was made, with its status.
    `figures`: ids of the figures, that of the CO2e first; `figure`: the one that was counted, None of an activity."""

    name: str
    source: str
    category: int
    gas: str
    start_utc_ms: int
    end_utc_ms: int
    mass_t: Decimal | None
    potential: Decimal | None
    co2e_t: Decimal
    biogenic_t: Decimal
    uncertainty_t: Decimal | None
    common_t: Decimal
    figures: tuple[str, ...]
    figure: Figure | None
    is_closed: bool
    rule_set: str = ""
    activity: Activity | None = None

    @property
    def plant(self) -> str:
        """Whose figure it is; an activity is by itself."""
        return self.figure.plant if self.figure is not None else f"activity {self.name}"


@dataclass(frozen=True, slots=True)
class Gap:
    """A month or year of a source that has no figure."""

    source: str
    start_utc_ms: int
    end_utc_ms: int


@dataclass(frozen=True, slots=True)
class Coverage:
    """Clock hours of a measured source in the statement's period, and those of which no record has a slot."""

    source: str
    hours: int
    without_record: int


@dataclass(frozen=True, slots=True)
class StatementInputs:
    """In the order of sources and periods."""

    inputs: tuple[StatementInput, ...]
    gaps: tuple[Gap, ...]
    coverage: tuple[Coverage, ...]

    @property
    def open_inputs(self) -> tuple[StatementInput, ...]:
        """Whose periods still run: later records may change them."""
        return tuple(one for one in self.inputs if not one.is_closed)


def gather(
    site: Site,
    plan: StatementPlan,
    values: GwpValues,
    declared: Mapping[str, DeclaredSource],
    hours: Mapping[str, HourSource],
    period: Period,
) -> StatementInputs:
    """`declared`, `hours`: by plant. Raises ConfigError: one line, what is missing and where."""
    inputs: list[StatementInput] = []
    gaps: list[Gap] = []
    coverage: list[Coverage] = []
    offset_min = next(iter(declared.values())).desk.engine.plant.utc_offset_min
    chosen = [one for one in site.sources if not plan.sources or one.id in plan.sources]
    if not chosen and not plan.activities:
        raise ConfigError("[[source]]", "there is none: a statement needs at least one source")
    _refuse_doubles(site, chosen)
    for source in chosen:
        plant = site.outlet(source.outlet)[1].plant
        measured = list(_measured(source, plan, values, declared[plant], period))
        if not measured:
            told = f"{time_text(period[0], offset_min)} to {time_text(period[1], offset_min)}"
            raise ConfigError(f"source {source.id}", f"plant {plant} has no figure of {source.measurand} in {told}")
        inputs += measured
        known = [one.figure_id != "" for one in hours[plant].of_period(source.measurand, source.rule_set, period)]
        coverage.append(Coverage(source.id, len(known), known.count(False)))
        there = {(one.start_utc_ms, one.end_utc_ms) for one in measured}
        for _, start, end in pieces_of(period, offset_min):
            gaps += [] if (start, end) in there else [Gap(source.id, start, end)]
    for activity in plan.activities:
        inputs.append(calculated(activity, plan, values, period, offset_min))
    return StatementInputs(tuple(inputs), tuple(gaps), tuple(coverage))


def potential_of(gas: str, plan: StatementPlan, values: GwpValues) -> Decimal:
    """t CO2e per t. Raises ConfigError where the table has none."""
    name = plan.methane if gas == "CH4" else gas
    if name not in values.values:
        raise ConfigError(f"potentials {values.id}", f"have no {name}; they have {', '.join(values.values)}")
    return values.values[name]


def combined(inputs: Sequence[StatementInput]) -> Decimal | None:
    """Expanded uncertainty of the sum: what the figures of a plant share adds up (two gases may share less), all else
    adds in squares. None where one of them has none."""
    if not inputs or any(one.uncertainty_t is None for one in inputs):
        return None
    squares = Decimal(0)
    for plant in dict.fromkeys(one.plant for one in inputs):
        own = [one for one in inputs if one.plant == plant]
        shared = add([one.common_t for one in own])
        squares += _ROOT.multiply(shared, shared)
        for one in own:
            assert one.uncertainty_t is not None
            whole, common = one.uncertainty_t, one.common_t
            squares += max(Decimal(0), _ROOT.subtract(_ROOT.multiply(whole, whole), _ROOT.multiply(common, common)))
    return _ROOT.sqrt(squares).quantize(UNCERTAINTY_STEP, ROUND_HALF_EVEN, _ROOT)


def refuse_not_final(path: Path, plan: StatementPlan, found: StatementInputs) -> None:
    """A final statement rests on closed periods and on evidence."""
    if plan.status != "final":
        return
    where = f"{path}: statement.status"
    for one in found.open_inputs:
        raise ConfigError(
            where, f'is final, and {one.figures[0]} still runs; write "draft", or wait until it is closed'
        )
    for gap in found.gaps:
        raise ConfigError(
            where, f'is final, and source {gap.source} has a month or year without a figure; write "draft"'
        )
    if not plan.evidence:
        raise ConfigError(where, "is final, and no [[evidence]] is named; write its files into site.toml")


def _refuse_doubles(site: Site, sources: Sequence[EmissionSource]) -> None:
    """The same gas of the same plant, by two rule sets or at two outlets, would be counted twice."""
    seen: dict[tuple[str, str], str] = {}
    for one in sources:
        key = (site.outlet(one.outlet)[1].plant, one.measurand)
        if (other := seen.setdefault(key, one.id)) != one.id:
            told = f"is {one.measurand} of plant {key[0]}, and so is {other}: it would count twice"
            raise ConfigError(f"source {one.id}", f'{told}; choose with sources = ["{other}"] in [statement]')


def _measured(
    source: EmissionSource, plan: StatementPlan, values: GwpValues, declared: DeclaredSource, period: Period
) -> Iterator[StatementInput]:
    plant = declared.desk.engine.plant
    one = next(own for own in plant.measurands if own.id == source.measurand)
    if one.greenhouse_gas is None:
        mend = "write greenhouse_gas in its plant description, or choose with sources in [statement]"
        raise ConfigError(f"source {source.id}", f"{one.id} of plant {plant.id} is no greenhouse gas; {mend}")
    potential = potential_of(one.greenhouse_gas, plan, values)
    asked = (source.measurand, CO2E, source.rule_set, period)
    co2e = {(own.figure.start_utc_ms, own.figure.end_utc_ms): own for own in declared.of_period(*asked)}
    rules = next(own for own in declared.desk.engine.rule_sets if own.id == source.rule_set)
    told = f"{rules.id} {rules.version} [{rules.status}] {rules.title}"
    for mass in declared.of_period(source.measurand, SUBSTITUTED, source.rule_set, period):
        if mass.value is not None:
            fossil = co2e.get((mass.figure.start_utc_ms, mass.figure.end_utc_ms))
            yield _of_figures(source, one, potential, mass, fossil, told)


def _of_figures(
    source: EmissionSource, one: Measurand, potential: Decimal, mass: Declared, co2e: Declared | None, rules: str
) -> StatementInput:
    gas, mass_t = str(one.greenhouse_gas), mass.value
    assert mass_t is not None
    counted, biogenic_t, factor = mass, Decimal(0), potential
    if gas == "CO2" and co2e is not None and co2e.value is not None:
        counted, biogenic_t = co2e, _EXACT.subtract(mass_t, co2e.value)
    elif gas == "CO2":  # a rule set without potentials makes no CO2e: the share of the description as it is today
        share = decimal_of(one.biomass_share_pct).scaleb(-2)
        biogenic_t, factor = _EXACT.multiply(mass_t, share), _EXACT.subtract(Decimal(1), share)
    figure = counted.figure
    common = decimal_of(figure.uncertainty_common) if figure.uncertainty_common is not None else Decimal(0)
    return StatementInput(
        name=f"{source.id}:{mass.id.split('/')[4]}",
        source=source.id,
        category=source.category,
        gas=gas,
        start_utc_ms=figure.start_utc_ms,
        end_utc_ms=figure.end_utc_ms,
        mass_t=mass_t,
        potential=potential,
        co2e_t=_EXACT.multiply(_EXACT.subtract(mass_t, biogenic_t), potential),
        biogenic_t=biogenic_t,
        uncertainty_t=None if counted.uncertainty is None else _EXACT.multiply(counted.uncertainty, factor),
        common_t=_EXACT.multiply(common, factor),
        figures=tuple(dict.fromkeys((counted.id, mass.id))),
        figure=figure,
        is_closed=counted.is_closed and mass.is_closed,
        rule_set=rules,
    )


def calculated(
    one: Activity, plan: StatementPlan, values: GwpValues, period: Period, offset_min: int
) -> StatementInput:
    """Amount times factor, exactly. Raises ConfigError where its days lie outside of the period."""
    first, last = days_of(*period, offset_min)
    if one.first < first or last < one.last:
        told = f"{one.first} to {one.last} lies outside of the statement's {first} to {last}"
        raise ConfigError(f"activity {one.id}", f"{told}; cut it, or choose another period")
    factor = next(own for own in plan.factors if own.id == one.factor)
    made = _EXACT.multiply(one.amount, factor.value)
    mass_t = None if one.gas == "CO2e" else made
    potential = None if mass_t is None else potential_of(one.gas, plan, values)
    co2e_t = made if potential is None else _EXACT.multiply(made, potential)
    pct = one.uncertainty_pct
    start = period[0] + (one.first - first).days * 86_400_000
    return StatementInput(
        name=f"{one.source}:{one.id}",
        source=one.source,
        category=one.category,
        gas=one.gas,
        start_utc_ms=start,
        end_utc_ms=start + ((one.last - one.first).days + 1) * 86_400_000,
        mass_t=mass_t,
        potential=potential,
        co2e_t=co2e_t,
        biogenic_t=Decimal(0),
        uncertainty_t=None if pct is None else _EXACT.multiply(co2e_t, pct.scaleb(-2)),
        common_t=Decimal(0),
        figures=(),
        figure=None,
        is_closed=True,
        activity=one,
    )
