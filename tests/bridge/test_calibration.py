"""`plumeproof calibration` on parallel measurements: the worked examples E16 to E18 from CSV, and what is refused."""

from __future__ import annotations

import json
import tomllib

import pytest

from plumeproof.cli import main
from tests.rules.examples import assert_close, example

PLANT = """
[plant]
id = "line-1"
title = "Line 1"
utc_offset = "+01:00"
rule_sets = ["eu_ied_waste"]
[[measurand]]
id = "NOx"
source = "plume-01/nox"
unit = "mg/m3"
ci_pct = 20.0
[[measurand.limit]]
kind = "day"
value = 80.0
[[measurand.calibration]]
id = "qal2-2025"
begins = "2025-06-01T00:00:00Z"
a = -0.0625031109711
b = 1.04953847366
"""


@pytest.fixture
def site(tmp_path, capsys):
    """Writes pairs, runs the verb: (status, output, errors)."""
    (tmp_path / "plant.toml").write_text(PLANT)

    def run(what, rows, *words, head="time,ams,srm", plant=True):
        path = tmp_path / "pairs.csv"
        path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n")
        where = ["--plant", str(tmp_path / "plant.toml"), "--measurand", "NOx"] if plant else []
        code = main(["calibration", what, str(path), *where, *map(str, words)])
        return code, *capsys.readouterr()

    return run


def rows_of(name, days=3):
    given = example(name)["inputs"]
    pairs = zip(given["x_ams"], given["y_srm"], strict=True)
    return [(f"2026-05-{11 + at % days:02}T08:30:00Z", x, y) for at, (x, y) in enumerate(pairs)]


def test_e16(site):
    wanted = example("E16")["expected"]
    code, out, _ = site("qal2", rows_of("E16"), "--json")
    tree = json.loads(out)
    assert code == 0 and tree["passed"] is True and tree["function"]["method"] == "a"
    for found, key in (
        (tree["function"]["a"], "a"), (tree["function"]["b"], "b"), (tree["function"]["r2"], "R2"),
        (tree["variability"]["s_d"], "s_D"), (tree["variability"]["limit"], "limit"),
        (tree["valid_range"]["upper"], "valid_range_upper_110pct"),
    ):  # fmt: skip
        assert_close(found, wanted[key])
    assert (tree["on"], tree["days"], tree["daily_elv"], tree["permissible_pct"]) == ("2026-05-13", 3, 80.0, 20.0)


def test_what_it_prints_belongs_into_the_plant_description(site):
    code, out, err = site("qal2", rows_of("E16"))
    assert (code, err) == (0, "") and "s_D 0.940476, limit 7.96831" in out and "passed" in out
    (entry,) = tomllib.loads(out[out.index("[[") :].replace("measurand.", ""))["calibration"]
    assert entry["begins"] == "2026-05-13T23:00:00Z"  # the midnight of the site behind the last pair
    assert_close(entry["b"], example("E16")["expected"]["b"])


def test_e17_needs_the_reading_at_zero(site):
    words = ("--limit", 50, "--permissible", 20)
    code, _, err = site("qal2", rows_of("E17"), *words, plant=False)
    assert code == 2 and "zero_reading" in err
    code, out, _ = site("qal2", rows_of("E17"), *words, "--zero", 0.4, "--json", plant=False)
    tree = json.loads(out)
    assert code == 0 and tree["function"]["method"] == "b"
    assert_close(tree["function"]["b"], example("E17")["expected"]["b"])


def test_e18(site):
    wanted = example("E18")["expected"]
    code, out, _ = site("ast", rows_of("E18"), "--json")
    tree = json.loads(out)
    assert code == 0 and tree["function"] == "qal2-2025"
    for found, key in (
        (tree["variability"]["mean"], "D_mean"), (tree["variability"]["s_d"], "s_D"),
        (tree["variability"]["limit"], "variability_limit"), (tree["bias_limit"], "bias_limit"),
    ):  # fmt: skip
        assert_close(found, wanted[key])
    far = [(at, x, y + 20.0) for at, x, y in rows_of("E18")]
    code, out, _ = site("ast", far)
    assert code == 1 and "limit 9.89429: NOT PASSED" in out and 'result = "failed"' in out
    code, out, _ = site("ast", rows_of("E18"), "--a", 0, "--b", 1, "--limit", 80, "--permissible", 20, plant=False)
    assert code == 0 and "as given: y = 0 + 1 x" in out


def test_too_few_are_judged_and_said(site):
    code, out, _ = site("qal2", rows_of("E16", days=2)[:14])
    assert code == 1 and "too few pairs" in out and "too few days" in out


def test_a_factor_judges_at_reference_conditions(site):
    """Half of everything there: half the scatter, half the range; the function is that of the readings."""
    rows = [(*row, 0.5) for row in rows_of("E16")]
    code, out, _ = site("qal2", rows, "--json", head="time,ams,srm,factor")
    tree, wanted = json.loads(out), example("E16")["expected"]
    assert code == 0
    assert_close(tree["function"]["b"], wanted["b"])
    assert_close(tree["variability"]["s_d"], wanted["s_D"] / 2)
    assert_close(tree["valid_range"]["upper"], wanted["valid_range_upper_110pct"] / 2)
    assert_close(tree["function"]["y_span"], wanted["y_span"] / 2)


def test_reference_material_extends_the_range_or_does_not(site):
    for reading, granted, upper in ((90.0, True, 95.0), (40.0, False, 84.2091860124)):
        code, out, _ = site("qal2", rows_of("E16"), "--extend", f"{reading}=95", "--json")
        tree = json.loads(out)
        assert code == 0 and tree["extension"]["is_granted"] is granted
        assert_close(tree["valid_range"]["upper"], upper)


@pytest.mark.parametrize(
    ("rows", "head", "words", "told"),
    [
        ([("2026-05-11", "1,5", 2)], "time,ams,srm", (), "row 2"),
        ([("2026-05-11", "nan", 2)], "time,ams,srm", (), "ams 'nan' is no number"),
        ([("2026-05-11", 1)], "time,ams,srm", (), "srm '' is no number"),
        ([("11.05.2026", 1, 2)], "time,ams,srm", (), "is no time"),
        ([("2026-05-11", 1, 2, 0)], "time,ams,srm,factor", (), "factor 0 is not above 0"),
        ([("2026-05-11", 1, 2)], "time;ams;srm", (), "other columns"),
        ([], "time,ams,srm", (), "no row"),
        ([("2026-05-11", 1, 2)] * 2, "time,ams,srm", (), "2 are too few"),
        ([("2026-05-11", 1, 2)] * 1001, "time,ams,srm", (), "more than 1000"),
        ([("2026-05-11", 1, 2)] * 9000, "time,ams,srm", (), "larger than"),
        ([("2026-05-11", 1, 2)], "time,ams,srm", ("--measurand", "SO2"), "is none of NOx"),
    ],
)
def test_refused_in_one_line(site, rows, head, words, told):
    code, out, err = site("qal2", rows, *words, head=head)
    assert (code, out) == (2, "") and told in err and err.count("\n") == 1


def test_numbers_that_lack(site):
    for what, words, told in (
        ("qal2", (), "--limit and --permissible"),
        ("ast", ("--limit", 80, "--permissible", 20), "--a and --b"),
        ("ast", ("--limit", 80, "--permissible", 20, "--a", 1), "belong together"),
        ("qal2", ("--plant", "x.toml"), "belong together"),
    ):
        code, _, err = site(what, rows_of("E18"), *words, plant=False)
        assert code == 2 and told in err
