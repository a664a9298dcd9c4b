"""One short-term average step by step with its numbers, so that an engineer follows it with a calculator.

Nothing is computed here: every result is what the engine's own functions left (short_terms.py keeps its workings), and
every figure at the end is the engine's. `numbers` of a step is its arithmetic written out with whole float64 numbers in
the engine's order of operations, so a calculator, or Python's `eval`, gives the result bit for bit.

    found = explain(engine, rules, strips_by_device, "NOx", at_utc_ms)
    for step in found.steps: print(step.title, step.numbers, "=", step.result, step.unit)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from plumeproof.errors import RuleError
from plumeproof.evidence import intervals
from plumeproof.evidence.strips import Strip
from plumeproof.rules import conditions, term_sums, validated
from plumeproof.rules.calendar import MINUTE_MS, floor_to
from plumeproof.rules.channel_source import Source
from plumeproof.rules.computed_plan import FORMULAS
from plumeproof.rules.engine import Engine, minutes_of
from plumeproof.rules.explain_uncertainty import uncertainty_steps
from plumeproof.rules.explain_us import appendix_f_steps
from plumeproof.rules.figure import FLOW, FLOW_ID, MASS, STANDARDISED, VALIDATED, Figure
from plumeproof.rules.first_level import FLOW_ROW, name_of_peripheral
from plumeproof.rules.our_units import TOC, mass_state_factor
from plumeproof.rules.plant import Calibration, Measurand, Plant
from plumeproof.rules.plant_state import NAMES
from plumeproof.rules.rule_set import RuleSet
from plumeproof.rules.short_terms import NO_REFERENCE, MeasurandTerms, ShortTerms, short_terms
from plumeproof.rules.step import ORDER, Step, source_of
from plumeproof.rules.term_sums import TermSums

# How a peripheral comes to the unit that the formulas want: (text before, text behind)
_TO_OUR_UNIT = {"K": " - {zero!r}", "hPa": " / 10.0", "mbar": " / 10.0", "Pa": " / 1000.0", "bar": " * 100.0"}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A short term of one measurand by one rule set. `minutes`: (start UTC ms, n, sum) of its calibrated values."""

    rules: RuleSet
    measurand: str
    start_utc_ms: int
    end_utc_ms: int
    state: str
    minutes: tuple[tuple[int, int, float], ...]
    steps: tuple[Step, ...]
    figures: tuple[Figure, ...]


def explain(
    engine: Engine,
    rules: RuleSet,
    strips: Mapping[str, Sequence[Strip]],
    name: str,
    at_utc_ms: int,
    length_min: int | None = None,
) -> Explanation:
    """The term of `length_min` (default: the rule set's) that holds an instant. `name`: a measurand, or "flow".
    Raises RuleError (unknown measurand or length, no record on the term)."""
    plant = engine.plant
    known = [one.id for one in plant.measurands] + ([FLOW_ID] if plant.flow is not None else [])
    if name not in known:
        raise RuleError(f"measurand {name[:40]!r}", f"is none of plant {plant.id}; it has {', '.join(known)}")
    lengths = rules.settings.sta_min_of(name)
    length = lengths[0] if length_min is None else length_min
    if length not in lengths:
        raise RuleError(f"{length} min", f"is no length of {name} by {rules.id}; it has {', '.join(map(str, lengths))}")
    start = floor_to(at_utc_ms, length, engine.offset_min(rules))
    end = start + length * MINUTE_MS
    minutes = minutes_of(plant, rules, strips, start, length)
    sums = term_sums.merge(minutes, length, rules.settings.state_rule)
    terms = short_terms(plant, rules, sums)
    figures = tuple(
        one
        for one in engine.short_term_figures(strips, start, end)
        if (one.rule_set, one.measurand, one.start_utc_ms, one.end_utc_ms) == (rules.id, name, start, end)
    )
    if not figures:
        raise RuleError("no record", "has a slot in this term; choose an instant inside the ledger's period")
    own = next(one for one in _all(terms) if _name(one) == name)
    rows = [
        (start + minute * MINUTE_MS, int(minutes.n[own.row, minute]), float(minutes.total[own.row, minute]))
        for minute in range(length)
    ]
    writer = _Writer(plant, rules, sums, terms)
    steps = list(writer.of_flow() if own.measurand is None else writer.of_measurand(own, own.measurand))
    steps += uncertainty_steps(plant, rules, terms, own)
    steps += appendix_f_steps(rules, sums, own)
    state = NAMES[sums.state[0]] if sums.has_run[0] else "stopped"
    return Explanation(rules, name, start, end, state, tuple(rows), tuple(steps), figures)


def _all(terms: ShortTerms) -> list[MeasurandTerms]:
    return list(terms.measurands) + ([terms.flow] if terms.flow is not None else [])


def _name(one: MeasurandTerms) -> str:
    return FLOW_ID if one.measurand is None else one.measurand.id


@dataclass(slots=True)
class _Writer:
    """The one term of `sums`, written down."""

    plant: Plant
    rules: RuleSet
    sums: TermSums
    terms: ShortTerms
    told: set[str] = field(default_factory=set)  # peripherals that have been explained

    def of_measurand(self, own: MeasurandTerms, one: Measurand) -> Iterator[Step]:
        """From counts to validated value and mass."""
        yield from self._computed(one.source)
        yield from self._sampled(own.row, one.id, one.unit, one.calibrations)
        mean, has = self._mean(own.row)
        if not has:
            return
        yield self._to_mg_m3(one, mean, self._of(own, "mg_m3"))
        if STANDARDISED in own.rows:
            yield from self._by_slot(own, one)
            return
        factors: dict[str, float] = {}
        for kind in [kind for kind in ("T", "p", "H2O", "O2") if kind in one.needs]:
            yield from self._peripheral(kind)
            if not self._is_there(kind):
                continue  # told already; without it there is no standardised value
            factors[kind] = self._of(own, f"factor_{kind}")
            yield self._factor(kind, one, self._of(own, kind), factors[kind])
        layer = own.layers[STANDARDISED]
        if not layer.exists[0]:
            why = "no reference conditions" if own.flags[NO_REFERENCE][0] else "a peripheral has no value"
            yield Step("standardised value", "", None, remark=f"none: {why}")
        else:
            text = " * ".join(map(repr, (self._of(own, "mg_m3"), *factors.values())))
            source = self._source("EN 17255-1:2019, order of operations", "standardise_at")
            yield Step("standardised value", text, float(layer.values[0]), "mg/m3", source)
            yield from self._validated(own, one, float(layer.values[0]))
        yield from self._mass(own, factors)

    def _by_slot(self, own: MeasurandTerms, one: Measurand) -> Iterator[Step]:
        """The layers of slots that were each converted by themselves (each_slot.py), and then averaged."""
        for kind in [kind for kind in ("T", "p", "H2O", "O2") if kind in one.needs]:
            yield from self._peripheral(kind)
        yield self._mean_of_slots(own, STANDARDISED, "standardised value")
        if own.layers[STANDARDISED].exists[0]:
            yield from self._validated(own, one, float(own.layers[STANDARDISED].values[0]))
        if MASS in own.layers:
            yield from self.of_flow()
            yield self._mean_of_slots(own, MASS, "mass", " / 1000000.0")

    def _mean_of_slots(self, own: MeasurandTerms, name: str, title: str, behind: str = "") -> Step:
        layer, row = own.layers[name], own.rows[name]
        if not layer.exists[0]:
            return Step(title, "", None, remark="none: at no slot is there all that it takes")
        n, source = int(self.sums.n[row, 0]), self._source("EN 17255-1:2019, order of operations", "standardise_at")
        text, remark = f"{float(self.sums.total[row, 0])!r} / {n}{behind}", f"{n} slots, each converted by itself"
        return Step(title, text, float(layer.values[0]), layer.unit, source, remark)

    def of_flow(self) -> Iterator[Step]:
        """From counts to m3/h at normal conditions, dry."""
        flow, own = self.plant.flow, self.terms.flow
        assert flow is not None and own is not None
        yield from self._computed(flow.source)
        yield from self._sampled(own.row, FLOW_ROW[1:], flow.unit, flow.calibrations)
        mean, has = self._mean(own.row)
        if not has:
            return
        if FLOW in own.rows:
            yield self._mean_of_slots(own, FLOW, "flow, normal dry")
            return
        source, settings = "EN ISO 16911-1", self.rules.settings
        text = {"m/s": f"{mean!r} * {flow.area_m2!r} * 3600.0", "m3/s": f"{mean!r} * 3600.0"}.get(flow.unit, repr(mean))
        value = self._of(own, "m3_h")
        yield Step("flow as measured", f"{text} * {flow.wall_factor!r}", value, "m3/h", source)
        if not own.layers[FLOW].exists[0]:
            for kind in [kind for kind in ("T", "p", "H2O") if kind in own.workings]:
                yield from self._peripheral(kind)
            yield Step("flow", "", None, remark="none: a peripheral has no value or gives no factor")
            return
        if "normal_wet_m3_h" in own.workings:
            for kind in ("T", "p"):
                yield from self._peripheral(kind)
            zero = settings.zero_celsius_k
            text = f"{value!r} * {zero!r} / ({zero!r} + {self._of(own, 'T')!r}) * {self._of(own, 'p')!r} / 101.325"
            value = self._of(own, "normal_wet_m3_h")
            yield Step("flow, normal wet", text, value, "m3/h", self._source("ISO 10780", "zero_celsius_k"))
        if "normal_dry_m3_h" in own.workings:
            yield from self._peripheral("H2O")
            text = f"{value!r} * (100.0 - {self._of(own, 'H2O')!r}) / 100.0"
            value = self._of(own, "normal_dry_m3_h")
            yield Step("flow, normal dry", text, value, "m3/h", source)

    def _computed(self, source: Source) -> Iterator[Step]:
        """How a computed channel is made, where this is one."""
        made = self.plant.computed_of(source)
        if made is not None:
            formula = FORMULAS[made.formula]
            told = f"{formula.text}; {', '.join(map(str, made.inputs))}"
            yield Step(f"{source}: computed slot by slot", "", None, made.unit, formula.source, told)

    def _sampled(self, row: int, name: str, unit: str, calibrations: Sequence[Calibration]) -> Iterator[Step]:
        """Counts by cause, coverage, calibration, mean."""
        sums, settings = self.sums, self.rules.settings
        period, run, n = int(sums.period[row]), int(sums.expected[row, 0]), int(sums.n[row, 0])
        yield Step(
            f"{name}: first level data while the plant was not stopped",
            f"{period} - {period - run}",
            run,
            "slots",
            "EN 17255-1:2019, plant states",
            f"{period} slots of the term, {period - run} of them stopped",
        )
        invalid = [(intervals.name_of(number), int(counts[row, 0])) for number, counts in sums.invalid.items()]
        bad = sorted((cause, count) for cause, count in invalid if count)
        told = ", ".join(f"{count} {cause}" for cause, count in bad) or "none invalid"
        ends = int(sums.range_end[row, 0])
        told += f"; {ends} above the range, taken as its end (S)" if ends else ""
        yield Step(f"{name}: valid", " - ".join(map(str, (run, *(count for _, count in bad)))), n, "slots", remark=told)
        expected = int(term_sums.expected_of(sums, row, settings)[0])
        covered = bool(term_sums.is_covered(sums, row, settings)[0])
        if isinstance(settings.coverage, str):
            filled = sums.minutes_filled[row, 0].reshape(4, -1).any(axis=1).tolist()
            text = f"quadrants with a valid minute: {['no', 'yes'][filled[0]]}"
            text += "".join(f", {['no', 'yes'][one]}" for one in filled[1:])
            yield Step(f"{name}: covered", "", covered, "", self._source("40 CFR 75.10(d)", "coverage"), text)
        else:
            num, den = settings.coverage
            text = f"{n} * {den} >= {num} * {expected}"
            share = f"{n}/{expected} against {num}/{den}, by whole numbers; {expected} expected"
            source = self._source("coverage", "coverage", "coverage_basis", "standstill_lowers_coverage")
            yield Step(f"{name}: covered", text if expected and n else "", covered, "", source, share)
        end = sums.start_of(1)
        for one, following in zip(calibrations, (*calibrations[1:], None), strict=False):
            if one.begins < end and (following is None or following.begins > sums.start_utc_ms):
                text = f"{one.id}: y = {one.a!r} + {one.b!r} * x on every first level value"
                yield Step(f"{name}: calibration in force", "", None, unit, "EN 14181:2014 clause 6.4", text)
        mean, has = self._mean(row)
        if has:
            text = f"{float(sums.total[row, 0])!r} / {n}"
            yield Step(f"{name}: mean of valid, calibrated values", text, mean, unit, f"sum in the order {ORDER}")
        else:
            yield Step(f"{name}: mean", "", None, unit, remark="none: nothing valid")

    def _peripheral(self, kind: str) -> Iterator[Step]:
        """Its own counts and mean, once, to vol-% dry, degC or kPa."""
        if kind in self.told:
            return
        self.told.add(kind)
        one = self.plant.peripheral(kind)
        row = self.sums.row(name_of_peripheral(kind))
        assert one is not None and row is not None
        yield from self._computed(one.source)
        yield from self._sampled(row, kind, one.channel_unit, ())
        mean, has = self._mean(row)
        behind = _TO_OUR_UNIT.get(one.channel_unit)
        if not (has and bool(term_sums.is_covered(self.sums, row, self.rules.settings)[0])):
            remark = "too few: no value" if one.substitute is None else "too few: the permit's substitute, flag S"
            text = "" if one.substitute is None else repr(one.substitute)
            yield Step(f"{kind}: taken", text, one.substitute, remark=remark)
            if one.substitute is None:
                return
            mean = one.substitute
        elif behind is not None and (value := self._around(kind)) is not None:
            text = f"{mean!r}{behind.format(zero=conditions.ZERO_CELSIUS_K)}"
            yield Step(f"{kind}: in {'degC' if kind == 'T' else 'kPa'}", text, value)
        if kind == "O2" and one.basis == "wet":
            yield from self._peripheral("H2O")
            value, moisture = self._around("O2"), self._moisture()
            if value is not None and moisture is not None:
                text = f"{mean!r} * (100.0 / (100.0 - {moisture!r}))"
                yield Step("O2 in dry gas", text, value, "%", "reference: averaging-rules section 4.4")

    def _moisture(self) -> float | None:
        return self._taken("H2O")

    def _is_there(self, kind: str) -> bool:
        one = self.plant.peripheral(kind)
        is_wet = kind == "O2" and one is not None and one.basis == "wet"
        return self._taken(kind) is not None and (not is_wet or self._moisture() is not None)

    def _taken(self, kind: str) -> float | None:
        """Its mean, or its substitute, in the channel's unit; None where it has neither."""
        one, row = self.plant.peripheral(kind), self.sums.row(name_of_peripheral(kind))
        assert one is not None and row is not None  # or short_terms has refused the plant
        mean, has = self._mean(row)
        covered = bool(term_sums.is_covered(self.sums, row, self.rules.settings)[0])
        return mean if has and covered else one.substitute

    def _around(self, kind: str) -> float | None:
        """What the formulas took of a peripheral; None where none of them needed it."""
        for own in _all(self.terms):
            if kind in own.workings:
                return float(own.workings[kind][0])
        return None

    def _to_mg_m3(self, one: Measurand, mean: float, value: float) -> Step:
        plain = {"ug/m3": f"{mean!r} / 1000.0", "g/m3": f"{mean!r} * 1000.0", "mg/m3": repr(mean)}
        behind, told = "", ""
        if one.no2_share_pct is not None:
            behind = f" * {conditions.NO2_PER_NO!r} / ((100.0 - {one.no2_share_pct!r}) / 100.0)"
            told = f"NO as NO2: 46.005/30.006, and {one.no2_share_pct:g} % of NOx is NO2 by the permit"
        if one.unit in plain:
            return Step("in mg/m3 as measured", plain[one.unit] + behind, value, "mg/m3", remark=told)
        gas = "C" if one.gas == TOC else one.gas or one.id
        atoms = conditions.PROPANE_C_ATOMS if one.gas == TOC else 1
        ppm = {"%": f"{mean!r} * 10000.0", "ppb": f"{mean!r} / 1000.0"}.get(one.unit, repr(mean))
        text = f"{ppm} * {float(atoms)!r} * {conditions.molar_mass_g_mol(gas)!r} / {self.rules.settings.molar_volume!r}"
        text += behind
        source = self._source(f"ppm * M / Vm, M of {gas} in g/mol, Vm in L/mol", "molar_volume")
        return Step("in mg/m3 as measured", text, value, "mg/m3", source, told)

    def _factor(self, kind: str, one: Measurand, value: float, factor: float) -> Step:
        settings = self.rules.settings
        if kind == "T":
            zero = conditions.ZERO_CELSIUS_K
            return Step("factor of temperature", f"({zero!r} + {value!r}) / {zero!r}", factor, "",
                        "IED Annex VI Part 6; 273.15 K")  # fmt: skip
        if kind == "p":
            return Step("factor of pressure", f"{conditions.NORMAL_KPA!r} / {value!r}", factor, "",
                        "IED Annex VI Part 6; 101.325 kPa")  # fmt: skip
        if kind == "H2O":
            return Step("factor of moisture", f"100.0 / (100.0 - {value!r})", factor, "", "IED Annex VI Part 6; dry")
        reference, air = one.o2_reference_pct, settings.o2_air
        assert reference is not None
        source = self._source("IED Annex VI Part 7", "o2_air", "o2_no_conversion_below_ref", "o2_clamp")
        if settings.o2_no_conversion_below_ref and value < reference:
            return Step("factor of oxygen", "1.0", factor, "", source, "O2 is below the reference: not converted")
        taken = repr(value) if settings.o2_clamp is None else f"min({value!r}, {settings.o2_clamp!r})"
        return Step("factor of oxygen", f"({air!r} - {reference!r}) / ({air!r} - {taken})", factor, "", source)

    def _validated(self, own: MeasurandTerms, one: Measurand, standardised: float) -> Iterator[Step]:
        layer = own.layers.get(VALIDATED)
        if layer is None:
            yield Step("validated value", "", None, remark="none: no comparison with a limit, or ci_mode is none")
            return
        settings = self.rules.settings
        known = {limit.kind: limit.value for limit in one.limits}
        daily = known.get("day", known.get("month"))
        assert daily is not None  # or there is no validated layer
        half_hour = known.get("half_hour_a", known.get("half_hour"))
        limit = validated.limit_for_interval_mg_m3(one.id, daily, half_hour, settings)
        pct = one.ci_pct if one.ci_pct is not None else settings.ci_pct.get(one.id)
        cap, share = f"{limit!r} * {pct!r} / 100.0", f"max(0.0, {standardised!r}) * {pct!r} / 100.0"
        text = {
            "pct_of_value": share,
            "pct_of_elv": cap,
            "min_of_both": f"min({share}, {cap})",
            "qal2_capped": f"min({one.ci_qal2!r}, {cap})",
        }[settings.ci_mode]
        interval = self._of(own, "interval_mg_m3")
        source = self._source("IED Annex VI Part 8 point 1.2", "ci_mode", "ci_pct")
        yield Step("confidence interval", text, interval, "mg/m3", source)
        text = f"{standardised!r} - {interval!r}"
        text = f"max(0.0, {text})" if settings.clip_negative else text
        source = self._source("IED Annex VI Part 8 point 1.2", "clip_negative")
        yield Step("validated value", text, float(layer.values[0]), "mg/m3", source)

    def _mass(self, own: MeasurandTerms, factors: dict[str, float]) -> Iterator[Step]:
        layer = own.layers.get(MASS)
        if layer is None:
            return
        yield from self.of_flow()
        if not layer.exists[0]:
            yield Step("mass", "", None, remark="none: flow or a peripheral has no value")
            return
        bare = [factor for kind, factor in factors.items() if kind != "O2"]
        dry, flow = self._of(own, "dry_mg_m3"), self._of(own, "flow_m3_h")
        text = " * ".join(map(repr, (self._of(own, "mg_m3"), *bare)))
        yield Step("normal, dry, oxygen as measured", text, dry, "mg/m3", "concentration and flow at one state")
        if own.measurand is not None and mass_state_factor(own.measurand, self.rules.settings) != 1.0:
            volume, at_flow = self.rules.settings.molar_volume, conditions.MOLAR_VOLUME
            text, source = f"{dry!r} * ({volume!r} / {at_flow!r})", self._source("Vm / Vm at 0 degC", "molar_volume")
            dry = dry * mass_state_factor(own.measurand, self.rules.settings)
            yield Step("at the state of the flow", text, dry, "mg/m3", source, "mg/m3 of ppm were not at 0 degC")
        is_zero = self.rules.settings.mass_zero_when_negative and (dry < 0.0 or flow < 0.0)
        text = "0.0" if is_zero else f"{dry!r} * {flow!r} / 1000000.0"
        remark = "negative: taken as zero" if is_zero else ""
        source = self._source("mg/m3 * m3/h / 1e6", "mass_zero_when_negative")
        yield Step("mass", text, float(layer.values[0]), "kg/h", source, remark)

    def _mean(self, row: int) -> tuple[float, bool]:
        mean, has = term_sums.mean_of(self.sums, row)
        return float(mean[0]), bool(has[0])

    def _of(self, own: MeasurandTerms, name: str) -> float:
        return float(own.workings[name][0])

    def _source(self, clause: str, *settings: str) -> str:
        return source_of(self.rules, clause, *settings)
