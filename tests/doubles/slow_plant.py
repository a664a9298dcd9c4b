"""A plant's short-term figures once more, slowly: slots in dictionaries, exact sums, fractions, one value at a time.

Written from reference/averaging-rules.md, bridge/AVERAGES.md and what the settings' and the plant description's
documentation say; shares with the bridge the rule sets (JSON), the plant description (TOML) and the names of statuses,
no code. What is kept: where a figure exists, what it is worth, whether it counts and why not. Does not imitate: order
of summation, float64 above the first level, uncertainty, hashes, `standardise_at = FLD`.

    plant = SlowPlant(tomllib.loads(text), records)
    figures = plant.short_terms("eu_mrr", start_utc_ms, end_utc_ms)
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from plumeproof.evidence.decoding import STATUS_NAMES

SETS = Path(__file__).resolve().parents[2] / "bridge" / "plumeproof" / "rules" / "sets"
MINUTE = 60_000
VALID = {"valid", "warning"}
TIE = ["operating", "other", "start_up", "shut_down", "stopped"]  # the first of them holds a term at a tie
NAMES = {0: "valid"} | dict(STATUS_NAMES)
# Section 3.2; a gap of the line, of the records and of time is a lost link
LETTERS = {
    "failure": "F", "out_of_specification": "F", "not_finite": "F", "loop_failure": "F",
    "loop_out_of_specification": "F", "function_check": "M", "calibration": "C", "over_range": "O", "under_range": "U",
}  # fmt: skip
MOLAR = {
    "CO": "28.01", "NO": "30.006", "NO2": "46.005", "NOx": "46.005", "SO2": "64.064", "HCl": "36.461", "HF": "20.006",
    "NH3": "17.031", "N2O": "44.013", "CH4": "16.043", "CO2": "44.009",
}  # fmt: skip
TO_OURS = {"hPa": (0, "0.1"), "mbar": (0, "0.1"), "Pa": (0, "0.001"), "bar": (0, "100"), "K": ("-273.15", 1)}
FIRST_UNITS = {"O2": "%", "H2O": "%", "T": "degC", "p": "kPa"}
Key = tuple[str, str, int, int]  # measurand, layer, start, end
NOTHING = Fraction(0)
KELVIN = Fraction("273.15")


class Recorded(NamedTuple):
    """What one record says: for each channel its unit, and of each slot value and status number; `lost`: an overflow
    record, whose slots are known and whose readings are not."""

    device: str
    seq: int
    first_utc_ms: int
    slot_ms: int
    slot_count: int
    units: dict[str, str]
    readings: dict[str, list[tuple[float, int]]]
    lost: bool = False


@dataclass
class SlowFigure:
    unit: str
    value: Fraction | None
    is_valid: bool
    flags: set[str]
    state: str = ""
    n_expected: int = 0
    n_valid: int = 0
    n_invalid: dict[str, int] = field(default_factory=dict)
    minimum: float | None = None
    maximum: float | None = None
    deviation: float | None = None
    substituted_share: Fraction = NOTHING
    inputs: dict[str, tuple[int, int]] = field(default_factory=dict)
    has_run: bool = True
    run_share: Fraction = NOTHING  # of the term the plant did not stand still


@dataclass
class Quantity:
    """A measurand, a peripheral or the flow."""

    device: str
    channel: str
    unit: str
    slot_ms: int
    calibrations: list[dict[str, Any]]
    range_max: float | None = None


@dataclass
class Term:
    """One quantity over one short term; `values` of the slots that count, `causes` of the other running ones."""

    values: list[float]
    running: int
    whole: int
    causes: Counter[str]
    filled: set[int]  # minutes in which something counts
    at_end: int = 0  # of the values the end of the range

    def mean(self) -> Fraction | None:
        return Fraction(math.fsum(self.values)) / len(self.values) if self.values else None

    def deviation(self) -> float | None:
        if len(self.values) < 2:
            return None
        mean = math.fsum(self.values) / len(self.values)
        return math.sqrt(math.fsum((one - mean) ** 2 for one in self.values) / (len(self.values) - 1))


@dataclass
class Around:
    """A peripheral in vol-%, degC or kPa; None: missing."""

    value: Fraction | None
    is_substitute: bool


def exact(number: float | str) -> Fraction:
    """The decimal that a float prints as: what a person wrote into a description."""
    return Fraction(repr(number)) if isinstance(number, float) else Fraction(number)


def settings_of(name: str) -> dict[str, Any]:
    """A rule set with what it inherits."""
    tree = json.loads((SETS / f"{name}.json").read_text(encoding="utf-8"))
    return (settings_of(tree["inherits"]) if tree["inherits"] else {}) | tree["settings"]


def minutes_east(text: str) -> int:
    return int(text[0] + "1") * (int(text[1:3]) * 60 + int(text[4:]))


def letter_of(status: str) -> str:
    return LETTERS.get(status, "L")


class SlowPlant:
    """`tree`: the plant description as TOML gives it; `changed`: settings other than the rule sets say."""

    def __init__(
        self, tree: dict[str, Any], records: Sequence[Recorded], changed: dict[str, Any] | None = None
    ) -> None:  # fmt: skip
        self.tree, self.changed = tree, changed or {}
        self.site_min = minutes_east(tree["plant"]["utc_offset"])
        self.records = sorted(records, key=lambda one: one.seq)
        self.measurands = tree["measurand"]
        self.peripherals = {one["kind"]: one for one in tree.get("peripheral", [])}
        self.flow = tree.get("flow")
        self.states = tree.get("state", [])
        self._placed: dict[Any, dict[int, tuple[float, str]]] = {}
        self._states: dict[int, str] = {}
        self._terms: dict[Any, Term] = {}
        self._seqs: dict[int, dict[int, dict[str, tuple[int, int]]]] = {}

    def settings(self, rule_set: str) -> dict[str, Any]:
        return settings_of(rule_set) | self.changed

    def offset_min(self, settings: dict[str, Any]) -> int:
        text = settings["utc_offset"]
        return minutes_east(text) if text[0] in "+-" else self.site_min

    def lengths_of(self, measurand: dict[str, Any], settings: dict[str, Any]) -> set[int]:
        extra = settings["extra_sta_min"].get(measurand["id"])
        return {settings["sta_min"]} | ({extra} if extra else set())

    def short_terms(self, rule_set: str, start: int, end: int) -> dict[Key, SlowFigure]:
        """All whole terms in [start, end) in which a record has a slot."""
        settings = self.settings(rule_set)
        found: dict[Key, SlowFigure] = {}
        for length in sorted({one for each in self.measurands for one in self.lengths_of(each, settings)}):
            shift, step = self.offset_min(settings) * MINUTE, length * MINUTE
            first = -(-(start + shift) // step) * step - shift
            for begin in range(first, end - step + 1, step):
                inputs = self._inputs(step, shift).get(begin)
                if inputs:
                    for (name, layer), figure in self._term(settings, length, begin).items():
                        figure.inputs = inputs
                        found[name, layer, begin, begin + step] = figure
        return found

    def _inputs(self, step: int, shift: int) -> dict[int, dict[str, tuple[int, int]]]:
        """By begin of a term, of each device the first and last record with a slot in it."""
        if step not in self._seqs:
            found: dict[int, dict[str, tuple[int, int]]] = {}
            for one in self.records:
                last = one.first_utc_ms + (one.slot_count - 1) * one.slot_ms
                begin = (one.first_utc_ms + shift) // step * step - shift
                while begin <= last and one.slot_count:
                    own = found.setdefault(begin, {})
                    own[one.device] = (own.get(one.device, (one.seq, 0))[0], one.seq)
                    begin += step
            self._seqs[step] = found
        return self._seqs[step]

    # First level

    def _slots(self, device: str, channel: str, unit: str | None, slot_ms: int) -> dict[int, tuple[float, str]]:
        """By number of the slot since 1970; the first record stays where two come to one place."""
        key = (device, channel, unit, slot_ms)
        if key not in self._placed:
            placed: dict[int, tuple[float, str]] = {}
            for one in self.records:
                if one.device != device or channel not in one.units:
                    continue
                fits = one.slot_ms == slot_ms and unit in (None, one.units[channel])
                for place in range(one.slot_count):
                    at = (one.first_utc_ms + place * one.slot_ms) // slot_ms
                    if at in placed:
                        continue
                    if not fits:
                        placed[at] = (0.0, "parameters_changed")
                    elif one.lost:
                        placed[at] = (0.0, "overflow")
                    else:
                        value, status = one.readings[channel][place]
                        placed[at] = (value, NAMES.get(status) or f"exception_{status - 64}")
            self._placed[key] = placed
        return self._placed[key]

    def _state(self, at: int) -> str:
        """Of the slot of the finest signal that holds an instant."""
        finest = min((rule.get("slot_ms", 1000) for rule in self.states), default=MINUTE)
        at = at // finest * finest
        if at not in self._states:
            self._states[at] = next((rule["state"] for rule in self.states if self._applies(rule, at)), "operating")
        return self._states[at]

    def _applies(self, rule: dict[str, Any], at: int) -> bool:
        slot_ms = rule.get("slot_ms", 1000)
        device, _, channel = rule["source"].partition("/")
        value, status = self._slots(device, channel, None, slot_ms).get(at // slot_ms, (0.0, "absent"))
        return status in VALID and (value > rule["above"] if "above" in rule else value < rule["below"])

    def _quantities(self) -> Iterator[tuple[str, Quantity]]:
        for name, one, unit in (
            *((each["id"], each, each["unit"]) for each in self.measurands),
            *(("/" + kind, each, each.get("unit", FIRST_UNITS[kind])) for kind, each in self.peripherals.items()),
            *((("/flow", self.flow, self.flow.get("unit", "m3/h")),) if self.flow else ()),
        ):
            device, _, channel = one["source"].partition("/")
            calibrations = sorted(one.get("calibration", []), key=lambda each: each["begins"])
            end = one.get("range_max")
            yield name, Quantity(device, channel, unit, one.get("slot_ms", 1000), calibrations, end)

    def _first_level(self, one: Quantity, at: int, settings: dict[str, Any]) -> tuple[float, str]:
        placed = self._slots(one.device, one.channel, one.unit, one.slot_ms)
        value, status = placed.get(at // one.slot_ms, (0.0, "absent"))
        if status in VALID and one.range_max is not None:
            if value > one.range_max:
                status = "over_range"
            elif value < float(exact(settings["under_range_pct"]) * exact(one.range_max) / 100):
                status = "under_range"
        if status == "over_range" and one.range_max is not None and settings["over_range"] == "use_range_end":
            value, status = float(one.range_max), "range_end"  # by whichever limit it was found
        in_force = [each for each in one.calibrations if _instant(each["begins"]) <= at]
        if in_force:
            value = in_force[-1]["a"] + in_force[-1]["b"] * value
        return value, status

    def _sum(self, name: str, one: Quantity, begin: int, length: int, settings: dict[str, Any]) -> Term:
        key = (name, begin, length, settings["over_range"], settings["under_range_pct"])
        if key not in self._terms:
            term = Term([], 0, 0, Counter(), set())
            for at in range(begin, begin + length * MINUTE, one.slot_ms):
                term.whole += 1
                if self._state(at) == "stopped":
                    continue
                term.running += 1
                value, status = self._first_level(one, at, settings)
                term.at_end += status == "range_end"
                if status in VALID or status == "range_end":
                    term.values.append(value)
                    term.filled.add((at - begin) // MINUTE)
                else:
                    term.causes[status] += 1
            self._terms[key] = term
        return self._terms[key]

    # Short terms

    def _term(self, settings: dict[str, Any], length: int, begin: int) -> dict[tuple[str, str], SlowFigure]:
        quantities = dict(self._quantities())
        finest = min(one.slot_ms for one in quantities.values())
        held: Counter[str] = Counter()
        for at in range(begin, begin + length * MINUTE, finest):
            held[self._state(at)] += finest
        ran_in = {
            (at - begin) // (15 * MINUTE)
            for at in range(begin, begin + length * MINUTE, finest)
            if self._state(at) != "stopped"
        }
        state = _state_of(held, settings["state_rule"])
        has_run = held.total() > held["stopped"]
        sums = {name: self._sum(name, one, begin, length, settings) for name, one in quantities.items()}
        judge = _Judge(settings, sums, ran_in, has_run)
        around = {kind: self._around(kind, judge) for kind in self.peripherals}
        if "O2" in self.peripherals and self.peripherals["O2"].get("basis", "dry") == "wet":
            around["O2"] = _dry(around["O2"], around["H2O"])
        found: dict[tuple[str, str], SlowFigure] = {}
        flow = self._flow(judge, around) if self.flow else None
        if flow is not None:
            found["flow", "flow"] = flow
        for one in self.measurands:
            if length in self.lengths_of(one, settings):
                compared = has_run and _is_compared(state, settings)
                for layer, figure in _Measurand(self, one, judge, around, flow, compared, begin).layers().items():
                    found[one["id"], layer] = figure
        for (name, layer), figure in found.items():
            term = sums["/flow" if name == "flow" else name]
            _count(figure, term, settings, state if has_run else "stopped")
            if layer == "measured" and term.values:
                figure.minimum, figure.maximum = min(term.values), max(term.values)
                figure.deviation = term.deviation()
            figure.has_run, figure.run_share = term.running > 0, Fraction(term.running, term.whole)
        return found

    def _around(self, kind: str, judge: _Judge) -> Around:
        one = self.peripherals[kind]
        mean = judge.sums["/" + kind].mean()
        if mean is not None and judge.is_covered("/" + kind):
            plus, times = TO_OURS.get(one.get("unit", FIRST_UNITS[kind]), (0, 1))
            return Around((mean + exact(plus)) * exact(times), False)
        substitute = one.get("substitute")
        return Around(None if substitute is None else exact(float(substitute)), substitute is not None)

    def _flow(self, judge: _Judge, around: dict[str, Around]) -> SlowFigure:
        assert self.flow is not None
        flow, settings = self.flow, judge.settings
        covered, value = judge.is_covered("/flow"), judge.sums["/flow"].mean()
        if value is not None:
            per_hour = {"m3/h": Fraction(1), "m3/s": Fraction(3600)}.get(flow.get("unit", "m3/h"))
            value = (
                value * (per_hour or 3600 * exact(float(flow.get("area_m2", 0)))) * exact(flow.get("wall_factor", 1.0))
            )
        conditions = flow.get("conditions", "actual_wet")
        kinds = {"actual_wet": ["T", "p", "H2O"], "normal_wet": ["H2O"], "normal_dry": []}[conditions]
        missing = any(around[kind].value is None for kind in kinds)
        if value is not None and not missing:
            value = _to_normal_dry(value, {kind: around[kind].value for kind in kinds}, settings)
        exists = value is not None and not missing
        flags = set()
        flags |= set() if covered else {"coverage"}
        flags |= {"peripheral_missing"} if missing else set()
        flags |= {"peripheral_substitute"} if any(around[kind].is_substitute for kind in kinds) else set()
        flags |= {"discarded"} if judge.is_lost("/flow", exists) else set()
        return SlowFigure("m3/h", value if exists else None, exists and covered and judge.has_run, flags)


def _instant(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1000


def _state_of(held: Counter[str], rule: str) -> str:
    if rule == "whole":
        others = {state: ms for state, ms in held.items() if state != "operating" and ms}
        if not others:
            return "operating"
        held = Counter(others)
    most = max(held.values())
    return next(state for state in TIE if held[state] == most)


def _is_compared(state: str, settings: dict[str, Any]) -> bool:
    return state in ("operating", "other") or (state in ("start_up", "shut_down") and settings["start_up_compared"])


def _is_of_period(settings: dict[str, Any]) -> bool:
    return settings["coverage_basis"] == "period" and settings["standstill_lowers_coverage"]


def _count(figure: SlowFigure, term: Term, settings: dict[str, Any], state: str) -> None:
    is_of_period = _is_of_period(settings)
    figure.state = state
    figure.n_expected, figure.n_valid = term.whole if is_of_period else term.running, len(term.values)
    figure.n_invalid = dict(term.causes)
    if is_of_period and term.whole > term.running:
        figure.n_invalid["stopped"] = term.whole - term.running


def _dry(oxygen: Around, moisture: Around) -> Around:
    is_substitute = oxygen.is_substitute or moisture.is_substitute
    if oxygen.value is None or moisture.value is None or moisture.value >= 100:
        return Around(None, is_substitute)
    return Around(oxygen.value * 100 / (100 - moisture.value), is_substitute)


def _to_normal_dry(value: Fraction, around: dict[str, Any], settings: dict[str, Any]) -> Fraction | None:
    if "T" in around:
        zero = exact(settings["zero_celsius_k"])
        if zero + around["T"] <= 0 or around["p"] <= 0:
            return None
        value = value * zero / (zero + around["T"]) * around["p"] / Fraction("101.325")
    if "H2O" in around:
        return value * (100 - around["H2O"]) / 100 if around["H2O"] < 100 else None
    return value


@dataclass
class _Judge:
    """Coverage and loss of one term."""

    settings: dict[str, Any]
    sums: dict[str, Term]
    ran_in: set[int]  # quarters of an hour
    has_run: bool

    def expected(self, name: str) -> int:
        term = self.sums[name]
        return term.whole if _is_of_period(self.settings) else term.running

    def is_enough(self, n: int, name: str) -> bool:
        num, den = self.settings["coverage"]
        return n > 0 and self.expected(name) > 0 and n * den >= num * self.expected(name)

    def is_covered(self, name: str) -> bool:
        term = self.sums[name]
        if self.settings["coverage"] != "quadrants":
            return self.is_enough(len(term.values), name)
        if not self.ran_in or not term.filled:  # 40 CFR 75.10(d)
            return False
        if self.ran_in <= {minute // 15 for minute in term.filled}:
            return True
        has_check = any(letter_of(cause) in "CM" for cause in term.causes)
        apart = max(term.filled) - min(term.filled) >= 15
        return has_check and (apart or len(self.ran_in) == 1)

    def is_lost(self, name: str, has_value: bool) -> bool:
        """By malfunction or maintenance: too little is valid, also with what the rule set excuses; or all is there but
        a peripheral."""
        if not self.has_run:
            return False
        term = self.sums[name]
        if self.is_covered(name):
            return not has_value and "P" in self.settings["lost_letters"]
        if self.settings["coverage"] == "quadrants":
            return True
        excused = sum(n for cause, n in term.causes.items() if letter_of(cause) not in self.settings["lost_letters"])
        return self.expected(name) > 0 and not self.is_enough(len(term.values) + excused, name)


@dataclass
class _Measurand:
    """One measurand of one term through the chain of section 3.5."""

    plant: SlowPlant
    one: dict[str, Any]
    judge: _Judge
    around: dict[str, Around]
    flow: SlowFigure | None
    compared: bool
    begin: int

    def layers(self) -> dict[str, SlowFigure]:
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

    def _mg_m3(self, mean: Fraction) -> Fraction:
        unit = self.one["unit"]
        if unit in ("mg/m3", "ug/m3", "g/m3"):
            return mean * {"mg/m3": Fraction(1), "ug/m3": Fraction(1, 1000), "g/m3": Fraction(1000)}[unit]
        gas = self.one["gas"]
        ppm = mean * {"ppm": Fraction(1), "ppb": Fraction(1, 1000), "%": Fraction(10_000)}[unit]
        mass = 3 * Fraction("12.011") if gas == "TOC" else Fraction(MOLAR[gas])
        return ppm * mass / exact(self.judge.settings["molar_volume"])

    def _to_state_of_flow(self) -> Fraction:
        """mg in a normal m3 for each mg in a m3 at the state of the rule set's molar volume. 22.4 is a rounded 22.414;
        24.055 is that of 20 degC, 293.15 K."""
        volume = exact(self.judge.settings["molar_volume"])
        is_normal = self.one["unit"] in ("mg/m3", "ug/m3", "g/m3") or volume == Fraction("22.4")
        return Fraction(1) if is_normal else volume / Fraction("22.414")

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

    def _is_outside(self, value: Fraction) -> bool:
        in_force = [each for each in self.one.get("calibration", []) if _instant(each["begins"]) <= self.begin]
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
