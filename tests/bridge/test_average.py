"""`plumeproof average` and `plumeproof.averages` on real ledgers: the engine's figures in every form, or one line."""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
from datetime import date, datetime, timedelta, timezone

import numpy as np
import pyarrow.parquet
import pytest

import plumeproof
from plumeproof.averaging_stage import AveragingStage
from plumeproof.cli import average, main
from plumeproof.errors import RuleError
from plumeproof.rules.figure import LAYERS, LEVELS
from plumeproof.rules.rule_set import rule_set_ids
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.bridge.test_averaging_stage import StillClock
from tests.bridge.test_figures_stage import Bench, bare, bulk, sampled
from tests.doubles.stack_day import PLANT as STACK_PLANT
from tests.doubles.stack_day import channels
from tests.doubles.timed_module import START_UTC_MS, TimedModule, build_set, store_all
from tests.rules.test_minutes import PLANT

HOUR_MS = 3_600_000
DAY_START = START_UTC_MS - HOUR_MS  # local midnight at +01:00
HOURS = ("--from", "2026-12-01T00:00:00Z", "--to", "2026-12-01T05:00:00Z")


class Site:
    """A folder with a ledger, a plant and their engine."""

    def __init__(self, folder, sealed, text=PLANT):
        self.folder = folder
        self.ledger = folder / "ledger.sqlite"
        self.plant = folder / "plant.toml"
        self.plant.write_text(text)
        writer = Writer(self.ledger)
        store_all(SqliteLedger(writer, StillClock()), sealed)
        writer.close()

    def run(self, capsys, *words):
        code = main(["average", "--ledger", str(self.ledger), "--plant", str(self.plant), *map(str, words)])
        out, err = capsys.readouterr()
        return code, out, err

    def files(self):
        return sorted(path for path in self.folder.iterdir() if not path.name.endswith(("-wal", "-shm")))

    def refused(self, capsys, *words, code=2):
        before = self.files()
        found, out, err = self.run(capsys, *words)
        assert (found, out) == (code, ""), err
        assert err.count("\n") == 1, err
        assert self.files() == before
        return err


@pytest.fixture(scope="module")
def module():
    return sampled(310)


@pytest.fixture
def site(tmp_path, module):
    return Site(tmp_path, module.sealed, PLANT.replace('["eu_mrr"]', '["eu_mrr", "eu_ied_waste"]'))


def wanted(tmp_path, module):
    bench = Bench(tmp_path / "other.sqlite")
    found = bulk(bench, module.sealed, START_UTC_MS, START_UTC_MS + 5 * HOUR_MS)
    bench.writer.close()
    return {one.place[1:]: one for one in found}


def test_files_hold_the_engines_figures_bit_for_bit(site, capsys, tmp_path, module):
    figures = wanted(tmp_path, module)
    for ending in ("csv", "json", "parquet"):
        code, out, err = site.run(capsys, *HOURS, "-o", tmp_path / f"f.{ending}")
        assert (code, out, err) == (0, "", "")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "f.csv").read_text())))
    tree = json.loads((tmp_path / "f.json").read_text())
    table = pyarrow.parquet.read_table(tmp_path / "f.parquet")
    assert tree["format"] == "plumeproof.figures/1"
    assert len(rows) == len(tree["figures"]) == table.num_rows == len(figures)
    by_start = {
        (one.rule_set, one.measurand, one.layer, one.start_utc_ms, one.end_utc_ms): one for one in figures.values()
    }
    for row, own, start, end, value in zip(
        rows, tree["figures"], table["start_utc"].cast("int64").to_pylist(), table["end_utc"].cast("int64").to_pylist(),
        table["value"].to_pylist(), strict=True,
    ):  # fmt: skip
        figure = by_start.pop((row["rule_set"], row["measurand"], row["layer"], start, end))
        assert (float(row["value"]) if row["value"] else None) == figure.value == own["value"] == value
        assert row["unit"] == own["unit"] == figure.unit
        assert row["flags"].split(";") == list(figure.flags) or not figure.flags
        assert own["n_invalid"] == dict(figure.n_invalid)
        assert (row["valid"] == "true") == own["valid"] == figure.is_valid
        assert own["inputs"][0]["head_hash"] == figure.inputs[0].head_hash.hex()
        assert own["rule_hash"] == row["rule_hash"] == figure.rule_hash.hex()
    assert not by_start
    assert rows[0]["start"] == "2026-12-01T01:00:00+01:00"
    assert rows[0]["start_utc"] == "2026-12-01T00:00:00Z"


def test_a_placed_ledger_gives_the_same_as_one_that_was_never_averaged(site, capsys, module):
    before = site.run(capsys, "--json")
    writer = Writer(site.ledger)
    ledger = SqliteLedger(writer, StillClock())
    stage = AveragingStage(ledger, SqliteAverages(writer, StillClock()), (60,), 0)
    for _ in range(3):
        stage.step(40)  # a part of it; the rest is placed by the verb
    assert site.run(capsys, "--json") == before
    while stage.step():
        pass
    writer.close()
    assert site.run(capsys, "--json") == before
    assert before[0] == 0


def test_days_and_months_are_those_of_the_live_bridge(tmp_path, capsys):
    module = sampled(24 * 60 + 5)
    bench = Bench(tmp_path / "ledger.sqlite")
    store_all(bench.ledger, module.sealed)
    bench.run()
    days = bench.rows("day")
    bench.writer.close()
    site = Site(tmp_path, [], bench.text)
    rules = ("--rules", "eu_mrr", "eu_ied_waste")
    code, out, err = site.run(capsys, "--level", "day", "--json", "--from", "2026-12-01", "--to", "2026-12-02", *rules)
    assert (code, err) == (0, "")
    found = json.loads(out)["figures"]
    assert {(row["rule_set"], row["measurand"], row["layer"], row["value"]) for row in found} == {
        (one.rule_set, one.measurand, one.layer, one.value) for one in days
    }
    code, out, _ = site.run(capsys, "--level", "day", "--level", "short_term", "--stored", "--json", *rules)
    stored = json.loads(out)["figures"]
    assert {row["level"] for row in stored} == {"day", "short_term"}
    assert {row["reason"] for row in stored} == {"first"}
    code, out, err = site.run(capsys, "--level", "month", "--level", "year", "--level", "rolling_30d", "--json", *rules)
    assert code == 0
    assert "the records end before" in err
    assert {row["level"] for row in json.loads(out)["figures"]} >= {"month", "year"}
    assert json.loads(out)["remarks"][0]["code"] == "provisional"


def test_late_records_show_as_revisions(tmp_path, capsys):
    module = sampled(130)
    late = module.sealed.pop(20)
    bench = Bench(tmp_path / "ledger.sqlite")
    store_all(bench.ledger, module.sealed)
    bench.run()
    store_all(bench.ledger, [late])
    bench.run()
    bench.writer.close()
    site = Site(tmp_path, [], bench.text)
    code, out, _ = site.run(
        capsys, "--stored", "--layer", "measured", "--measurand", "CO", "--json", "--rules", "eu_mrr"
    )
    rows = json.loads(out)["figures"]
    assert [row["revision"] for row in rows] == [0, 1, 0]
    assert rows[1]["reason"] == "late_record"
    code, out, _ = site.run(capsys, "--stored", "--layer", "measured", "--measurand", "CO", "--rules", "eu_mrr")
    assert "revision 1 (late_record)" in out


def test_the_table_is_for_eyes(site, capsys):
    code, out, _ = site.run(capsys, *HOURS, "--measurand", "CO", "--layer", "standardised", "--rules", "eu_mrr")
    lines = out.splitlines()
    assert code == 0
    assert len(lines) == 6
    assert lines[1].startswith("2026-12-01T01:00:00+01:00  60 min       eu_mrr")
    assert " mg/m3  " in lines[1]


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_plots_are_the_same_bytes_each_time(site, capsys, tmp_path, ending):
    for name in ("a", "b"):
        code, out, err = site.run(capsys, *HOURS, "--plot", tmp_path / f"{name}.{ending}")
        assert (code, out, err) == (0, "", "")
    found = (tmp_path / f"a.{ending}").read_bytes()
    assert found == (tmp_path / f"b.{ending}").read_bytes()
    assert found.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    assert len(found) > 20_000


def test_explain(site, capsys):
    code, out, err = site.run(capsys, "--explain", "CO", "2026-12-01T02:10:00+01:00")
    assert (code, err) == (0, "")
    assert "CO from 2026-12-01T02:00:00+01:00 to 2026-12-01T03:00:00+01:00" in out
    assert "CO from 2026-12-01T02:00:00+01:00 to 2026-12-01T02:30:00+01:00" in out
    assert "⚠ confidence" in out
    code, out, _ = site.run(capsys, "--explain", "CO", "2026-12-01T02:10:00+01:00", "--json", "--minutes", "10")
    tree = json.loads(out)["explanations"]
    assert [one["rule_set"]["id"] for one in tree] == ["eu_ied_waste"]
    mean = next(step for step in tree[0]["steps"] if step["title"].endswith("calibrated values"))
    figure = next(one for one in tree[0]["figures"] if one["layer"] == "measured")
    total, n = mean["numbers"].split(" / ")
    assert float(total) / int(n) == mean["result"] == figure["value"]


def test_explain_a_day_and_a_month(site, capsys):
    code, out, err = site.run(
        capsys, "--explain", "CO", "2026-12-01T02:10:00+01:00", "--level", "day", "--level", "month"
    )
    assert code == 0, err
    assert "CO from 2026-12-01T00:00:00+01:00 to 2026-12-02T00:00:00+01:00, day" in out
    assert "CO from 2026-12-01T00:00:00+01:00 to 2027-01-01T00:00:00+01:00, month" in out
    assert "standardised: 60-minute averages (mg/m3):\n  00:00  none" in out
    assert "2026-12-02 to 2026-12-31  none  nothing counts" in out
    words = ("--explain", "CO", "2026-12-01", "--level", "day", "--json", "--rules", "eu_ied_waste")
    code, out, _ = site.run(capsys, *words)
    (tree,) = json.loads(out)["explanations"]
    code, out, _ = site.run(capsys, "--level", "day", "--measurand", "CO", "--json", "--rules", "eu_ied_waste")
    assert tree["figures"] == json.loads(out)["figures"]
    mean = next(step for step in tree["steps"] if step["title"] == "standardised: mean")
    assert mean["result"] == tree["figures"][0]["value"]
    total = next(step for step in tree["steps"] if step["title"] == "standardised: sum of the averages")
    assert eval(total["numbers"], {"__builtins__": {}}) == total["result"]  # noqa: S307 - our own arithmetic
    assert len(tree["tables"][0]["rows"]) == 48


def test_rules_and_sample(capsys, tmp_path):
    assert main(["average", "--rules"]) == 0
    out = capsys.readouterr().out
    for name in rule_set_ids():
        assert f"\n{name} " in "\n" + out
    assert "⚠ coverage_basis = operating" in out
    assert main(["average", "--rules", "--json"]) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == list(rule_set_ids())
    assert main(["average", "--sample-plant"]) == 0
    (tmp_path / "sample.toml").write_text(capsys.readouterr().out)
    from plumeproof.plant_file import open_engine

    assert open_engine(tmp_path / "sample.toml").plant.id == "line-1"


def test_numba_waits_for_a_figure():
    code = (
        "import sys, plumeproof, plumeproof.cli; from plumeproof.cli import main;"
        " main(['average', '--rules']); main(['version']);"
        " assert not {'numba', 'pyarrow', 'matplotlib', 'pandas'} & set(sys.modules), 'too early'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_the_verb_knows_every_level_and_layer():
    assert average.LEVELS == LEVELS
    assert average.LAYERS == LAYERS


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--rules", "eu_mars"), "rule set eu_mars: is none of at_emvl"),
        (("--measurand", "SO2"), "--measurand SO2: is none of CO, dust, flow"),
        (("--from", "2026-12-02", "--to", "2026-12-01"), "is not behind --from 2026-12-02; the period would be empty"),
        (("--from", "2026-12-01T00:00:00"), "has no time zone; add Z or +01:00"),
        (("--from", "yesterday"), "is no time; write 2026-12-01"),
        (("-o", "f.xlsx"), "ends in none of .csv, .json, .parquet"),
        (("--plot", "f.pdf"), "ends in none of .svg, .png"),
        (("--format", "parquet"), "needs a file; name one with -o"),
        (("--plot", "f.svg", "--level", "day", "--level", "month"), "draws one --level and one --layer"),
        (("--explain", "SO2", "2026-12-01"), "measurand 'SO2': is none of plant line-1"),
        (("--explain", "CO", "2026-12-24"), "no record: has a slot in this term"),
        (("--explain", "CO", "2026-12-01T02:00:00Z", "--minutes", "7"), "7 min: is no length of CO"),
        (("--layer", "co2e", "-o", "f.csv"), "leave nothing of the figures of short_term"),
        (("--minutes", "10"), "--minutes: belongs to --explain"),
        (
            ("--explain", "CO", "2026-12-01", "--level", "day", "--minutes", "10"),
            "is the length of a short-term average",
        ),
        (("--explain", "CO", "2026-12-24", "--level", "day"), "no record: has a slot in this day"),
        (("--explain", "CO", "2026-12-01", "--level", "rolling_30d"), "is asked for by none of eu_mrr, eu_ied_waste"),
        (("--explain", "CO", "2026-12-01", "-o", "f.csv"), "--explain: prints"),
        (("--rule-file", "none.json"), "none.json: cannot be read"),
    ],
)
def test_wrong_words_are_2_in_one_line(site, capsys, monkeypatch, words, line):
    monkeypatch.chdir(site.folder)
    assert line in site.refused(capsys, *words)


def test_an_output_never_overwrites_an_input(site, capsys):
    for option in ("-o", "--plot"):
        target = site.folder / ("ledger.csv" if option == "-o" else "plant.svg")
        target.hardlink_to(site.ledger if option == "-o" else site.plant)
        before = target.read_bytes()
        assert "is read by this command" in site.refused(capsys, option, target)
        assert target.read_bytes() == before


def test_an_empty_period_is_1_and_says_what_is_there(site, capsys):
    words = ("--from", "2027-01", "--to", "2027-02", "-o", site.folder / "f.csv")
    err = site.refused(capsys, *words, code=1)
    assert "the ledger holds slots from 2026-12-01T01:00:00+01:00 to 2026-12-01T06:10:00+01:00" in err
    err = site.refused(capsys, "--stored", code=1)
    assert "no stored figure" in err


def test_a_channel_described_otherwise_writes_nothing(tmp_path, capsys, module):
    for text, line in (
        (PLANT.replace('"plume-01/co"\nunit = "mg/m3"', '"plume-01/co"\nunit = "ug/m3"'),
         "CO: plume-01/co is in mg/m3 by parameter set revision 1 of plume-01, the plant says ug/m3"),
        (PLANT.replace('source = "plume-01/co"', 'source = "plume-01/so2"'),
         "CO: parameter set revision 1 of plume-01 has no channel so2; it has co, dust"),
        (PLANT.replace('source = "plume-01/co"', 'source = "plume-01/co"\nslot_ms = 2000'),
         "CO: slots are 1000 ms apart by parameter set revision 1 of plume-01, the plant says 2000"),
        (PLANT.replace('source = "plume-01/co"', 'source = "plume-09/co"'),
         "module plume-09: of the plant is not there; the ledger has plume-01"),
    ):  # fmt: skip
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        site = Site(folder, module.sealed, text)
        assert line in site.refused(capsys, "-o", folder / "f.csv")
        assert line in site.refused(capsys)


def boot_again(module, raw_set):
    """With another set; time goes on."""
    module.clock_offset_ms += module.mono_ms
    module.use(raw_set)
    module.start()


def test_an_explanation_says_it_too(tmp_path, capsys, module):
    text = PLANT.replace('"plume-01/co"\nunit = "mg/m3"', '"plume-01/co"\nunit = "ug/m3"')
    err = Site(tmp_path, module.sealed, text).refused(capsys, "--explain", "CO", "2026-12-01T02:00:00Z")
    assert "plume-01/co is in mg/m3 by parameter set revision 1" in err


@pytest.mark.parametrize("coverage", ["[3, 2]", "[0, 3]", "0.66", '"most"'])
def test_an_impossible_coverage_writes_nothing(site, capsys, coverage):
    path = site.folder / "own.json"
    path.write_text(
        '{"id": "own", "version": "1", "title": "t", "source": "s", "status": "provisional", "inherits": "eu_mrr",'
        f' "settings": {{"coverage": {coverage}}}, "confidence": {{"coverage": {{"value": 0.5, "note": "n"}}}}}}'
    )
    err = site.refused(capsys, "--rules", "own", "--rule-file", path, "-o", site.folder / "f.csv")
    assert f"{path}: coverage: must be" in err


def test_a_part_described_otherwise_and_nan_are_said(tmp_path, capsys):
    module = sampled(60)
    boot_again(module, build_set(2, co={"unit": "ppm"}))
    for _ in range(10):
        module.sample([(0, math.nan if slot < 3 else 100.0, 0, False) for slot in range(60)])
    boot_again(module, build_set())
    for _ in range(60):
        module.sample([(0, math.inf if slot < 2 else 100.0, 0, False) for slot in range(60)])
    site = Site(tmp_path, module.sealed)
    code, _, err = site.run(capsys, "-o", tmp_path / "f.csv")
    assert code == 1
    assert (tmp_path / "f.csv").exists()
    assert "CO: plume-01/co is in ppm by parameter set revision 2" in err
    assert "10 records are counted as parameters_changed" in err
    assert "CO: 120 slots in which the register held NaN or infinity" in err
    assert err.count("\n") == 2


def test_a_damaged_record_is_in_no_figure_and_named(site, capsys):
    writer = Writer(site.ledger)
    with writer.transaction() as connection:
        connection.execute("UPDATE record SET envelope = zeroblob(100) WHERE seq = 50")
    writer.close()
    code, out, err = site.run(capsys, *HOURS, "--json")
    assert code == 1
    assert "plume-01: records with slots that are in no figure: 1 " in err
    assert json.loads(out)["remarks"][0]["is_fault"] is True


def test_slots_before_the_first_time_sync_are_nobodys_fault(tmp_path, capsys):
    module = TimedModule()
    module.clock_offset_ms = None
    module.start()
    module.sample([(0, 100.0, 0, False)] * 60)
    module.clock_offset_ms = START_UTC_MS - module.mono_ms
    for _ in range(60):
        module.sample([(0, 100.0, 0, False)] * 60)
    site = Site(tmp_path, module.sealed)
    code, _, err = site.run(capsys)
    assert code == 0
    assert (
        err
        == "plumeproof average: plume-01: records with slots that are in no figure: 1 no_utc; no time was known yet\n"
    )


def test_records_without_their_parameter_set_write_nothing(tmp_path, capsys):
    module = TimedModule()
    module.start(with_set=False)
    for _ in range(70):
        module.sample([(0, 100.0, 0, False)] * 60)
    site = Site(tmp_path, module.sealed)
    err = site.refused(capsys, "-o", tmp_path / "f.csv", code=1)
    assert "no record with slots can be used: plume-01: 70 records parameters_missing; see `plumeproof verify`" in err


def test_time_that_does_not_go_on_is_said(tmp_path, capsys):
    module = sampled(70)
    module.clock_offset_ms -= 30 * 60_000  # somebody set the clock back
    for _ in range(70):
        module.sample([(0, 100.0, 0, False)] * 60)
    site = Site(tmp_path, module.sealed)
    code, _, err = site.run(capsys, "-o", tmp_path / "f.csv")
    assert code == 1
    assert "plume-01: time does not go on: 30 records, first seq 73, have slots at times that earlier ones have" in err
    assert err.count("\n") == 1


def test_no_ledger_and_no_plant(capsys, tmp_path, site):
    assert main(["average", "--plant", str(site.plant)]) == 2
    assert "--ledger: is missing" in capsys.readouterr().err
    assert main(["average", "--ledger", str(site.ledger)]) == 2
    assert "names no plant" in capsys.readouterr().err
    assert main(["average", "--ledger", str(tmp_path / "none"), "--plant", str(site.plant)]) == 2
    assert "no such ledger" in capsys.readouterr().err


def test_notebook_on_a_ledger(site, tmp_path, module):
    found = plumeproof.averages(site.ledger, site.plant, start="2026-12-01T00:00:00Z", end="2026-12-01T05:00:00Z")
    own_plant = {"plant_hash": found.figures[0].plant_hash}  # it names one rule set more
    assert bare(found) == bare(one._replace(**own_plant) for one in wanted(tmp_path, module).values())
    own = found.select("CO", "standardised", "eu_ied_waste", minutes=30)
    assert len(own) == 10
    assert own.start_utc[0] == np.datetime64("2026-12-01T00:00")
    assert own.values.dtype == np.float64
    assert not np.isnan(own.values).any()
    assert set(own.units) == {"mg/m3"}
    table = own.arrow()
    assert table["value"].to_pylist() == [one.value for one in own]


def test_notebook_takes_what_people_write(site):
    of_day = plumeproof.averages(site.ledger, site.plant, levels="day", rule_sets="eu_mrr", measurands="CO")
    assert {one.level for one in of_day} == {"day"}
    assert repr(of_day).startswith(
        "Averages(1 figures from 2026-12-01T00:00:00+01:00 to 2026-12-02T00:00:00+01:00; level:"
    )
    utc, local = "2026-12-01T01:00:00Z", "2026-12-01T02:00:00+01:00"
    end = "2026-12-01T05:00:00Z"
    zone = timezone(timedelta(hours=1))
    wanted = plumeproof.averages(site.ledger, site.plant, start=utc, end=end).figures
    for start in (
        local,
        datetime(2026, 12, 1, 2),
        datetime(2026, 12, 1, 2, tzinfo=zone),
        np.datetime64("2026-12-01T01"),
    ):
        assert plumeproof.averages(site.ledger, site.plant, start=start, end=end).figures == wanted
    whole = plumeproof.averages(site.ledger, site.plant, start=date(2026, 12, 1), end=date(2026, 12, 2))
    assert whole.figures == plumeproof.averages(site.ledger, site.plant, start="2026-12-01", end="2026-12-02").figures
    assert not whole.has_uncertainty.any() and whole.uncertainty.tolist() == [0.0] * len(whole)


def test_notebook_says_that_there_is_nothing(site):
    found = plumeproof.averages(site.ledger, site.plant, start="2028-01-01", end="2028-02-01", levels="month")
    assert repr(found) == "Averages(nothing; remarks: 1)"
    assert found.remarks[0].code == "nothing" and found.remarks[0].is_fault
    assert "there are slots from 2026-12-01T01:00:00+01:00 to 2026-12-01T06:10:00+01:00" in found.remarks[0].sentence


@pytest.fixture
def stack(tmp_path):
    (tmp_path / "stack.toml").write_text(STACK_PLANT)
    return tmp_path / "stack.toml"


def test_notebook_on_arrays(stack):
    arrays = channels()
    found = plumeproof.averages(arrays, stack, levels=("short_term", "day"))
    assert {one.inputs for one in found} == {()}
    assert any(remark.code == "not_finite" for remark in found.remarks)
    half = found.select("NOx", "measured", "eu_ied_waste", "short_term")
    values = np.asarray(arrays["plume-01/nox"].values)[:30] * 1.06 - 1.8
    assert half.values[0] == pytest.approx(values.mean(), rel=1e-13)
    assert found.select(level="day", layer="validated").exists.all()


def test_the_ribbon_and_the_substitutes_of_a_day(stack):
    from plumeproof import figure_plot
    from plumeproof.plant_file import open_engine

    found = plumeproof.averages(channels(), stack, layers=("standardised", "flow"))
    half_hours = found.select("NOx", "standardised", "eu_ied_waste")
    seen = [figure_plot.ribbon_of(one) for one in half_hours]
    assert seen[0] == figure_plot.VALID
    assert seen[6] == figure_plot.NO_DATA  # 25 minutes without any
    assert seen[20:23] == [figure_plot.FAULT] * 3  # 10:00 to 11:40, but the last 20 minutes hold
    assert seen[32:36] == [figure_plot.STOPPED] * 4
    hours = found.select("CO2", "standardised", "eu_mrr")
    assert (
        figure_plot.ribbon_of(hours.figures[18]) == figure_plot.VALID
    )  # it ran for 40 minutes of it, all of them read
    sheet = figure_plot.Sheet(open_engine(stack), (hours.figures[0].start_utc_ms, hours.figures[-1].end_utc_ms))
    for one in plumeproof.averages(channels(), stack):
        sheet.add(one)
    page = sheet._draw(figure_plot.matplotlib_parts(), [line for line in sheet._chosen() if line.measurand == "CO2"])
    diamonds = [line for axis in page.axes for line in axis.lines if line.get_marker() == "D"]
    assert len(diamonds) == 1
    valid = hours.values[hours.is_valid]
    assert diamonds[0].get_ydata().tolist() == pytest.approx([valid.mean() + 2 * valid.std(ddof=1)] * 2, rel=1e-12)
    assert [round(at % 1 * 24, 6) for at in diamonds[0].get_xdata()] == [10.5, 11.5]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda own: own | {"times": own["times"][::-1]}, "does not come after the one before"),
        (lambda own: own | {"times": own["times"] - own["times"] % 120_000}, "does not come after the one before"),
        (lambda own: own | {"values": own["values"][1:]}, "must have one length"),
        (lambda own: own | {"values": [str(one) for one in own["values"]]}, "values must be a line of numbers"),
        (lambda own: own | {"times": own["times"] / 1000.0}, "times must be datetime64 or whole UTC milliseconds"),
        (lambda own: own | {"slot_ms": 7}, "does not divide a minute"),
        (lambda own: own | {"unit": "mg/m3"}, "NOx: plume-01/nox is in mg/m3"),
    ],
)
def test_arrays_that_are_none(stack, change, line):
    arrays = channels()
    own = arrays["plume-01/nox"]
    words = {"times": own.times, "values": own.values, "unit": own.unit, "slot_ms": own.slot_ms}
    arrays["plume-01/nox"] = plumeproof.Readings(**change(words))
    with pytest.raises(RuleError, match=line):
        plumeproof.averages(arrays, stack)


def test_a_channel_that_is_not_among_the_arrays(stack):
    arrays = channels()
    del arrays["plume-01/o2"]
    with pytest.raises(RuleError, match="channel plume-01/o2: of the plant is not among the arrays"):
        plumeproof.averages(arrays, stack)
    with pytest.raises(RuleError, match="level 'week': is none of"):
        plumeproof.averages(channels(), stack, levels=("week",))


def test_an_unknown_attribute_stays_one():
    with pytest.raises(AttributeError, match="no attribute 'average'"):
        _ = plumeproof.average
