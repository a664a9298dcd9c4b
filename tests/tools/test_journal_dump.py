"""The reader of flash images against the module's own journal, which knows nothing of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from flash_parts import PowerCutFlash
from hypothesis import given, settings
from hypothesis import strategies as st

from acq.journal import Journal
from tools.journal_dump import main, read_entries

SECTORS = 16


def content_hash(seq: int) -> bytes:
    return seq.to_bytes(32, "big")


def fill(path: Path, sizes: list[int], are_released: bool = False) -> dict[int, bytes]:
    flash = PowerCutFlash(SECTORS)
    journal = Journal(flash)
    journal.mount()
    written = {}
    for seq, size in enumerate(sizes, journal.head_seq + 1):
        if are_released and seq > 1:
            journal.release(seq - 1, content_hash(seq - 1))
        written[seq] = bytes((seq * 7 + place) & 255 for place in range(size))
        journal.append(2, seq, 3, content_hash(seq), written[seq])
    image = bytearray(flash.sector_count * flash.sector_bytes)
    flash.read(0, image)
    path.write_bytes(image)
    return written


def test_an_erased_flash_holds_nothing(tmp_path):
    (tmp_path / "flash.bin").write_bytes(b"\xff" * 65536)
    assert read_entries(tmp_path / "flash.bin") == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 4224), min_size=1, max_size=10))
def test_what_the_module_has_written_is_read(tmp_path_factory, sizes):
    path = tmp_path_factory.mktemp("flash") / "flash.bin"
    written = fill(path, sizes)
    entries = read_entries(path)
    assert {entry.seq: entry.envelope for entry in entries} == written
    assert all((entry.kind, entry.boot, entry.content_hash) == (2, 3, content_hash(entry.seq)) for entry in entries)


def test_released_records_stay_readable_until_the_ring_comes_round(tmp_path):
    written = fill(tmp_path / "flash.bin", [4000] * 40, are_released=True)
    seqs = [entry.seq for entry in read_entries(tmp_path / "flash.bin")]
    assert seqs == list(range(seqs[0], 41)) and 1 < seqs[0] <= 40 - 7  # all but the segment that is erased next
    assert all(entry.envelope == written[entry.seq] for entry in read_entries(tmp_path / "flash.bin"))


@pytest.mark.parametrize("place", ["header", "envelope", "marker"])
def test_a_damaged_record_is_no_record(tmp_path, place):
    path = tmp_path / "flash.bin"
    fill(path, [1000] * 3)
    second = read_entries(path)[1]
    image = bytearray(path.read_bytes())
    end = second.offset + 1280 - 1  # 60 + 1000 + 4 + 4 bytes in units of 256
    image[{"header": second.offset + 9, "envelope": second.offset + 500, "marker": end}[place]] ^= 1
    path.write_bytes(image)
    assert [entry.seq for entry in read_entries(path)] == ([1] if place == "header" else [1, 3])


def test_the_command_names_each_record(tmp_path, capsys, monkeypatch):
    fill(tmp_path / "flash.bin", [100, 200])
    monkeypatch.setattr(sys, "argv", ["journal_dump", str(tmp_path / "flash.bin")])
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "2 records"
    assert "seq 2, boot 3, samples, 200 bytes" in lines[1] and content_hash(2).hex() in lines[1]
    monkeypatch.setattr(sys, "argv", ["journal_dump", str(tmp_path / "nothing.bin")])
    assert main() == 3
