"""Short-term figures as columns: averaged further as figures one by one are, and hashed so that another bit shows."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from plumeproof.rules.engine import Engine
from plumeproof.rules.figure import DAY, MONTH
from plumeproof.rules.plant import parse_plant
from plumeproof.rules.rule_set import load_rule_set
from plumeproof.rules.term_figures import TermFigures
from tests.doubles.random_plant import DAY as DAY_MS
from tests.doubles.random_plant import Case, begins_of, strip_of


def drawn(seed):
    """An engine, its columns and [start, end)."""
    case = Case(seed)
    engine = Engine(
        parse_plant(case.tree, Path("drawn.toml")), [load_rule_set(name) for name in case.tree["plant"]["rule_sets"]]
    )
    strips = {}
    for one in sorted(case.records, key=lambda one: one.seq):
        strips.setdefault(one.device, []).append(strip_of(one))
    start, end = case.start, case.start + case.days * DAY_MS
    return engine, engine.short_term_columns(strips, start, end), start, end


def digest_of(found: TermFigures) -> str:
    told = hashlib.sha256()
    for content in found.content():
        told.update(content)
    return told.hexdigest()


@pytest.mark.parametrize("seed", range(6))
def test_columns_make_the_longer_figures_that_figures_make(seed):
    engine, columns, start, end = drawn(seed)
    assert any(len(found) for found in columns)
    assert [len(found) for found in columns] == [len(list(found)) for found in columns]
    for rules in engine.rule_sets:
        shift = engine.offset_min(rules)
        for level in (DAY, MONTH):
            begins = begins_of(level, start, end, shift)
            by_column, by_figure = (engine.open_periods(level, begins) for _ in range(2))
            for found in columns:
                by_column.take(found)
                for one in found:
                    by_figure.add(one)
            wanted = by_figure.figures()
            assert wanted and by_column.figures() == wanted


def test_any_other_bit_is_another_hash():
    _, columns, _, _ = drawn(3)
    found = next(one for one in columns if len(one))
    plain = digest_of(found)
    assert plain == digest_of(found)
    term = int(np.flatnonzero(found.is_there)[0])
    inputs = list(found.inputs)
    inputs[term] = (replace(inputs[term][0], last_seq=inputs[term][0].last_seq + 1), *inputs[term][1:])
    others = [replace(found, inputs=tuple(inputs)), replace(found, reason="late"), replace(found, start_utc_ms=0)]
    states = found.states.copy()
    states[term] += 1
    others.append(replace(found, states=states))
    for number, row in enumerate(found.rows):
        changed = [
            replace(row, **{name: bumped(getattr(row, name), term)})
            for name in ("expected", "n", "low", "high", "deviation")
        ]
        changed += [replace(row, invalid=row.invalid | {name: bumped(own, term)}) for name, own in row.invalid.items()]
        changed += [replace(row, flags=row.flags | {name: bumped(own, term)}) for name, own in row.flags.items()]
        names = ("values", "exists", "is_valid", "n", "is_uncertain", "uncertainty", "uncertainty_common")
        for at, layer in enumerate(row.layers):
            own = [replace(layer, **{name: bumped(getattr(layer, name), term)}) for name in names]
            own.append(replace(layer, unit="another"))
            changed += [replace(row, layers=(*row.layers[:at], one, *row.layers[at + 1 :])) for one in own]
        others += [replace(found, rows=(*found.rows[:number], one, *found.rows[number + 1 :])) for one in changed]
    digests = [digest_of(one) for one in others]
    assert plain not in digests and len(set(digests)) == len(digests)


def bumped(column, term):
    """The same with one bit of one term turned."""
    found = np.array(column)
    found[term] = np.nextafter(found[term], 1e9) if found.dtype == np.float64 else found[term] ^ 1
    return found
