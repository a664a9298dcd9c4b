"""Recorded data through analyzers, firmware, link and bridge: every register byte in the ledger is that of its CSV row.

What the registers must hold is computed here from the CSV with struct alone.
"""

from __future__ import annotations

import csv
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from plumeproof.keys import load_keys
from tools.demo.layout import MODULES, Layout
from tools.demo.ledger_view import read_module

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference"))
TURBINE = REFERENCE / "data" / "recorded" / "gas_turbine_hourly_2013.csv"
TURBINE_MAP = ROOT / "tools" / "plant" / "maps" / "gas_turbine_2013.json"
SECONDS = 6
SLOT_MS = 250
LIMIT_S = 100

# Function, address, quantity and unit id of a block; channel: offset in bytes, its bytes on the wire.
GAS, DUST, STACK = (1, 4, 138, 34), (2, 3, 0, 3), (3, 4, 0, 9)


def cdab(value: float) -> bytes:
    plain = struct.pack(">f", value)
    return plain[2:] + plain[:2]


def abcd(value: float) -> bytes:
    return struct.pack(">f", value)


def tenths(value: float) -> bytes:
    return struct.pack(">h", round(value * 10))


def hundredths(value: float) -> bytes:
    return struct.pack(">h", round(value * 100))


def replay(root: Path, values: Path, row_s: float, *more: str) -> Layout:
    """A demo in which every slot shows the next row."""
    speed = row_s * 1000 / SLOT_MS
    command = [sys.executable, "-m", "tools.demo", "--seconds", str(SECONDS), "--json", "--dir", str(root)]
    command += ["--values", str(values), "--speed", str(speed), "--slot-ms", str(SLOT_MS), "--seal-ms", "1000", *more]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert run.returncode == 0, run.stderr + run.stdout
    figures = json.loads(run.stdout.splitlines()[-1])
    assert (figures["lost"], figures["duplicated"], figures["late_answers"]) == (0, 0, 0)
    return Layout(root)


def said(layout: Layout, name: str, wanted: tuple[int, int, int, int]) -> list[tuple[float, bytes]]:
    """(plant time, register bytes) of each answer of a block, as the plant wrote them down."""
    entries = [json.loads(line) for line in layout.plant_log(name).read_text().splitlines()]
    return [
        (entry["plant_s"], bytes.fromhex(entry["registers"]))
        for entry in entries
        if entry["kind"] == "answer"
        and (entry["unit"], entry["function"], entry["address"], entry["quantity"]) == wanted
    ]


def check(layout: Layout, rows: list[dict[str, str]], row_s: float, expected) -> int:
    """Ledger against plant, plant against rows; how many different rows were met in each module at least."""
    fewest = len(rows)
    for name in MODULES:
        view = read_module(layout.ledger, load_keys(layout.keys), name)
        units = [analyzer["unit"] for analyzer in view.parameters["analyzers"]]
        met: set[int] = set()
        for number, block in enumerate(view.parameters["blocks"]):
            key = (units[block["analyzer"]], block["function"], block["address"], block["quantity"])
            held = [slot.data for slot in view.slots[1, number] if slot.outcome == 0]
            answers = said(layout, name, key)
            assert held == [registers for _, registers in answers]
            for plant_s, registers in answers:
                place = min(int(plant_s // row_s), len(rows) - 1)
                for offset, coded in expected(key, rows[place]):
                    assert registers[offset : offset + len(coded)] == coded, (name, key, place)
                    met.add(place)
        fewest = min(fewest, len(met))
    return fewest


def test_a_csv_of_our_own_with_numbers_that_are_easily_spoilt(tmp_path):
    columns = ("gas.hcl", "gas.nox", "dust.dust", "dust.extinction", "stack.flow", "stack.pressure")
    rows = [
        dict(zip(columns, map(str, numbers), strict=True))
        for index in range(60)
        for numbers in [
            (
                (-0.0, 0.1, 1e-40, 123456.789)[index % 4] + index,
                (3.4028234e38, -1.17549435e-38, 0.333333343, 1700.0)[index % 4],
                (-3276.8, 3276.7, -0.1, 0.0)[index % 4],
                (index * 7 - 200) / 100,
                16777217.0 + 2 * index,
                1013.25 - index / 64,
            )
        ]
    ]
    values = tmp_path / "own.csv"
    with values.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)

    def expected(key, row):
        number = {name: float(text) for name, text in row.items()}
        if key == GAS:
            return ((0, cdab(number["gas.hcl"])), (64, cdab(number["gas.nox"])))
        if key == DUST:
            return ((0, tenths(number["dust.dust"])), (2, hundredths(number["dust.extinction"])))
        if key == STACK:
            return ((0, abcd(number["stack.flow"])), (8, abcd(number["stack.pressure"])))
        return ()

    layout = replay(tmp_path / "left", values, 1.0, "--row-s", "1")
    assert check(layout, rows, 1.0, expected) >= SECONDS * 1000 // SLOT_MS // 2


@pytest.mark.skipif(not TURBINE.is_file(), reason="recorded year not found (set PLUMEPROOF_REFERENCE)")
def test_the_recorded_year_of_a_gas_turbine(tmp_path):
    with TURBINE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7152

    def expected(key, row):
        if key == GAS:
            return ((12, cdab(float(row["CO"]))), (64, cdab(float(row["NOX"]))))
        if key == STACK:
            return ((4, abcd(float(row["TAT"]))), (8, abcd(float(row["AP"]))))
        return ()

    layout = replay(tmp_path / "left", TURBINE, 3600.0, "--map", str(TURBINE_MAP))
    assert check(layout, rows, 3600.0, expected) >= SECONDS * 1000 // SLOT_MS // 2
