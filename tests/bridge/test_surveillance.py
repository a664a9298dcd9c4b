"""`plumeproof surveillance` on signed calibration records: readings, chart states, weeks, dates, or one line."""

from __future__ import annotations

import csv
import io
import json
import random
import subprocess
import sys
import tomllib
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

import plumeproof
from plumeproof.cli import main
from plumeproof.errors import ConfigError
from plumeproof.rules.gas_check import NO_UTC, OTHER_GAS, RECORDS_MISSING, TOO_FEW, UNFINISHED
from plumeproof.rules.plant import parse_plant
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.bridge.test_averaging_stage import StillClock
from tests.doubles import slow_quality
from tests.doubles.gas_checked_module import PURGE, GasCheckedModule
from tests.doubles.timed_module import START_UTC_MS, store_all
from tests.rules.examples import example

PLANT = """
[plant]
id = "line-1"
title = "Line 1"
utc_offset = "+01:00"
rule_sets = ["eu_ied_waste"]
[[measurand]]
id = "CO"
source = "plume-01/co"
unit = "mg/m3"
[[measurand.calibration]]
id = "qal2-2026"
begins = "2026-11-30T23:00:00Z"
a = 0.0
b = 1.0
valid_to = 100.0
[measurand.qal3]
kind = "KIND"
settle_s = 5
interval_days = 7
span_s_ams = 1.2
[[measurand.qal3.gas]]
point = "span"
begins = "2026-11-01T00:00:00Z"
value = 100.0
"""
D_OF_E19 = (0.3, -0.5, 0.8, 1.1, 1.6, 1.4, 2.0)  # the worked example of CUSUM: drift with the seventh


class Site:
    """A folder with a ledger and a plant."""

    def __init__(self, folder: Path, module: GasCheckedModule, text: str) -> None:
        self.ledger, self.plant = folder / "ledger.sqlite", folder / "plant.toml"
        self.plant.write_text(text)
        writer = Writer(self.ledger)
        store_all(SqliteLedger(writer, StillClock()), module.sealed)
        writer.close()

    def run(self, capsys, *words):
        code = main(["surveillance", "--ledger", str(self.ledger), "--plant", str(self.plant), *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    def tree(self, capsys, *words):
        code, out, err = self.run(capsys, "--json", *words)
        assert err == ""
        return code, json.loads(out)["plants"][0]


def text_of(kind="cusum", more=""):
    return PLANT.replace("KIND", kind) + more


def weekly(differences, reference=100.0):
    """A span check every seventh day, whose ten slots have this mean in no obvious way."""
    module = GasCheckedModule()
    for week, d in enumerate(differences):
        module.visit(7 * week)
        module.check("span", [reference + d + (0.25 if slot % 2 else -0.25) for slot in range(10)])
    return module


def to(day):
    return ("--to", f"2026-12-{1 + day:02}" if day < 31 else f"2027-01-{day - 30:02}")


def test_cusum_of_records_is_the_worked_example(tmp_path, capsys):
    assert list(D_OF_E19) == example("E19")["inputs"]["d"][:7]
    module = weekly(D_OF_E19)
    site = Site(tmp_path, module, text_of())
    code, tree = site.tree(capsys, "--to", "2027-01-14")
    (chart,) = tree["charts"]
    assert code == 1
    assert (chart["state"], chart["due"], chart["checks"][-1]["alarm"]) == ("adjust", "fine", "drift")
    assert [row["state"] for row in chart["checks"][:-1]] == ["in control"] * 6
    last = example("E19")["steps"][6]
    assert chart["checks"][-1]["statistic"] == pytest.approx(last["sum_pos"], rel=1e-5)
    assert chart["checks"][-1]["correction"] == pytest.approx(-last["D_adjust"], rel=1e-5)
    # The signed records that the last point rests on, by their order in the journal: samples, begin, end
    samples, _, end = [record for record, _ in module.sealed][-3:]
    row = chart["checks"][-1]
    assert (row["first_seq"], row["last_seq"], row["head_hash"]) == (samples.seq, end.seq, end.content_hash.hex())
    assert row["time_utc"] == "2027-01-12T00:00:03Z"
    assert (row["n_used"], row["n_slots"]) == (10, 10)
    code, out, _ = site.run(capsys, "--to", "2027-01-14")
    assert code == 1
    assert "adjust" in out and "add -0.966" in out


def test_a_reading_is_the_mean_behind_the_settling_time(tmp_path, capsys):
    module = GasCheckedModule()
    values = [100.125, 101.5, 99.0, 100.0]
    module.visit(0)
    module.check("span", values, settling=5)
    site = Site(tmp_path, module, text_of())
    _, tree = site.tree(capsys, *to(1))
    assert tree["charts"][0]["checks"][0]["reading"] == float(sum(map(Fraction, values)) / 4)
    site.plant.write_text(text_of().replace("settle_s = 5", "settle_s = 4"))  # one slot that had not settled
    _, tree = site.tree(capsys, *to(1))
    assert tree["charts"][0]["checks"][0]["reading"] == float((sum(map(Fraction, values)) + 999) / 5)


@pytest.mark.parametrize(
    ("kind", "differences", "state"),
    [
        ("shewhart", (0.3, 2.3), "in control"),
        ("shewhart", (0.3, 2.5), "warning"),
        ("shewhart", (0.3, -3.7), "out of control"),
        ("cusum", (3.6, -3.6), "maintenance"),  # section 8.4: d = [3 s, -3 s] is a precision alarm
        ("ewma", (1.0, 1.0), "in control"),
        ("ewma", (3.5,), "adjust"),
    ],
)
def test_states(tmp_path, capsys, kind, differences, state):
    site = Site(tmp_path, weekly(differences), text_of(kind))
    code, tree = site.tree(capsys, *to(7 * len(differences) - 4))
    assert tree["charts"][0]["state"] == state
    assert code == (0 if state in ("in control", "warning") else 1)


def test_an_adjustment_that_somebody_states_begins_the_chart_anew(tmp_path, capsys):
    event = '[[measurand.qal3.event]]\nat = "2026-12-09T10:00:00Z"\nwhat = "repaired"\n'
    site = Site(tmp_path, weekly((3.6, -3.6, 0.1)), text_of())
    code, tree = site.tree(capsys, *to(16))
    assert (code, tree["charts"][0]["state"]) == (1, "maintenance")
    assert tree["charts"][0]["checks"][-1]["verdict"] == "held"
    site.plant.write_text(text_of(more=event))
    code, tree = site.tree(capsys, *to(16))
    assert (code, tree["charts"][0]["state"]) == (0, "in control")
    code, tree = site.tree(capsys, *to(13))  # repaired, not checked yet
    assert (code, tree["charts"][0]["state"]) == (0, "no reading")


def test_dates_of_checks(tmp_path, capsys):
    site = Site(tmp_path, weekly((0.1,)), text_of())
    assert [site.tree(capsys, *to(day))[1]["charts"][0]["due"] for day in (1, 5, 9)] == ["fine", "soon", "overdue"]
    assert site.tree(capsys, *to(9))[0] == 1


def unfinished(module):
    module.check("span", [100.0] * 10)
    del module.sealed[-1]


def disturbed(module):
    begin = module.next_slot + 4
    module.check("span", [100.0] * 10)
    end = module.sealed.pop()
    module.mark(*PURGE[:2], True, begin)
    module.seal(8, {80: 1, 81: 0, 82: 2, 83: 0, 84: end[0].body.slot, 85: end[0].body.slot_mono_ms})


def without_samples(module):
    module.check("span", [100.0] * 10)
    del module.sealed[-3]


def without_time(module):
    module.clock_offset_ms = None
    module.check("span", [100.0] * 10)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (unfinished, UNFINISHED),
        (disturbed, OTHER_GAS),
        (without_samples, RECORDS_MISSING),
        (without_time, NO_UTC),
        (lambda module: module.check("span", [100.0] * 4 + [float("nan")] * 5), TOO_FEW),
        (lambda module: module.check("span", []), TOO_FEW),
        (lambda module: module.check("span", [100.0] * 10, bits=2), "bit"),  # the samples do not say so
        (lambda module: module.check("span", [100.0] * 10, bits=5), TOO_FEW),  # the analyzer reports a failure
    ],
)
def test_a_check_that_cannot_be_read_is_named_and_no_zero(tmp_path, capsys, spoil, reason):
    module = weekly((0.1,))
    module.visit(7)
    spoil(module)
    _, tree = Site(tmp_path, module, text_of()).tree(capsys, *to(8))
    good, bad = tree["charts"][0]["checks"]
    assert (good["reason"], bad["reason"], bad["reading"]) == ("", reason, None)


def test_half_of_the_slots_are_enough(tmp_path, capsys):
    module = GasCheckedModule()
    module.visit(0)
    module.check("span", [100.5] * 5 + [float("inf")] * 5)
    _, tree = Site(tmp_path, module, text_of()).tree(capsys, *to(1))
    row = tree["charts"][0]["checks"][0]
    assert (row["reading"], row["n_used"], row["n_slots"]) == (100.5, 5, 10)


def test_weeks_outside_the_valid_range_make_a_qal2_due(tmp_path, capsys):
    module = GasCheckedModule()
    module.visit(0)
    for half_hour in range(10):  # half of them above 100
        module.sample([(0, 90.0 if half_hour % 2 else 110.0, 0, False)] * 1800)
    site = Site(tmp_path, module, text_of())
    code, tree = site.tree(capsys, *to(2))
    (one,) = tree["calibrations"]
    assert (one["weeks"][0]["n_valid"], one["weeks"][0]["n_outside"]) == (10, 5)
    assert (one["weeks"][0]["monday"], one["qal2_needed_by_range"], code) == ("2026-11-30", True, 1)
    qal2 = next(due for due in one["due"] if due["test"] == "QAL2")
    assert qal2 == {"test": "QAL2", "due": "2027-06-07", "why": "range_surveillance", "state": "fine"}
    code, out, _ = site.run(capsys, *to(2))
    assert "5 of 10 averages outside, 50.0 %" in out and "NEW QAL2 NEEDED" in out
    site.plant.write_text(text_of().replace("valid_to = 100.0", "valid_to = 110.0"))
    assert site.tree(capsys, *to(2))[1]["calibrations"][0]["qal2_needed_by_range"] is False


def test_ast_and_qal2_are_due_by_the_rule_set(tmp_path, capsys):
    site = Site(tmp_path, weekly((0.1,)), text_of())

    def due(*words):
        return {
            one["test"]: (one["due"], one["state"]) for one in site.tree(capsys, *words)[1]["calibrations"][0]["due"]
        }

    assert due(*to(3)) == {"AST": ("2027-12-01", "fine"), "QAL2": ("2031-12-01", "fine")}
    assert due("--rules", "de_17bimschv", *to(3))["QAL2"] == ("2029-12-01", "fine")
    assert due("--to", "2027-11-01")["AST"] == ("2027-12-01", "soon")
    assert due("--to", "2027-12-02")["AST"] == ("2027-12-01", "overdue")
    done = (("AST", "2027-11-15"), ("major_change", "2027-11-20"))
    more = "".join(f'[[measurand.test]]\nwhat = "{what}"\non = "{on}"\n' for what, on in done)
    site.plant.write_text(text_of(more=more))
    assert due("--to", "2027-12-02") == {"AST": ("2028-11-15", "fine"), "QAL2": ("2028-05-20", "fine")}


def test_an_ast_that_was_not_passed_asks_for_a_qal2(tmp_path, capsys):
    site = Site(tmp_path, weekly((0.1,)), text_of())
    tests = '[[measurand.test]]\nwhat = "AST"\non = "2027-11-15"\nresult = "failed"\n'
    site.plant.write_text(text_of(more=tests))
    assert site.tree(capsys, *to(3))[1]["calibrations"][0]["ast_failed_on"] is None  # not yet
    later = tests + tests.replace("2027-11-15", "2027-11-30").replace("failed", "passed")
    for more in (tests, later):  # no later AST takes it back
        site.plant.write_text(text_of(more=more))
        code, tree = site.tree(capsys, "--to", "2027-12-02")
        (one,) = tree["calibrations"]
        assert (code, one["ast_failed_on"], tree["fine"]) == (1, "2027-11-15", False)
        qal2 = next(due for due in one["due"] if due["test"] == "QAL2")
        assert qal2 == {"test": "QAL2", "due": "2028-05-15", "why": "ast_failed", "state": "fine"}
    assert "AST OF 2027-11-15 NOT PASSED" in site.run(capsys, "--to", "2027-12-02")[1]
    function = '[[measurand.calibration]]\nid = "new"\nbegins = "2027-11-20T00:00:00Z"\na = 0.0\nb = 1.1\n'
    site.plant.write_text(text_of(more=function + tests))
    assert site.tree(capsys, "--to", "2027-12-02")[1]["calibrations"][0]["ast_failed_on"] is None
    site.plant.write_text(
        text_of(more='[[measurand.test]]\nwhat = "major_change"\non = "2027-01-01"\nresult = "failed"\n')
    )
    code, _, err = site.run(capsys)
    assert code == 2 and "belongs to an AST" in err


def test_files_and_plots(tmp_path, capsys):
    site = Site(tmp_path, weekly(D_OF_E19), text_of())
    words = ("--to", "2027-01-14", "--from", "2026-12-08")
    code, out, err = site.run(capsys, *words, "-o", tmp_path / "f.csv", "--plot", tmp_path / "f.svg")
    assert (code, err) == (1, "")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "f.csv").read_text())))
    assert [round(float(row["d"]), 4) for row in rows] == list(D_OF_E19[1:])  # judged from the first
    assert rows[-1]["alarm"] == "drift"
    svg = (tmp_path / "f.svg").read_text()
    assert svg.startswith("<?xml")
    site.run(capsys, *words, "--plot", tmp_path / "g.svg")
    assert (tmp_path / "g.svg").read_text() == svg
    site.run(capsys, *words, "-o", tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text())["plants"] == [site.tree(capsys, *words)[1]]


@pytest.mark.parametrize("kind", ["shewhart", "ewma", "cusum"])
def test_every_kind_is_drawn(tmp_path, capsys, kind):
    site = Site(tmp_path, weekly((0.3, 2.5, 3.9, 4.1)), text_of(kind))
    assert site.run(capsys, *to(24), "--plot", tmp_path / "f.png")[0] == 1
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--to", "yesterday"), "is no time"),
        (("--from", "2027", "--to", "2026"), "is not behind --from"),
        (("-o", "f.xlsx"), "ends in none of .csv, .json"),
        (("--plot", "f.pdf"), "ends in none of .svg, .png"),
        (("--rules", "eu_ied"), "is none of"),
        (("--to", "2026-11-02", "--plot", "f.svg"), "nothing to draw"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, capsys, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    site = Site(tmp_path, weekly((0.1,)), text_of())
    before = sorted(path.name for path in tmp_path.iterdir() if path.suffix not in (".sqlite-wal", ".sqlite-shm"))
    code, out, err = site.run(capsys, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert told in err
    assert {path.name for path in tmp_path.iterdir()} - {"ledger.sqlite-wal", "ledger.sqlite-shm"} <= set(before)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("span_s_ams = 1.2\n", "", "line 17: measurand.qal3.span_s_ams: is missing, and zero_s_ams too"),
        ("settle_s = 5\n", "", "line 17: measurand.qal3.settle_s: is missing"),
        ('kind = "cusum"', 'kind = "xbar"', "'xbar' is none of shewhart, cusum, ewma"),
        ('point = "span"', 'point = "zero"', "gas: of span is missing"),
        ("span_s_ams = 1.2", "span_s_ams = 0", "is outside"),
        ("interval_days = 7", "interval = 7", "is no known key"),
        ('begins = "2026-11-01T00:00:00Z"', 'begins = "2026-11-01"', "is no instant"),
    ],
)
def test_a_wrong_description_names_line_and_key(old, new, told):
    from plumeproof.toml_lines import find_lines

    text = text_of()
    assert old in text
    text = text.replace(old, new)
    with pytest.raises(ConfigError) as caught:
        parse_plant(tomllib.loads(text), Path("p.toml"), find_lines(text, Path("p.toml")))
    assert told in str(caught.value)


def test_the_sample_plant_has_charts():
    from plumeproof.rule_book import sample_plant

    nox = parse_plant(tomllib.loads(sample_plant()), Path("p.toml")).measurands[0]
    assert nox.qal3 is not None and nox.qal3.kind == "cusum"
    assert nox.qal3.reference_at("span", START_UTC_MS).name == "bottle 4711"
    assert nox.tests[0].on == date(2026, 5, 4)


@pytest.mark.parametrize("seed", range(4))
def test_charts_of_records_are_those_of_the_slow_double(tmp_path, capsys, seed):
    chance = random.Random(seed)
    shift = chance.choice((-1.5, 0.0, 1.5))
    module = GasCheckedModule()
    means = []
    for week in range(14):
        off = round(8 * (100 + chance.gauss(shift * (week > 5), 1.2))) / 8  # exact in float32
        slots = [off + step / 8 for step in chance.sample(range(-8, 9), 8)]
        means.append(float(sum(map(Fraction, slots)) / 8 - 100))
        module.visit(7 * week)
        module.check("span", slots)
    for kind in ("cusum", "ewma"):
        folder = tmp_path / kind
        folder.mkdir()
        rows = Site(folder, module, text_of(kind)).tree(capsys, "--to", "2027-03-12")[1]["charts"][0]["checks"]
        assert [row["d"] for row in rows] == means
        cusum, is_held = slow_quality.Cusum(1.2), False
        for row, (z, limit) in zip(rows, slow_quality.ewma(means, 1.2), strict=True):
            assert (row["verdict"] == "held") == is_held
            if is_held:
                continue
            if kind == "cusum":
                alarm, correction = cusum.take(row["d"])
                assert row["alarm"] == alarm
                assert (row["correction"] or 0.0) == pytest.approx(correction, rel=1e-9)
            else:
                alarm = "drift" if abs(z) > limit else ""
                assert (row["alarm"], row["statistic"]) == (alarm, pytest.approx(z, rel=1e-9))
                assert row["action_limit"] == pytest.approx(limit, rel=1e-9)
            is_held = bool(alarm)


def test_a_ledger_that_is_not_there_is_one_line(tmp_path, capsys):
    site = Site(tmp_path, weekly((0.1,)), text_of())
    site.ledger.unlink()
    code, out, err = site.run(capsys)
    assert (code, out, err.count("\n")) == (2, "", 1), err
    assert str(site.ledger) in err


def test_help_imports_neither_compiler_nor_plots():
    code = "import sys; from plumeproof.cli import build_parser; build_parser()"
    told = code + "; print({'numba', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_a_notebook_has_the_same(tmp_path, capsys):
    site = Site(tmp_path, weekly(D_OF_E19), text_of())
    found = plumeproof.surveillance(site.ledger, site.plant, until="2027-01-14")
    points = found.charts[0].run.points
    assert not found.is_fine
    assert [one.checked.reading for one in points] == [
        row["reading"] for row in site.tree(capsys, "--to", "2027-01-14")[1]["charts"][0]["checks"]
    ]
    assert plumeproof.surveillance(site.ledger, site.plant, until=date(2026, 12, 3)).is_fine
