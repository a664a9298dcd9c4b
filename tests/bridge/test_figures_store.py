"""The store of figures on real SQLite files: revisions, documents, the cursor, kills and damage."""

from __future__ import annotations

import hashlib
import math

import apsw
import pytest
from acqwire import fields

from plumeproof.errors import StoreError
from plumeproof.rules.figure import DAY, SHORT_TERM, VALIDATED, Figure, FigureDocument, InputRange
from plumeproof.store import records_by_time
from plumeproof.store.connection import SCHEMA_VERSION, Writer, migrations, open_reader
from plumeproof.store.figures import SqliteFigures, figures_of
from tests.doubles.timed_module import START_UTC_MS

PLANT = FigureDocument(hashlib.sha256(b"{}").digest(), "plant", "line-1", b"{}")
RULES = FigureDocument(hashlib.sha256(b"[]").digest(), "rule_set", "eu_mrr", b"[]")
FIGURE = Figure(
    plant="line-1",
    plant_hash=PLANT.digest,
    rule_set="eu_mrr",
    rule_version="1",
    rule_hash=RULES.digest,
    engine="1",
    measurand="NOx",
    layer=VALIDATED,
    level=SHORT_TERM,
    start_utc_ms=START_UTC_MS,
    end_utc_ms=START_UTC_MS + 1_800_000,
    unit="mg/m3",
    value=math.pi,
    is_valid=True,
    flags=("peripheral_substitute", "state_start_up"),
    state="start_up",
    n_expected=1800,
    n_valid=1700,
    n_invalid=(("failure", 60), ("timeout", 40)),
    minimum=5e-324,
    maximum=1.7976931348623157e308,
    deviation=None,
    uncertainty=0.1,
    uncertainty_common=0.07,
    substituted_share=0.0,
    decimals=0,
    inputs=(InputRange("plume-01", 3, 33, bytes(32), b"\x01" * 32), InputRange("plume-02", 1, 2, bytes(32), bytes(32))),
    revision=0,
    reason="late_record",
)


class StillClock:
    """Time that stands; does not imitate steps or drift."""

    def utc_ms(self) -> int:
        return START_UTC_MS

    def monotonic_s(self) -> float:
        return 0.0


@pytest.fixture
def writer(tmp_path):
    opened = Writer(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def figures(writer):
    return SqliteFigures(writer, StillClock())


def commit(figures, *rows, position=1):
    return figures.commit(rows, (PLANT, RULES), position)


def test_every_field_comes_back(figures):
    assert commit(figures, FIGURE) == 1
    assert figures.of_period("line-1", SHORT_TERM, START_UTC_MS, FIGURE.end_utc_ms) == [FIGURE._replace(reason="first")]


def test_equal_content_writes_nothing_and_other_content_is_the_next_revision(figures):
    commit(figures, FIGURE)
    assert commit(figures, FIGURE._replace(reason="clock_back")) == 0
    late = FIGURE._replace(value=3.0)
    assert commit(figures, late) == 1
    kept = figures.revisions(FIGURE)
    assert [(row.revision, row.reason, row.value) for row in kept] == [
        (0, "first", math.pi),
        (1, "late_record", 3.0),
    ]
    assert figures.of_period("line-1", SHORT_TERM, 0, FIGURE.end_utc_ms) == [kept[1]]


def test_one_bit_is_a_revision(figures):
    commit(figures, FIGURE)
    assert commit(figures, FIGURE._replace(value=math.nextafter(math.pi, 4.0))) == 1


def test_levels_and_periods_are_kept_apart(figures):
    commit(figures, FIGURE, FIGURE._replace(level=DAY), FIGURE._replace(plant="line-2"))
    assert len(figures.of_period("line-1", SHORT_TERM, START_UTC_MS, FIGURE.end_utc_ms)) == 1
    assert figures.of_period("line-1", SHORT_TERM, START_UTC_MS + 1, FIGURE.end_utc_ms) == []
    assert figures.of_period("line-1", SHORT_TERM, START_UTC_MS, FIGURE.end_utc_ms - 1) == []


def test_cursor_and_figures_move_together(figures):
    assert figures.position() == 0
    commit(figures, FIGURE, position=41)
    assert figures.position() == 41
    with pytest.raises(StoreError):  # its documents are not there: a foreign key
        figures.commit([FIGURE._replace(plant_hash=b"\x07" * 32, value=1.0)], (), 42)
    assert figures.position() == 41
    assert len(figures.revisions(FIGURE)) == 1


def test_documents_come_back_and_stay(figures):
    commit(figures, FIGURE)
    assert figures.document(PLANT.digest) == PLANT
    assert figures.document(b"\x09" * 32) is None


def test_rows_of_another_stage_come_in_order(figures):
    commit(figures, FIGURE, FIGURE._replace(layer="mass"))
    rows = figures.after(0, 10)
    assert [number for number, _ in rows] == [1, 2]
    assert figures.after(1, 10) == rows[1:]


def test_an_older_ledger_is_brought_up_to_date_and_keeps_its_rows(tmp_path):
    path = tmp_path / "ledger.sqlite"
    old = apsw.Connection(str(path))
    first = migrations(0)[0]
    old.execute(first.read_text(encoding="utf-8"))
    old.pragma("application_id", 0x504C4D50)
    old.pragma("user_version", 1)
    old.execute("INSERT INTO audit (utc_ms, code, detail) VALUES (1, 'kept', '')")
    old.close()
    assert open_reader(path).pragma("user_version") == 1  # faces read it as it is
    Writer(path).close()
    reader = open_reader(path)
    assert reader.pragma("user_version") == SCHEMA_VERSION
    assert reader.execute("SELECT code FROM audit").get == "kept"
    assert list(figures_of(reader, "line-1", DAY, (0, 1))) == []
    reader.close()


ROW = "INSERT INTO record (device, seq, kind, boot, content_hash, received_utc_ms, envelope)"
ROW += " VALUES (?, ?, ?, 1, zeroblob(32), 0, x'00')"


def old_ledger(path):
    """Of schema 4: two modules, every third record a calibration."""
    connection = apsw.Connection(str(path))
    for script in migrations(0)[:4]:
        connection.execute(script.read_text(encoding="utf-8"))
    connection.pragma("application_id", 0x504C4D50)
    connection.pragma("user_version", 4)
    with connection:
        for device in ("plume-01", "plume-02"):
            for seq in (0, *range(2000, 0, -1)):  # 0, and those that came late
                kind = fields.KIND_SAMPLES if seq % 3 else fields.KIND_CALIBRATION
                connection.execute(ROW, (device, seq, kind))
    connection.close()


def plan_of(path):
    connection = open_reader(path)
    question = "EXPLAIN QUERY PLAN " + records_by_time.CALIBRATIONS.format("*")
    found = [row[3] for row in connection.execute(question, ("plume-01", 0, 10))]
    connection.close()
    return found


def test_calibrations_are_found_by_their_index_and_without_it(tmp_path):
    path, wanted = tmp_path / "ledger.sqlite", [seq for seq in range(2001) if seq % 3 == 0]
    old_ledger(path)

    def found():
        reader = records_by_time.RecordsByTime(path)
        portions = list(reader.calibrations("plume-01"))
        reader.close()
        assert len(portions[0]) == records_by_time.PAGE_RECORDS
        assert {(one.device, one.kind) for part in portions for one in part} == {("plume-01", fields.KIND_CALIBRATION)}
        return [one.seq for part in portions for one in part]

    assert found() == wanted and "record_calibration" not in plan_of(path)[0]  # a face does not migrate
    Writer(path).close()
    assert found() == wanted
    assert plan_of(path) == ["SEARCH record USING INDEX record_calibration (device=? AND seq>?)"]
    writer = Writer(path)
    with writer.transaction() as connection:
        connection.execute("ANALYZE")  # also where SQLite has counted what is there
        told = connection.execute("SELECT stat FROM sqlite_stat1 WHERE idx = 'record_calibration'").get
        assert told.split()[0] == str(2 * len(wanted))  # nothing but calibrations is in it
        question = "EXPLAIN QUERY PLAN " + records_by_time.CALIBRATIONS.format("*")
        assert "record_calibration" in connection.execute(question, ("plume-01", 0, 10)).fetchall()[0][3]
    writer.close()
