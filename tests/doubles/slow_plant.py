"""A plant's short-term figures once more, slowly: slots in dictionaries, exact sums, fractions, one value at a time.

Written from reference/averaging-rules.md, bridge/AVERAGES.md and what the settings' and the plant description's
documentation say; shares with the bridge the rule sets (JSON), the plant description (TOML) and the names of statuses,
no code. What is kept: where a figure exists, what it is worth, whether it counts and why not. Does not imitate: order
of summation, float64 above the first level, uncertainty, hashes.

    plant = SlowPlant(tomllib.loads(text), records)
    figures = plant.short_terms("eu_mrr", start_utc_ms, end_utc_ms)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from tests.doubles.slow_measurand import SlowMeasurand
from tests.doubles.slow_terms import (
    FIRST_UNITS,
    MINUTE,
    NAMES,
    TO_OURS,
    VALID,
    Around,
    Judge,
    Key,
    Quantity,
    Recorded,
    SlowFigure,
    Term,
    exact,
    instant,
    is_of_period,
    minutes_east,
    settings_of,
)

TIE = ["operating", "other", "start_up", "shut_down", "stopped"]  # the first of them holds a term at a tie


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
        self._around_at: dict[Any, dict[str, Around]] = {}
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
        in_force = [each for each in one.calibrations if instant(each["begins"]) <= at]
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
                    term.slots.append(at)
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
        judge = Judge(settings, sums, ran_in, has_run)
        around = {kind: self._around(kind, judge) for kind in self.peripherals}
        if "O2" in self.peripherals and self.peripherals["O2"].get("basis", "dry") == "wet":
            around["O2"] = _dry(around["O2"], around["H2O"])
        found: dict[tuple[str, str], SlowFigure] = {}
        flow = self._flow(judge, around, begin) if self.flow else None
        if flow is not None:
            found["flow", "flow"] = flow
        for one in self.measurands:
            if length in self.lengths_of(one, settings):
                compared = has_run and _is_compared(state, settings)
                for layer, figure in SlowMeasurand(self, one, judge, around, flow, compared, begin).layers().items():
                    found[one["id"], layer] = figure
        for (name, layer), figure in found.items():
            term = sums["/flow" if name == "flow" else name]
            of_slots = figure.n_valid if settings["standardise_at"] == "FLD" and layer != "measured" else None
            _count(figure, term, settings, state if has_run else "stopped", of_slots)
            if layer == "measured" and term.values:
                figure.minimum, figure.maximum = min(term.values), max(term.values)
                figure.deviation = term.deviation()
            figure.has_run, figure.run_share = term.running > 0, Fraction(term.running, term.whole)
        return found

    def _around(self, kind: str, judge: Judge) -> Around:
        one = self.peripherals[kind]
        mean = judge.sums["/" + kind].mean()
        if mean is not None and judge.is_covered("/" + kind):
            plus, times = TO_OURS.get(one.get("unit", FIRST_UNITS[kind]), (0, 1))
            return Around((mean + exact(plus)) * exact(times), False)
        substitute = one.get("substitute")
        return Around(None if substitute is None else exact(float(substitute)), substitute is not None)

    def around_at(self, at: int, settings: dict[str, Any]) -> dict[str, Around]:
        """Peripherals at the instant of one slot."""
        key = (at, settings["over_range"], settings["under_range_pct"])
        if key not in self._around_at:
            found = {}
            for name, one in self._quantities():
                if (kind := name.removeprefix("/")) in self.peripherals and name != kind:
                    value, status = self._first_level(one, at, settings)
                    substitute = self.peripherals[kind].get("substitute")
                    if status in VALID or status == "range_end":
                        plus, times = TO_OURS.get(one.unit, (0, 1))
                        found[kind] = Around((Fraction(value) + exact(plus)) * exact(times), False)
                    else:
                        found[kind] = Around(None if substitute is None else exact(float(substitute)), True)
            if "O2" in found and self.peripherals["O2"].get("basis", "dry") == "wet":
                found["O2"] = _dry(found["O2"], found["H2O"])
            self._around_at[key] = found
        return self._around_at[key]

    def has_substitute(self, kinds: Sequence[str], judge: Judge) -> bool:
        """Some slot in operation had no value of a peripheral, for which the permit gives one."""
        is_wet = "O2" in kinds and self.peripherals["O2"].get("basis", "dry") == "wet"
        return any(
            "substitute" in self.peripherals[kind]
            and len(judge.sums["/" + kind].values) < judge.sums["/" + kind].running
            for kind in {*kinds, *(("H2O",) if is_wet else ())}
        )

    def _flow_kinds(self) -> list[str]:
        assert self.flow is not None
        conditions = self.flow.get("conditions", "actual_wet")
        return {"actual_wet": ["T", "p", "H2O"], "normal_wet": ["H2O"], "normal_dry": []}[conditions]

    def normal_flow(self, value: Fraction, around: dict[str, Around], settings: dict[str, Any]) -> Fraction | None:
        """m3/h, normal and dry, of what the channel says."""
        assert self.flow is not None
        flow, kinds = self.flow, self._flow_kinds()
        per_hour = {"m3/h": Fraction(1), "m3/s": Fraction(3600)}.get(flow.get("unit", "m3/h"))
        value = value * (per_hour or 3600 * exact(float(flow.get("area_m2", 0)))) * exact(flow.get("wall_factor", 1.0))
        if any(around[kind].value is None for kind in kinds):
            return None
        return _to_normal_dry(value, {kind: around[kind].value for kind in kinds}, settings)

    def flow_at(self, at: int, settings: dict[str, Any]) -> Fraction | None:
        """Of the slot of the flow that holds an instant."""
        one = next(one for name, one in self._quantities() if name == "/flow")
        value, status = self._first_level(one, at, settings)
        if status not in VALID and status != "range_end":
            return None
        return self.normal_flow(Fraction(value), self.around_at(at, settings), settings)

    def _flow(self, judge: Judge, around: dict[str, Around], begin: int) -> SlowFigure:
        settings, kinds = judge.settings, self._flow_kinds()
        if settings["standardise_at"] == "FLD":
            return self._flow_of_slots(judge, begin)
        covered, value = judge.is_covered("/flow"), judge.sums["/flow"].mean()
        missing = any(around[kind].value is None for kind in kinds)
        if value is not None:
            value = self.normal_flow(value, around, settings)
        exists = value is not None and not missing
        flags = set()
        flags |= set() if covered else {"coverage"}
        flags |= {"peripheral_missing"} if missing else set()
        flags |= {"peripheral_substitute"} if any(around[kind].is_substitute for kind in kinds) else set()
        flags |= {"discarded"} if judge.is_lost("/flow", exists) else set()
        return SlowFigure("m3/h", value if exists else None, exists and covered and judge.has_run, flags)

    def _flow_of_slots(self, judge: Judge, begin: int) -> SlowFigure:
        settings, own = judge.settings, judge.sums["/flow"]
        term = judge.sums["/flow/slots"] = own.of_slots(begin, lambda _, at: self.flow_at(at, settings))
        value, covered = term.mean(), judge.is_covered("/flow/slots")
        flags = set() if covered else {"coverage"}
        flags |= {"peripheral_missing"} if len(term.values) < len(own.values) else set()
        flags |= {"peripheral_substitute"} if self.has_substitute(self._flow_kinds(), judge) else set()
        flags |= {"discarded"} if judge.is_lost("/flow", value is not None and covered) else set()
        return SlowFigure(
            "m3/h", value, value is not None and covered and judge.has_run, flags, n_valid=len(term.values)
        )


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


def _count(
    figure: SlowFigure, term: Term, settings: dict[str, Any], state: str, of_slots: int | None = None
) -> None:  # fmt: skip
    """`of_slots`: how many first level data a value that was converted slot by slot is the mean of."""
    by_period = is_of_period(settings)
    figure.state = state
    figure.n_expected, figure.n_valid = term.whole if by_period else term.running, len(term.values)
    figure.n_invalid = dict(term.causes)
    if of_slots is not None:
        figure.n_valid = of_slots
        figure.n_invalid |= {"peripheral": len(term.values) - of_slots} if of_slots < len(term.values) else {}
    if by_period and term.whole > term.running:
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
