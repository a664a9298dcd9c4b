"""Recomputation from an archive beside the bare verification of the same signatures: processor time of both.

*Recompute* is what `plumeproof recompute` does with an archive of one stack: find the records, verify envelope and
record under the strict profile, decode, average, figures of two rule sets with their digest. *Bare* is the benchmark
`line`'s: `cryptography`'s ECDSA P-256 over the same Sig_structures, everything made before.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from plumeproof.bulk import Job, recompute_part, span_of, split
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.keys import load_keys
from tools.bench.gateway import bare_work_of, verify_bare
from tools.bench.rig import BenchError
from tools.bench.stack import seal_stack, write_archive


@dataclass(frozen=True, slots=True)
class Recomputing:
    """Ratios of processor time, medians of the rounds: beside bare verification, and beside envelopes opened under the
    strict profile, which verifies them too. `stack_year_s`: by proportion."""

    vs_bare: float
    vs_envelope: float
    stack_year_s: float


class Stack:
    """An archive of so many days in a folder of its own. To be used with `with`."""

    def __init__(self, days: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="plumeproof-bench-")
        archive, self.keys, plant = write_archive(Path(self._folder.name), days)
        job = Job(str(archive), str(self.keys), str(plant), (), (), None, 0, 0)
        start, end = span_of(job)
        self._job = replace(job, start_utc_ms=start, end_utc_ms=end)

    def __enter__(self) -> Stack:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def recompute(self) -> float:
        """Processor time, s. Raises BenchError where a record is refused."""
        start = time.process_time()
        results = [recompute_part(part) for part in split(self._job)]
        spent = time.process_time() - start
        if not results or any(not one.is_fine or not one.figure_count for one in results):
            raise BenchError(f"recomputation of a good archive finds {results[:1]}")
        return spent


def measure_recompute(days: int, rounds: int, tick: Callable[[str], None]) -> Recomputing:
    """Each round does all three, one after the other. Raises BenchError."""
    tick("an archive")
    with Stack(days) as stack:
        keys = load_keys(stack.keys)
        module = seal_stack(days)
        raws = [raw for _, raw in module.journal.values()]
        work = [bare_work_of(raw, keys) for raw in raws]
        stack.recompute()  # what is read and imported once
        bare, envelope, again = [], [], []
        for number in range(rounds):
            tick(f"recompute, round {number + 1} of {rounds}")
            bare.append(verify_bare(module.key.public_key(), work)[1])
            start = time.process_time()
            for raw in raws:
                verify_envelope(raw, keys.public_key)
            envelope.append(time.process_time() - start)
            again.append(stack.recompute())
    vs_bare, vs_envelope = (
        statistics.median(one / other for one, other in zip(again, others, strict=True)) for others in (bare, envelope)
    )
    return Recomputing(vs_bare, vs_envelope, statistics.median(again) / days * 365.0)
