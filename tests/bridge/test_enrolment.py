"""keys: enroll, rotate, revoke; every refusal is one line, and the file is whole whatever happens."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from pathlib import Path

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st

from plumeproof import enrolment
from plumeproof.cli import main
from plumeproof.enrolment import Registry, parse_public_key
from plumeproof.errors import ConfigError, EnvelopeError
from plumeproof.keys import TEST_KIDS, build_entry, load_keys
from plumeproof.possession import parse_proof
from tests.doubles.chained_module import ChainedModule

ROOT = Path(__file__).resolve().parents[2]
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SERIAL = bytes(range(9))
FIRMWARE = hashlib.sha256(b"program").digest()


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def point(key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def kid(key) -> str:
    return hashlib.sha256(point(key)).hexdigest()[:32]


def answer(key, nonce: bytes, device="plume-01", is_high_s=False, changes=None) -> bytes:
    """What a module says, made from SPEC.md section 9 with other hands than its own."""
    text = "PlumeProof possession"
    statement = cbor2.dumps([text, 1, nonce, device, point(key), SERIAL, FIRMWARE], canonical=True)
    r, s = decode_dss_signature(key.sign(statement, ec.ECDSA(hashes.SHA256())))
    s = max(s, ORDER - s) if is_high_s else min(s, ORDER - s)
    said = {
        "device": device,
        "nonce": nonce.hex(),
        "public_key": point(key).hex(),
        "serial": SERIAL.hex(),
        "firmware_hash": FIRMWARE.hex(),
        "signature": (r.to_bytes(32, "big") + s.to_bytes(32, "big")).hex(),
    }
    return json.dumps(said | (changes or {})).encode()


@pytest.fixture
def place(tmp_path):
    return tmp_path / "keys.json"


def run(capsys, *words) -> tuple[int, str, str]:
    status = main([str(word) for word in words])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_life_of_keys(place, tmp_path, capsys):
    first, second = new_key(), new_key()
    (tmp_path / "first.bin").write_bytes(point(first))
    (tmp_path / "second.hex").write_text(point(second).hex() + "\n")
    status, out, err = run(capsys, "keys", "enroll", tmp_path / "first.bin", "--device", "plume-01", "--keys", place)
    assert status == 0 and kid(first) in out and "nobody has shown" in err
    status, out, _ = run(capsys, "keys", "rotate", tmp_path / "second.hex", "--device", "plume-01", "--last-seq", 41,
                         "--keys", place, "--json")  # fmt: skip
    assert status == 0 and json.loads(out)["valid_from_seq"] == 42
    known = load_keys(place)
    assert known.find(bytes.fromhex(kid(first)), "plume-01", 41) == point(first)
    with pytest.raises(EnvelopeError, match="key_not_valid"):
        known.find(bytes.fromhex(kid(first)), "plume-01", 42)
    assert known.find(bytes.fromhex(kid(second)), "plume-01", 42) == point(second)

    status, out, _ = run(capsys, "keys", "revoke", kid(second), "--last-seq", 50, "--reason", "gateway stolen",
                         "--keys", place)  # fmt: skip
    assert status == 0 and "REVOKED" in out
    with pytest.raises(EnvelopeError, match="key_revoked"):
        load_keys(place).find(bytes.fromhex(kid(second)), "plume-01", 51)
    assert load_keys(place).find(bytes.fromhex(kid(second)), "plume-01", 50) == point(second)
    status, out, _ = run(capsys, "keys", "list", "--keys", place, "--json")
    assert status == 0 and [entry["valid_until_seq"] for entry in json.loads(out)] == [41, 50]
    status, out, _ = run(capsys, "keys", "list", "--keys", place)
    assert status == 0 and out.count("plume-01") == 2 and "2 keys" in out
    history = [json.loads(line) for line in (tmp_path / "keys.json.history").read_text().splitlines()]
    assert [line["what"] for line in history] == ["enroll", "rotate", "revoke"]
    assert history[2]["reason"] == "gateway stolen" and history[1]["closed"] == kid(first)
    assert not list(tmp_path.glob("keys.json.[ln]*"))  # neither lock nor half a file is left


def test_nothing_of_a_key_that_was_never_good(place):
    key = new_key()
    with Registry(place) as registry:
        registry.enroll("plume-01", point(key))
        registry.revoke(bytes.fromhex(kid(key)), 0, "found on the net")
    with pytest.raises(EnvelopeError, match="key_revoked"):
        load_keys(place).find(bytes.fromhex(kid(key)), "plume-01", 1)


def test_every_published_key_is_refused(place):
    for path in (ROOT / "tests" / "vectors").glob("*.json"):
        for text in re.findall(r"04[0-9a-f]{128}(?![0-9a-f])", path.read_text()):
            digest = hashlib.sha256(bytes.fromhex(text)).hexdigest()[:32]
            assert digest in TEST_KIDS, path
            with Registry(place) as registry, pytest.raises(ConfigError, match="published test key"):
                registry.enroll("plume-01", bytes.fromhex(text))
    for secret in (1, 0xC0FFEE, 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721):
        key = ec.derive_private_key(secret, ec.SECP256R1())
        assert kid(key) in TEST_KIDS
    assert not place.exists()


def refused(place, action) -> str:
    before = place.read_bytes() if place.exists() else None
    with Registry(place) as registry, pytest.raises(ConfigError) as caught:
        action(registry)
    assert (place.read_bytes() if place.exists() else None) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_refusals(place):
    one, two = new_key(), new_key()
    with Registry(place) as registry:
        registry.enroll("plume-01", point(one))
    assert "for plume-01 already" in refused(place, lambda r: r.enroll("plume-02", point(one)))
    assert "for plume-01 already" in refused(place, lambda r: r.enroll("plume-01", point(one)))
    assert "keys rotate" in refused(place, lambda r: r.enroll("plume-01", point(two)))
    assert "keys enroll" in refused(place, lambda r: r.rotate("plume-02", point(two), 5))
    assert "a-z 0-9" in refused(place, lambda r: r.enroll("Plume 2", point(two)))
    assert "a-z 0-9" in refused(place, lambda r: r.enroll("", point(two)))
    assert "name a seq in it" in refused(place, lambda r: r.rotate("plume-01", point(two), 0))
    assert "is not in it" in refused(place, lambda r: r.revoke(bytes(16), 3, "lost"))
    for reason in ("", "  ", "two\nlines", "x" * 201):
        assert "--reason" in refused(place, lambda r, reason=reason: r.revoke(bytes.fromhex(kid(one)), 3, reason))
    with Registry(place) as registry:
        registry.revoke(bytes.fromhex(kid(one)), 3, "lost")
    assert "revoked already" in refused(place, lambda r: r.revoke(bytes.fromhex(kid(one)), 9, "lost"))
    with Registry(place) as registry:  # a device whose key was withdrawn gets a new one
        registry.enroll("plume-01", point(two), from_seq=4)


@pytest.mark.parametrize("words", [("enroll", "none.bin", "--device", "a"), ("revoke", "ff" * 16, "--last-seq", "1")])
def test_a_missing_word_is_usage(words, place, capsys):
    status, _, err = run(capsys, "keys", *words, "--keys", place)
    assert status == 2 and err
    assert not place.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no public key"),
        (b"04" * 65, "no public key"),
        (bytes(65), "no public key"),
        (b"-----BEGIN PRIVATE KEY-----\n", "private key"),
        (b"-----BEGIN PUBLIC KEY-----\nx\n", "no PEM"),
        (b"{}", "no answer"),
        (b"{", "no JSON"),
        (b"x" * 70000, "too large"),
    ],
)
def test_what_is_no_public_key(content, reason, place, tmp_path, capsys):
    (tmp_path / "key").write_bytes(content)
    status, _, err = run(capsys, "keys", "enroll", tmp_path / "key", "--device", "a", "--keys", place)
    assert status == 2 and reason in err and err.count("\n") == 1, err


def test_other_curves_and_pem(tmp_path):
    for key in (ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP256K1())):
        pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(ConfigError, match="P-256"):
            parse_public_key(pem, "key")
    key = new_key()
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert parse_public_key(pem, "key") == point(key)


def test_an_answer_of_the_module_is_verified(place, tmp_path, capsys):
    key, nonce = new_key(), os.urandom(32)
    path = tmp_path / "answer.json"
    path.write_bytes(answer(key, nonce))
    status, _, err = run(capsys, "keys", "enroll", path, "--device", "plume-02", "--keys", place)
    assert status == 2 and "answer of plume-01" in err
    status, out, err = run(capsys, "keys", "enroll", path, "--keys", place)
    assert status == 0 and "plume-01" in out and err == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "plume-02"},
        {"nonce": "00" * 32},
        {"serial": ""},
        {"firmware_hash": "00" * 32},
        {"public_key": "04" + "11" * 64},
        {"signature": "00" * 64},
        {"signature": "zz"},
        {"nonce": "00"},
        {"more": 1},
        {"device": 1},
    ],
)
def test_a_changed_answer_proves_nothing(changes):
    with pytest.raises(ConfigError) as caught:
        parse_proof(answer(new_key(), bytes(range(32)), changes=changes), "answer")
    assert "\n" not in str(caught.value)


def test_an_old_answer_and_a_high_s_prove_nothing():
    key = new_key()
    assert parse_proof(answer(key, bytes(32)), "answer", bytes(32)).serial == SERIAL
    with pytest.raises(ConfigError, match="another nonce"):
        parse_proof(answer(key, bytes(32)), "answer", bytes(range(32)))
    with pytest.raises(ConfigError, match="high s"):
        parse_proof(answer(key, bytes(32), is_high_s=True), "answer")


def test_a_key_that_another_program_changes_is_refused(place):
    with Registry(place), pytest.raises(ConfigError, match="another program changes"), Registry(place):
        pass
    with Registry(place):
        pass


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_power_that_fails_leaves_the_old_file(broken, place, monkeypatch):
    with Registry(place) as registry:
        registry.enroll("plume-01", point(new_key()))
    before = place.read_bytes()

    def cut(*_arguments):
        raise OSError(28, "No space left on device")

    with Registry(place) as registry:
        monkeypatch.setattr(enrolment.os, broken, cut)
        with pytest.raises(ConfigError, match="No space left"):
            registry.enroll("plume-02", point(new_key()))
    monkeypatch.undo()
    assert place.read_bytes() == before
    with Registry(place) as registry:  # and goes on afterwards
        registry.enroll("plume-02", point(new_key()))
    assert len(load_keys(place).entries) == 2


def test_order_of_what_is_made_durable(place, monkeypatch):
    """File, then name, then folder: what a power cut may leave is the old file or the new one."""
    done = []
    fsync, replace = os.fsync, os.replace

    def note_sync(handle):
        done.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def note_rename(old, new):
        done.append("rename")
        replace(old, new)

    monkeypatch.setattr(enrolment.os, "fsync", note_sync)
    monkeypatch.setattr(enrolment.os, "replace", note_rename)
    with Registry(place) as registry:
        registry.enroll("plume-01", point(new_key()))
    assert done == ["file", "file", "rename", "folder"]  # history, new registry, its name, the folder


@settings(max_examples=25, deadline=None)
@given(ends=st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_rotations_leave_neither_hole_nor_overlap(tmp_path_factory, ends):
    place = tmp_path_factory.mktemp("keys") / "keys.json"
    with Registry(place) as registry:
        registry.enroll("plume-01", point(new_key()))
        last = 0
        for step in ends:
            last += step
            registry.rotate("plume-01", point(new_key()), last)
    entries = load_keys(place).entries
    for seq in range(1, last + 3):
        good = [
            e for e in entries if e.valid_from_seq <= seq and (e.valid_until_seq is None or seq <= e.valid_until_seq)
        ]
        assert len(good) == 1


def test_a_test_key_in_a_registry_is_refused_wherever_it_is_read(place, tmp_path, capsys):
    stranger = ec.derive_private_key(1, ec.SECP256R1())
    place.write_text(json.dumps([build_entry("plume-01", point(stranger))]))
    for words in (
        ("verify", tmp_path / "none", "--keys", place),
        ("export", "envelopes", "--ledger", tmp_path / "none", "--keys", place, "-o", tmp_path / "out"),
        ("trace", "--ledger", tmp_path / "none", "--keys", place, "x"),
    ):
        status, out, err = run(capsys, *words)
        assert (status, out, err.count("\n")) == (2, "", 1), err
        assert "published test key" in err and "plume-01" in err or words[0] == "trace"
    with pytest.raises(ConfigError, match="published test key"):
        load_keys(place)
    assert "TEST KEY" in run(capsys, "keys", "list", "--keys", place)[1]
    with Registry(place) as registry:
        registry.revoke(bytes.fromhex(kid(stranger)), 0, "everybody has it")
    assert load_keys(place).entries[0].is_revoked  # nothing is trusted of it: it may stay


def test_the_next_key_is_taken_from_the_record_that_both_signed(place, tmp_path, capsys):
    from plumeproof.evidence.key_change import build_statement

    old, new = ChainedModule(secret=501), ChainedModule(secret=502)
    old.start()
    proof = new.sign(build_statement("plume-01", old.kid, new.public_key))
    old.seal(9, {90: new.public_key, 91: proof})
    envelopes = tmp_path / "envelopes.cbor"
    envelopes.write_bytes(b"".join(envelope.raw for _, envelope in old.sealed))
    with Registry(place) as registry:
        registry.enroll("plume-01", old.public_key)
    status, out, _ = run(capsys, "keys", "rotate", "--envelopes", envelopes, "--device", "plume-01", "--keys", place)
    assert status == 0 and new.kid.hex() in out and "start the bridge again" in out
    known = load_keys(place)
    assert [(one.valid_from_seq, one.valid_until_seq) for one in known.entries] == [(1, 3), (4, None)]
    status, _, err = run(capsys, "keys", "rotate", "--envelopes", envelopes, "--device", "plume-01", "--keys", place)
    assert status == 2 and "no key change record" in err and err.count("\n") == 1
    status, out, _ = run(capsys, "keys", "history", "--keys", place)
    assert status == 0 and "signed by both keys" in out and out.count("\n") == 2
    # Behind the change only the new key counts, whatever the registry says of the old one
    place.write_text(json.dumps([build_entry("plume-01", old.public_key), build_entry("plume-01", new.public_key)]))
    old.seal(5, {60: 3, 61: []})
    envelopes.write_bytes(b"".join(envelope.raw for _, envelope in old.sealed))
    status, out, _ = run(capsys, "verify", envelopes, "--keys", place)
    assert status == 1 and "key_change: plume-01 seq 4" in out and "has handed over" in out
