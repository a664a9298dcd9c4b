"""What a trace consists of: stages from the figure down to the parameter row, with facts, arithmetic and checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from plumeproof.rules.step import Step

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was computed again, compared or verified just now. `is_good` False: it does not hold."""

    sentence: str
    is_good: bool


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows under a heading. `picked`: number of the row that the way down goes on with, None: none of them."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    picked: int | None = None


@dataclass(slots=True)
class Stage:
    """`name`: a stable word: figure, explanation, terms, term, computed, average, record, slot, parameters."""

    name: str
    title: str
    facts: list[tuple[str, Cell]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    grids: list[Grid] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    def check(self, is_good: bool, good: str, bad: str = "") -> bool:
        """Note what was seen; `bad`: said instead of `good` where it does not hold."""
        self.checks.append(Check(good if is_good or not bad else bad, is_good))
        return is_good


@dataclass(slots=True)
class Trace:
    """One id, walked down as far as there is something. `offset_min`: of the clock in the stages of figures."""

    id: str
    where: str
    keys_from: str
    stages: list[Stage] = field(default_factory=list)

    @property
    def is_fine(self) -> bool:
        """Everything that was checked holds, and something was."""
        checks = [check for stage in self.stages for check in stage.checks]
        return bool(checks) and all(check.is_good for check in checks)

    def add(self, name: str, title: str) -> Stage:
        """The next stage down."""
        self.stages.append(Stage(name, title))
        return self.stages[-1]
