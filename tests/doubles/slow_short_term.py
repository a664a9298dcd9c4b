"""Short-term to yearly values once more, slowly: exact fractions and plain loops, from the reference's sections 3 to 7.

Written from the reference and not from the bridge; shares no code with it and uses no numpy. One first level value is
one `Fld`; a term is a list of them; a missing result is None. Settings are a plain dictionary with the names of the
reference's section 2. Nothing is rounded before `slow_exceeds`. Does not imitate: order of summation, float64.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

PRIORITY = ["X", "L", "F", "M", "C", "O", "U", "P", "S", "W", "V"]
IN_MEAN = {"V", "W", "S"}
TIE = ["operating", "other", "start_up", "shut_down", "stopped"]


@dataclass
class Fld:
    """A first level value: what was measured, all letters that apply, the plant's state, its length."""

    value: float
    letters: str
    state: str
    ms: int = 60_000

    def letter(self) -> str:
        return next(letter for letter in PRIORITY if letter in self.letters)


@dataclass
class Term:
    """A short-term average of one quantity. `excused`: what would be valid but for letters that are no loss."""

    mean: Fraction | None
    n_valid: int
    n_expected: int
    is_valid: bool
    is_lost: bool
    state: str


@dataclass
class Step:
    """One term of a pollutant through the chain; None where there is no result."""

    state: str
    is_lost: bool
    letter: str
    standardised: Fraction | None
    validated: Fraction | None
    mass_kg_h: Fraction | None


@dataclass
class Day:
    values: list[Fraction] = field(default_factory=list)
    n_lost: int = 0

    def mean(self) -> Fraction | None:
        return sum(self.values, Fraction(0)) / len(self.values) if self.values else None


def number(value: float | str) -> Fraction:
    """A float exactly; a decimal text exactly."""
    return Fraction(value)


def slow_state(flds: list[Fld]) -> str:
    """The state that holds most of the term; a tie to normal operation."""
    held: Counter[str] = Counter()
    for fld in flds:
        held[fld.state] += fld.ms
    most = max(held.values())
    return next(state for state in TIE if held[state] == most)


def slow_term(flds: list[Fld], settings: dict[str, Any]) -> Term:
    """Section 3.4: mean of what is valid while the plant is reportable, weighted by duration, with coverage."""
    valid = expected = excused = 0
    weighted = Fraction(0)
    for fld in flds:
        runs = fld.state != "stopped"
        if runs or settings["coverage_basis"] == "period":
            expected += fld.ms
        if runs and fld.letter() in IN_MEAN:
            valid += fld.ms
            weighted += number(fld.value) * fld.ms
        elif runs and fld.letter() not in settings["lost_letters"]:
            excused += fld.ms
    num, den = settings["coverage"]
    enough = valid > 0 and Fraction(valid, 1) >= Fraction(num, den) * expected
    excusable = Fraction(valid + excused, 1) >= Fraction(num, den) * expected and valid + excused > 0
    is_lost = expected > 0 and not enough and not excusable
    return Term(weighted / valid if valid else None, valid, expected, enough, is_lost, slow_state(flds))


def slow_normalised(
    c: Fraction,
    t_c: Fraction,
    p_kpa: Fraction,
    h_pct: Fraction,
    o2_dry: Fraction,
    o2_ref: Fraction,
    settings: dict[str, Any],
) -> Fraction | None:
    """Section 4.4, all four factors in one expression."""
    air = number(str(settings["o2_air"]))
    if h_pct >= 100 or p_kpa <= 0 or t_c <= Fraction("-273.15") or o2_dry >= air:
        return None
    if settings["o2_invalid_above"] is not None and o2_dry >= number(str(settings["o2_invalid_above"])):
        return None
    oxygen = o2_dry
    if settings["o2_clamp"] is not None:
        oxygen = min(oxygen, number(str(settings["o2_clamp"])))
    factor = (air - o2_ref) / (air - oxygen)
    if settings["o2_no_conversion_below_ref"] and o2_dry < o2_ref:
        factor = Fraction(1)
    kelvin = Fraction("273.15")
    return c * (kelvin + t_c) / kelvin * Fraction("101.325") / p_kpa * 100 / (100 - h_pct) * factor


def slow_interval(value: Fraction, pct: Fraction, elv: Fraction, qal2: Fraction, settings: dict[str, Any]) -> Fraction:
    """Section 5.1."""
    of_limit, of_value = pct / 100 * elv, pct / 100 * max(Fraction(0), value)
    return {
        "none": Fraction(0),
        "qal2_capped": min(qal2, of_limit),
        "pct_of_elv": of_limit,
        "pct_of_value": of_value,
        "min_of_both": min(of_limit, of_value),
    }[settings["ci_mode"]]


def slow_mass(c: Fraction, flow: Fraction, settings: dict[str, Any]) -> Fraction:
    """kg/h, section 4.5; 0 for a negative concentration or flow where the rule set says so."""
    if settings["mass_zero_when_negative"] and (c < 0 or flow < 0):
        return Fraction(0)
    return c * flow / 1_000_000


def slow_step(terms: dict[str, Term], permit: dict[str, Any], settings: dict[str, Any]) -> Step:
    """One term of a pollutant: `terms` c, T, p, H2O, O2, flow. `permit`: o2_ref, pct, elv, qal2, substitutes."""
    c = terms["c"]
    step = Step(c.state, c.is_lost, "V" if c.is_valid else "F", None, None, None)
    values = {}
    for name in ("T", "p", "H2O", "O2"):
        if terms[name].is_valid:
            values[name] = terms[name].mean
        elif permit["substitutes"].get(name) is not None:
            values[name] = number(permit["substitutes"][name])
            step.letter = "S" if step.letter == "V" else step.letter
        else:
            values[name] = None
    if any(value is None for value in values.values()):
        step.letter = "P" if c.is_valid else step.letter
        return step
    if not c.is_valid:
        return step
    step.standardised = slow_normalised(
        c.mean, values["T"], values["p"], values["H2O"], values["O2"], number(permit["o2_ref"]), settings
    )
    if step.standardised is None:
        step.letter = "P"
        return step
    if terms["flow"].is_valid:
        step.mass_kg_h = slow_mass(step.standardised, terms["flow"].mean, settings)
    pct, elv, qal2 = (number(permit[name]) for name in ("pct", "elv", "qal2"))
    validated = step.standardised - slow_interval(step.standardised, pct, elv, qal2, settings)
    step.validated = max(Fraction(0), validated) if settings["clip_negative"] else validated
    return step


def slow_day(steps: list[Step], settings: dict[str, Any]) -> Day:
    """Valid validated values of compared states; lost ones while the plant was not stopped."""
    day = Day()
    compared = {"operating", "other"} | ({"start_up", "shut_down"} if settings["start_up_compared"] else set())
    for step in steps:
        if step.state not in compared:
            continue
        if step.validated is not None:
            day.values.append(step.validated)
        elif step.is_lost or step.letter == "P":
            day.n_lost += 1
    return day


def is_day_discarded(day: Day, settings: dict[str, Any]) -> bool:
    return settings["discard_limit_per_day"] is not None and day.n_lost > settings["discard_limit_per_day"]


def is_day_valid(day: Day, settings: dict[str, Any]) -> bool:
    enough = len(day.values) >= (settings["min_valid_sta_per_day"] or 0)
    return bool(day.values) and enough and not is_day_discarded(day, settings)


def slow_mean_of_all(days: list[Day]) -> Fraction | None:
    """Of all short-term averages of some days."""
    values = [value for day in days for value in day.values]
    return sum(values, Fraction(0)) / len(values) if values else None


def slow_mean_of_days(days: list[Day], settings: dict[str, Any]) -> Fraction | None:
    """Of the valid daily averages."""
    means = [day.mean() for day in days if is_day_valid(day, settings)]
    return sum((mean for mean in means if mean is not None), Fraction(0)) / len(means) if means else None


def slow_rolling(days: list[Day], length: int) -> list[Fraction | None]:
    """At the end of each day over it and those before; None while the window is not whole."""
    return [slow_mean_of_all(days[i + 1 - length : i + 1]) if i + 1 >= length else None for i in range(len(days))]


def slow_exceeds(value: Fraction, limit: str, decimals: int) -> bool:
    """Rounded half away from zero, then compared."""
    scaled = abs(value) * 10**decimals
    whole = scaled.numerator // scaled.denominator
    if scaled - whole >= Fraction(1, 2):
        whole += 1
    rounded = Fraction(whole if value >= 0 else -whole, 10**decimals)
    return rounded > number(limit)
