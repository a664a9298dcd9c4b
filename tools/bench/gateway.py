"""Records per second through the bridge's verifier, and on into its ledger, beside the bare signature verification.

One process on one core. *Bare* is `cryptography`'s ECDSA P-256 verify over the same Sig_structures, hash included, key
object and DER signature made before: what nobody can save. *Verify* is envelope and record under the strict profile.
*Ledger* is the bridge's own ingest from a line that answers at once: verify, keys, chain, a synced commit of what came,
acknowledgement; the disk that it waits for is the one below the temporary folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from plumeproof.evidence.envelope import build_sig_structure, verify_envelope
from plumeproof.evidence.record import parse_record
from plumeproof.keys import KeyFile, build_entry, parse_keys
from plumeproof.link.session import RecordFrame, Welcome
from plumeproof.pipeline import Ingest
from plumeproof.service import SystemClock
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.sealed_module import SealedModule
from tools.bench.rig import BenchError
from tools.bench.sealed import seal_chain

RECORDS = 2_000
ROUNDS = 9


@dataclass(frozen=True, slots=True)
class Rates:
    """Ratios (1: as fast as the bare verifier) and the rates themselves: medians of the rounds.

    `ledger_cpu_vs_bare` counts processor time only: what is left to win where the disk is waited for.
    """

    verify_vs_bare: float
    ledger_vs_bare: float
    ledger_cpu_vs_bare: float
    bare_per_s: int
    verify_per_s: int
    ledger_per_s: int
    envelope_bytes: int


def measure_gateway(records: int, rounds: int, tick: Callable[[str], None]) -> Rates:
    """Each round does all three, one after the other, so that a busy moment of the machine meets them alike."""
    module = seal_chain(records)
    entry = build_entry(module.device, module.public_key)
    keys = parse_keys(json.dumps([entry]).encode(), "bench")
    raws = [raw for _, raw in module.journal.values()]
    bare_work = [bare_work_of(raw, keys) for raw in raws]
    public_key = module.key.public_key()
    works = {
        "bare": lambda: verify_bare(public_key, bare_work),
        "verify": lambda: _verify(raws, keys),
        "ledger": lambda: _ingest(module, keys),
    }
    rates: dict[str, list[float]] = {name: [] for name in works}
    cpu_rates: dict[str, list[float]] = {name: [] for name in works}
    with one_core():
        for number in range(rounds):
            tick(f"gateway, round {number + 1} of {rounds}")
            for name, work in works.items():
                wall_s, cpu_s = work()
                rates[name].append(records / wall_s)
                cpu_rates[name].append(records / cpu_s)
    bare, verify, ledger = (statistics.median(rates[name]) for name in works)
    return Rates(
        round(_ratio(rates["verify"], rates["bare"]), 3),
        round(_ratio(rates["ledger"], rates["bare"]), 3),
        round(_ratio(cpu_rates["ledger"], cpu_rates["bare"]), 3),
        round(bare),
        round(verify),
        round(ledger),
        len(raws[-1]),
    )


def _ratio(rates: list[float], bare: list[float]) -> float:
    """Median of the ratios of each round."""
    return statistics.median(rate / other for rate, other in zip(rates, bare, strict=True))


@contextmanager
def one_core() -> Iterator[None]:
    """Everything inside runs on one core, where the system can be told so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class JournalLine:
    """pipeline.ModuleLine whose module answers at once: no link, no serial line."""

    def __init__(self, module: SealedModule) -> None:
        self._device = module.device
        self._records = [RecordFrame(seq, item[0], item[1]) for seq, item in module.journal.items()]
        self.acknowledged_seq = 0

    def hello(self) -> Welcome:
        newest = self._records[-1]
        return Welcome(1, 1, 1, newest.seq, newest.content_hash, bytes(16), self._device)

    def fetch(self, from_seq: int, window: int) -> tuple[Sequence[RecordFrame], None]:
        return self._records[from_seq - 1 : from_seq - 1 + window], None

    def acknowledge(self, seq: int, content_hash: bytes) -> None:
        if self._records[seq - 1].content_hash != content_hash:
            raise BenchError(f"seq {seq} acknowledged with another hash")
        self.acknowledged_seq = seq


def bare_work_of(raw: bytes, keys: KeyFile) -> tuple[bytes, bytes]:
    """DER signature and Sig_structure of an envelope."""
    envelope = verify_envelope(raw, keys.public_key)
    protected = b"\xa2\x01\x26\x04\x50" + envelope.kid  # {1: -7, 4: kid}
    structure = build_sig_structure(protected, envelope.payload)
    if hashlib.sha256(structure).digest() != envelope.content_hash:
        raise BenchError("Sig_structure is not what was signed")
    return encode_dss_signature(int.from_bytes(raw[-64:-32], "big"), int.from_bytes(raw[-32:], "big")), structure


def verify_bare(public_key: ec.EllipticCurvePublicKey, work: list[tuple[bytes, bytes]]) -> tuple[float, float]:
    algorithm = ec.ECDSA(hashes.SHA256())
    start = _now()
    for signature, structure in work:
        public_key.verify(signature, structure, algorithm)
    return _since(start)


def _verify(raws: list[bytes], keys: KeyFile) -> tuple[float, float]:
    start = _now()
    for raw in raws:
        parse_record(verify_envelope(raw, keys.public_key))
    return _since(start)


def _ingest(module: SealedModule, keys: KeyFile) -> tuple[float, float]:
    """From an empty ledger file to the last acknowledgement; opening and closing the file are not counted."""
    line = JournalLine(module)
    with tempfile.TemporaryDirectory(prefix="plumeproof-bench-") as folder:
        writer = Writer(Path(folder) / "ledger.sqlite")
        ingest = Ingest(module.device, line, keys, SqliteLedger(writer, SystemClock()))  # type: ignore[arg-type]
        start = _now()
        ingest.greet()
        while ingest.poll():
            pass
        spent = _since(start)
        writer.close()
    if line.acknowledged_seq != module.newest or ingest.counters.records_total != module.newest:
        raise BenchError(f"{ingest.counters} of {module.newest} records")
    return spent


def _now() -> tuple[float, float]:
    """Wall clock and this process' processor time, s."""
    return time.perf_counter(), time.process_time()


def _since(start: tuple[float, float]) -> tuple[float, float]:
    wall_s, cpu_s = _now()
    return wall_s - start[0], cpu_s - start[1]
