"""One measurand of one short term, slowly, in fractions: averaged and converted, or slot by slot (slow_plant.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tests.doubles.slow_terms import KELVIN, MOLAR, NOTHING, Around, Judge, SlowFigure, Term, exact, instant

if TYPE_CHECKING:
    from tests.doubles.slow_plant import SlowPlant


@dataclass
class SlowMeasurand:
    """One measurand of one term through the chain of section 3.5."""

    plant: SlowPlant
    one: dict[str, Any]
    judge: Judge
    around: dict[str, Around]
    flow: SlowFigure | None
    compared: bool
    begin: int

    def layers(self) -> dict[str, SlowFigure]:
        if self.judge.settings["standardise_at"] == "FLD":
            return self._layers_of_slots()
        one, judge, name = self.one, self.judge, self.one["id"]
        needs = one.get("needs", [])
        mean, covered, has_run = judge.sums[name].mean(), judge.is_covered(name), judge.has_run
        missing = any(self.around[kind].value is None for kind in needs)
        mg = None if mean is None else self._mg_m3(mean)
        value = None if mg is None or missing else self._standardised(mg, needs, True)
        flags = set()
        flags |= set() if covered else {"coverage"}
        flags |= {"peripheral_missing"} if missing else set()
        flags |= {"peripheral_substitute"} if any(self.around[kind].is_substitute for kind in needs) else set()
        flags |= {"no_reference_conditions"} if mean is not None and not missing and value is None else set()
        flags |= {"outside_calibrated_range"} if value is not None and self._is_outside(value) else set()
        flags |= {"range_end"} if judge.sums[name].at_end else set()
        flags |= {"flow_missing"} if self.flow is not None and has_run and not self.flow.is_valid else set()
        is_lost = judge.is_lost(name, value is not None)
        flags |= {"discarded"} if is_lost else set()
        counts = value is not None and covered and has_run
        found = {
            "measured": SlowFigure(one["unit"], mean, mean is not None and covered and has_run, flags),
            "standardised": SlowFigure("mg/m3", value, counts, flags),
        }
        limit = self._limit()
        if limit is not None:
            validated = None if value is None else self._validated(value, limit)
            found["validated"] = SlowFigure("mg/m3", validated, counts and self.compared, flags)
        if self.flow is not None:
            found["mass"] = self._mass(mg, covered, flags)
        settings = judge.settings
        if settings["year_without_o2_exception"] and settings["o2_no_conversion_below_ref"]:
            plain = None if mg is None or missing else self._standardised(mg, needs, False)
            if plain is not None and limit is not None:
                plain = self._validated(plain, limit)
            is_valid = plain is not None and covered and self.compared
            found["without_o2_exception"] = SlowFigure("mg/m3", plain, is_valid, flags)
        return found

    def _of_slots(self, what: str, convert: Callable[[SlowMeasurand, float, int], Fraction | None]) -> Term:
        """A term of its own under the measurand's name and `what`, each slot converted with what is around it."""
        plant, settings = self.plant, self.judge.settings

        def at_slot(value: float, at: int) -> Fraction | None:
            return convert(replace(self, around=plant.around_at(at, settings)), value, at)

        term = self.judge.sums[self.one["id"]].of_slots(self.begin, at_slot)
        self.judge.sums[f"{self.one['id']}/{what}"] = term
        return term

    def _slot(self, value: float, needs: list[str], with_exception: bool) -> Fraction | None:
        if any(self.around[kind].value is None for kind in needs):
            return None
        return self._standardised(self._mg_m3(Fraction(value)), needs, with_exception)

    def _load(self, value: float, at: int, needs: list[str]) -> Fraction | None:
        """kg/h of a slot, oxygen as it is."""
        dry, q = self._slot(value, needs, True), self.plant.flow_at(at, self.judge.settings)
        if dry is None or q is None:
            return None
        if self.judge.settings["mass_zero_when_negative"] and (dry < 0 or q < 0):
            return NOTHING
        return dry * self._to_state_of_flow() * q / 1_000_000

    def _layers_of_slots(self) -> dict[str, SlowFigure]:
        """Steps 4 and 5 of section 3.5 exchanged: converted slot by slot, then averaged."""
        one, judge, settings = self.one, self.judge, self.judge.settings
        name, needs, measured = one["id"], one.get("needs", []), judge.sums[one["id"]]
        term = self._of_slots("slots", lambda own, value, at: own._slot(value, needs, True))
        value, enough = term.mean(), judge.is_covered(f"{name}/slots")
        mean, covered, has_run = measured.mean(), judge.is_covered(name), judge.has_run
        flags = set() if covered else {"coverage"}
        flags |= {"peripheral_missing"} if len(term.values) < len(measured.values) else set()
        flags |= {"peripheral_substitute"} if self.plant.has_substitute(needs, judge) else set()
        flags |= {"no_reference_conditions"} if mean is not None and value is None else set()
        flags |= {"outside_calibrated_range"} if value is not None and self._is_outside(value) else set()
        flags |= {"range_end"} if measured.at_end else set()
        flags |= {"discarded"} if judge.is_lost(name, value is not None and enough) else set()
        counts, n = value is not None and enough and has_run, len(term.values)
        found = {
            "measured": SlowFigure(one["unit"], mean, mean is not None and covered and has_run, flags),
            "standardised": SlowFigure("mg/m3", value, counts, flags, n_valid=n),
        }
        limit = self._limit()
        if limit is not None:
            validated = None if value is None else self._validated(value, limit)
            found["validated"] = SlowFigure("mg/m3", validated, counts and self.compared, flags, n_valid=n)
        if self.flow is not None:
            bare = [kind for kind in needs if kind != "O2"]
            load = self._of_slots("load", lambda own, value, at: own._load(value, at, bare))
            rate, may_count = load.mean(), judge.is_covered(f"{name}/load")
            flags |= {"flow_missing"} if has_run and not may_count else set()
            is_valid = rate is not None and may_count and has_run
            found["mass"] = SlowFigure("kg/h", rate, is_valid, flags, n_valid=len(load.values))
        if settings["year_without_o2_exception"] and settings["o2_no_conversion_below_ref"]:
            bare_term = self._of_slots("plain", lambda own, value, at: own._slot(value, needs, False))
            plain, enough = bare_term.mean(), judge.is_covered(f"{name}/plain")
            if plain is not None and limit is not None:
                plain = self._validated(plain, limit)
            is_valid = plain is not None and enough and self.compared
            n = len(bare_term.values)
            found["without_o2_exception"] = SlowFigure("mg/m3", plain, is_valid, flags, n_valid=n)
        return found

    def _mg_m3(self, mean: Fraction) -> Fraction:
        unit = self.one["unit"]
        if unit in ("mg/m3", "ug/m3", "g/m3"):
            return mean * {"mg/m3": Fraction(1), "ug/m3": Fraction(1, 1000), "g/m3": Fraction(1000)}[unit]
        gas = self.one["gas"]
        ppm = mean * {"ppm": Fraction(1), "ppb": Fraction(1, 1000), "%": Fraction(10_000)}[unit]
        mass = 3 * Fraction("12.011") if gas == "TOC" else Fraction(MOLAR[gas])
        return ppm * mass / exact(self.judge.settings["molar_volume"])

    def _standardised(self, value: Fraction, needs: list[str], with_exception: bool) -> Fraction | None:
        settings = self.judge.settings
        around = {kind: self.around[kind].value for kind in needs}
        for kind in ("T", "p", "H2O", "O2"):
            have = around.get(kind)
            if have is None:
                continue
            if kind == "T":
                if KELVIN + have <= 0:
                    return None
                value = value * (KELVIN + have) / KELVIN
            elif kind == "p":
                if have <= 0:
                    return None
                value = value * Fraction("101.325") / have
            elif kind == "H2O":
                if have >= 100:
                    return None
                value = value * 100 / (100 - have)
            else:
                factor = _oxygen(have, exact(float(self.one["o2_reference_pct"])), settings, with_exception)
                if factor is None:
                    return None
                value = value * factor
        return value

    def _to_state_of_flow(self) -> Fraction:
        return state_of_flow(self.one, self.judge.settings)

    def _is_outside(self, value: Fraction) -> bool:
        in_force = [each for each in self.one.get("calibration", []) if instant(each["begins"]) <= self.begin]
        if not in_force:
            return False
        end = max(in_force, key=lambda each: each["begins"]).get("valid_to")
        return end is not None and value > exact(float(end))

    def _limit(self) -> Fraction | None:
        """Whose per cent are subtracted; None: no comparison."""
        settings = self.judge.settings
        limits = {each["kind"]: exact(float(each["value"])) for each in self.one.get("limit", [])}
        daily = limits.get("day", limits.get("month"))
        if daily is None or settings["ci_mode"] == "none":
            return None
        below = settings["ci_half_hour_below"].get(self.one["id"])
        if below is None or daily >= exact(float(below)):
            return daily
        return limits.get("half_hour_a", limits.get("half_hour"))

    def _validated(self, value: Fraction, limit: Fraction) -> Fraction:
        settings = self.judge.settings
        pct = self.one.get("ci_pct", settings["ci_pct"].get(self.one["id"]))
        share = exact(float(pct)) / 100
        of_limit, of_value = share * limit, share * max(NOTHING, value)
        interval = {
            "pct_of_elv": of_limit,
            "pct_of_value": of_value,
            "min_of_both": min(of_limit, of_value),
            "qal2_capped": min(of_limit, exact(float(self.one.get("ci_qal2", 0)))),
        }[settings["ci_mode"]]
        return max(NOTHING, value - interval) if settings["clip_negative"] else value - interval

    def _mass(self, mg: Fraction | None, covered: bool, flags: set[str]) -> SlowFigure:
        """Both at normal dry conditions with the oxygen as it is."""
        assert self.flow is not None
        needs = [kind for kind in self.one.get("needs", []) if kind != "O2"]
        dry = None
        if mg is not None and all(self.around[kind].value is not None for kind in needs):
            dry = self._standardised(mg, needs, True)
        rate = None
        if dry is not None and self.flow.value is not None:
            rate = dry * self._to_state_of_flow() * self.flow.value / 1_000_000
            if self.judge.settings["mass_zero_when_negative"] and (dry < 0 or self.flow.value < 0):
                rate = NOTHING
        is_valid = rate is not None and covered and self.flow.is_valid and self.judge.has_run
        return SlowFigure("kg/h", rate, is_valid, flags)


def _oxygen(o2: Fraction, reference: Fraction, settings: dict[str, Any], with_exception: bool) -> Fraction | None:
    air = exact(settings["o2_air"])
    if o2 >= air:
        return None
    if settings["o2_invalid_above"] is not None and o2 >= exact(settings["o2_invalid_above"]):
        return None
    if with_exception and settings["o2_no_conversion_below_ref"] and o2 < reference:
        return Fraction(1)
    if settings["o2_clamp"] is not None:
        o2 = min(o2, exact(settings["o2_clamp"]))
    return (air - reference) / (air - o2)


def state_of_flow(one: dict[str, Any], settings: dict[str, Any]) -> Fraction:
    """mg in a normal m3 for each mg in a m3 at the state of the rule set's molar volume. 22.4 is a rounded 22.414;
    24.055 is that of 20 degC, 293.15 K."""
    volume = exact(settings["molar_volume"])
    is_normal = one["unit"] in ("mg/m3", "ug/m3", "g/m3") or volume == Fraction("22.4")
    return Fraction(1) if is_normal else volume / Fraction("22.414")
