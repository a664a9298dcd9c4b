"""`plumeproof recompute`: archives of every kind, months in several processes, what was altered is named."""

from __future__ import annotations

import io
import json
import random
import shutil
import subprocess
import sys
import time

import apsw
import pytest

from plumeproof.archive import Archive
from plumeproof.bulk import Job, recompute_part, span_of, split
from plumeproof.bulk_longer import compare_longer
from plumeproof.cli import main
from plumeproof.envelope_sequence import outline_of, read_sequence
from plumeproof.rules.figure import LEVELS, ROLLING_30_DAYS
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import APPLICATION_ID, Writer, migrations
from plumeproof.store.figures import SqliteFigures
from plumeproof.store.ledger import SqliteLedger
from tests.bridge.test_averaging_stage import StillClock
from tests.doubles.signed_module import SignedModule, write_keys
from tests.doubles.timed_module import START_UTC_MS, store_all
from tests.rules.test_minutes import PLANT

DAY_MS = 86_400_000
EVENING_MS = START_UTC_MS - 5 * 3_600_000  # 30 November 20:00 by the plant's clock: the archive spans two months


@pytest.fixture(scope="module")
def plant_folder(tmp_path_factory):
    """A ledger with its figures, the same records as sequences, keys and description."""
    return record_evening(tmp_path_factory.mktemp("plant"), '["eu_mrr", "eu_ied_waste"]', EVENING_MS)


@pytest.fixture(scope="module")
def new_year_folder(tmp_path_factory):
    """From 31 December 15:00 on, by rule sets on two clocks, one of them with windows of thirty days."""
    begins = EVENING_MS + 31 * DAY_MS - 5 * 3_600_000
    return record_evening(tmp_path_factory.mktemp("year"), '["eu_mrr", "cn_hj75", "de_13bimschv"]', begins)


def record_evening(folder, rule_sets, begins_utc_ms):
    """29 hours and 20 minutes as the bridge has them."""
    from plumeproof.averaging_stage import AveragingStage
    from plumeproof.figures_stage import FiguresStage
    from plumeproof.plant_file import open_engine

    (folder / "line-1.toml").write_text(PLANT.replace('["eu_mrr"]', rule_sets))
    module, rng = SignedModule(), random.Random(4)
    module.clock_offset_ms = begins_utc_ms
    module.start()
    for _ in range(29 * 60 + 20):
        module.sample(
            [(rng.choice([0] * 30 + [1]), rng.gauss(100, 20), rng.randrange(-300, 300), False) for _ in range(60)]
        )
    write_keys(folder / "keys.json", module)
    writer = Writer(folder / "ledger.sqlite")
    ledger = SqliteLedger(writer, StillClock())
    averages, figures = SqliteAverages(writer, StillClock()), SqliteFigures(writer, StillClock())
    store_all(ledger, module.sealed)
    averaging = AveragingStage(ledger, averages, (60, 3600), 0)
    while averaging.step():
        pass
    stage = FiguresStage(ledger, averages, figures, [open_engine(folder / "line-1.toml")], 0)
    while stage.step():
        pass
    writer.close()
    raws = [envelope.raw for _, envelope in module.sealed]
    (folder / "sequences").mkdir()
    half = len(raws) // 2
    (folder / "sequences" / "a.cbor").write_bytes(b"".join(raws[:half]))
    (folder / "sequences" / "b.cbor").write_bytes(b"".join(raws[half:]))
    return folder


def job(folder, archive="ledger.sqlite", ledger=None, **changed):
    values = {
        "archive": str(folder / archive),
        "keys": str(folder / "keys.json"),
        "plant": str(folder / "line-1.toml"),
        "rule_files": (),
        "rule_sets": (),
        "ledger": ledger and str(folder / ledger),
        "start_utc_ms": 0,
        "end_utc_ms": 0,
    }
    values |= changed
    start, end = span_of(Job(**values))
    return Job(**(values | {"start_utc_ms": start, "end_utc_ms": end}))


def run(capsys, *arguments):
    status = main(["recompute", *map(str, arguments)])
    told = capsys.readouterr()
    return status, told.out, told.err


def options(folder, archive="ledger.sqlite"):
    return ["--archive", folder / archive, "--keys", folder / "keys.json", "--plant", folder / "line-1.toml"]


def test_what_is_stored_comes_out_again_bit_for_bit(plant_folder):
    parts = split(job(plant_folder, ledger="ledger.sqlite"))
    assert len(parts) == 2
    results = [recompute_part(part) for part in parts]
    assert [result.findings for result in results] == [(), ()]
    assert all(result.is_fine for result in results)
    assert sum(result.equal for result in results) > 400
    # of the hour that nobody has left yet, and of the day that it lies in
    assert results[0].not_yet == 0 and results[1].not_yet > 0


def test_every_clock_and_every_level_is_compared(new_year_folder):
    own = job(new_year_folder, ledger="ledger.sqlite")
    results = [*map(recompute_part, split(own)), compare_longer(own)]
    assert all(one.is_fine for one in results), [one.examples for one in results]
    connection = apsw.Connection(str(new_year_folder / "ledger.sqlite"))
    question = "SELECT rule_set, measurand, layer, level, start_utc_ms, end_utc_ms FROM figure"
    places = set(connection.execute(question))
    connection.close()
    rule_sets = {level: {place[0] for place in places if place[3] == level} for level in LEVELS}
    assert {level: len(own) for level, own in rule_sets.items()} == dict.fromkeys(LEVELS, 3) | {ROLLING_30_DAYS: 1}
    assert sum(one.equal for one in results) == len(places)


@pytest.mark.parametrize(
    ("level", "rule_set"),
    [(level, name) for level in ("short_term", "day", "month", "year") for name in ("eu_mrr", "cn_hj75")]
    + [("rolling_30d", "de_13bimschv")],
)
def test_another_bit_of_any_level_and_clock_is_named(new_year_folder, tmp_path, level, rule_set):
    shutil.copy(new_year_folder / "ledger.sqlite", tmp_path / "ledger.sqlite")
    connection = apsw.Connection(str(tmp_path / "ledger.sqlite"))
    question = "SELECT max(id) FROM figure WHERE level = ? AND rule_set = ? AND value > 0"
    (row,) = connection.execute(question, (level, rule_set)).fetchone()
    connection.execute("UPDATE figure SET value = value * 1.0000000000000002 WHERE id = ?", (row,))
    connection.close()
    own = job(new_year_folder, ledger=str(tmp_path / "ledger.sqlite"))
    results = [*map(recompute_part, split(own)), compare_longer(own)]
    # a short term carries its error into what is made from the stored ones
    assert sum(one.differing for one in results[:-1]) == (level in ("short_term", "day"))
    assert results[-1].differing or level in ("short_term", "day")
    assert any(f"{rule_set} " in line and f" {level} " in line for one in results for line in one.examples)


def test_a_record_twice_counts_once_and_two_that_differ_not_at_all(plant_folder, tmp_path):
    for name in ("a", "b"):
        shutil.copy(plant_folder / "sequences" / f"{name}.cbor", tmp_path / f"{name}.cbor")
    shutil.copy(plant_folder / "sequences" / "a.cbor", tmp_path / "again.cbor")
    whole = [recompute_part(part) for part in split(job(plant_folder, archive="sequences"))]
    twice = [recompute_part(part) for part in split(job(plant_folder, archive=tmp_path))]
    assert [one.digest for one in twice] == [one.digest for one in whole]
    assert all(one.is_fine for one in twice)
    module = SignedModule()  # its clone: the same key, the same seqs, other readings
    module.clock_offset_ms = EVENING_MS
    module.start()
    for _ in range(3):
        module.sample([(0, 50.0, 10, False)] * 60)
    (tmp_path / "again.cbor").write_bytes(b"".join(envelope.raw for _, envelope in module.sealed))
    torn = [recompute_part(part) for part in split(job(plant_folder, archive=tmp_path))]
    assert sum("two different records" in line for one in torn for line in one.findings) == 3
    assert torn[0].digest != whole[0].digest and torn[1].digest == whole[1].digest


def test_sequences_give_the_same_digests_as_the_ledger(plant_folder):
    ledger = [recompute_part(part) for part in split(job(plant_folder))]
    folder = [recompute_part(part) for part in split(job(plant_folder, archive="sequences"))]
    assert [one.digest for one in folder] == [one.digest for one in ledger]
    assert sum(one.record_count for one in folder) == 29 * 60 + 20


def test_the_verb_and_its_work_folder(plant_folder, tmp_path, capsys):
    work = tmp_path / "work"
    arguments = [*options(plant_folder), "--work", work, "--processes", "1", "--json"]
    status, out, _ = run(capsys, *arguments)
    first = json.loads(out)
    assert status == 0
    assert first["totals"][0]["months"] == 2
    kept = sorted(work.glob("*.json"))
    assert len(kept) == 2
    (work / kept[0].name).write_text("{")  # damaged: made again
    stamp = kept[1].stat().st_mtime_ns
    status, out, _ = run(capsys, *arguments)
    assert json.loads(out) == first
    assert kept[1].stat().st_mtime_ns == stamp


def test_several_processes_give_the_same(plant_folder, capsys):
    found = []
    for processes in ("1", "2"):
        status, out, _ = run(capsys, *options(plant_folder), "--processes", processes, "--json")
        assert status == 0
        found.append(json.loads(out))
    assert found[0] == found[1]


def test_an_altered_figure_is_named(plant_folder, tmp_path, capsys):
    shutil.copy(plant_folder / "ledger.sqlite", tmp_path / "ledger.sqlite")
    connection = apsw.Connection(str(tmp_path / "ledger.sqlite"))
    connection.execute("UPDATE figure SET value = value * 1.0000000000000002 WHERE id = 11")
    connection.execute("DELETE FROM figure WHERE id = 12")
    connection.close()
    status, out, err = run(
        capsys,
        *options(plant_folder),
        "--ledger",
        tmp_path / "ledger.sqlite",
        "--from",
        "2026-11-30",
        "--to",
        "2026-12-01",
    )
    assert status == 1
    assert "1 differ, 1 are not stored" in out
    assert "value stored" in err and "recomputed" in err


@pytest.mark.parametrize("verb", ["recompute", "average"])
def test_a_ledger_of_an_older_release_is_told_with_its_mend(plant_folder, tmp_path, capsys, verb):
    old = tmp_path / "old.sqlite"
    connection = apsw.Connection(str(old))
    connection.execute(next(iter(migrations(0))).read_text())
    connection.execute(f"PRAGMA user_version = 1; PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("ATTACH ? AS full", (str(plant_folder / "ledger.sqlite"),))
    connection.execute("INSERT INTO main.record SELECT * FROM full.record")
    connection.execute("INSERT INTO main.parameter_part SELECT * FROM full.parameter_part")
    connection.execute("INSERT INTO main.head SELECT * FROM full.head")
    connection.close()
    if verb == "recompute":
        arguments = ["recompute", *options(plant_folder), "--ledger", old, "--processes", "1"]
    else:
        arguments = ["average", "--ledger", old, "--plant", plant_folder / "line-1.toml", "--stored"]
    status = main([str(one) for one in arguments])
    told = capsys.readouterr()
    assert status == 2 and told.out == ""
    assert len(told.err.strip().splitlines()) == 1
    assert "old.sqlite: schema 1 of an older release" in told.err and "plumeproof run" in told.err


def test_killed_in_the_middle_it_goes_on(plant_folder, tmp_path, capsys):
    """The months that were done are kept; what is missing is made, and the result is that of one run."""
    work = tmp_path / "work"
    arguments = [*options(plant_folder), "--work", work, "--processes", "1", "--json"]
    command = [sys.executable, "-m", "plumeproof", "recompute", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        deadline = time.monotonic() + 60
        while not list(work.glob("*.json")):
            assert running.poll() is None or list(work.glob("*.json"))
            assert time.monotonic() < deadline
            time.sleep(0.002)
        running.kill()
    kept = {path: path.stat().st_mtime_ns for path in work.glob("*.json")}
    assert kept
    _, out, _ = run(capsys, *arguments)
    _, whole, _ = run(capsys, *options(plant_folder), "--processes", "1", "--json")
    assert json.loads(out) == json.loads(whole)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())


def test_an_altered_record_is_refused_and_named(plant_folder, tmp_path, capsys):
    raw = bytearray((plant_folder / "sequences" / "a.cbor").read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "a.cbor").write_bytes(raw)
    status, out, err = run(capsys, "--archive", tmp_path / "a.cbor", *options(plant_folder)[2:])
    assert status == 1
    assert "1 records refused" in out
    assert "signature" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--archive: is missing"),
        (["--from", "2026-13-01", "--to", "2026-12-02"], "--from"),
        (["--from", "2026-12-02", "--to", "2026-12-02"], "is not behind --from"),
        (["--rules", "eu_nothing"], "eu_nothing"),
        (["--processes", "0"], "--processes"),
    ],
)
def test_wrong_usage_is_one_line(plant_folder, capsys, arguments, told):
    given = [] if not arguments else options(plant_folder)
    status, out, err = run(capsys, *given, *arguments)
    assert (status, out) == (2, "")
    assert told in err and len(err.strip().splitlines()) == 1


def test_no_archive_there(plant_folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    status, _, err = run(capsys, "--archive", tmp_path / "empty", *options(plant_folder)[2:])
    assert status == 2
    assert "holds no *.cbor file" in err


def test_what_cannot_be_read_is_counted_and_named(plant_folder, tmp_path, capsys):
    """Broken CBOR under a good outline, bytes that are no envelope, and a broken row of a ledger."""
    folder = tmp_path / "sequences"
    shutil.copytree(plant_folder / "sequences", folder)
    raw = bytearray((folder / "a.cbor").read_bytes())
    places = [int(item.place) for item in read_sequence(io.BytesIO(bytes(raw)))]
    payload = outline_of(bytes(raw), places[5])[0]
    raw[payload] = 0xFF  # no head of a map
    (folder / "a.cbor").write_bytes(bytes(raw))
    with (folder / "b.cbor").open("ab") as file:
        file.write(b"\x00" * 50)
    archive = Archive(folder)
    archive.index(("plume-01",))
    assert (archive.unreadable.count, archive.unreadable.first) == (2, f"a.cbor:{places[5]}")
    words = ["--archive", folder, "--keys", plant_folder / "keys.json", "--plant", plant_folder / "line-1.toml"]
    words += ["--from", "2026-12-01", "--to", "2026-12-02", "--processes", 1]
    assert main(["recompute", "--json", *map(str, words)]) == 1
    (total,) = json.loads(capsys.readouterr().out)["totals"]
    assert total["unreadable"] == {"count": 2, "first": f"a.cbor:{places[5]}"}
    ledger = tmp_path / "ledger.sqlite"
    shutil.copy(plant_folder / "ledger.sqlite", ledger)
    connection = apsw.Connection(str(ledger))
    triggers = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
    for name in triggers:
        connection.execute(f'DROP TRIGGER "{name}"')
    connection.execute("UPDATE record SET envelope = x'00' WHERE seq = 7")
    connection.close()
    broken = Archive(ledger)
    broken.index(("plume-01",))
    assert str(broken.unreadable) == "1 records unreadable: first at plume-01 seq 7"
