"""Anchors: what the gateway's key signs, what it refuses to sign, and what a verifier sees with them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import apsw
import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.anchors import KeptStatement, judge_statements, load_anchors, write_line
from plumeproof.cli import main
from plumeproof.delivery.anchor_feed import AnchorFeed, plain_body
from plumeproof.delivery.folder_sink import FolderSink
from plumeproof.delivery.stage import DeliveryStage
from plumeproof.enrolment import Registry
from plumeproof.errors import AnchorRefused, BlockedDelivery, ConfigError, EvidenceError, RetryableDelivery
from plumeproof.evidence.anchor import build_anchor, build_manifest, find_shrinking, parse_anchor, parse_manifest
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.statement import ANCHOR_TYPE, MANIFEST_TYPE
from plumeproof.gateway_key import GatewayKey, create_gateway_key
from plumeproof.keys import load_keys
from plumeproof.model import Anchor
from plumeproof.stamp_stage import StampStage, ask_stamp
from plumeproof.time_stamp import in_der_order, load_certificates, read_stamp
from tests.doubles.openssl_tsa import OpensslTsa
from tests.doubles.witnessed_gateway import GATEWAY, HOUR_S, WitnessedGateway


@pytest.fixture
def gateway(tmp_path):
    found = WitnessedGateway(tmp_path)
    yield found
    found.writer.close()


def keys_of(gateway):
    return load_keys(gateway.folder / "keys.json")


def parse(gateway, raw):
    return parse_anchor(raw, lambda kid: keys_of(gateway).public_key(kid, "anchor"))


def verify(gateway, capsys, *more):
    capsys.readouterr()
    paths = [str(gateway.folder / "ledger.sqlite"), "--keys", str(gateway.folder / "keys.json")]
    status = main(["verify", *paths, *map(str, more), "--json"])
    return status, json.loads(capsys.readouterr().out)


# What is signed


def test_a_statement_names_every_head_and_follows_the_one_before(gateway):
    first = parse(gateway, gateway.sign())
    record = gateway.module.sealed[-1][0]
    assert first.heads == (Anchor("plume-01", record.seq, record.content_hash, 6),)
    assert (first.gateway, first.number, first.prev) == (GATEWAY, 1, bytes(32))
    assert gateway.stage.step() is None
    gateway.clock.advance(24 * HOUR_S)
    gateway.measure(3)
    second = parse(gateway, gateway.sign())
    assert (second.number, second.prev, second.heads[0].count) == (2, first.content_hash, 9)


def test_no_record_no_statement(tmp_path):
    gateway = WitnessedGateway(tmp_path, records=0)
    gateway.writer.close()
    (tmp_path / "ledger.sqlite").unlink()
    gateway.open()
    assert gateway.stage.step() is None and gateway.store.newest() is None and not gateway.stage.sign_last()
    gateway.writer.close()


def test_when_it_is_due(gateway):
    gateway.sign()
    gateway.clock.advance(23.9 * HOUR_S)
    assert gateway.stage.step() is None
    gateway.clock.advance(0.2 * HOUR_S)
    gateway.sign()  # also when nothing new has come: it says that nothing has gone
    gateway.clock.step(-48 * HOUR_S)
    gateway.sign()  # the clock was set back: nobody waits for it
    gateway.writer.close()
    gateway.open(every_records=5)
    assert gateway.stage.step() is None
    gateway.measure(4)
    assert gateway.stage.step() is None
    gateway.measure(1)
    gateway.sign()
    assert gateway.stage.step() is None


def test_a_stop_signs_what_is_new(gateway):
    gateway.sign()
    assert not gateway.stage.sign_last()
    gateway.measure(1)
    assert gateway.stage.sign_last()
    assert parse(gateway, gateway.store.newest().statement).heads[0].seq == 7


def test_the_key_is_for_its_owner_only_and_never_replaced(tmp_path):
    path = tmp_path / "gateway.key"
    key, _ = create_gateway_key(path, GATEWAY)
    assert path.stat().st_mode & 0o777 == 0o600 and GatewayKey(path).kid == key.kid
    with pytest.raises(ConfigError, match="is there already"):
        create_gateway_key(path, GATEWAY)
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(ConfigError, match="chmod 600"):
            GatewayKey(path)
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(ConfigError, match="no private key"):
        GatewayKey(path)


def test_no_statement_is_taken_for_another_kind(gateway):
    raw, key = gateway.sign(), GatewayKey(gateway.key_file)
    manifest = key.sign(MANIFEST_TYPE, build_manifest(GATEWAY, 1, bytes(32)))
    with pytest.raises(EvidenceError, match="protected"):
        verify_envelope(raw, lambda _kid: key.public_key)
    with pytest.raises(EvidenceError, match="protected"):
        parse_anchor(gateway.module.sealed[0][1].raw, lambda _kid: gateway.module.public_key)
    with pytest.raises(EvidenceError, match="content_type"):
        parse_anchor(manifest, lambda _kid: key.public_key)
    with pytest.raises(EvidenceError, match="content_type"):
        parse_manifest(raw, lambda _kid: key.public_key)
    assert parse_manifest(manifest, lambda _kid: key.public_key)[1:] == (GATEWAY, 1, bytes(32))
    assert key.sign(MANIFEST_TYPE, build_manifest(GATEWAY, 1, bytes(32))) == manifest  # a bundle has one form


def test_every_bit_of_a_statement_counts(gateway):
    raw = gateway.sign()
    for at in range(len(raw) * 8):
        turned = bytearray(raw)
        turned[at // 8] ^= 1 << at % 8
        with pytest.raises(EvidenceError):
            parse(gateway, bytes(turned))


@pytest.mark.parametrize(
    "change",
    [
        {1: 2}, {2: ""}, {2: "GW"}, {3: 0}, {3: 2**53}, {3: True}, {4: bytes(31)}, {5: -1}, {6: 5}, {7: 0},
        {6: [["a", 1, bytes(32)]]},
        {6: [["a", 1, bytes(32), 2]]}, {6: [["a", 0, bytes(32), 1]]}, {6: [["a", 1, bytes(32), 0]]},
        {6: [["b", 1, bytes(32), 1], ["a", 1, bytes(32), 1]]}, {6: [["a", 1, bytes(32), 1]] * 2},
        {6: [["a", 1, "x", 1]]}, {7: bytes(15)}, {7: None}, {7: "x" * 16}, {8: 0},
    ],
)  # fmt: skip
def test_a_signed_payload_that_says_nothing_true_is_refused(gateway, change):
    key = GatewayKey(gateway.key_file)
    payload = cbor2.loads(build_anchor(GATEWAY, 1, bytes(32), 0, [Anchor("a", 1, bytes(32), 1)])) | change
    raw = key.sign(ANCHOR_TYPE, cbor2.dumps(payload, canonical=True))
    with pytest.raises(EvidenceError, match="anchor_form"):
        parse(gateway, raw)


def test_the_witness_rule():
    old = [Anchor("a", 5, b"h" * 32, 4), Anchor("b", 7, b"i" * 32, 7)]
    assert find_shrinking(old, old) is None and find_shrinking([], old) is None
    assert find_shrinking(old, [Anchor("a", 6, b"k" * 32, 5), old[1], Anchor("c", 1, b"l" * 32, 1)]) is None
    for new in (
        [old[1]],
        [Anchor("a", 4, b"g" * 32, 4), old[1]],
        [Anchor("a", 5, b"g" * 32, 4), old[1]],
        [Anchor("a", 5, b"h" * 32, 5), old[1]],
        [Anchor("a", 9, b"g" * 32, 3), old[1]],
        [Anchor("a", 6, b"g" * 32, 6), old[1]],
    ):
        assert find_shrinking(old, new) is not None


# What is refused


def refused(gateway):
    with pytest.raises(AnchorRefused) as caught:
        gateway.clock.advance(25 * HOUR_S)
        gateway.stage.step()
    assert "\n" not in str(caught.value)
    assert gateway.stage.recover(caught.value) == 60.0
    with gateway.writer.reading() as connection:
        notes = connection.execute("SELECT detail FROM audit WHERE code = 'anchor_refused'").fetchall()
    assert (str(caught.value),) in notes
    gateway.measure(1)  # and everything else goes on
    return str(caught.value)


def test_a_ledger_that_was_put_back_is_noticed(gateway):
    gateway.sign()
    gateway.writer.close()
    shutil.copy(gateway.folder / "ledger.sqlite", gateway.folder / "old.sqlite")
    gateway.open()
    gateway.measure(4)
    gateway.clock.advance(25 * HOUR_S)
    gateway.sign()
    gateway.clock.advance(25 * HOUR_S)
    gateway.sign()
    gateway.writer.close()
    shutil.copy(gateway.folder / "old.sqlite", gateway.folder / "ledger.sqlite")
    gateway.open()
    gateway.stored -= 4
    del gateway.module.sealed[-4:]
    assert "1 in the ledger, 3 beside the key" in refused(gateway)


@pytest.mark.parametrize("records", [1, 3])
def test_records_that_were_deleted_are_noticed_by_the_signer(gateway, records):
    gateway.sign()
    gateway.cut(records)
    assert "of 6 records up to seq 6, and no record there" in refused(gateway)


def test_a_deleted_record_in_the_middle_is_noticed_at_the_next_start(gateway):
    gateway.sign()
    with gateway.writer.transaction() as connection:
        connection.execute("DELETE FROM record WHERE seq = 4")
    gateway.writer.close()
    gateway.open()
    assert "has 5 of 6 records" in refused(gateway)


def test_a_head_that_does_not_verify_is_not_signed(gateway):
    with gateway.writer.transaction() as connection:
        connection.execute("UPDATE record SET envelope = ? WHERE seq = 6", (gateway.module.sealed[4][1].raw,))
    assert "another record than its row says" in refused(gateway)


def test_the_memory_beside_the_key_must_be_there_and_fit(gateway):
    gateway.sign()
    beside = gateway.folder / "gateway.key.newest"
    raw = beside.read_bytes()
    beside.unlink()
    assert "is gone" in refused(gateway)
    beside.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    assert "none of ours" in refused(gateway)
    beside.write_bytes(raw)
    gateway.clock.advance(25 * HOUR_S)
    gateway.sign()
    beside.write_bytes(raw)
    assert "2 in the ledger, 1 beside the key" in refused(gateway)


def test_power_failing_between_key_and_ledger_loses_nothing(gateway):
    for number in (1, 2):
        gateway.clock.advance(25 * HOUR_S)
        raw = gateway.sign()
        with gateway.writer.transaction() as connection:
            connection.execute("DELETE FROM anchor WHERE number = ?", (number,))
        gateway.writer.close()
        gateway.open()
        gateway.measure(2)
        assert gateway.stage.step() is None and gateway.store.newest().statement == raw


def test_a_key_that_is_not_enrolled_or_revoked_signs_nothing(gateway):
    gateway.sign()
    with Registry(gateway.folder / "keys.json") as registry:
        registry.revoke(GatewayKey(gateway.key_file).kid, 1, "lost")
    gateway.writer.close()
    gateway.open()
    assert "is revoked" in refused(gateway)
    (gateway.folder / "keys.json").write_text(json.dumps([gateway.module.entry()]))
    gateway.writer.close()
    gateway.open()
    assert "not enrolled for anchors" in refused(gateway)


def test_a_new_key_goes_on_with_the_chain_of_the_old(gateway, capsys):
    first = parse(gateway, gateway.sign())
    new = gateway.folder / "second.key"
    answer, keys = gateway.folder / "answer.json", gateway.folder / "keys.json"
    assert main(["keys", "create-gateway", "--key-file", str(new), "--gateway", GATEWAY, "--answer", str(answer)]) == 0
    rotate = ["keys", "rotate", str(answer), "--purpose", "anchor", "--last-seq", "1", "--keys", str(keys)]
    assert main(rotate) == 0
    gateway.writer.close()
    gateway.key_file = new
    gateway.open()
    gateway.clock.advance(25 * HOUR_S)
    second = parse(gateway, gateway.sign())
    assert second.prev == first.content_hash and second.number == 2 and second.kid != first.kid
    kept = judge_statements([KeptStatement("", one.raw) for one in (second, first)], keys_of(gateway))
    assert not kept.findings and [one.number for one in kept.statements] == [1, 2]


DEEDS = ("measure", "sign", "power", "restart", "snapshot", "restore")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(DEEDS), max_size=14))
def test_whatever_happens_a_keeper_never_sees_a_smaller_history(deeds):
    """Ledgers that are put back, power that fails, restarts: all that was ever signed extends what was before it."""
    with tempfile.TemporaryDirectory() as folder:
        gateway = WitnessedGateway(Path(folder))
        ledger, beside, copy = gateway.folder / "ledger.sqlite", gateway.folder / "gateway.key.newest", (b"", 0, 0)
        seen: set[bytes] = set()
        for deed in [*deeds, "sign"]:
            if deed == "measure":
                gateway.measure(1)
            elif deed == "sign":
                gateway.clock.advance(25 * HOUR_S)
                signed = max((parse(gateway, raw).number for raw in seen), default=0)
                newest = gateway.store.newest()
                known = 0 if newest is None else newest.number
                if signed <= known + 1 and (signed == known or parse(gateway, beside.read_bytes()).number == signed):
                    with suppress(AnchorRefused):  # a copy of before may lack records that were signed
                        gateway.stage.step()
                else:
                    with pytest.raises(AnchorRefused):
                        gateway.stage.step()
            elif deed == "power" and seen:  # between key and ledger
                with gateway.writer.transaction() as connection:
                    number = parse(gateway, beside.read_bytes()).number
                    connection.execute("DELETE FROM anchor WHERE number = ?", (number,))
            if deed in ("power", "restart", "snapshot", "restore"):
                gateway.writer.close()
                if deed == "snapshot":
                    copy = (ledger.read_bytes(), gateway.stored, len(gateway.module.sealed))
                elif deed == "restore" and copy[0]:
                    ledger.write_bytes(copy[0])
                    gateway.stored = copy[1]
                    del gateway.module.sealed[copy[2] :]
                gateway.open()
            seen |= {beside.read_bytes()} if beside.exists() else set()
        gateway.writer.close()
        kept = judge_statements([KeptStatement("", raw) for raw in seen], keys_of(gateway))
        assert not kept.findings and len({one.number for one in kept.statements}) == len(seen)


# What a verifier sees


@pytest.mark.parametrize("records", [1, 2, 4])
def test_deleting_the_newest_records_becomes_visible(gateway, capsys, records):
    kept = gateway.folder / "kept.cose"
    kept.write_bytes(gateway.sign())
    assert verify(gateway, capsys, "--anchor", kept)[0] == 0
    gateway.cut(records)
    status, told = verify(gateway, capsys)
    assert status == 0 and told["without_anchor"] == ["plume-01"]  # all local files fit: nobody could know
    status, told = verify(gateway, capsys, "--anchor", kept)
    assert status == 1 and [one["code"] for one in told["findings"]] == ["tail_cut"]
    assert told["findings"][0]["seq"] == 7 - records


def test_another_record_at_an_anchored_place_is_named(gateway, capsys):
    kept = gateway.folder / "kept"
    kept.mkdir()
    (kept / "1.cose").write_bytes(gateway.sign())
    other = WitnessedGateway(gateway.folder / "kept", records=3)
    other.module.sample([(0, 77.0, 10, False)] * 3)
    other.measure(4)
    (other.folder / "gateway.key").unlink()
    status = main(["verify", str(other.folder / "ledger.sqlite"), "--keys", str(gateway.folder / "keys.json"),
                   "--anchor", str(kept), "--json"])  # fmt: skip
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert status == 1 and {one["code"] for one in told["findings"]} == {"anchor"}
    other.writer.close()


def test_statements_are_judged(gateway, capsys):
    raws = []
    for _ in range(3):
        gateway.clock.advance(25 * HOUR_S)
        raws.append(gateway.sign())
        gateway.measure(1)
    keys, key = keys_of(gateway), GatewayKey(gateway.key_file)
    statements = [parse(gateway, raw) for raw in raws]

    def codes(*found):
        return [one[0] for one in judge_statements([KeptStatement("", raw) for raw in found], keys).findings]

    def made(number, prev, heads):
        return key.sign(ANCHOR_TYPE, build_anchor(GATEWAY, number, prev, 0, heads))

    assert codes(*raws) == codes(*reversed(raws), raws[0]) == codes(raws[0], raws[2]) == []
    smaller = made(3, statements[1].content_hash, statements[0].heads)
    assert codes(raws[0], raws[1], smaller) == ["anchor_smaller"]
    assert codes(*raws, smaller) == ["anchor_equivocation"]
    assert codes(raws[0], made(2, bytes(32), statements[1].heads)) == ["anchor_prev"]
    named = build_anchor(GATEWAY, 2, statements[0].content_hash, 0, statements[1].heads, bytes(16))
    handed = key.sign(ANCHOR_TYPE, named)
    later = made(3, parse(gateway, handed).content_hash, statements[2].heads)
    assert codes(raws[0], handed) == [] and codes(raws[0], handed, later) == ["anchor_key_change"]
    stranger, _ = create_gateway_key(gateway.folder / "stranger.key", GATEWAY)
    foreign = stranger.sign(ANCHOR_TYPE, build_anchor(GATEWAY, 4, bytes(32), 0, []))
    assert codes(foreign) == ["anchor_key_unknown"]
    record_key = judge_statements([KeptStatement("", gateway.module.sealed[0][1].raw)], keys)
    assert [one[0] for one in record_key.findings] == ["anchor_protected"] and not record_key.anchors
    with Registry(gateway.folder / "keys.json") as registry:
        registry.revoke(key.kid, 2, "stolen")
    kept = judge_statements([KeptStatement("", raw) for raw in raws], keys_of(gateway))
    assert [one[0] for one in kept.findings] == ["anchor_key_revoked"] and len(kept.statements) == 2


@pytest.mark.parametrize(
    "content", [b"{}\n", b'{"number":1,"stamp":null,"statement":"!"}\n', b"{", b"[]", b"[1]", b"", b"7", b"\xff"]
)
def test_files_that_hold_no_anchor(gateway, tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_anchors([tmp_path / "x"], keys_of(gateway))
    assert "\n" not in str(caught.value)


# Time-stamps, by the real `openssl ts`


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    with OpensslTsa(tmp_path_factory.mktemp("tsa") / "tsa") as found:
        yield found


def test_a_statement_gets_its_stamp_and_openssl_agrees(gateway, tsa, capsys):
    raw = gateway.sign()
    roots = load_certificates(tsa.root)
    stage = StampStage(tsa.url, roots, gateway.store)
    tsa.is_away = True
    for attempt in (1, 2):
        with pytest.raises(RetryableDelivery, match="503"):
            stage.step()
        assert 5.0 * attempt <= stage.recover(RetryableDelivery("")) <= 10.0 * attempt
    gateway.clock.advance(25 * HOUR_S)
    gateway.sign()  # statements do not wait for stamps
    tsa.is_away = False
    assert stage.step() is not None and stage.step() is not None and stage.step() is None
    first, second = gateway.store.after(0, 10)
    assert first.stamp is not None and second.stamp is not None
    assert tsa.check(raw, first.stamp) and not tsa.check(second.statement, first.stamp)
    lines = [json.dumps(write_line(one.number, one.statement, one.stamp)) for one in (first, second)]
    (gateway.folder / "anchors.jsonl").write_text("\n".join(lines) + "\n")
    options = ["--anchor", gateway.folder / "anchors.jsonl"]
    status, told = verify(gateway, capsys, *options)
    assert status == 0 and told["time_stamps_unchecked"] == 2
    status, told = verify(gateway, capsys, *options, "--tsa-certificate", tsa.root)
    # The manual clock of this gateway is ahead of the authority's: it says so, and the stamp counts
    assert {one["code"] for one in told["findings"]} == {"anchor_stamp_time"} and len(told["time_stamps"]) == 2


def test_a_stamp_that_does_not_hold_is_not_kept(gateway, tsa, tmp_path):
    raw = gateway.sign()
    roots = load_certificates(tsa.root)
    response, _ = ask_stamp(tsa.url, roots, raw)
    stage = StampStage(tsa.url, roots, gateway.store)
    for spoil in (
        lambda _new: response,
        lambda new: new[:-1],
        lambda new: new[:100] + b"\0" + new[101:],
        lambda _: b"",
    ):
        tsa.spoil = spoil
        with pytest.raises(BlockedDelivery):
            stage.step()  # an old answer has another nonce
    tsa.spoil = bytes
    with OpensslTsa(tmp_path / "other") as other:
        with pytest.raises(EvidenceError, match="time-stamp does not hold"):
            read_stamp(response, raw, load_certificates(other.root))
        assert other.asked == 0
    with pytest.raises(EvidenceError):
        read_stamp(response, raw + b"x", roots)
    assert [one.number for one in gateway.store.unstamped(5)] == [1]


def test_no_bit_of_a_stamp_says_another_time(gateway, tsa):
    """Bits of a certificate that nobody asks for may turn; a stamp that is taken says the same time."""
    raw = gateway.sign()
    roots = load_certificates(tsa.root)
    response, utc_ms = ask_stamp(tsa.url, roots, raw)
    assert in_der_order(in_der_order(response)) == in_der_order(response)
    for at in range(0, 8 * len(response), 7):
        turned = bytearray(response)
        turned[at // 8] ^= 1 << at % 8
        with warnings.catch_warnings(), suppress(EvidenceError):
            warnings.simplefilter("ignore")  # of cryptography, about numbers in such certificates
            assert read_stamp(bytes(turned), raw, roots) == utc_ms
    for length in range(0, len(response), 5):
        with pytest.raises(EvidenceError):
            read_stamp(response[:length], raw, roots)


def test_an_authority_that_is_not_there(gateway, tsa):
    gateway.sign()
    with pytest.raises(RetryableDelivery, match="127.0.0.1:9"):
        StampStage("http://127.0.0.1:9/", load_certificates(tsa.root), gateway.store).step()


# Keepers


def test_a_folder_keeps_every_statement_and_is_never_written_over(gateway, capsys):
    folder = gateway.folder / "share"
    feed = AnchorFeed("share", GATEWAY, gateway.store, gateway.outbox, plain_body)
    feed.begin()
    stage = DeliveryStage(FolderSink("share", folder, gateway.clock), gateway.outbox, gateway.clock)
    raws = [gateway.sign()]
    assert feed.advance() == 1
    with pytest.raises(RetryableDelivery, match="mount the share"):
        stage.step()
    gateway.clock.advance(25 * HOUR_S)
    raws.append(gateway.sign())
    assert feed.advance() == 1 and feed.advance() == 0
    folder.mkdir()
    while stage.step() is not None:
        pass
    assert [path.read_bytes() for path in sorted(folder.iterdir())] == raws
    assert not gateway.outbox.is_waiting("share", GATEWAY)
    assert load_anchors([folder], keys_of(gateway)).newest()["plume-01"].seq == 6
    gateway.clock.advance(25 * HOUR_S)
    gateway.sign()
    (folder / f"{GATEWAY}-{3:019}.cose").write_bytes(raws[0])
    feed.advance()
    with pytest.raises(BlockedDelivery, match="another statement of this number"):
        stage.step()
    (folder / f"{GATEWAY}-{3:019}.cose").write_bytes(gateway.store.newest().statement)
    gateway.clock.advance(25 * HOUR_S)
    while stage.step() is not None:
        pass
    assert not gateway.outbox.is_waiting("share", GATEWAY)


def test_a_new_broker_begins_with_the_newest(gateway):
    for _ in range(3):
        gateway.clock.advance(25 * HOUR_S)
        gateway.sign()
    feed = AnchorFeed("broker", GATEWAY, gateway.store, gateway.outbox, plain_body, is_newest_enough=True)
    feed.begin()
    feed.advance()
    rows = gateway.outbox.due("broker", gateway.clock.utc_ms(), 10)
    assert [dict(row.attributes)["number"] for row in rows] == ["3"]


def test_the_outbox_of_an_older_ledger_is_taken_along(tmp_path):
    """Schema 4 makes the table anew: rows, receipts that point at them and the next id stay."""
    from plumeproof.store.connection import APPLICATION_ID, Writer, migrations

    path = tmp_path / "old.sqlite"
    connection = apsw.Connection(str(path))
    for script in migrations(0)[:3]:
        connection.execute(script.read_text(encoding="utf-8"))
    connection.pragma("application_id", APPLICATION_ID)
    connection.pragma("user_version", 3)
    for number in (1, 2, 3):
        question = "INSERT INTO outbox (sink, module, place, kind, key, created_utc_ms) VALUES (?, ?, ?, ?, ?, 1)"
        connection.execute(question, ("s", "m", number, "report", f"k{number}"))
    connection.execute("INSERT INTO receipt VALUES (2, 's', x'00', 5)")
    connection.close()
    writer = Writer(path)
    with writer.transaction() as connection:
        assert connection.execute("SELECT id, key FROM outbox ORDER BY id").fetchall() == [
            (1, "k1"),
            (2, "k2"),
            (3, "k3"),
        ]
        assert connection.execute("SELECT outbox_id FROM receipt").fetchall() == [(2,)]
        assert connection.pragma("foreign_keys") == 1 and not connection.execute("PRAGMA foreign_key_check").fetchall()
        connection.execute(
            "INSERT INTO outbox (sink, module, place, kind, key, created_utc_ms)"
            " VALUES ('s', 'gw-1', 9, 'anchor', 'k9', 1)"
        )
        assert connection.execute("SELECT max(id) FROM outbox").get == 4
        with pytest.raises(apsw.ConstraintError):
            connection.execute("INSERT INTO receipt VALUES (99, 's', x'00', 5)")
    writer.close()


assert os.name == "posix"  # modes are asked above
