"""A stack over a day as arrays and plant description: NOx, CO2, O2, moisture, temperature, pressure and flow, with a
start-up, a standstill, a calibration, a fault and a gap. Made from formulas: the same numbers on every machine."""

from __future__ import annotations

import math

import numpy as np

from plumeproof.array_strips import Readings

START_UTC_MS = 1_796_079_600_000  # 2026-12-01T00:00+01:00
SLOTS = 1_440  # of a minute each
PLANT = """
[plant]
id = "line-1"
title = "Waste line 1, stack A"
utc_offset = "+01:00"
rule_sets = ["eu_ied_waste", "eu_mrr"]

[[state]]
state = "stopped"
source = "plume-01/o2"
above = 19.5
slot_ms = 60000

[[state]]
state = "start_up"
source = "plume-01/temperature"
below = 100.0
slot_ms = 60000

[[peripheral]]
kind = "O2"
source = "plume-01/o2"
basis = "wet"
slot_ms = 60000

[[peripheral]]
kind = "H2O"
source = "plume-01/moisture"
slot_ms = 60000

[[peripheral]]
kind = "T"
source = "plume-01/temperature"
slot_ms = 60000

[[peripheral]]
kind = "p"
source = "plume-01/pressure"
unit = "hPa"
slot_ms = 60000

[flow]
source = "plume-01/flow"
unit = "m3/h"
conditions = "actual_wet"
wall_factor = 0.98
slot_ms = 60000

[[measurand]]
id = "NOx"
source = "plume-01/nox"
unit = "ppm"
gas = "NO2"
needs = ["T", "p", "H2O", "O2"]
o2_reference_pct = 11.0
range_max = 400.0
ci_qal2 = 6.4
decimals = 1
slot_ms = 60000
[[measurand.limit]]
kind = "day"
value = 200.0
[[measurand.limit]]
kind = "half_hour_a"
value = 400.0
[[measurand.limit]]
kind = "half_hour_b"
value = 200.0
[[measurand.calibration]]
id = "qal2-2025"
begins = "2025-06-01T00:00:00Z"
a = -1.8
b = 1.06
valid_to = 280.0

[[measurand]]
id = "CO2"
source = "plume-01/co2"
unit = "%"
gas = "CO2"
greenhouse_gas = "CO2"
biomass_share_pct = 34.0
decimals = 2
slot_ms = 60000
"""


def channels(days: int = 1) -> dict[str, Readings]:
    """By "device/channel"."""
    minute = np.arange(SLOTS * days)
    times = START_UTC_MS + minute * 60_000
    of_day = minute % SLOTS
    wave = np.array([math.sin(one / 140.0) for one in of_day.tolist()])
    ripple = np.array([math.sin(one * 1.7) + math.sin(one * 0.37) for one in of_day.tolist()])
    is_stopped, is_starting = (of_day >= 960) & (of_day < 1_100), (of_day >= 1_100) & (of_day < 1_150)
    oxygen = np.where(is_stopped, 20.8, np.where(is_starting, 15.0, 8.0 + 1.2 * wave))
    nox = np.where(is_stopped | is_starting, 0.4, 60.0 + 22.0 * wave + 3.0 * ripple)
    co2 = np.where(is_stopped, 0.05, 9.5 - 1.1 * wave + 0.1 * ripple)
    is_checked = (of_day >= 420) & (of_day < 425)
    is_faulty = (of_day >= 600) & (of_day < 700)
    is_there = ~((of_day >= 180) & (of_day < 205))

    def read(values, unit, is_valid=None):
        fine = np.ones(len(minute), np.bool_) if is_valid is None else is_valid
        return Readings(times[is_there], np.asarray(values)[is_there], unit, 60_000, fine[is_there])

    return {
        "plume-01/nox": read(np.where(is_checked, np.nan, nox), "ppm", ~is_faulty),
        "plume-01/co2": read(co2, "%", ~is_faulty),
        "plume-01/o2": read(oxygen, "%"),
        "plume-01/moisture": read(14.0 + 1.5 * wave, "%"),
        "plume-01/temperature": read(np.where(is_starting, 80.0, 140.0 + 4.0 * wave), "degC"),
        "plume-01/pressure": read(1_008.0 + 0.5 * wave, "hPa"),
        "plume-01/flow": read(np.where(is_stopped, 0.0, 82_000.0 + 5_000.0 * wave), "m3/h"),
    }
