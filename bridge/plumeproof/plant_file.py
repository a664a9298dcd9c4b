"""Reads plant descriptions and rule sets from files and makes the engine of a plant.

engine = open_engine(Path("line-1.toml"), [Path("our_rules.json")])
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from plumeproof.errors import ConfigError, RuleError
from plumeproof.rules.engine import Engine
from plumeproof.rules.plant import Plant, parse_plant
from plumeproof.rules.rule_set import RuleSet, load_rule_set, read_rule_set, rule_set_ids
from plumeproof.toml_file import parse_toml, read_text
from plumeproof.toml_lines import Lines

FILE_MAX_BYTES = 256 * 1024  # a stack with every calibration of ten years is a tenth of it


def load_plant(path: Path) -> Plant:
    """A description, TOML or JSON by its ending. Raises ConfigError: one line with file, line, key and mend."""
    mend = "`plumeproof average --sample-plant` prints one"
    text = read_text(path, FILE_MAX_BYTES, mend, "this is no plant description")
    lines: Lines = {}
    if path.suffix == ".json":
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(str(path), f"no JSON: {error}") from error
    else:
        tree, lines = parse_toml(text, path)
    try:
        return parse_plant(tree, path, lines)
    except RecursionError as error:
        raise ConfigError(str(path), "is nested too deeply; a description has few levels") from error


def choose_rule_sets(names: Sequence[str], files: Sequence[Path] = ()) -> list[RuleSet]:
    """Rule sets by name, from files of your own first, then of this release. Raises RuleError."""
    own = {rules.id: rules for rules in (read_rule_set(path) for path in files)}
    unknown = [name for name in names if name not in own and name not in rule_set_ids()]
    if unknown:
        known = ", ".join((*own, *rule_set_ids()))
        raise RuleError(f"rule set {unknown[0][:40]}", f"is none of {known}; a file of your own is named beside it")
    return [own[name] if name in own else load_rule_set(name) for name in names]


def open_engine(path: Path, rule_files: Sequence[Path] = (), rule_sets: Sequence[str] = ()) -> Engine:
    """The engine of a plant, by its own rule sets or by those named. Raises ConfigError, RuleError."""
    plant = load_plant(path)
    return Engine(plant, choose_rule_sets(rule_sets or plant.rule_sets, rule_files))
