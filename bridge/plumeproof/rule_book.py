"""What the faces show of rule sets and plant descriptions without making any figure: light, without the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from plumeproof.rules.reference_o2 import ReferenceO2, reference_o2_rows
from plumeproof.rules.rule_set import RuleSet, load_rule_set, read_rule_set, rule_set_ids

DOUBTFUL_BELOW = 0.8  # confidence below which a person with the standard should confirm a setting


@dataclass(frozen=True, slots=True)
class Doubt:
    """A setting to be confirmed."""

    setting: str
    value: object
    confidence: float
    note: str


@dataclass(frozen=True, slots=True)
class RulePage:
    """A rule set as a reader wants it."""

    id: str
    version: str
    title: str
    source: str
    status: str
    digest: str
    doubts: tuple[Doubt, ...]


def rule_pages(rule_files: Sequence[Path] = ()) -> list[RulePage]:
    """Those of this release, then files of your own. Raises RuleError."""
    shipped = [load_rule_set(name) for name in rule_set_ids()]
    return [_page(rules) for rules in (*shipped, *(read_rule_set(path) for path in rule_files))]


def sample_plant() -> str:
    """A commented plant description."""
    return (resources.files("plumeproof.rules") / "sample_plant.toml").read_text(encoding="utf-8")


def reference_oxygen() -> tuple[ReferenceO2, ...]:
    """Reference oxygen by regime and kind of plant, to look it up for a description."""
    return reference_o2_rows()


def _page(rules: RuleSet) -> RulePage:
    doubts = []
    for name in rules.doubtful(DOUBTFUL_BELOW):
        value, sure = getattr(rules.settings, name), rules.confidence[name]
        value = dict(value) if hasattr(value, "items") else list(value) if isinstance(value, tuple) else value
        doubts.append(Doubt(name, value, sure.value, sure.note))
    return RulePage(
        rules.id, rules.version, rules.title, rules.source, rules.status, rules.digest.hex(), tuple(doubts)
    )  # fmt: skip
