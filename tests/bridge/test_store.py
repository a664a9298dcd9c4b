"""The ledger and outbox on real SQLite files: contract of ports.Ledger and ports.Outbox, restart, refusal."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plumeproof.errors import StoreError
from plumeproof.model import Envelope, Head, NewRow, Overflow, ParametersPart, Receipt, Record, Slots
from plumeproof.store.connection import Writer, check_sqlite, open_reader
from plumeproof.store.ledger import SqliteLedger
from plumeproof.store.outbox import SqliteOutbox, enqueue
from plumeproof.store.reader import read_rows


class StillClock:
    """Time that a test sets; does not imitate steps or drift."""

    now_utc_ms = 1_800_000_000_000

    def utc_ms(self) -> int:
        return self.now_utc_ms

    def monotonic_s(self) -> float:
        return 0.0


def sealed(device: str, seq: int, body=None) -> tuple[Record, Envelope]:
    """A record and an envelope that belong together for the store (signature rules are evidence's business)."""
    raw = f"envelope {device} {seq}".encode()
    content_hash = hashlib.sha256(raw).digest()
    record = Record(
        kind=6,
        device=device,
        boot=1,
        seq=seq,
        prev=bytes(32),
        mono_ms=seq * 1000,
        utc_ms=None,
        utc_status=0,
        utc_unc_ms=None,
        sync_seq=None,
        parameters_hash=bytes(32),
        content_hash=content_hash,
        body=body or Overflow(Slots(0, 1, 1000, 0)),
    )
    return record, Envelope(raw, bytes(16), b"", content_hash, False)


def head_of(record: Record) -> Head:
    return Head(record.device, record.seq, record.content_hash, record.boot, record.mono_ms, 0, False)


@pytest.fixture
def writer(tmp_path: Path):
    opened = Writer(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def test_appended_records_come_back_in_order_with_their_bytes(writer):
    ledger = SqliteLedger(writer, StillClock())
    batch = [sealed("plume-01", seq) for seq in range(1, 600)]
    ledger.append(batch, head_of(batch[-1][0]), [])
    assert ledger.head("plume-01") == head_of(batch[-1][0])
    assert ledger.head("plume-02") is None
    stored = list(ledger.of_device("plume-01", 5, 590))
    assert [row.seq for row in stored] == list(range(5, 591))
    assert [row.envelope for row in stored] == [envelope.raw for _, envelope in batch[4:590]]
    assert [row.seq for row in ledger.after(stored[0].position, 3)] == [6, 7, 8]
    found = ledger.record("plume-01", 7)
    assert found is not None and found.content_hash == batch[6][0].content_hash
    assert ledger.record("plume-01", 600) is None


def test_a_second_record_for_one_seq_stores_nothing_of_its_batch(writer):
    ledger = SqliteLedger(writer, StillClock())
    first = sealed("plume-01", 1)
    ledger.append([first], head_of(first[0]), [])
    second = sealed("plume-01", 2)
    with pytest.raises(StoreError):
        ledger.append([second, first], head_of(second[0]), [(3, 4)])
    assert ledger.record("plume-01", 2) is None
    assert ledger.head("plume-01") == head_of(first[0])
    with writer.reading() as connection:
        assert connection.execute("SELECT count(*) FROM hole").fetchone() == (0,)


def test_parameter_set_is_given_only_when_all_parts_are_here(writer):
    ledger = SqliteLedger(writer, StillClock())
    whole = b'{"format":1}' * 300
    name = hashlib.sha256(whole).digest()
    parts = [whole[:2048], whole[2048:]]
    first = sealed("plume-01", 1, ParametersPart(name, 0, 2, parts[0]))
    second = sealed("plume-01", 2, ParametersPart(name, 1, 2, parts[1]))
    ledger.append([first], head_of(first[0]), [])
    assert ledger.parameter_set(name) is None
    ledger.append([second], head_of(second[0]), [])
    assert ledger.parameter_set(name) == whole


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 3), st.sampled_from([b"a", b"b"])), max_size=6),
    st.permutations([0, 1, 2]),
)
def test_parts_that_make_no_set_do_not_spoil_the_one_they_name(tmp_path_factory, wrong, order):
    """Whatever came under the name of a set before: when all its parts have come in one boot it is there, and stays."""
    whole = [b"x" * 2048, b"y" * 2048, b"z"]
    name = hashlib.sha256(b"".join(whole)).digest()
    writer = Writer(tmp_path_factory.mktemp("parts") / "ledger.sqlite")
    ledger = SqliteLedger(writer, StillClock())
    good = [ParametersPart(name, part, 3, whole[part]) for part in order]
    bad = [ParametersPart(name, min(part, parts - 1), parts, data) for part, parts, data in wrong]
    for seq, part in enumerate([*bad, *good, *bad], 1):
        record = sealed("plume-01", seq, part)
        ledger.append([record], head_of(record[0]), [])
        assert ledger.parameter_set(name) == (b"".join(whole) if seq >= len(bad) + 3 else None)
    writer.close()


def test_quarantine_keeps_the_same_bytes_once_and_moves_the_head(writer):
    ledger = SqliteLedger(writer, StillClock())
    head = Head("plume-01", 3, bytes(32), 1, 0, -1, False)
    for _ in range(3):
        ledger.quarantine("plume-01", 3, bytes(32), "not_cbor", "", b"\xff\xff", head)
    assert ledger.head("plume-01") == head
    with writer.reading() as connection:
        assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (1,)


def test_outbox_keeps_order_and_holds_back_behind_a_waiting_row(writer):
    clock = StillClock()
    outbox = SqliteOutbox(writer, clock)
    with writer.transaction() as connection:
        enqueue(connection, [NewRow("https", "plume-01", "report", f"k{n}", b"%d" % n) for n in range(4)], 1)
        enqueue(connection, [NewRow("https", "plume-02", "report", "other", b"x")], 1)
        enqueue(connection, [NewRow("https", "plume-01", "report", "k0", b"again")], 2)
    rows = outbox.due("https", clock.now_utc_ms, 3)
    assert [(row.module, row.key) for row in rows] == [
        ("plume-01", "k0"),
        ("plume-01", "k1"),
        ("plume-01", "k2"),
        ("plume-02", "other"),
    ]
    outbox.defer(rows[0].id, clock.now_utc_ms + 5, "503")
    assert [row.key for row in outbox.due("https", clock.now_utc_ms, 3)] == ["other"]
    again = outbox.due("https", clock.now_utc_ms + 5, 1)
    assert [(row.key, row.attempts) for row in again] == [("k0", 1), ("other", 0)]


def test_outbox_split_stays_in_place_and_a_receipt_closes(writer):
    clock = StillClock()
    outbox = SqliteOutbox(writer, clock)
    with writer.transaction() as connection:
        enqueue(connection, [NewRow("https", "plume-01", "report", key, b"") for key in ("a", "b", "c")], 1)
    outbox.split(outbox.due("https", clock.now_utc_ms, 9)[1], [("b1", b"1"), ("b2", b"2")])
    outbox.split(outbox.due("https", clock.now_utc_ms, 9)[1], [("b11", b"1"), ("b12", b"2")])
    rows = outbox.due("https", clock.now_utc_ms, 9)
    assert [row.key for row in rows] == ["a", "b11", "b12", "b2", "c"]
    outbox.close([Receipt(rows[0].id, "https", b"{}", 1), Receipt(rows[0].id, "https", b"{}", 2)])
    outbox.quarantine(rows[1].id, "422")
    assert [row.key for row in outbox.due("https", clock.now_utc_ms, 9)] == ["b12", "b2", "c"]
    with writer.reading() as connection:
        assert connection.execute("SELECT outbox_id, received_utc_ms FROM receipt").fetchall() == [(rows[0].id, 1)]


def test_an_envelope_row_carries_the_ledgers_own_bytes(writer):
    ledger = SqliteLedger(writer, StillClock())
    record, envelope = sealed("plume-01", 1)
    ledger.append([(record, envelope)], head_of(record), [])
    with writer.transaction() as connection:
        enqueue(connection, [NewRow("mqtt", "plume-01", "envelope", "e1", seq=1, attributes={"seq": "1"})], 1)
    (row,) = SqliteOutbox(writer, StillClock()).due("mqtt", 1, 5)
    assert row.body == envelope.raw
    assert row.attributes == (("seq", "1"),)


def test_foreign_and_newer_files_are_refused_untouched(tmp_path: Path):
    foreign = tmp_path / "foreign.sqlite"
    connection = apsw.Connection(str(foreign))
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    before = foreign.read_bytes()
    with pytest.raises(StoreError, match="not a PlumeProof ledger"):
        Writer(foreign)
    assert foreign.read_bytes() == before
    newer = tmp_path / "newer.sqlite"
    Writer(newer).close()
    connection = apsw.Connection(str(newer))
    connection.pragma("user_version", 999)
    connection.pragma("journal_mode", "delete")  # as a later release may want it
    connection.close()
    before = newer.read_bytes()
    with pytest.raises(StoreError, match="schema 999 is newer"):
        Writer(newer)
    assert newer.read_bytes() == before
    with pytest.raises(StoreError, match="newer"):
        open_reader(newer)
    with pytest.raises(StoreError, match="no such ledger"):
        open_reader(tmp_path / "absent.sqlite")


def test_rubbish_and_what_cannot_be_opened_are_named_in_one_line(tmp_path: Path):
    rubbish = tmp_path / "rubbish.sqlite"
    rubbish.write_bytes(b"no database at all " * 100)
    for open_it in (Writer, open_reader):
        with pytest.raises(StoreError, match="rubbish.sqlite: not a PlumeProof ledger, or its beginning is damaged$"):
            open_it(rubbish)
    for path in (tmp_path, tmp_path / "none" / "ledger.sqlite"):
        with pytest.raises(StoreError, match="may the bridge write to it"):
            Writer(path)
    assert rubbish.read_bytes() == b"no database at all " * 100


ENDLESS = (
    "DROP TABLE record",
    "CREATE VIEW record AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS position,"
    " 'd' AS device, x AS seq, 1 AS kind, 1 AS boot, x'' AS content_hash, 1 AS utc_ms, x'' AS envelope FROM n",
)
HUGE = (
    "INSERT INTO record (device, seq, kind, boot, content_hash, received_utc_ms, envelope)"
    " VALUES ('d', 1, 1, 1, zeroblob(32), 1, zeroblob(30000000))",
)
TRIGGER = ("CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM record; END",)


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [(ENDLESS, "not made by a bridge"), (TRIGGER, "not made by a bridge"), (HUGE, "too big"), (("ANALYZE",), None)],
)
def test_a_hostile_ledger_is_refused_when_it_is_read(tmp_path: Path, statements, sentence):
    path = tmp_path / "hostile.sqlite"
    Writer(path).close()
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement)
    connection.close()
    if sentence is None:
        assert list(read_rows(path)) == []
        return
    with pytest.raises(StoreError, match=sentence):
        list(read_rows(path))


@pytest.mark.parametrize("version", ["3.51.3", "3.54.1", "3.50.7", "3.44.6", "4.0.0"])
def test_sound_sqlite_versions_are_taken(version):
    check_sqlite(version)


@pytest.mark.parametrize("version", ["3.51.2", "3.50.6", "3.44.5", "3.40.1", "3.49.9"])
def test_sqlite_versions_that_lose_commits_are_refused(version):
    with pytest.raises(StoreError, match="WAL reset race"):
        check_sqlite(version)


_KILLED = """
import sys
from pathlib import Path
from tests.bridge.test_store import StillClock, head_of, sealed
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
ledger = SqliteLedger(Writer(Path(sys.argv[1])), StillClock())
head = ledger.head("plume-01")
seq = head.seq if head else 0
while True:
    seq += 1
    record = sealed("plume-01", seq)
    ledger.append([record], head_of(record[0]), [])
    sys.stdout.write(f"{seq}\\n")
    sys.stdout.flush()
"""


def test_what_was_committed_before_kill_9_is_there_once(tmp_path: Path):
    """Twelve kills at whatever instant the scheduler gives; every seq reported as committed must be stored."""
    path = tmp_path / "ledger.sqlite"
    reported = 0
    root = Path(__file__).parents[2]
    paths = os.pathsep.join(str(root / part) for part in ("", "bridge", "firmware"))
    for round_number in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", _KILLED, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths},
        ) as process:
            assert process.stdout is not None
            for _ in range(3 + 5 * round_number):
                reported = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            for line in process.stdout:
                if line.endswith("\n"):
                    reported = int(line)
    ledger = SqliteLedger(Writer(path), StillClock())
    seqs = [row.seq for row in ledger.of_device("plume-01", 1, 10**9)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) >= reported
    head = ledger.head("plume-01")
    assert head is not None and head.seq == len(seqs)
