"""Plants and their records drawn from a seed, through the engine and through the slow one; what differs is told.

Drawn: offsets from -10:00 to +14:00, rule sets, some of their settings, units, needs, states, substitutes, calibrations
that change inside; records with gaps, clock steps, late seq numbers, overflow, other units, faults of every kind,
standstills, and days around the end of the year, 29 February, the change to summer time and the last leap second.
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from plumeproof.array_strips import Readings, _parameters
from plumeproof.evidence.strips import Strip
from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import Figure
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import RuleSet, load_rule_set
from tests.doubles.slow_periods import SlowPeriod, local, period
from tests.doubles.slow_plant import SlowPlant
from tests.doubles.slow_terms import MINUTE, NAMES, Recorded, SlowFigure

DAY = 1440 * MINUTE
TOLERANCE = 1e-9
DEVICES = ("plume-01", "plume-02")
STARTS = ("2016-12-31", "2024-02-28", "2026-03-28", "2026-10-24", "2026-12-31", "2026-04-29")
OFFSETS = ("+00:00", "+01:00", "-10:00", "+14:00", "+05:30", "-03:30", "+08:00", "+05:45")
SETS = ("eu_ied_waste", "eu_ied_lcp", "de_17bimschv", "de_13bimschv", "at_emvl", "eu_mrr", "cbam_2026", "us_part75")
WHOLE_HOURS = {"cn_hj75"}
STATUSES = [number for number in NAMES if number] + [66]
AROUND = {"O2": (10.5, 4.5, "%"), "H2O": (14.0, 5.0, "%"), "T": (140.0, 40.0, "degC"), "p": (1002.0, 8.0, "hPa")}
CHANGES: dict[str, tuple[Any, ...]] = {  # settings that no rule set of ours has, or only one
    "over_range": ("use_range_end",),
    "under_range_pct": (-10.0, 0.0),
    "state_rule": ("whole",),
    "start_up_compared": (True, False),
    "standstill_lowers_coverage": (True, False),
    "lost_letters": ("F", "PUOMFLX", "UOCMFLX"),
    "o2_no_conversion_below_ref": (True, False),
    "o2_invalid_above": (12.0,),
    "o2_clamp": (11.5,),
    "mass_zero_when_negative": (True, False),
    "clip_negative": (True, False),
    "min_valid_sta_per_day": (None, 2),
    "lta_min_share": ((1, 40),),
    "year_from": ("days", "sta"),
    "month": ("rolling_30d", "calendar"),
    "sigma": ("population",),
    "standardise_at": ("FLD",),
}
SLOTS = (10_000, 20_000, 30_000, 60_000, 15_000)


class Case:
    """A plant (`tree`), its `records`, and the days they lie on."""

    def __init__(self, seed: int, days: int | None = None) -> None:
        self.seed, self.rng = seed, random.Random(seed)
        rng = self.rng
        self.offset = rng.choice(OFFSETS)
        minutes = int(self.offset[0] + "1") * (int(self.offset[1:3]) * 60 + int(self.offset[4:]))
        known = [*SETS, *(WHOLE_HOURS if self.offset.endswith(":00") else ())]
        self.rule_sets = rng.sample(known, rng.choice((1, 2, 3)))
        self.days = days or rng.choice((1, 1, 2))
        midnight = datetime.fromisoformat(rng.choice(STARTS)).replace(tzinfo=UTC)
        self.start = int(midnight.timestamp()) * 1000 - minutes * MINUTE
        self.slot_ms = {device: rng.choice(SLOTS) for device in DEVICES}
        self.units: dict[str, dict[str, str]] = {device: {} for device in DEVICES}
        self.levels: dict[str, tuple[float, float]] = {}
        self.changed = {name: rng.choice(values) for name, values in CHANGES.items() if rng.random() < 0.15}
        self.tree = self._plant()
        self.records = [one for device in DEVICES if self.units[device] for one in self._records(device)]

    # The plant

    def _channel(self, name: str, level: tuple[float, float], unit: str) -> dict[str, Any]:
        device = self.rng.choice(DEVICES)
        self.units[device][name] = unit
        self.levels[name] = level
        return {"source": f"{device}/{name}", "unit": unit, "slot_ms": self.slot_ms[device]}

    def _plant(self) -> dict[str, Any]:
        rng = self.rng
        tree: dict[str, Any] = {
            "plant": {"id": "drawn", "title": "Drawn", "utc_offset": self.offset, "rule_sets": self.rule_sets}
        }
        load = self._channel("load", (50.0, 45.0), "%")
        tree["state"] = []
        for state, key, threshold in (
            ("stopped", "below", 12.0), ("start_up", "below", 22.0),
            ("other", "above", 90.0), ("shut_down", "above", 80.0),
        ):  # fmt: skip
            if rng.random() < 0.75:
                rule = {"state": state, key: threshold, "source": load["source"], "slot_ms": load["slot_ms"]}
                tree["state"].append(rule)
        tree["peripheral"] = []
        for kind, (level, width, unit) in AROUND.items():
            one = {"kind": kind, **self._channel(kind.lower(), (level, width), unit)}
            if rng.random() < 0.2:
                one["substitute"] = {"O2": 11.0, "H2O": 15.0, "T": 150.0, "p": 100.5}[kind]
            tree["peripheral"].append(one)
        tree["peripheral"][0]["basis"] = rng.choice(("dry", "wet"))
        if rng.random() < 0.8:
            unit, level = rng.choice((("m3/h", 80_000.0), ("m3/s", 22.0), ("m/s", 14.0)))
            conditions = rng.choice(("actual_wet", "normal_wet", "normal_dry"))
            tree["flow"] = {**self._channel("flow", (level, level * 1.1), unit), "conditions": conditions}
            tree["flow"]["wall_factor"] = rng.choice((1.0, 0.98))
            if unit == "m/s":
                tree["flow"]["area_m2"] = 4.9
            if rng.random() < 0.3:
                tree["flow"]["calibration"] = self._calibrations()
        tree["measurand"] = [self._measurand(*one) for one in (("CO", "ppm", "CO"), ("dust", "mg/m3", None))]
        if rng.random() < 0.7:
            gas = self._channel("co2", (9.0, 3.0), "%")
            tree["measurand"].append(
                {"id": "CO2", "gas": "CO2", "greenhouse_gas": "CO2", "biomass_share_pct": 34.0, "decimals": 2, **gas}
            )
            if rng.random() < 0.3:
                tree["measurand"][-1]["needs"] = ["H2O"]
        return tree

    def _measurand(self, name: str, unit: str, gas: str | None) -> dict[str, Any]:
        rng = self.rng
        needs = [kind for kind in AROUND if rng.random() < 0.5]
        one: dict[str, Any] = {"id": name, "needs": needs, **self._channel(name.lower(), (50.0, 60.0), unit)}
        one |= {"gas": gas} if gas else {}
        one |= {"o2_reference_pct": rng.choice((6.0, 11.0))} if "O2" in needs else {}
        one |= {"range_max": 100.0} if rng.random() < 0.6 else {}
        if rng.random() < 0.8:
            one |= {"ci_qal2": rng.choice((1.5, 6.4)), "ci_pct": rng.choice((10.0, 30.0))}
            one["limit"] = [{"kind": "day", "value": rng.choice((5.0, 50.0))}, {"kind": "half_hour_a", "value": 100.0}]
        if rng.random() < 0.6:
            one["calibration"] = self._calibrations()
        return one

    def _calibrations(self) -> list[dict[str, Any]]:
        rng, found = self.rng, []
        for number in range(rng.choice((1, 2, 3))):
            at = self.start + rng.randrange(-DAY, self.days * DAY) // 1000 * 1000
            begins = (datetime(1970, 1, 1) + timedelta(milliseconds=at)).strftime("%Y-%m-%dT%H:%M:%SZ")
            found.append(
                {"id": f"q{number}", "begins": begins, "a": rng.choice((0.0, -1.8)), "b": rng.choice((1.06, 0.97))}
            )
            if rng.random() < 0.5:
                found[-1]["valid_to"] = 60.0
        return found if len({one["begins"] for one in found}) == len(found) else found[:1]

    # The records

    def _records(self, device: str) -> list[Recorded]:
        rng, slot_ms = self.rng, self.slot_ms[device]
        found: list[Recorded] = []
        clock, seq = rng.choice((0, 0, rng.randrange(MINUTE))), 0
        at = self.start - rng.choice((0, 3600_000)) + rng.choice((0, 0, 7 * 3600_000))
        end = self.start + self.days * DAY - rng.choice((0, 0, 5 * 3600_000))
        loss, wide = rng.choice((0.0, 0.02, 0.1, 0.4)), {name: rng.random() for name in self.units[device]}
        mood = dict.fromkeys(self.units[device], 0)
        while at < end:
            count = min(rng.choice((6, 30, 60, 240)), 3600_000 // slot_ms)
            seq += rng.choice((1, 1, 1, 2))
            kind = rng.random()
            units = dict(self.units[device])
            if kind < 0.02:
                units[rng.choice(list(units))] = "bar"
            elif kind < 0.03 and len(units) > 1:
                units.pop(rng.choice(list(units)))
            for name in mood:
                if rng.random() < 0.15:
                    mood[name] = rng.choice((0, 0, 0, rng.choice(STATUSES)))
                if rng.random() < 0.2:
                    wide[name] = rng.random()
            readings = {name: [self._reading(name, wide, mood, loss) for _ in range(count)] for name in units}
            lost = 0.03 < kind < 0.05
            found.append(Recorded(device, seq, at + clock, slot_ms, count, units, readings, lost))
            at += count * slot_ms
            if rng.random() < 0.04:
                at += rng.randrange(5 * 3600_000) // slot_ms * slot_ms
            if rng.random() < 0.04:
                clock += rng.choice((-1, 1)) * rng.randrange(3 * MINUTE)
        if len(found) > 4 and rng.random() < 0.5:  # comes late: a higher number than what lies behind it
            late = found.pop(rng.randrange(len(found) - 2))
            found.append(late._replace(seq=found[-1].seq + 1))
        return found

    def _reading(self, name: str, wide: dict[str, float], mood: dict[str, int], loss: float) -> tuple[float, int]:
        level, width = self.levels[name]
        status = mood[name] or (self.rng.choice(STATUSES) if self.rng.random() < loss else 0)
        value = round(level + width * (2 * wide[name] - 1) + width * 0.1 * self.rng.uniform(-1, 1), 3)
        return value, status

    def compare(self) -> tuple[int, float, list[str]]:
        """Figures compared, the largest relative difference, and what differs."""
        return compare(
            f"seed {self.seed}", self.tree, self.records, self.start, self.start + self.days * DAY, self.changed
        )


def compare(
    where: str,
    tree: dict[str, Any],
    records: list[Recorded],
    start: int,
    end: int,
    changed: dict[str, Any] | None = None,
) -> tuple[int, float, list[str]]:  # fmt: skip
    """Figures of a plant in [start, end) and of all periods that hold some of it: how many, the largest relative
    difference, and what differs. `changed`: settings other than those of the rule sets."""
    rule_sets = tree["plant"]["rule_sets"]
    engine = Engine(parse_plant(tree, Path("drawn.toml")), [_rules(name, changed or {}) for name in rule_sets])
    slow = SlowPlant(tree, records, changed)
    strips: dict[str, list[Strip]] = {}
    for one in sorted(records, key=lambda one: one.seq):
        strips.setdefault(one.device, []).append(strip_of(one))
    short = engine.short_term_figures(strips, start, end)
    judge = Comparison(where)
    for name in rule_sets:
        wanted = slow.short_terms(name, start, end)
        own = {
            (one.measurand, one.layer, one.start_utc_ms, one.end_utc_ms): one for one in short if one.rule_set == name
        }
        judge.all(name, own, wanted)
        shift = slow.offset_min(slow.settings(name))
        for level in ("day", "month", "year", "rolling_30d"):
            for begin in begins_of(level, start, end, shift):
                inside = period(level, begin, shift)
                near = [one for one in short if inside[0] <= one.start_utc_ms < inside[1]]
                found = long_figures(engine, level, begin, near, name)
                slow_near = {key: one for key, one in wanted.items() if inside[0] <= key[2] < inside[1]}
                slow_ones = SlowPeriod(slow, name, level, begin, slow_near).figures()
                judge.all(f"{name} {level} {begin}", found, slow_ones)
    return judge.count, judge.worst, judge.told


def _rules(name: str, changed: dict[str, Any]) -> RuleSet:
    found = load_rule_set(name)
    return replace(found, settings=replace(found.settings, **changed))


def begins_of(level: str, start: int, end: int, offset_min: int) -> list[int]:
    """Local midnights at which a period of a level begins that holds something of [start, end)."""
    first = (start + offset_min * MINUTE) // DAY * DAY - offset_min * MINUTE
    if level in ("day", "rolling_30d"):
        return list(range(first, end, DAY))
    found = []
    for midnight in range(first, end, DAY):
        at = local(midnight, offset_min)
        begin = at.replace(day=1, month=1) if level == "year" else at.replace(day=1)
        found.append(midnight - (at - begin) // timedelta(milliseconds=1))
    return sorted(set(found))


def long_figures(
    engine: Engine, level: str, begin: int, short: list[Figure], rule_set: str
) -> dict[tuple[str, str], Figure]:  # fmt: skip
    """By measurand and layer."""
    return {
        (one.measurand, one.layer): one
        for one in engine.long_term_figures(level, begin, short)
        if one.rule_set == rule_set
    }


def strip_of(one: Recorded) -> Strip:
    """A record for the engine, past the envelope, which has its own referees."""
    names = sorted(one.units)
    base = _parameters(one.device, "-", Readings([], np.zeros(0), "", one.slot_ms))
    channels = tuple(
        _parameters(one.device, name, Readings([], np.zeros(0), one.units[name], one.slot_ms)).channels[0]
        for name in names
    )
    own_hash = hashlib.sha256(repr((one.device, one.slot_ms, sorted(one.units.items()))).encode()).digest()
    values = np.array([[each[0] for each in one.readings[name]] for name in names])
    status = np.array([[each[1] for each in one.readings[name]] for name in names], np.uint8)
    values = np.where(np.isin(status, (0, 190)), values, 0.0)
    return Strip(
        seq=one.seq,
        content_hash=hashlib.sha256(f"{one.device} {one.seq}".encode()).digest(),
        parameters=replace(base, parameters_hash=own_hash, channels=channels),
        first_utc_ms=one.first_utc_ms,
        slot_ms=one.slot_ms,
        slot_count=one.slot_count,
        values=None if one.lost else values,
        status=None if one.lost else status,
    )


class Comparison:
    """Counts what was compared, keeps the largest difference and the first things that differ."""

    def __init__(self, where: str) -> None:
        self.where, self.count, self.worst = where, 0, 0.0
        self.told: list[str] = []

    def all(self, where: str, found: dict[Any, Figure], wanted: dict[Any, SlowFigure]) -> None:
        for key in sorted(found.keys() ^ wanted.keys()):
            self._tell(where, key, "exists here only", key in found, key in wanted)
        for key in sorted(found.keys() & wanted.keys()):
            self._one(where, key, found[key], wanted[key])

    def _one(self, where: str, key: Any, found: Figure, wanted: SlowFigure) -> None:
        self.count += 1
        for what, mine, other in (
            ("unit", found.unit, wanted.unit),
            ("exists", found.value is not None, wanted.value is not None),
            ("is_valid", found.is_valid, wanted.is_valid),
            ("flags", set(found.flags), wanted.flags),
            ("state", found.state, wanted.state),
            ("n_expected", found.n_expected, wanted.n_expected),
            ("n_valid", found.n_valid, wanted.n_valid),
            ("n_invalid", dict(found.n_invalid), {cause: n for cause, n in wanted.n_invalid.items() if n}),
        ):
            if mine != other:
                self._tell(where, key, what, mine, other)
        if wanted.inputs:
            inputs = {one.device: (one.first_seq, one.last_seq) for one in found.inputs}
            if inputs != wanted.inputs:
                self._tell(where, key, "inputs", inputs, wanted.inputs)
        scale = max(1e-3, abs(wanted.maximum or 0.0), abs(wanted.minimum or 0.0))
        for what, number, exact in (
            ("value", found.value, wanted.value),
            ("minimum", found.minimum, wanted.minimum),
            ("maximum", found.maximum, wanted.maximum),
            ("deviation", found.deviation, wanted.deviation),
            ("substituted_share", found.substituted_share, wanted.substituted_share),
        ):
            if (number is None) != (exact is None):
                self._tell(where, key, what, number, exact)
            elif number is not None and exact is not None:
                apart = _apart(number, exact, scale if what == "deviation" else 1e-3)
                self.worst = max(self.worst, apart)
                if not apart <= TOLERANCE:
                    self._tell(where, key, what, number, float(exact))

    def _tell(self, where: str, key: Any, what: str, found: Any, wanted: Any) -> None:
        self.told.append(f"{self.where}: {where} {key}: {what} is {found}, not {wanted}")


def _apart(number: float, exact: Fraction | float, scale: float) -> float:
    wanted = float(exact)
    return abs(number - wanted) / max(abs(wanted), scale)
