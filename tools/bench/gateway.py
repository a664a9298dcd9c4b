"""Records per second through the bridge's verifier and ledger on one core, beside the bare signature verification.

Bare is `cryptography`'s ECDSA P-256 verify over the same Sig_structures with the key object made once: the part that
nobody can save. Records hold 60 slots of the two blocks of the golden parameter set, sealed by cbor2 and cryptography.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from acqwire import frames
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from plumeproof.evidence import chain
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.record import parse_record
from plumeproof.model import Envelope, Head, Record
from plumeproof.service import SystemClock
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.evidence_chain import KEY, POINT, build_chain, build_structure

RECORDS = 2000
ROUNDS = 5


def measure_gateway() -> dict[str, float]:
    """verify_vs_bare and ledger_vs_bare (rates, 1 is the bare verifier), with the rates themselves, records/s."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    raws = build_chain(RECORDS, sample_slots=60)
    bare_work = [_bare(raw) for raw in raws]
    public_key = KEY.public_key()
    rates: dict[str, list[float]] = {"bare": [], "verify": [], "ledger": []}
    for _ in range(ROUNDS):
        rates["bare"].append(_rate(lambda: _verify_bare(public_key, bare_work)))
        rates["verify"].append(_rate(lambda: _verify(raws)))
        rates["ledger"].append(_rate(lambda: _store(raws)))
    bare, verify, ledger = (statistics.median(rates[name]) for name in ("bare", "verify", "ledger"))
    return {
        "verify_vs_bare": round(verify / bare, 3),
        "ledger_vs_bare": round(ledger / bare, 3),
        "bare_per_s": round(bare),
        "verify_per_s": round(verify),
        "ledger_per_s": round(ledger),
        "record_bytes": len(raws[-1]),
    }


def _rate(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return RECORDS / (time.perf_counter() - start)


def _bare(raw: bytes) -> tuple[bytes, bytes]:
    envelope = verify_envelope(raw, lambda kid: POINT)
    signature = raw[-64:]
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    return der, build_structure(envelope.payload)[1]


def _verify_bare(public_key: ec.EllipticCurvePublicKey, work: list[tuple[bytes, bytes]]) -> None:
    algorithm = ec.ECDSA(hashes.SHA256())
    for signature, structure in work:
        public_key.verify(signature, structure, algorithm)


def _verify(raws: list[bytes]) -> None:
    for raw in raws:
        parse_record(verify_envelope(raw, lambda kid: POINT))


def _store(raws: list[bytes]) -> None:
    """Verify, chain and commit in the batches that one FETCH brings, each commit synced to disk."""
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Path(folder) / "ledger.sqlite")
        ledger = SqliteLedger(writer, SystemClock())
        head: Head | None = None
        for start in range(0, len(raws), frames.WINDOW_MAX):
            batch: list[tuple[Record, Envelope]] = []
            for raw in raws[start : start + frames.WINDOW_MAX]:
                envelope = verify_envelope(raw, lambda kid: POINT)
                record = parse_record(envelope)
                head = chain.accept(head, record, envelope.is_high_s, None, None).head
                batch.append((record, envelope))
            assert head is not None
            ledger.append(batch, head, [])
        writer.close()
