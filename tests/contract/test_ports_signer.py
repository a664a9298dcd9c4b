"""ports.Signer: every back end answers the same questions, with pyca/cryptography as the judge of what it signs.

soft: the real part. element: the real driver on a simulated chip. native: the real adapter on a stand-in for a C
module.
"""

from __future__ import annotations

import hashlib

import cbor2
import pytest
from acqwire import causes, limits, possession
from atecc608 import N
from atecc_parts import Chip
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from test_native_signer import CModule

from acq import p256
from acq.cose import Sealer
from acq.der import parse_signature
from acq.faults import SignerFault
from acq.native_signer import NativeSigner
from acq.possession import build_statement, prove
from acq.soft_signer import SoftSigner
from plumeproof.evidence.envelope import verify_envelope

SECRET = bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
KEY = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())


class Bench:
    """A signer, how to let its time pass, and how to break its next signature."""

    def __init__(self, kind: str) -> None:
        self.wait = lambda time_us: None
        self.chip = Chip()
        if kind == "soft":
            self.signer = SoftSigner(SECRET)
        elif kind == "native":
            self.signer = NativeSigner(CModule())
        else:
            self.signer = self.chip.with_key().open(0)
            self.wait = self.chip.wait

    def sign(self, digest: bytes) -> bytes:
        self.signer.begin(digest)
        while not self.signer.step():
            self.wait(self.signer.wait_us())
        return self.signer.signature


@pytest.fixture(params=["soft", "element", "native"])
def bench(request):
    return Bench(request.param)


def verify(public_key: bytes, digest: bytes, signature: bytes) -> None:
    """Raises InvalidSignature."""
    point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    point.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))


def test_kid_is_that_of_the_public_key(bench):
    signer = bench.signer
    assert len(signer.public_key) == limits.PUBLIC_KEY_BYTES
    assert signer.kid == hashlib.sha256(signer.public_key).digest()[: limits.KID_BYTES]


def test_64_bytes_low_s_and_verified_by_another_library(bench):
    for number in range(4):
        digest = hashlib.sha256(bytes([number])).digest()
        signature = bench.sign(digest)
        assert len(signature) == limits.SIGNATURE_BYTES
        assert 0 < int.from_bytes(signature[32:], "big") <= N // 2
        verify(bench.signer.public_key, digest, signature)
        with pytest.raises(InvalidSignature):
            verify(bench.signer.public_key, hashlib.sha256(b"other").digest(), signature)


def test_nothing_is_shown_before_it_is_ready_and_a_new_begin_drops_the_old(bench):
    signer = bench.signer
    first, second = hashlib.sha256(b"1").digest(), hashlib.sha256(b"2").digest()
    signer.begin(first)
    for _ in range(25):
        assert signer.signature == b""
        if signer.step():
            break
        bench.wait(signer.wait_us())
    verify(signer.public_key, second, bench.sign(second))
    assert signer.step() and signer.wait_us() == 0


def test_a_fault_in_the_check_lets_nothing_out(bench, monkeypatch):
    honest, calls = p256.add_affine, []

    def faulty(point, x2, y2):
        honest(point, x2, y2)
        calls.append(1)
        if len(calls) == 3:
            point[0] ^= 1

    monkeypatch.setattr(p256, "add_affine", faulty)
    with pytest.raises(SignerFault) as caught:
        bench.sign(hashlib.sha256(b"fault").digest())
    assert caught.value.code == causes.FAULT_SIGNER and bench.signer.signature == b""
    monkeypatch.undo()
    assert len(bench.sign(hashlib.sha256(b"sound").digest())) == 64


def test_the_gateway_takes_an_envelope_of_each(bench):
    sealer = Sealer(bench.signer)
    payload = cbor2.dumps({1: 5}, canonical=True)
    sealer.payload[: len(payload)] = payload
    sealer.begin(len(payload))
    while not sealer.step():
        bench.wait(bench.signer.wait_us())
    envelope = verify_envelope(bytes(sealer.envelope()), lambda kid: bench.signer.public_key)
    assert envelope.kid == bench.signer.kid and envelope.content_hash == sealer.content_hash
    assert not envelope.is_high_s


def test_possession_is_what_cbor2_would_write_and_no_record(bench):
    nonce, firmware = bytes(range(32)), bytes(range(32, 64))
    signature = prove(bench.signer, nonce, "mod-1", b"\x01\x23", firmware, bench.wait)
    wanted = [possession.CONTEXT, possession.VERSION, nonce, "mod-1", bench.signer.public_key, b"\x01\x23", firmware]
    statement = build_statement(nonce, "mod-1", bench.signer.public_key, b"\x01\x23", firmware)
    assert statement == cbor2.dumps(wanted, canonical=True)
    verify(bench.signer.public_key, hashlib.sha256(statement).digest(), signature)
    assert not statement.startswith(cbor2.dumps(["Signature1", b"", b"", b""])[:1])


@given(message=st.binary(max_size=64))
@settings(deadline=None, max_examples=60)
def test_der_of_another_library_is_read_as_it_reads_it(message):
    der = KEY.sign(message, ec.ECDSA(hashes.SHA256()))
    assert parse_signature(der) == decode_dss_signature(der)


@given(r=st.integers(1, 2**256 - 1), s=st.integers(1, 2**256 - 1))
@settings(deadline=None, max_examples=200)
def test_der_of_any_two_numbers(r, s):
    assert parse_signature(encode_dss_signature(r, s)) == (r, s)


@given(der=st.binary(min_size=0, max_size=80))
@settings(deadline=None, max_examples=300)
def test_whatever_bytes_are_read_are_der(der):
    try:
        r, s = parse_signature(der)
    except ValueError:
        return
    assert encode_dss_signature(r, s) == der


@given(at=st.integers(0, 71), value=st.integers(0, 255))
@settings(deadline=None, max_examples=300)
def test_one_changed_byte_is_refused_or_another_right_encoding(at, value):
    der = bytearray(encode_dss_signature(N - 2, (1 << 255) + 5))
    der[at % len(der)] = value
    try:
        r, s = parse_signature(bytes(der))
    except ValueError:
        return
    assert encode_dss_signature(r, s) == der
