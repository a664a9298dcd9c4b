"""Partition tables of firmware/boards: nothing lies over anything else, the flash is used to its end, and the names are
those that MicroPython and our journal look for. ESP-IDF's own tool, which makes them, is not part of this project.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

BOARDS = Path(__file__).resolve().parents[2] / "firmware" / "boards"
TABLES = {"esp32_partitions_4mb": 4, "esp32_partitions_4mb_updates": 4, "esp32_partitions_16mb": 16}
SECTOR = 4096
APP_ALIGNMENT = 65536
FROZEN_SECTORS = 227  # BOARDS.md section 9, of the largest program
FILES_SECTORS = 317


def rows(name: str) -> list[tuple[str, str, int, int, str]]:
    lines = [line for line in (BOARDS / f"{name}.csv").read_text().splitlines() if not line.startswith("#")]
    return [
        (cells[0], cells[1], int(cells[3], 0), int(cells[4], 0), cells[5])
        for cells in csv.reader(lines, skipinitialspace=True)
    ]


def test_every_table_is_looked_at():
    assert {path.stem for path in BOARDS.glob("*partitions*.csv")} == set(TABLES)


@pytest.mark.parametrize("name", TABLES)
def test_a_partition_table(name):
    at = 0x9000  # behind bootloader and table
    for label, kind, offset, size, flags in rows(name):
        assert offset == at and size > 0 and size % SECTOR == 0 and not flags, label
        assert kind != "app" or offset % APP_ALIGNMENT == 0
        at += size
    assert at == TABLES[name] << 20
    sizes = {label: size // SECTOR for label, _, _, size, _ in rows(name)}
    assert {"vfs", "journal", "factory"} < set(sizes)
    least = {"esp32_partitions_4mb": 0, "esp32_partitions_4mb_updates": FROZEN_SECTORS}.get(name, FILES_SECTORS)
    assert sizes["vfs"] >= least
