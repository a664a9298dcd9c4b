"""Figures of every level in a bundle: equal as columns, every other bit named; slots given while they are verified."""

from __future__ import annotations

import io
import itertools
import json
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from plumeproof.bundle.checking import BundleCheck
from plumeproof.bundle.figure_columns import NAMES, build_figures, parse_figures
from plumeproof.bundle.figures import FigureCheck
from plumeproof.bundle.records import RecordCheck
from plumeproof.bundle.strips import LATE_MS, Run
from plumeproof.bundle.terms import Terms, count_short
from plumeproof.bundle.verdict import limits_of
from plumeproof.bundle.zip import read_member, read_members
from plumeproof.cli import main
from plumeproof.rules.calendar import DAY_MS
from plumeproof.rules.figure import LEVELS, ROLLING_30_DAYS, SHORT_TERM
from tests.bridge.test_bundle import sealed_again
from tests.bridge.test_recompute import EVENING_MS
from tests.doubles.chained_module import write_plant

CONTENT = [name for name in NAMES if name not in ("plant", "revision", "reason")]


@pytest.fixture(scope="module")
def new_year(tmp_path_factory):
    """Ten hours and a half over the midnights of two clocks, by three rule sets; the members of its bundle."""
    folder = tmp_path_factory.mktemp("year")
    begins = EVENING_MS + 31 * DAY_MS - 5 * 3_600_000
    write_plant(folder, 630, begins, shortest_s=60, rule_sets='["eu_mrr", "cn_hj75", "de_13bimschv"]')
    options = ["--ledger", folder / "ledger.sqlite", "--keys", folder / "keys.json", "-o", folder / "year.zip"]
    period = ["--from", "2025-12-31", "--to", "2027-01-03"]
    assert main(["evidence", "export", *map(str, options), *period, "--json"]) == 0
    file = io.BytesIO((folder / "year.zip").read_bytes())
    return {name: b"".join(read_member(file, one)) for name, one in read_members(file).items()}


def figures_in(members):
    """Columns by member."""
    return {name: parse_figures(raw, "line-1") for name, raw in members.items() if name.startswith("data/figures/")}


def verify(members):
    check = BundleCheck(io.BytesIO(sealed_again(dict(members))))
    return list(check.run()), check


def test_every_level_is_made_again_without_looking_at_a_figure_or_a_record_twice(new_year, monkeypatch):
    rows = [dict(zip(NAMES, row, strict=True)) for one in figures_in(new_year).values() for row in one.rows()]
    rule_sets = {level: {row["rule_set"] for row in rows if row["level"] == level} for level in LEVELS}
    assert {level: len(own) for level, own in rule_sets.items()} == dict.fromkeys(LEVELS, 3) | {ROLLING_30_DAYS: 1}
    for one, name in ((FigureCheck, "_compare_terms"), (RecordCheck, "strips")):
        monkeypatch.setattr(one, name, lambda *_, name=name: pytest.fail(f"{name} was needed"))
    found, check = verify(new_year)
    assert (found, check.counts.figures_equal) == ([], len(rows))


@pytest.mark.parametrize("level", LEVELS)
def test_another_bit_at_any_level_is_named(new_year, level):
    for name, columns in figures_in(new_year).items():  # noqa: B007
        rows = [dict(zip(NAMES, row, strict=True)) for row in columns.rows()]
        row = next((row for row in rows if row["level"] == level and row["value"]), None)
        if row is not None:
            break
    row["value"] *= 1.0000000000000002
    found, _ = verify(new_year | {name: build_figures([tuple(row.values()) for row in rows])})
    # what stands there is what longer periods rest on: an altered short term shows in them, too
    assert {one.code for one in found} == {"figure"} and any(f" {level} " in one.sentence for one in found)
    assert len(found) == 1 or level == SHORT_TERM


def without(members, is_left_out):
    """The bundle without some figures, and how many those are."""
    found, count = dict(members), 0
    for name, columns in figures_in(members).items():
        rows = [dict(zip(NAMES, row, strict=True)) for row in columns.rows()]
        kept = [tuple(row.values()) for row in rows if not is_left_out(row)]
        count += len(rows) - len(kept)
        if kept:
            found[name] = build_figures(kept)
        else:
            del found[name]
    return found, count


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("rule_set", ["eu_mrr", "de_13bimschv"])
def test_a_period_that_is_left_out_is_named(new_year, level, rule_set):
    rows = [dict(zip(NAMES, row, strict=True)) for one in figures_in(new_year).values() for row in one.rows()]
    starts = sorted({row["start_utc_ms"] for row in rows if (row["level"], row["rule_set"]) == (level, rule_set)})
    if not starts:  # thirty days are one rule set's
        assert (level, rule_set) == (ROLLING_30_DAYS, "eu_mrr")
        return
    wanted = starts[len(starts) // 2]
    members, count = without(
        new_year, lambda row: (row["level"], row["rule_set"], row["start_utc_ms"]) == (level, rule_set, wanted)
    )
    found, _ = verify(members)
    named = [one for one in found if one.code == "figure_missing" and f"{rule_set} " in one.sentence]
    assert len([one for one in named if f" {level} {wanted} " in one.sentence]) == count > 0


def test_left_out_hours_are_named_between_the_first_and_the_last(new_year):
    rows = [dict(zip(NAMES, row, strict=True)) for one in figures_in(new_year).values() for row in one.rows()]
    rows = [row for row in rows if (row["level"], row["rule_set"]) == (SHORT_TERM, "de_13bimschv")]
    starts = sorted({row["start_utc_ms"] for row in rows})

    def is_between(row):
        is_ours = (row["level"], row["rule_set"]) == (SHORT_TERM, "de_13bimschv")
        return is_ours and starts[0] < row["start_utc_ms"] < starts[-1]

    inside, count = without(new_year, is_between)
    found, _ = verify(inside)
    assert len([one for one in found if one.code == "figure_missing" and SHORT_TERM in one.sentence]) == count > 50
    # What is cut off behind is told, not named: the bridge may not have been so far
    cut, count = without(new_year, lambda row: row["level"] == SHORT_TERM and row["start_utc_ms"] >= starts[-1])
    found, check = verify(cut)
    assert (found, count > 0) == ([], True)
    left = [one.rows() for one in figures_in(cut).values()]
    ends = [dict(zip(NAMES, row, strict=True)) for rows in left for row in rows]
    until = max(row["end_utc_ms"] for row in ends if row["level"] == SHORT_TERM)
    reach = datetime.fromtimestamp(until / 1000, UTC).isoformat(timespec="seconds")
    assert any("figures of line-1: they reach from" in one and f"to {reach}" in one for one in limits_of(check)), reach


def other(name, value):
    """Something else that a bundle may hold."""
    if name in ("plant_hash", "rule_hash"):
        return bytes(32)
    if name == "flags":
        return json.dumps([*json.loads(value), "zz"])
    if name == "n_invalid":
        return json.dumps(json.loads(value) | {"zz": 0})
    if name == "inputs":
        (device, first, *rest), *more = json.loads(value)
        return json.dumps([[device, first + 1, *rest], *more])
    if isinstance(value, str):
        return value + "x"
    return 1.5 if value is None else 1 - value if name == "is_valid" else value + 1


def test_no_field_of_a_short_term_may_be_another(new_year, monkeypatch):
    made = []
    part_in = Terms.part_in

    def noted(self, stored):
        made.append((self, list(stored)))
        return part_in(self, stored)

    monkeypatch.setattr(Terms, "part_in", noted)
    assert verify(new_year)[0] == []
    assert len(made) > 3
    for terms, stored in made:
        found = terms._found
        end = found.start_utc_ms + len(found.inputs) * found.length_ms
        if count_short(stored, found.maker.rules.id, found.start_utc_ms, end):
            break
    rows = [dict(zip(NAMES, row, strict=True)) for one in stored for row in one.rows()]
    rows = [row for row in rows if row["level"] == SHORT_TERM and row["rule_set"] == found.maker.rules.id]
    rows = [row for row in rows if found.start_utc_ms <= row["start_utc_ms"] < end]
    again = parse_figures(build_figures([tuple(row.values()) for row in rows]), "line-1")
    assert len(part_in(terms, [again])) == len(rows) and len(part_in(terms, [])) == 0
    for name, number in itertools.product(CONTENT, (0, len(rows) // 2, len(rows) - 1)):
        changed = rows[:number] + [rows[number] | {name: other(name, rows[number][name])}] + rows[number + 1 :]
        columns = parse_figures(build_figures([tuple(row.values()) for row in changed]), "line-1")
        part = part_in(terms, [columns])
        # another place is none of these terms, or leaves one of them incomplete
        assert part is None or len(part) < len(rows), name
    for flags in (["b", "a"], ["a", "a"]):
        changed = [*rows[:-1], rows[-1] | {"flags": json.dumps(flags)}]
        raw = build_figures([tuple(row.values()) for row in changed])
        assert part_in(terms, [parse_figures(raw, "line-1")]) is None


def strip(seq, hour):
    first = hour * 3_600_000
    return SimpleNamespace(seq=seq, first_utc_ms=first, end_utc_ms=first + 60_000, values=())


def run_of(*portions):
    def steps():
        for strips, findings in portions:
            run.take(strips)
            yield findings

    run = Run("box", steps())
    return run


def test_slots_are_given_as_they_are_verified_and_forgotten():
    run = run_of(([strip(1, 1), strip(2, 30)], ["a"]), ([strip(3, 50)], []), ([strip(4, 75)], ["b"]))
    assert run.can_give(0)
    assert [one.seq for one in run.give(0, DAY_MS)] == [1] and run.findings == ["a"]
    assert [one.seq for one in run.give(DAY_MS, 2 * DAY_MS)] == [2] and run.is_usable
    assert not run.can_give(0)
    assert [one.seq for one in run.give(3 * DAY_MS, 4 * DAY_MS)] == [4] and run.is_ended
    run.forget()
    assert not run.can_give(3 * DAY_MS)
    assert list(run.finish()) == ["a", "b"] and run.is_usable


def test_slots_that_come_when_their_day_was_given_make_it_void():
    late = 24 + LATE_MS // 3_600_000
    run = run_of(([strip(1, 1), strip(2, late)], []), ([strip(3, 23)], []), ([strip(4, 60)], []))
    assert [one.seq for one in run.give(0, DAY_MS)] == [1] and run.is_usable
    run.give(DAY_MS, 2 * DAY_MS)
    assert not run.is_usable
    untouched = run_of(([strip(1, 1)], ["a"]))
    assert list(untouched.finish()) == ["a"] and not untouched.can_give(0)
