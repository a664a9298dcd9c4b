"""What the slow engine (slow_plant.py) counts: records, first level data of a term, coverage and loss; exact sums."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from plumeproof.evidence.decoding import STATUS_NAMES

SETS = Path(__file__).resolve().parents[2] / "bridge" / "plumeproof" / "rules" / "sets"
MINUTE = 60_000
VALID = {"valid", "warning"}
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

    values: list[Any]  # float64 of the first level, fractions of what was converted slot by slot
    running: int
    whole: int
    causes: Counter[str]
    filled: set[int]  # minutes in which something counts
    at_end: int = 0  # of the values the end of the range
    slots: list[int] = field(default_factory=list)  # at which instants the values are

    def of_slots(self, begin: int, convert: Callable[[float, int], Fraction | None]) -> Term:
        """The same with each value converted by itself; None does not count."""
        found = [(convert(value, at), at) for value, at in zip(self.values, self.slots, strict=True)]
        there = [(value, at) for value, at in found if value is not None]
        filled = {(at - begin) // MINUTE for _, at in there}
        return Term([value for value, _ in there], self.running, self.whole, self.causes, filled)

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


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1000


def is_of_period(settings: dict[str, Any]) -> bool:
    return settings["coverage_basis"] == "period" and settings["standstill_lowers_coverage"]


@dataclass
class Judge:
    """Coverage and loss of one term."""

    settings: dict[str, Any]
    sums: dict[str, Term]
    ran_in: set[int]  # quarters of an hour
    has_run: bool

    def expected(self, name: str) -> int:
        term = self.sums[name]
        return term.whole if is_of_period(self.settings) else term.running

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
