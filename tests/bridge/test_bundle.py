"""Bundles: round trip over real signatures, every bit and random edits named, the second verifier agrees."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import rfc8785

from plumeproof.averaging_stage import AveragingStage
from plumeproof.bundle import ahead as bundle_ahead
from plumeproof.bundle import records as bundle_records
from plumeproof.bundle.ahead import SignaturesAhead
from plumeproof.bundle.checking import BundleCheck
from plumeproof.bundle.columns import ROW_NAMES, build_columns, columns_of, parse_columns, rows_of
from plumeproof.bundle.figure_columns import NAMES as FIGURE_NAMES
from plumeproof.bundle.figure_columns import build_figures, parse_figures
from plumeproof.bundle.zip import BundleWriter, read_member, read_members
from plumeproof.cli import main
from plumeproof.delivery.https_sink import digest_of
from plumeproof.delivery.profile import load_profile
from plumeproof.delivery.relay import ReportFeed, ReportRule
from plumeproof.delivery.report import identify
from plumeproof.errors import EvidenceError, StoreError
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.key_change import build_statement
from plumeproof.keys import parse_keys
from plumeproof.model import Receipt
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from plumeproof.store.outbox import SqliteOutbox
from tests.doubles.chained_module import ChainedModule, write_plant
from tests.doubles.manual_clock import ManualClock
from tests.doubles.timed_module import START_UTC_MS, store_all
from tools import second_verifier
from tools.eu_platform.receipts import ReceiptKey

ROOT = Path(__file__).resolve().parents[2]
SECOND = ROOT / "tools" / "second_verifier.py"
SEED = int(os.environ.get("PLUMEPROOF_BUNDLE_SEED", "5"))
EDITS = int(os.environ.get("PLUMEPROOF_BUNDLE_EDITS", "60"))  # `make`'s long campaign asks for 10,000
BIT_STRIDE = int(os.environ.get("PLUMEPROOF_BUNDLE_BIT_STRIDE", "997"))  # 1: every bit


def export(folder, name, first, last):
    options = ["--ledger", folder / "ledger.sqlite", "--keys", folder / "keys.json", "--from", first, "--to", last]
    assert main(["evidence", "export", *map(str, options), "-o", str(folder / name), "--json"]) == 0
    return folder / name


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """27 hours over a midnight with a clock that is set back, and its bundle."""
    folder = tmp_path_factory.mktemp("day")
    write_plant(folder, 27 * 60, START_UTC_MS - 3_600_000, shortest_s=60)
    export(folder, "day.zip", "2026-11-30", "2026-12-03")
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Eight minutes of five slots: a bundle whose every bit can be turned."""
    folder = tmp_path_factory.mktemp("small")
    write_plant(folder, 8, START_UTC_MS, slots=5, interval_s=300)
    export(folder, "small.zip", "2026-12-01", "2026-12-02")
    return folder


def verify(capsys, *arguments):
    capsys.readouterr()
    status = main(["evidence", "verify", *map(str, arguments), "--json"])
    return status, json.loads(capsys.readouterr().out)


def second(path, *arguments):
    """The second verifier, in this process: a start of its own costs more than most bundles here."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(sys, "argv", ["second_verifier.py", str(path), *map(str, arguments)])
        status = second_verifier.run("", second_verifier.everything)
    return status, json.loads(said.getvalue())


def second_alone(path, *arguments):
    """In a process that sees nothing of ours."""
    done = subprocess.run(
        [sys.executable, "-I", str(SECOND), str(path), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert not done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def findings_of(raw):
    check = BundleCheck(io.BytesIO(raw))
    return list(check.run()), check


def test_a_day_is_fine_and_both_verifiers_say_so(day, capsys):
    status, found = verify(capsys, day / "day.zip", "--keys", day / "keys.json", "--html", day / "day.html")
    assert (status, found["fine"], found["findings"]) == (0, True, [])
    assert found["records_verified"] == 27 * 60 + 2
    assert found["averages_equal"] > 3_000 and found["figures_equal"] > 50
    assert found["keys_from"] == "registry"
    status, other = second_alone(day / "day.zip", "--keys", day / "keys.json")
    assert (status, other["fine"]) == (0, True)
    assert (other["signatures"], other["averages"]) == (found["records_verified"], found["averages_equal"])
    page = (day / "day.html").read_text()
    assert "Fine: every record" in page and "http" not in page.replace("http-equiv", "")


def test_a_bundle_may_begin_within_a_chain(day, capsys):
    path = export(day, "hours.zip", "2026-12-01T08:00:00Z", "2026-12-01T11:00:00Z")
    status, found = verify(capsys, path)
    assert (status, found["findings"], found["keys_from"]) == (0, [], "bundle")
    assert found["devices"][0]["first_seq"] > 2
    assert second(path)[1]["averages"] == found["averages_equal"] > 300


def rotated(folder, signs="second", vouches="second", until=0):
    """A bundle in whose middle the first key hands over to the second, and its keys.json; `signs`: the first record
    behind the change, `vouches`: the change; `until`: added to the last seq that the registry lets the first sign."""
    keys = {name: ChainedModule(secret=number) for number, name in enumerate(("first", "second", "third"), 901)}
    module, entries = ChainedModule(secret=901), {name: one.entry() for name, one in keys.items()}
    module.clock_offset_ms = START_UTC_MS
    module.start()

    def sample():
        module.sample([(0, 50.0, 100, False)] * 5)
        module.wait(55_000)

    sample()
    statement = build_statement("plume-01", keys["first"].kid, keys["second"].public_key)
    module.seal(9, {90: keys["second"].public_key, 91: keys[vouches].sign(statement)})
    change = module.sealed[-1][0].seq
    for name in (signs, "second"):
        module.sign, module.kid = keys[name].sign, keys[name].kid
        sample()
    entries["first"]["valid_until_seq"] = change + until
    entries["second"]["valid_from_seq"] = entries["third"]["valid_from_seq"] = change + 1
    (folder / "keys.json").write_text(json.dumps(list(entries.values())))
    writer, clock = Writer(folder / "ledger.sqlite"), ManualClock()
    ledger = SqliteLedger(writer, clock)
    store_all(ledger, module.sealed)
    averaging = AveragingStage(ledger, SqliteAverages(writer, clock), [60], 0)
    while averaging.step():
        pass
    writer.close()
    return export(folder, "rotated.zip", "2026-12-01", "2026-12-02")


@pytest.mark.parametrize(
    ("changed", "code", "told"),
    [
        ({}, None, ""),
        ({"signs": "first", "until": 1}, "key_change", "signed by kid"),
        ({"signs": "third"}, "key_change", "signed by kid"),
        ({"vouches": "third"}, "key_change", "InvalidSignature"),
        ({"until": -1}, "key_not_valid", "may not sign"),
    ],
)
def test_both_know_who_signs_behind_a_key_change(tmp_path, capsys, changed, code, told):
    path = rotated(tmp_path, **changed)
    status, found = verify(capsys, path)
    other_status, other = second(path)
    codes, sentences = {one["code"] for one in found["findings"]}, " ".join(other["findings"])
    if code is None:
        assert (status, codes, other_status, sentences) == (0, set(), 0, "")
        assert (other["signatures"], other["averages"]) == (found["records_verified"], found["averages_equal"])
    else:
        assert (status, code in codes, other_status, told in sentences) == (1, True, 1, True), (codes, sentences)


def test_it_is_an_ordinary_zip_and_the_same_each_time(small):
    again = export(small, "again.zip", "2026-12-01", "2026-12-02")
    assert again.read_bytes() == (small / "small.zip").read_bytes()
    with zipfile.ZipFile(again) as ordinary:
        assert ordinary.testzip() is None
        names = ordinary.namelist()
    assert names == sorted(names) and names[-1] == "manifest.sha256"


def test_turned_bits_are_named_by_both(small):
    """A sample here; PLUMEPROOF_BUNDLE_BIT_STRIDE=1 turns every single one."""
    raw = (small / "small.zip").read_bytes()
    assert findings_of(raw)[0] == []
    for bit in range(SEED % BIT_STRIDE, 8 * len(raw), BIT_STRIDE):
        turned = bytearray(raw)
        turned[bit // 8] ^= 1 << bit % 8
        found, check = findings_of(bytes(turned))
        assert found and not check.is_fine, f"bit {bit}"
    for number in range(3):
        turned = bytearray(raw)
        turned[len(raw) * (2 * number + 1) // 6] ^= 4
        (small / "turned.zip").write_bytes(turned)
        assert second(small / "turned.zip")[0] == 1


def contents(raw):
    file = io.BytesIO(raw)
    return {name: b"".join(read_member(file, member)) for name, member in read_members(file).items()}


def sealed_again(members):
    """A bundle of altered members whose manifest is made to fit them, as somebody would who wants it accepted."""
    manifest = json.loads(members["manifest.json"])
    data = {name: raw for name, raw in members.items() if not name.startswith("manifest.")}
    manifest["members"] = [[name, len(raw), hashlib.sha256(raw).hexdigest()] for name, raw in sorted(data.items())]
    file = io.BytesIO()
    writer = BundleWriter(file)
    for name, raw in sorted(data.items()):
        writer.add(name, [raw])
    whole = rfc8785.dumps(manifest)
    writer.add("manifest.json", [whole])
    writer.add("manifest.sha256", [hashlib.sha256(whole).hexdigest().encode()])
    writer.finish()
    return file.getvalue()


def envelopes_in(raw):
    from plumeproof.envelope_sequence import read_sequence

    return [item.raw for item in read_sequence(io.BytesIO(raw))]


def rows_in(raw):
    """Of a member with averages, as a ledger has them."""
    columns = parse_columns(raw)
    found = []
    for rows in rows_of(columns, range(len(columns.heads))):
        for row in rows:
            row |= {name: bytes.fromhex(row[name]) for name in ("head_hash", "parameters_hash")}
            row["n_invalid"] = json.dumps(row["n_invalid"])
            found.append(tuple(row[name] for name in ROW_NAMES))
    return found


def foreign(count):
    """Records of the same module under another key."""
    module = ChainedModule(secret=77)
    module.start()
    for _ in range(count):
        module.sample([(0, 50.0, 100, False)] * 5)
        module.wait(55_000)
    return [envelope.raw for _, envelope in module.sealed]


def edit(rng, members, other):
    """One alteration of records or rows; its name."""
    name = next(one for one in members if one.startswith("data/envelopes/"))
    records = envelopes_in(members[name])
    at, to = rng.randrange(len(records)), rng.randrange(len(records))
    kind = rng.choice(("drop", "swap", "insert", "head", "tail", "other key", "row", "row dropped"))
    if kind == "drop":
        del records[at]
    elif kind == "swap":
        to = (at + 1 + rng.randrange(len(records) - 1)) % len(records)
        records[at], records[to] = records[to], records[at]
    elif kind == "insert":
        records.insert(to, records[at])
    elif kind == "head":
        records = records[1 + rng.randrange(len(records) - 1) :]
    elif kind == "tail":
        records = records[: -1 - rng.randrange(len(records) - 1)]
    elif kind == "other key":
        records[at] = rng.choice(other)
    if kind in ("row", "row dropped"):
        name = rng.choice([one for one in members if one.startswith("data/averages/")])
        rows = rows_in(members[name])
        number = rng.randrange(len(rows))
        if kind == "row dropped":
            del rows[number]
        else:
            field = rng.choice([at for at, one in enumerate(rows[number]) if type(one) in (int, float)])
            changed = list(rows[number])
            changed[field] += rng.choice((1, -1)) if changed[field] else 1
            rows[number] = tuple(changed)
        members[name] = build_columns(columns_of(rows))
    else:
        members[name] = b"".join(records)
    return kind


def test_random_edits_with_a_manifest_that_fits_are_named(small):
    """PLUMEPROOF_BUNDLE_EDITS=10000 runs the long campaign."""
    whole = contents((small / "small.zip").read_bytes())
    assert findings_of(sealed_again(dict(whole)))[0] == []
    rng, other = random.Random(SEED), foreign(8)
    for number in range(EDITS):
        members = dict(whole)
        kind = edit(rng, members, other)
        if members == whole:
            continue
        found, check = findings_of(sealed_again(members))
        assert found and not check.is_fine, f"edit {number}: {kind}"
        if number % 20 == 0:
            (small / "edited.zip").write_bytes(sealed_again(members))
            assert second(small / "edited.zip")[0] == 1, f"edit {number}: {kind}"


def test_an_altered_figure_or_rule_is_named(day):
    whole = contents(export(day, "three.zip", "2026-12-01T08:00:00Z", "2026-12-01T11:00:00Z").read_bytes())
    rng = random.Random(SEED)
    name = next(one for one in whole if one.startswith("data/figures/line-1/"))
    for _ in range(4):
        rows = parse_figures(whole[name], "line-1").rows()
        number = rng.randrange(len(rows))
        changed = dict(zip(FIGURE_NAMES, rows[number], strict=True))
        changed["n_valid" if changed["value"] is None else "value"] = 3.0000000000000004
        rows[number] = tuple(changed.values())
        found, _ = findings_of(sealed_again(whole | {name: build_figures(rows)}))
        assert [one.code for one in found] == ["figure"]
    found, _ = findings_of(sealed_again(whole | {name: build_figures(parse_figures(whole[name], "line-1").rows()[1:])}))
    assert [one.code for one in found] == ["figure_missing"]
    for folder in ("data/rules/", "data/plants/"):
        name = next(one for one in whole if one.startswith(folder))
        found, _ = findings_of(sealed_again({one: raw for one, raw in whole.items() if one != name}))
        assert {one.code for one in found} == {"member_missing"} or {one.code for one in found} == {"figure_form"}


def test_the_container_has_one_form(small):
    raw = (small / "small.zip").read_bytes()
    for wrong in (b"", raw[:-1], raw + b"\0", b"\0" + raw, raw[: len(raw) // 2], b"PK\5\6" + bytes(18) + b"x"):
        found, check = findings_of(wrong)
        assert found and not check.is_fine
    for name in ("../keys.json", "/data/keys.json", "data//keys.json", "Data/x", "data/.x", "a" * 400):
        with pytest.raises(StoreError):
            BundleWriter(io.BytesIO()).add(name, [b""])
    twice = io.BytesIO()
    with zipfile.ZipFile(twice, "w") as ordinary, pytest.warns(UserWarning, match="Duplicate"):
        ordinary.writestr("data/keys.json", b"[]")
        ordinary.writestr("data/keys.json", b"[]")
    with pytest.raises(EvidenceError, match="zip"):
        read_members(twice)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as ordinary:
        ordinary.writestr("data/keys.json", bytes(10_000_000))
    with pytest.raises(EvidenceError, match="zip"):
        read_members(bomb)


def test_revoked_and_unknown_keys(small, capsys):
    entries = json.loads((small / "keys.json").read_text())
    for changed, code in (({"revoked": True}, "key_revoked"), ({"valid_until_seq": 4}, "key_not_valid")):
        (small / "other.json").write_text(json.dumps([entries[0] | changed]))
        status, found = verify(capsys, small / "small.zip", "--keys", small / "other.json")
        assert status == 1 and code in {one["code"] for one in found["findings"]}
        assert second(small / "small.zip", "--keys", small / "other.json")[0] == 1
    stranger = ChainedModule(secret=1)  # the base point: a published test key
    (small / "other.json").write_text(json.dumps([*entries, stranger.entry()]))
    status, found = verify(capsys, small / "small.zip", "--keys", small / "other.json")
    assert [one["code"] for one in found["findings"]] == ["test_key"]
    assert verify(capsys, small / "small.zip", "--keys", small / "other.json", "--allow-test-keys")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("export", "--from", "2026-12-01", "--to", "2026-12-02", "-o", "x.zip"), "--ledger: is missing"),
        (("verify", "nothing.zip"), "nothing.zip: No such file"),
    ],
)
def test_wrong_usage_is_one_line(tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert main(["evidence", *arguments]) == 2
    told_error = capsys.readouterr().err
    assert told in told_error and told_error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_periods_that_hold_nothing(small, capsys):
    options = ["--ledger", small / "ledger.sqlite", "--keys", small / "keys.json", "-o", small / "none.zip"]
    for first, last, told in (("2020", "2021", "no record of this period"), ("2021", "2020", "not behind --from")):
        assert main(["evidence", "export", *map(str, options), "--from", first, "--to", last]) == 2
        assert told in capsys.readouterr().err
    assert not (small / "none.zip").exists()


REFEREE = """
import sys
from cwt import COSE, COSEKey
from pycose.keys import EC2Key
from pycose.messages import Sign1Message

points = {}
for line in sys.stdin:
    words = line.split()
    if words[0] == "key":
        points[bytes.fromhex(words[1])] = bytes.fromhex(words[2])
        continue
    message = Sign1Message.decode(bytes.fromhex(words[1]))
    kid = next(value for name, value in message.phdr.items() if "kid" in str(name).lower())
    x, y = points[kid][1:33], points[kid][33:]
    message.key = EC2Key(crv="P_256", x=x, y=y)
    assert message.verify_signature()
    key = COSEKey.new({1: 2, 2: kid, 3: -7, -1: 1, -2: x, -3: y, 4: [2]})
    assert COSE.new().decode(bytes.fromhex(words[1]), key) == message.payload
    print(message.payload.hex())
"""


def test_pycose_and_cwt_agree_with_every_signature_of_a_bundle(small):
    whole = contents((small / "small.zip").read_bytes())
    keys = parse_keys(whole["data/keys.json"], "keys")
    raws = [raw for name in whole if name.startswith("data/envelopes/") for raw in envelopes_in(whole[name])]
    lines = [f"key {entry.kid.hex()} {entry.public_key.hex()}" for entry in keys.entries]
    lines += [f"envelope {raw.hex()}" for raw in raws]
    command = [ROOT / ".cache" / "referees" / "bin" / "python", "-W", "ignore", "-c", REFEREE]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [verify_envelope(raw, keys.public_key).payload.hex() for raw in raws]
    assert len(raws) == 10


def test_a_receipt_is_held_against_the_averages_that_were_sent(small, tmp_path, capsys):
    platform = ReceiptKey(tmp_path / "own.key")
    for name in ("ledger.sqlite", "keys.json"):
        (tmp_path / name).write_bytes((small / name).read_bytes())
    writer, clock = Writer(tmp_path / "ledger.sqlite"), ManualClock(START_UTC_MS + 600_000)
    averages, outbox = SqliteAverages(writer, clock), SqliteOutbox(writer, clock)
    feed = ReportFeed("eu", "gw-1", ReportRule(60, 4), averages, outbox, clock)
    feed.begin()
    while feed.advance():
        pass
    names = load_profile("eu-carbon-cloud").receipt
    count = 0
    while rows := outbox.due("eu", clock.utc_ms(), 1):
        (row,), identity = rows, identify(rows[0].body)
        said = {"receipt_id": f"r-{row.id}", "received_at": "2026-12-01T00:10:00Z", "idempotency_key": row.key}
        said |= {"content_digest": digest_of(row.body), "module": identity.module, "first_id": identity.first_id}
        said |= {"last_id": identity.last_id, "average_count": identity.average_count}
        proof = rfc8785.dumps(platform.seal({names[name]: value for name, value in said.items()}))
        outbox.close([Receipt(row.id, "eu", proof, clock.utc_ms())])
        count += 1
    writer.close()
    assert count > 2
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [platform.jwk]}))
    options = ("--platform-keys", tmp_path / "jwks.json")
    status, found = verify(capsys, export(tmp_path, "all.zip", "2026-12-01", "2026-12-02"), *options)
    assert (status, found["receipts_signed"], found["receipts_matched"]) == (0, count, count)
    status, found = verify(capsys, export(tmp_path, "part.zip", "2026-12-01T00:01:00Z", "2026-12-02"), *options)
    assert status == 0 and found["receipts_matched"] < found["receipts_signed"] == count
    assert any("were not held against averages" in one for one in found["limits"])

    whole = contents((tmp_path / "all.zip").read_bytes())
    lines = whole["data/receipts.jsonl"].splitlines()

    def altered(change):
        line = json.loads(lines[1])
        change(line["batch"])
        told = b"".join(one + b"\n" for one in (lines[0], rfc8785.dumps(line), *lines[2:]))
        (tmp_path / "altered.zip").write_bytes(sealed_again(whole | {"data/receipts.jsonl": told}))
        status, found = verify(capsys, tmp_path / "altered.zip", *options)
        return status, [(one["code"], one["sentence"].rsplit(": ", 1)[-1]) for one in found["findings"]]

    def first_run(at, by):
        return lambda batch: batch["runs"][0].__setitem__(at, batch["runs"][0][at] + by)

    gone = "revision 9, which it is about, is not in the bundle"
    status, ((code, told),) = altered(first_run(3, 9))
    assert (status, code, told.endswith(gone)) == (1, "receipt_averages", True)
    for change in (first_run(2, 60_000), lambda batch: batch.update(gateway="gw-2"), lambda batch: batch["runs"].pop()):
        assert altered(change)[:1] == (1,) and altered(change)[1][0][0] == "receipt_averages"
    for change in (first_run(4, 50), first_run(2, 1), lambda batch: batch.pop("rows"), first_run(0, -(2**53))):
        assert altered(change)[1][0][0] == "receipt_form"


def test_receipts_are_judged_with_the_platforms_keys(small, tmp_path, capsys):
    key, other = (ReceiptKey(tmp_path / f"{name}.key") for name in ("own", "other"))
    whole = contents((small / "small.zip").read_bytes())

    def written(signer, **changed):
        receipt = signer.seal({"receiptId": "r-1", "idempotencyKey": "k-1"}) | changed
        row = {"sink": "eu", "kind": "report", "key": "k-1", "module": "plume-01", "seq": 1, "received_utc_ms": 1}
        line = rfc8785.dumps(row | {"proof": json.dumps(receipt)}) + b"\n"
        (small / "receipts.zip").write_bytes(sealed_again(whole | {"data/receipts.jsonl": line}))
        return small / "receipts.zip"

    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [key.jwk]}))
    options = ("--platform-keys", tmp_path / "jwks.json")
    status, found = verify(capsys, written(key), *options)
    assert (status, found["receipts_signed"], found["receipts_carried"]) == (0, 1, 0)
    assert verify(capsys, written(key))[1]["receipts_carried"] == 1
    for signer, changed in ((other, {}), (key, {"receiptId": "r-2"}), (key, {"idempotencyKey": "k-2"})):
        status, found = verify(capsys, written(signer, **changed), *options)
        assert (status, [one["code"] for one in found["findings"]]) == (1, ["receipt"])


# Signatures verified ahead, by other processes


@pytest.fixture
def ahead(monkeypatch):
    """As for a large bundle on a machine with three processors."""
    monkeypatch.setattr(bundle_ahead, "BYTES_MIN", 1)
    monkeypatch.setattr(bundle_ahead, "_processors", lambda: 3)
    monkeypatch.setattr(bundle_records, "PORTION", 64)


def test_what_is_verified_ahead_is_found_the_same(day, small, ahead, monkeypatch):
    raw = (day / "day.zip").read_bytes()
    asked, first = [], SignaturesAhead._first

    def note(self, waiting, keys):
        asked.append(first(self, waiting, keys))
        return asked[-1]

    monkeypatch.setattr(SignaturesAhead, "_first", note)
    found, check = findings_of(raw)
    assert found == [] and check.counts.records_verified > 1600 and sum(is_verified for _, is_verified in asked) > 20
    # One bit of one signature: the portion is not taken, and the record is named as without anybody ahead
    at = raw.index(b"\x58\x40", raw.index(b"envelopes/") + 40_000) + 20
    spoilt = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
    found, _ = findings_of(spoilt)
    assert not all(is_verified for _, is_verified in asked)
    monkeypatch.setattr(bundle_ahead, "_processors", lambda: 1)
    assert {str(one) for one in found} == {str(one) for one in findings_of(spoilt)[0]}
    assert any("signature" in one.code for one in found)


def test_a_process_that_dies_costs_time_alone(day, ahead, monkeypatch):
    ask_then = SignaturesAhead._ask

    def ask(self, waiting, keys):
        ask_then(self, waiting, keys)
        for process in (self._pool._processes if self._pool else {}).values():
            process.kill()

    monkeypatch.setattr(SignaturesAhead, "_ask", ask)
    found, check = findings_of((day / "day.zip").read_bytes())
    assert found == [] and check.is_fine
