"""The reader of flash images against the module's own journal, which knows nothing of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from flash_parts import PowerCutFlash
from hypothesis import given, settings
from hypothesis import strategies as st

from acq.journal import Journal
from tools.journal_dump import main, read_entries, read_segments, to_lines

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


def spoil(path: Path, offset: int, wrong: int) -> bytes:
    image = bytearray(path.read_bytes())
    image[offset] ^= wrong
    path.write_bytes(image)
    return bytes(image)


@pytest.mark.parametrize(
    ("place", "wrong", "left", "words"),
    [
        ("header", 3, [1], "CRC of an entry's header is wrong: torn in its first unit"),
        ("header", 1, [1, 2, 3], "bit 0 of byte 9 of its header has rotted and is mended"),
        ("envelope", 1, [1, 3], "DAMAGED after it was durable: CRC of the envelope is wrong"),
        ("marker", 3, [1, 3], "torn: no commit marker, and the envelope is whole"),
        ("marker", 1, [1, 2, 3], "one bit of its marker has rotted"),
        ("segment", 3, [], "header CRC wrong: torn while it was opened, or foreign"),
        ("segment", 1, [1, 2, 3], "bit 0 of byte 9 of its header has rotted"),
        ("behind", 3, [1, 2, 3], "is not blank from 0x0001f00: a program torn before its header"),
        ("blank", 3, [1, 2, 3], "no header, but not blank: an interrupted erase"),
    ],
)
def test_each_damage_has_its_line_and_its_record(tmp_path, place, wrong, left, words):
    path = tmp_path / "flash.bin"
    fill(path, [1000] * 3)
    second = read_entries(path)[1].offset
    end = second + 1280 - 1  # 60 + 1000 + 4 + 4 bytes in units of 256
    places = {
        "header": second + 9,
        "envelope": second + 500,
        "marker": end,
        "segment": 9,
        "behind": 0x1F00,
        "blank": 20000,
    }
    image = spoil(path, places[place], wrong)
    assert [entry.seq for entry in read_entries(path)] == left
    damaged = [line for line in to_lines(read_segments(image), False) if line.startswith("!")]
    assert len(damaged) == 1 and words in damaged[0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 65535), st.integers(1, 255)), min_size=1, max_size=30), st.booleans())
def test_any_damage_ends_in_lines(tmp_path_factory, damages, is_garbage):
    path = tmp_path_factory.mktemp("flash") / "flash.bin"
    written = fill(path, [1000, 4224, 1, 2000])
    for offset, wrong in damages:
        spoil(path, offset, wrong)
    image = bytes(wrong for _, wrong in damages) * 3000 if is_garbage else path.read_bytes()
    lines = list(to_lines(read_segments(image), True))
    assert "segments" in lines[-1] and len(lines) < 400
    if not is_garbage:
        assert all(entry.envelope == written[entry.seq] for entry in read_entries(path))


def test_it_agrees_with_the_modules_mount(tmp_path):
    """A referee that reads more, or less, than the module does is none."""
    from acq.ring import ENTRY_COMMITTED, Ring

    path = tmp_path / "flash.bin"
    fill(path, [1000, 4224, 1, 2000])
    clean = path.read_bytes()
    for bit in range(0, 8192 * 8, 37):
        image = bytearray(clean)
        image[bit >> 3] ^= 1 << (bit & 7)
        flash = PowerCutFlash(SECTORS)
        flash.write(0, image[:8192])
        ring = Ring(flash)
        mine, offset = [], ring.first_entry
        while ring.read_header(0) and (found := ring.read_entry(0, offset)) >= 2:
            if found == ENTRY_COMMITTED and ring.read_envelope(0, offset, None):
                mine.append(ring.seq)
            offset += ring.length
        segment = read_segments(bytes(image))[0]
        assert mine == [found.entry.seq for found in segment.findings if found.entry], bit


def test_the_command_names_each_record_and_says_whether_all_is_well(tmp_path, capsys, monkeypatch):
    path = tmp_path / "flash.bin"
    fill(path, [100, 200])
    monkeypatch.setattr(sys, "argv", ["journal_dump", str(path)])
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "  segment 0 at 0x0000000: number 1, first seq 1, the newest"
    assert lines[-1] == "2 records, seq 1 to 2, 0 of them missing; 8 segments, 7 erased; 0 damages"
    assert "seq 2, boot 3, samples, 200 bytes" in lines[2] and content_hash(2).hex() in lines[2]
    spoil(path, 400, 1)
    assert main() == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("1 damages")
    monkeypatch.setattr(sys, "argv", ["journal_dump", str(tmp_path / "nothing.bin")])
    assert main() == 3
    assert "nothing.bin: No such file or directory; name the flash file" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["journal_dump", str(path), "--flash-program-bytes", "0"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
