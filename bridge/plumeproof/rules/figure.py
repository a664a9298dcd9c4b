"""One figure of a plant: a value of a measurand over a period by a rule set, with all that it rests on.

A figure is never overwritten (DESIGN.md decision 13): the same place with other content is its next revision. It can be
computed again bit for bit from the signed records named by `inputs`, the plant description and the rule set, whose
hashes it carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

# Levels: the periods of averaging. SHORT_TERM has the length that rule set and measurand say (10, 30 or 60 minutes)
SHORT_TERM, DAY, ROLLING_30_DAYS, MONTH, YEAR = "short_term", "day", "rolling_30d", "month", "year"
LEVELS = (SHORT_TERM, DAY, ROLLING_30_DAYS, MONTH, YEAR)

# Layers: what has been done to the value (reference averaging-rules sections 3.1, 3.5, 9)
MEASURED = "measured"  # mean of valid first level data, calibrated; the measurand's own unit
STANDARDISED = "standardised"  # at reference conditions; may be negative
VALIDATED = "validated"  # less the confidence interval, for comparison with a limit only
PLAIN = "without_o2_exception"  # as VALIDATED, converted also where oxygen is below the reference; for the year only
FLOW = "flow"  # m3/h at normal conditions, dry
MASS = "mass"  # kg/h of a short term while the plant ran, kg over longer ones; from standardised values
SUBSTITUTED = "substituted"  # as MASS or STANDARDISED, missing hours filled as the rule set says
CO2E = "co2e"  # t CO2e, by the GWP set of the rule set, fossil share
LAYERS = (MEASURED, STANDARDISED, VALIDATED, PLAIN, FLOW, MASS, SUBSTITUTED, CO2E)

FLOW_ID = "flow"  # as which the flow stands beside the measurands

ENGINE_VERSION = "1"  # of the arithmetic: another number where any bit of any figure may differ


@dataclass(frozen=True, slots=True)
class InputRange:
    """The records of one module that a figure was made from; `head_hash`: content hash of the last of them."""

    device: str
    first_seq: int
    last_seq: int
    head_hash: bytes
    parameters_hash: bytes


class Figure(NamedTuple):
    """`value` is None where none can be computed; `is_valid` says whether the rule set lets it count.

    `flags`: why not, or what to know, sorted; short_terms.py, long_terms.py and annual.py name them. `n_expected`,
    `n_valid`, `n_invalid` count first level data at SHORT_TERM and short-term averages above it; `n_invalid` is sorted
    (cause, count). `minimum`, `maximum`, `deviation` (sample standard deviation) are of what was averaged.
    `uncertainty` is expanded with k = 2, in the unit of the value; None where no components are stated.
    `uncertainty_common`: the part of it that the figures of a plant share and that a longer average keeps.
    `substituted_share`: of the period's short-term averages, 0 to 1. `state`: plant state of a short term by the
    majority rule, "" above it. `decimals`: for display and comparison, never in the value.

    A tuple, because a year of a stack has a million of them, and a tuple is made in a tenth of an object's time.
    """

    plant: str
    plant_hash: bytes
    rule_set: str
    rule_version: str
    rule_hash: bytes
    engine: str
    measurand: str
    layer: str
    level: str
    start_utc_ms: int
    end_utc_ms: int
    unit: str
    value: float | None
    is_valid: bool
    flags: tuple[str, ...]
    state: str
    n_expected: int
    n_valid: int
    n_invalid: tuple[tuple[str, int], ...]
    minimum: float | None
    maximum: float | None
    deviation: float | None
    uncertainty: float | None
    uncertainty_common: float | None
    substituted_share: float
    decimals: int
    inputs: tuple[InputRange, ...]
    revision: int
    reason: str

    @property
    def coverage(self) -> float | None:
        """n_valid / n_expected; None where nothing was expected."""
        return self.n_valid / self.n_expected if self.n_expected else None

    @property
    def place(self) -> tuple[str, str, str, str, str, int, int]:
        """What stays the same over all revisions of a figure."""
        return (self.plant, self.rule_set, self.measurand, self.layer, self.level, self.start_utc_ms, self.end_utc_ms)


@dataclass(frozen=True, slots=True)
class FigureDocument:
    """A plant description or a rule set, as it was hashed. `kind`: plant or rule_set; `name`: its id."""

    digest: bytes
    kind: str
    name: str
    raw: bytes
