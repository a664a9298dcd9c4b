"""inspection and `plumeproof verify`: every kind of damage is named with its record."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
import sys

import apsw
import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof.anchors import Anchor
from plumeproof.cli import main
from plumeproof.clock import SystemClock
from plumeproof.errors import EvidenceError
from plumeproof.evidence.chain import accept, head_behind
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.record import parse_record
from plumeproof.inspection import HOLES_KEPT, Inspector, Item, read_sequence
from plumeproof.keys import KeyFile, build_entry, parse_keys
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.evidence_chain import BOOT_BODY, DEVICE, POINT, build_chain, build_payload, build_structure, seal
from tests.doubles.plant_module import PlantModule

COUNT = 40
CHAIN = build_chain(COUNT)


def build_keys() -> KeyFile:
    return parse_keys(json.dumps([build_entry(DEVICE, POINT)]).encode(), "keys.json")


def inspect(envelopes: list[bytes], anchors: tuple[Anchor, ...] = ()):
    inspector = Inspector(build_keys(), anchors)
    found = []
    for item in read_sequence(io.BytesIO(b"".join(envelopes))):
        found += inspector.take(item)
    return found + inspector.finish(), inspector


def named(findings) -> set[tuple[str, int | None]]:
    return {(finding.code, finding.seq) for finding in findings}


def test_a_good_chain_is_fine():
    findings, inspector = inspect(CHAIN)
    assert findings == []
    assert inspector.verified_count == COUNT
    assert [(head.device, head.seq, head.count) for head in inspector.heads()] == [(DEVICE, COUNT, COUNT)]


@pytest.mark.parametrize(
    ("counters", "named_boots"),
    [
        ([1, 2, 3], []), ([1, 5, 9], []), ([None, 3, None, 4], []), ([2_097_150, 2_097_151, 2_097_151], []),
        ([1, 1], [2]), ([7, 6, 7, 8], [2, 3]), ([9, None, 9], [3]), ([2_097_151, 5], [2]),
    ],
)  # fmt: skip
def test_a_secure_elements_counter_only_grows(counters, named_boots):
    envelopes, prev = [], bytes(32)
    for boot, counter in enumerate(counters, 1):
        body = BOOT_BODY if counter is None else BOOT_BODY | {37: counter}
        payload = build_payload(boot, 1, prev, body, boot=boot)
        prev = hashlib.sha256(build_structure(payload)[1]).digest()
        envelopes.append(seal(payload))
    findings, _ = inspect(envelopes)
    assert named(findings) == {("counter", boot) for boot in named_boots}


@pytest.mark.parametrize("index", range(COUNT - 1))
def test_a_removed_record_is_named(index):
    findings, _ = inspect(CHAIN[:index] + CHAIN[index + 1 :])
    assert ("hole", index + 1) in named(findings)


def test_swapped_records_are_named():
    for index in range(2, COUNT - 1):
        changed = [*CHAIN[:index], CHAIN[index + 1], CHAIN[index], *CHAIN[index + 2 :]]
        assert named(inspect(changed)[0]) == {("out_of_order", index + 1)}


def test_a_replayed_record_is_named():
    for index in range(COUNT):
        assert named(inspect([*CHAIN, CHAIN[index]])[0]) == {("replayed", index + 1)}


def test_a_cut_tail_is_named_with_an_anchor():
    anchors = tuple(inspect(CHAIN)[1].heads())
    assert inspect(CHAIN, anchors)[0] == []
    for kept in range(COUNT):
        assert named(inspect(CHAIN[:kept], anchors)[0]) == {("tail_cut", kept + 1)}


def test_another_record_for_a_stored_seq_is_named():
    other = seal(build_payload(1, 1, bytes(32), BOOT_BODY | {36: 5}))
    assert named(inspect([*CHAIN, other])[0]) == {("equivocation", 1)}


def test_any_flipped_bit_is_named():
    generator = random.Random(20261123)
    raw = b"".join(CHAIN)
    ends = [sum(len(item) for item in CHAIN[: index + 1]) for index in range(COUNT)]
    for _ in range(400):
        bit = generator.randrange(len(raw) * 8)
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        seq = next(index + 1 for index, end in enumerate(ends) if bit // 8 < end)
        findings, _ = inspect([bytes(changed)])
        assert findings, bit
        assert seq in {finding.seq for finding in findings}, (bit, seq, findings)


def test_rubbish_of_any_length_ends():
    generator = random.Random(7)
    for size in (1, 2, 100, 5000, 700_000):
        findings, inspector = inspect([generator.randbytes(size), *CHAIN])
        assert findings and inspector.verified_count == COUNT


def test_an_unknown_parameter_set_is_named():
    assert ("parameters_unknown", 3) in named(inspect([CHAIN[0], *CHAIN[2:]])[0])


@pytest.fixture
def ledger_file(tmp_path):
    """The chain in a real ledger, one record in quarantine behind it."""
    path = tmp_path / "ledger.sqlite"
    writer = Writer(path)
    ledger = SqliteLedger(writer, SystemClock())
    head = None
    for raw in CHAIN:
        envelope = verify_envelope(raw, build_keys().public_key)
        record = parse_record(envelope)
        head = accept(head, record).head
        ledger.append([(record, envelope)], head, [])
    ledger.quarantine(DEVICE, COUNT + 1, bytes(32), "cbor", "", b"?", head_behind(head, DEVICE, 41, bytes(32), None))
    writer.close()
    return path


def verified(path, capsys, keys=None) -> tuple[int, set[tuple[str, int | None]]]:
    keys_file = path.with_name("keys.json")
    keys_file.write_text(json.dumps([build_entry(DEVICE, POINT)] if keys is None else keys))
    status = main(["verify", "--allow-test-keys", str(path), "--keys", str(keys_file), "--json"])
    found = json.loads(capsys.readouterr().out)
    return status, {(finding["code"], finding["seq"]) for finding in found["findings"]}


@pytest.mark.parametrize(
    ("statement", "named_as"),
    [
        ("SELECT 1", set()),
        ("DELETE FROM record WHERE seq > 37", {("tail_cut", 38)}),
        ("DELETE FROM record", {("tail_cut", 1)}),
        ("DELETE FROM record WHERE seq BETWEEN 5 AND 7", {("hole", 5)}),
        ("UPDATE record SET utc_ms = 5 WHERE seq = 9", {("row", 9)}),
        ("UPDATE record SET device = 'other' WHERE seq = 40", {("row", 40)}),
        ("UPDATE record SET kind = 5 WHERE seq = 9", {("row", 9)}),
        ("UPDATE record SET envelope = x'd284' WHERE seq = 40", {("cbor", 40)}),
        ("UPDATE record SET device = char(27) || '[2J' WHERE seq = 40", {("row", 40)}),
        ("UPDATE head SET content_hash = zeroblob(32), seq = 40", {("head", 40)}),
        ("UPDATE head SET seq = 9223372036854775807", {("tail_cut", 41)}),
        ("UPDATE head SET is_frozen = 1", {("frozen", 40)}),
    ],
)
def test_a_ledger_changed_behind_our_back(ledger_file, capsys, statement, named_as):
    connection = apsw.Connection(str(ledger_file))
    connection.execute(statement)
    connection.close()
    assert verified(ledger_file, capsys) == (1 if named_as else 0, named_as)


def test_with_the_wrong_keys_only_the_keys_are_named(ledger_file, capsys):
    status, found = verified(ledger_file, capsys, [])
    assert status == 1
    assert {code for code, _ in found} == {"key_unknown"}
    entry = build_entry(DEVICE, POINT, valid_until_seq=30) | {"revoked": True}
    assert verified(ledger_file, capsys, [entry]) == (1, {("key_revoked", seq) for seq in range(31, COUNT + 1)})


def two_modules() -> tuple[dict[str, list[bytes]], KeyFile]:
    """Two modules with two boots each."""
    chains, entries = {}, []
    for device, secret in (("plume-01", 1000), ("plume-02", 1001)):
        module = PlantModule(device, secret)
        for _ in range(2):
            module.start_up()
            module.measure(2)
            module.measure(3)
        chains[device] = [raw for _, raw in module.journal.values()]
        entries.append(module.entry())
        module.close()
    return chains, parse_keys(json.dumps(entries).encode(), "keys.json")


CHAINS, TWO_KEYS = two_modules()
LENGTH = len(CHAINS["plume-01"])
EDITS = st.lists(
    st.tuples(st.sampled_from(["remove", "swap", "repeat", "flip", "cut"]), st.integers(0, 99), st.integers(0, 5000)),
    max_size=3,
)


@settings(deadline=None, max_examples=150)
@given(st.permutations(["plume-01"] * LENGTH + ["plume-02"] * LENGTH), EDITS)
def test_fine_is_said_of_nothing_but_whole_chains(order, edits):
    """Two modules mixed in any way, then edited: fine if and only if each has all of its own, in order."""
    waiting = {device: iter(chain) for device, chain in CHAINS.items()}
    sequence = [next(waiting[device]) for device in order]
    for kind, at, bit in edits:
        if not sequence:
            break
        at %= len(sequence)
        if kind == "remove":
            del sequence[at]
        elif kind == "swap":
            sequence[at - 1], sequence[at] = sequence[at], sequence[at - 1]
        elif kind == "repeat":
            sequence.insert(bit % len(sequence), sequence[at])
        elif kind == "cut":
            del sequence[at:]
        else:
            changed = bytearray(sequence[at])
            changed[bit % len(changed)] ^= 1 << bit % 8
            sequence[at] = bytes(changed)
    owner = {raw: device for device, chain in CHAINS.items() for raw in chain}
    whole = all(raw in owner for raw in sequence) and all(
        [raw for raw in sequence if owner[raw] == device] == chain for device, chain in CHAINS.items()
    )
    kept = Inspector(TWO_KEYS)
    for chain in CHAINS.values():
        assert [kept.take(Item("", raw)) for raw in chain] == [[]] * len(chain)
    inspector = Inspector(TWO_KEYS, tuple(kept.heads()))
    found = []
    for item in read_sequence(io.BytesIO(b"".join(sequence))):
        found += inspector.take(item)
    found += inspector.finish()
    assert (found == []) is whole, found
    assert inspector.finding_count == len(found)


def test_claims_of_any_number_of_devices_take_no_memory():
    """Bytes that look like records of ever new modules, none signed by an enrolled key."""
    inspector = Inspector(build_keys())
    protected, _ = build_structure(b"")
    for number in range(3000):
        payload = build_payload(1 + number % 7, 1, bytes(32), BOOT_BODY, device=f"m{number}")
        raw = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, bytes(63) + b"\x01"]), canonical=True)
        assert inspector.take(Item("0", raw))[0].device == f"m{number}"
    assert len(inspector._modules) == 0
    for seq in range(1, HOLES_KEPT + 100):
        raw = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, build_payload(seq, 1, bytes(32), BOOT_BODY), bytes(64)]))
        inspector.take(Item("0", raw))
    assert [len(module.bad) for module in inspector._modules.values()] == [HOLES_KEPT]


def test_rubbish_is_one_finding_however_long(tmp_path, capsys):
    zeros, keys = tmp_path / "zeros", tmp_path / "keys.json"
    keys.write_text("[]")
    with zeros.open("wb") as file:
        file.truncate(3_000_000)
    assert main(["verify", "--allow-test-keys", str(zeros), "--keys", str(keys)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("form: no evidence, record unknown: 3000000 bytes that are no envelope (at 0)\nno record")


@pytest.mark.parametrize("is_named", [True, False])
def test_a_pipe_is_read(tmp_path, is_named):
    """As `plumeproof verify -`, and as a named pipe: neither can be wound back."""
    keys, pipe = tmp_path / "keys.json", tmp_path / "pipe"
    keys.write_text(json.dumps([build_entry(DEVICE, POINT)]))
    os.mkfifo(pipe)
    command = [
        sys.executable,
        "-m",
        "plumeproof",
        "verify",
        "--allow-test-keys",
        str(pipe) if is_named else "-",
        "--keys",
        str(keys),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        if is_named:
            pipe.write_bytes(b"".join(CHAIN))
        out, _ = process.communicate(b"".join(CHAIN))
    assert (process.returncode, out.splitlines()[-1][:5]) == (0, b"fine:")


def test_a_module_without_an_anchor_is_named(tmp_path, capsys):
    whole, keys, anchor = tmp_path / "whole.cbor", tmp_path / "keys.json", tmp_path / "anchor.json"
    whole.write_bytes(b"".join(CHAIN))
    keys.write_text(json.dumps([build_entry(DEVICE, POINT)]))
    other = {"device": "other", "seq": 1, "content_hash": "00" * 32, "count": 1}
    anchor.write_text(json.dumps([other]))
    assert main(["verify", "--allow-test-keys", str(whole), "--keys", str(keys), "--anchor", str(anchor)]) == 1
    assert f"no anchor of {DEVICE}: a cut tail of it would not be seen" in capsys.readouterr().out
    anchor.write_text("[]")
    assert main(["verify", "--allow-test-keys", str(whole), "--keys", str(keys), "--anchor", str(anchor)]) == 2
    assert "holds no anchor" in capsys.readouterr().err


def test_keys_outside_their_span_are_refused():
    entry = build_entry(DEVICE, POINT, valid_from_seq=5, valid_until_seq=9)
    keys = parse_keys(json.dumps([entry]).encode(), "keys.json")
    kid = bytes.fromhex(entry["kid"])
    assert keys.find(kid, DEVICE, 5) == keys.find(kid, DEVICE, 9) == POINT
    for device, seq, code in (
        (DEVICE, 4, "key_not_valid"),
        (DEVICE, 10, "key_not_valid"),
        ("other", 6, "key_other_device"),
    ):
        with pytest.raises(EvidenceError, match=code):
            keys.find(kid, device, seq)
    revoked = parse_keys(json.dumps([entry | {"revoked": True}]).encode(), "keys.json")
    with pytest.raises(EvidenceError, match="key_revoked"):
        revoked.find(kid, DEVICE, 10)


def test_exit_status_of_the_verb(tmp_path, capsys):
    keys, whole, cut, anchor = (tmp_path / name for name in ("keys.json", "whole.cbor", "cut.cbor", "anchor.json"))
    keys.write_text(json.dumps([build_entry(DEVICE, POINT)]))
    whole.write_bytes(b"".join(CHAIN))
    cut.write_bytes(b"".join(CHAIN[:-1]))
    head = inspect(CHAIN)[1].heads()[0]
    anchor.write_text(
        json.dumps([{"device": DEVICE, "seq": COUNT, "content_hash": head.content_hash.hex(), "count": COUNT}])
    )

    def run(*arguments) -> int:
        return main(["verify", "--allow-test-keys", *map(str, arguments)])

    assert run(whole, "--keys", keys, "--anchor", anchor) == 0
    assert run(cut, "--keys", keys) == 0
    assert "a cut tail would not be seen" in capsys.readouterr().out
    assert run(cut, "--keys", keys, "--anchor", anchor, "--json") == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["code"] == "tail_cut"
    assert run(whole, "--keys", tmp_path / "none.json") == 2
    assert run(tmp_path / "none.cbor", "--keys", keys) == 2
    assert verify_envelope(CHAIN[0], build_keys().public_key).raw == CHAIN[0]
