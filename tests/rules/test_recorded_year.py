"""A recorded year of a gas turbine (7,152 hours) through the rules that fill, sum and survey, and through pandas.

CO and NOx are the plant's own; CO2 and flow follow the load by the model written here. What is missing is drawn with a
seed. Each hour of each rule is compared, and at the end some days from slots on.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from plumeproof.rules import greenhouse, hj75, part75, qal2, qal2_range
from plumeproof.rules.flow import mass_kg_h
from plumeproof.rules.substitution import fill, mean_plus_two_sigma
from tests.doubles import recorded_plant
from tests.doubles.random_plant import TOLERANCE

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference"))
HOUR_MS = 3_600_000
START_MS = 1_356_998_400_000  # 2013-01-01T00:00Z


@pytest.fixture(scope="module")
def year():
    """Hours with co2 (g/Nm3), flow (Nm3/h), nox (mg/m3), valid, ran; the rest of the year stopped."""
    path = REFERENCE / "data" / "recorded" / "gas_turbine_hourly_2013.csv"
    if not path.exists():
        pytest.skip("no reference folder: set PLUMEPROOF_REFERENCE")
    recorded = pd.read_csv(path)
    frame = recorded.reindex(range(8760))
    ran = frame["TEY"].notna()
    load = frame["TEY"].fillna(0.0)
    rng = np.random.default_rng(2013)
    valid = pd.Series(np.repeat(rng.random(8760 // 6) < 0.95, 6)) & ran  # gaps of six hours and their multiples
    valid[2000:2040] = valid[5000:5030] = False  # two long ones
    co2 = 60.0 + 0.15 * load + rng.normal(0.0, 1.0, 8760)
    return pd.DataFrame(
        {
            "co2": co2,
            "flow": 9000.0 * load,
            "nox": frame["NOX"],
            "valid": valid,
            "ran": ran,
            "month": pd.to_datetime(START_MS + np.arange(8760) * HOUR_MS, unit="ms").strftime("%Y%m").astype(int),
        }
    )


def test_greenhouse_year(year):
    valid, ran = year["valid"].to_numpy(), year["ran"].to_numpy()
    co2, flow = year["co2"].to_numpy(), year["flow"].to_numpy()
    substitute = mean_plus_two_sigma(np.where(valid, co2, math.nan), valid)
    kept = year["co2"].where(year["valid"])
    assert math.isclose(substitute.value, kept.mean() + 2 * kept.std(), rel_tol=1e-12)
    filled = fill(np.where(valid, co2, math.nan), valid, ran, substitute)
    mass = mass_kg_h(filled.values * 1000.0, flow, False)[0] / 1000.0
    found = greenhouse.sum_hours(mass, filled.has, ran, filled.is_substituted)
    hours = kept.fillna(kept.mean() + 2 * kept.std()) * year["flow"] / 1e6
    assert np.allclose(mass[ran], hours[year["ran"]], rtol=1e-12, atol=0.0)
    assert math.isclose(found.total_t, math.fsum(hours[year["ran"]]), rel_tol=1e-12)
    assert found.hours_op == 7152 == int(year["ran"].sum()) and found.is_complete
    assert found.hours_substituted == int((year["ran"] & ~year["valid"]).sum()) > 100
    for month, tonnes in hours.where(year["ran"], 0.0).groupby(year["month"]).sum().items():
        own = (year["month"] == month).to_numpy()
        of_month = greenhouse.sum_hours(mass[own], filled.has[own], ran[own], filled.is_substituted[own])
        assert math.isclose(of_month.total_t, tonnes, rel_tol=1e-12, abs_tol=1e-12)


def test_hj75_year(year):
    """Every substitute is the largest of the valid hours before its gap, by pandas' rolling window over them."""
    valid, ran = year["valid"].to_numpy(), year["ran"].to_numpy()
    mass = (year["nox"] * year["flow"] / 1e6).to_numpy()
    none = np.zeros(8760, dtype=np.bool_)
    capture = hj75.judge_capture(8760, 8760 - 7152, int((ran & ~valid).sum()))
    assert capture.band == ">=90"
    found = hj75.fill_mass(np.where(valid, mass, math.nan), valid, ran, none, none, capture)
    kept = pd.Series(mass)[valid]
    largest = {back: kept.rolling(back, min_periods=1).max().reindex(range(8760)).ffill() for back in (180, 720)}
    run = (year["valid"] | ~year["ran"]).cumsum()
    length = (year["ran"] & ~year["valid"]).groupby(run).transform("sum")
    checked = 0
    for hour in np.flatnonzero(ran & ~valid):
        back = 180 if length[hour] <= 24 else 720
        expected = largest[back][hour]
        assert found.has[hour] != math.isnan(expected)
        if found.has[hour]:
            assert (found.values[hour], found.look_back_h[hour]) == (expected, back)
            checked += 1
    assert checked > 100


def test_part75_year(year):
    """After the first 720 hours: availability by running sums, neighbours by fills, percentiles by numpy."""
    valid, ran = year["valid"].to_numpy(), year["ran"].to_numpy()
    nox = year["nox"].where(year["valid"])
    found = part75.fill_hours(nox.to_numpy(), valid, ran, "concentration", 400.0, first=1000)
    running = nox[year["ran"]]
    neighbours = (running.ffill() + running.bfill()) / 2
    length = running.isna().groupby(running.notna().cumsum()).transform("sum")
    seen = set()
    for hour in running.index[running.isna() & (running.index >= 1000)]:
        past = running.loc[: running.loc[:hour].last_valid_index()]
        availability = 100.0 * past.notna().sum() / past.size  # no hour of its own gap yet
        best, pct, shortest = ("p90", 0.90, 24) if availability >= 95 else ("p95", 0.95, 8)
        assert availability >= 90
        method = best if length[hour] > shortest else "hb_ha"
        ranked = np.quantile(past.dropna().tail(720), pct, method="inverted_cdf")
        expected = max(ranked, neighbours[hour]) if method == best else neighbours[hour]
        assert (found.methods[hour], found.values[hour]) == (method, expected)
        seen.add(method)
    assert seen >= {"hb_ha", "p90"} or seen >= {"hb_ha", "p95"}


def test_weeks_of_the_year(year):
    valid = year["valid"].to_numpy()
    nox = year["nox"].fillna(0.0).to_numpy()
    weeks = qal2_range.count_weeks(START_MS + np.arange(8760) * HOUR_MS, nox, valid, qal2.ValidRange(0.0, 80.0), 480)
    local = pd.to_datetime(START_MS + np.arange(8760) * HOUR_MS, unit="ms") + pd.Timedelta(hours=8)
    monday = (local.normalize() - pd.to_timedelta(local.day_of_week, unit="D")) - pd.Timedelta(hours=8)
    table = pd.DataFrame({"monday": monday, "valid": valid, "outside": valid & (nox > 80.0)}).groupby("monday").sum()
    assert [week.n_valid for week in weeks] == table["valid"].tolist()
    assert [week.n_outside for week in weeks] == table["outside"].tolist()
    assert [week.start_utc_ms for week in weeks] == [int(one.timestamp() * 1000) for one in table.index]


def test_every_figure_of_recorded_days():
    """From slots through the whole engine, beside the slow one; the whole year: `make figures ARGS="--recorded"`."""
    if not recorded_plant.PATH.exists():
        pytest.skip("no reference folder: set PLUMEPROOF_REFERENCE")
    count, worst, told = recorded_plant.compare_recorded(32)
    assert not told, "\n".join(told[:5])
    assert count > 15_000 and worst <= TOLERANCE
