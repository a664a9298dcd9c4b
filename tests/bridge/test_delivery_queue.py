"""`plumeproof queue`: real `main` on a real outbox with rows that wait, are closed and were set aside."""

from __future__ import annotations

import json

import apsw
import pytest

from plumeproof.cli import main
from plumeproof.model import NewRow, Receipt
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from plumeproof.store.lock import LedgerLock
from plumeproof.store.outbox import SqliteOutbox
from tests.bridge.test_service import SINKS, Site
from tests.bridge.test_store import head_of, sealed
from tests.doubles.manual_clock import ManualClock


@pytest.fixture
def site(tmp_path):
    """Sink eu: row 1 closed, row 2 set aside, row 3 waits for an hour; sink broker: row 4, an envelope."""
    found = Site(tmp_path, "plume-01", more=SINKS.format(port=1))
    found.ledger.parent.mkdir()
    clock = ManualClock()
    writer = Writer(found.ledger)
    record, envelope = sealed("plume-01", 1)
    SqliteLedger(writer, clock).append([(record, envelope)], head_of(record), [])
    outbox = SqliteOutbox(writer, clock)
    reports = [NewRow("eu", "plume-01", "report", f"k{number}", b'{"n":%d}' % number) for number in range(3)]
    outbox.enqueue([*reports, NewRow("broker", "plume-01", "envelope", "e", seq=1)], "s", "eu", 1)
    outbox.close([Receipt(1, "eu", b'{"receiptId":"r"}', 1)])
    outbox.quarantine(2, "status 422")
    outbox.defer(3, clock.utc_ms() + 3_600_000, "status 503")
    writer.close()
    yield found
    found.close()


def run(capsys, site, *words: object) -> tuple[int, str, str]:
    code = main(["queue", *map(str, words), "-c", str(site.file)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_ls(capsys, site):
    code, out, _ = run(capsys, site, "ls")
    assert code == 0 and out.splitlines()[-1] == "2 waiting"
    assert "3 eu plume-01 report waiting" in out and "1 tries, status 503" in out
    code, out, _ = run(capsys, site, "ls", "--json", "--state", "quarantined", "--sink", "eu")
    assert [(row["id"], row["reason"]) for row in json.loads(out)["rows"]] == [(2, "status 422")]
    assert "--limit shows more" in run(capsys, site, "ls", "-n", "1")[1]


def test_inspect(capsys, site):
    row = json.loads(run(capsys, site, "inspect", 1, "--json")[1])
    assert (row["body"], row["receipt"], row["state"]) == ('{"n":0}', {"receiptId": "r"}, "closed")
    assert "no receipt" in run(capsys, site, "inspect", 2)[1]
    assert b"envelope plume-01 1".hex() in run(capsys, site, "inspect", 4)[1]


def test_requeue(capsys, site):
    assert run(capsys, site, "requeue")[:2] == (0, "1 of 1 rows are due now\n")
    assert run(capsys, site, "requeue", 3)[0] == 0
    assert run(capsys, site, "requeue", 1)[0] == 1  # closed for good
    assert run(capsys, site, "requeue")[0] == 1  # nothing is set aside any more
    writer = Writer(site.ledger)
    rows = SqliteOutbox(writer, ManualClock()).due("eu", 1, 9)
    assert [(row.id, row.key) for row in rows] == [(2, "k1"), (3, "k2")]
    writer.close()
    connection = apsw.Connection(str(site.ledger))
    assert connection.execute("SELECT code, detail FROM audit ORDER BY id LIMIT 1").get == (
        "requeue", '{"rows": [2], "found": 1}',
    )  # fmt: skip
    connection.close()


def test_export(capsys, site, tmp_path):
    assert run(capsys, site, "export", 2, "-o", tmp_path / "body")[0] == 0
    assert (tmp_path / "body").read_bytes() == b'{"n":1}'
    code, _, err = run(capsys, site, "export", 3, "-o", tmp_path / "body")
    assert (code, err.count("\n")) == (2, 1) and "name a new file" in err
    assert (tmp_path / "body").read_bytes() == b'{"n":1}'


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("inspect", 99), "no row 99"),
        (("ls", "--sink", "none"), "there are broker, eu"),
        (("requeue", 2, "--sink", "eu"), "say two things"),
        (("ls", "-n", "0"), "no number of 1 to"),
    ],
)
def test_wrong_usage(capsys, site, words, sentence):
    code, _, err = run(capsys, site, *words)
    assert code == 2 and sentence in err


def test_requeue_leaves_a_running_bridge_alone(capsys, site):
    lock = LedgerLock(site.ledger.parent)
    code, _, err = run(capsys, site, "requeue")
    lock.release()
    assert code == 2 and "another bridge" in err


def test_no_ledger_yet(capsys, site):
    site.ledger.unlink()
    code, _, err = run(capsys, site, "ls")
    assert (code, err.count("\n")) == (2, 1) and "no such ledger" in err
