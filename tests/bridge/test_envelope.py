"""evidence.envelope against the reference vectors, every bit flipped, and independent COSE libraries."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from plumeproof.errors import EnvelopeError, EvidenceError
from plumeproof.evidence.envelope import (
    decode_deterministic,
    load_public_key,
    verify_envelope,
    verify_signature,
)
from tests.doubles.evidence_chain import KID, POINT, build_chain, seal

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE", ROOT.parent / "shared" / "reference"))
REFEREES = ROOT / ".cache" / "referees" / "bin" / "python"
needs_reference = pytest.mark.skipif(not REFERENCE.is_dir(), reason="reference vectors are not beside the checkout")


def point_of(kid: bytes) -> bytes:
    if kid != KID:
        raise EnvelopeError("key_unknown")
    return POINT


def load(name: str):
    return json.loads((REFERENCE / "vectors" / name).read_text())


@needs_reference
def test_strict_profile_cases():
    vectors = load("cose/strict_profile_cases.json")
    assert len(vectors["cases"]) == 18
    key = vectors["key"]
    point = b"\x04" + bytes.fromhex(key["x"]) + bytes.fromhex(key["y"])

    def find(kid: bytes) -> bytes:
        if kid != bytes.fromhex(key["kid"]):
            raise EnvelopeError("key_unknown")
        return point

    for case in vectors["cases"]:
        try:
            envelope = verify_envelope(bytes.fromhex(case["cose_hex"]), find, kid_bytes=8)
            answer = "duplicate" if envelope.is_high_s else "accept"
        except EnvelopeError:
            answer = "reject"
        assert answer == case["strict_profile"], case["name"]


@needs_reference
def test_cose_examples_are_refused_by_the_profile():
    names = sorted(path.name for path in (REFERENCE / "vectors" / "cose").glob("*.json"))
    names.remove("strict_profile_cases.json")
    assert len(names) == 8
    for name in names:
        raw = bytes.fromhex(load(f"cose/{name}")["output"]["cbor"])
        with pytest.raises(EnvelopeError):  # kid is unprotected in all of them
            verify_envelope(raw, lambda kid: POINT, kid_bytes=2)


@needs_reference
def test_wycheproof_p1363():
    count = 0
    for group, case in wycheproof("ecdsa_secp256r1_sha256_p1363.json"):
        count += 1
        digest = hashes.Hash(hashes.SHA256())
        digest.update(bytes.fromhex(case["msg"]))
        try:
            verify_signature(bytes.fromhex(group), digest.finalize(), bytes.fromhex(case["sig"]))
            answer = "valid"
        except EnvelopeError:
            answer = "invalid"
        assert answer == case["result"], case["tcId"]
    assert count == 87


@needs_reference
def test_wycheproof_der():
    count = 0
    for group, case in wycheproof("ecdsa_secp256r1_sha256_der.json"):
        count += 1
        try:
            load_public_key(bytes.fromhex(group)).verify(
                bytes.fromhex(case["sig"]), bytes.fromhex(case["msg"]), ec.ECDSA(hashes.SHA256())
            )
            answer = "valid"
        except InvalidSignature:
            answer = "invalid"
        assert answer == case["result"], case["tcId"]
    assert count == 161


def wycheproof(name: str):
    for group in load(f"wycheproof/{name}")["testGroups"]:
        for case in group["tests"]:
            yield group["publicKey"]["uncompressed"], case


@needs_reference
def test_not_well_formed_cbor_is_refused():
    text = load("cbor/rfc8949_appendix_f_not_well_formed.json")
    groups = text if isinstance(text, list) else next(value for value in text.values() if isinstance(value, list))
    items = [item for group in groups for item in group["hex"]]
    assert len(items) == 94
    for item in items:
        raw = bytes.fromhex(item)
        with pytest.raises(EvidenceError):
            decode_deterministic(raw, EnvelopeError)


def test_every_bit_of_a_hundred_records_counts():
    flipped = 0
    for raw in build_chain(100, sample_slots=1):
        original = verify_envelope(raw, point_of)
        for bit in range(len(raw) * 8):
            changed = bytearray(raw)
            changed[bit // 8] ^= 1 << bit % 8
            flipped += 1
            try:
                other = verify_envelope(bytes(changed), point_of)
            except EnvelopeError:
                continue
            assert other.content_hash == original.content_hash and other.payload == original.payload
    assert flipped > 100 * 8 * 200


def test_high_s_twin_has_the_same_identity():
    low = verify_envelope(seal(b"\xa0"), point_of)
    high = verify_envelope(seal(b"\xa0", is_high_s=True), point_of)
    assert (low.is_high_s, high.is_high_s) == (False, True)
    assert low.content_hash == high.content_hash


def test_size_limit():
    with pytest.raises(EnvelopeError, match="payload"):
        verify_envelope(seal(bytes(4097)), point_of)
    assert len(verify_envelope(seal(bytes(4096)), point_of).payload) == 4096
    with pytest.raises(EnvelopeError, match="too_large"):
        verify_envelope(bytes(4225), point_of)
    with pytest.raises(EnvelopeError, match="too_large"):
        verify_envelope(bytes(4224 * 1000), point_of)


@pytest.mark.parametrize("tag", [0, 1, 2, 4, 5, 18, 25, 28, 29, 30, 35, 36, 37, 100, 258, 260, 1004, 55799, 99999])
def test_no_tag_is_followed(tag):
    with pytest.raises(EnvelopeError, match="cbor"):
        decode_deterministic(cbor2.dumps({1: cbor2.CBORTag(tag, "a")}), EnvelopeError)


def test_pycose_and_cwt_agree():
    assert REFEREES.is_file(), f"{REFEREES} is missing: run make setup"
    script = (
        "import sys, json\n"
        "from pycose.messages import Sign1Message\n"
        "from pycose.keys import EC2Key\n"
        "from cwt import COSE, COSEKey\n"
        "point, kid, *raws = [bytes.fromhex(line) for line in sys.stdin.read().split()]\n"
        "x, y = point[1:33], point[33:]\n"
        "cwt_key = COSEKey.new({1: 2, 2: kid, 3: -7, -1: 1, -2: x, -3: y, 4: [2]})\n"
        "for raw in raws:\n"
        "    message = Sign1Message.decode(raw)\n"
        "    message.key = EC2Key(crv='P_256', x=x, y=y)\n"
        "    assert message.verify_signature()\n"
        "    assert COSE.new().decode(raw, cwt_key) == message.payload\n"
        "    print(message.payload.hex())\n"
    )
    raws = build_chain(20)
    text = "\n".join(item.hex() for item in [POINT, KID, *raws])
    answer = subprocess.run([REFEREES, "-W", "ignore", "-c", script], input=text, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.split() == [verify_envelope(raw, point_of).payload.hex() for raw in raws]
