"""QAL2 and AST from parallel measurements (EN 14181:2014): the calibration function, its range, and the tests of both.

What is needed beside the pairs stands in the plant description: the daily limit, the permissible uncertainty in per
cent of it (`ci_pct`), for an AST the function in force; whoever has no description gives the numbers.

    desk = CalibrationDesk(80.0, 20.0)
    desk.find_function(pairs); desk.judge_annual(pairs, a, b)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from plumeproof.errors import RuleError
from plumeproof.parallel_file import Pairs
from plumeproof.rules import qal2
from plumeproof.rules.plant import Calibration, Measurand


@dataclass(frozen=True, slots=True)
class FoundFunction:
    """`days`: on which there were pairs. `extension`: of the range by reference material, None where none was read."""

    function: qal2.CalibrationFunction
    variability: qal2.Variability
    valid_range: qal2.ValidRange
    days: tuple[date, ...]
    extension: qal2.RangeExtension | None

    @property
    def is_passed(self) -> bool:
        """The variability test, and nothing that a person must decide."""
        return self.variability.is_passed and not self.function.remarks

    @property
    def range_in_force(self) -> qal2.ValidRange:
        """With its extension."""
        return self.valid_range if self.extension is None else self.extension.after


@dataclass(frozen=True, slots=True)
class CalibrationDesk:
    """One measurand. `daily_elv` and what is measured in one unit; `permissible_pct` of it, 95 %. Raises RuleError."""

    daily_elv: float
    permissible_pct: float

    def find_function(
        self,
        pairs: Pairs,
        zero_reading: float | None = None,
        reference: Sequence[tuple[float, float]] = (),
        extend_by: tuple[float, float] | None = None,
    ) -> FoundFunction:
        """`zero_reading`: what the AMS shows at zero; `reference`: (reading, value) of zero and span reference
        material; `extend_by`: (reading, value) of reference material near the limit."""
        days, factors = tuple(sorted(set(pairs.days))), np.array(pairs.factors)
        at_reference = factors * np.array(pairs.srm)
        function = qal2.calibrate(
            pairs.ams,
            pairs.srm,
            self.daily_elv,
            self.permissible_pct,
            days=len(days),
            zero_reading=zero_reading,
            reference=reference,
            at_reference=at_reference,
        )
        calibrated = factors * function.apply(np.array(pairs.ams))
        sigma_0 = qal2.find_sigma_0(self.daily_elv, self.permissible_pct)
        tested = qal2.judge_variability(at_reference, calibrated, sigma_0)
        valid_range = qal2.find_valid_range(float(calibrated.max()), self.daily_elv)
        extension = None
        if extend_by is not None:
            extension = qal2.extend_range(
                valid_range, function, *extend_by, self.daily_elv, self.permissible_pct, days[-1]
            )  # fmt: skip
        return FoundFunction(function, tested, valid_range, days, extension)

    def judge_annual(self, pairs: Pairs, a: float, b: float) -> qal2.AnnualTest:
        """Whether y = a + b x still holds."""
        factors = np.array(pairs.factors)
        calibrated = factors * (a + b * np.array(pairs.ams))
        sigma_0 = qal2.find_sigma_0(self.daily_elv, self.permissible_pct)
        return qal2.judge_ast(factors * np.array(pairs.srm), calibrated, sigma_0)


def desk_of(one: Measurand) -> CalibrationDesk:
    """By the measurand's daily limit, or its monthly one, and `ci_pct`. Raises RuleError where one of both lacks."""
    limits = {limit.kind: limit.value for limit in one.limits}
    daily = limits.get("day", limits.get("month"))
    if daily is None or one.ci_pct is None:
        raise RuleError(f"measurand {one.id}", "has no limit of a day or month, or no ci_pct; give both as numbers")
    return CalibrationDesk(daily, one.ci_pct)


def function_on(one: Measurand, utc_ms: int) -> Calibration:
    """In force at an instant. Raises RuleError."""
    found = [entry for entry in one.calibrations if entry.begins <= utc_ms]
    if not found:
        raise RuleError(f"measurand {one.id}", "has no calibration function in force then; give its a and b")
    return found[-1]
