"""inspection and `plumeproof verify`: every kind of damage is named with its record."""

from __future__ import annotations

import argparse
import io
import json
import random

import pytest

from plumeproof.anchors import Anchor
from plumeproof.cli import verify
from plumeproof.errors import EvidenceError
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.inspection import Inspector, read_sequence
from plumeproof.keys import KeyFile, build_entry, parse_keys
from tests.doubles.evidence_chain import BOOT_BODY, DEVICE, POINT, build_chain, build_payload, seal

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
    parser = argparse.ArgumentParser()
    verify.add_parser(parser.add_subparsers())

    def run(*arguments) -> int:
        args = parser.parse_args(["verify", *map(str, arguments)])
        return args.main(args)

    assert run(whole, "--keys", keys, "--anchor", anchor) == 0
    assert run(cut, "--keys", keys) == 0
    assert "a cut tail would not be seen" in capsys.readouterr().out
    assert run(cut, "--keys", keys, "--anchor", anchor, "--json") == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["code"] == "tail_cut"
    assert run(whole, "--keys", tmp_path / "none.json") == 2
    assert run(tmp_path / "none.cbor", "--keys", keys) == 2
    assert verify_envelope(CHAIN[0], build_keys().public_key).raw == CHAIN[0]
