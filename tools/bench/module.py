"""What the module's program costs on the interpreter that it runs on: time of a signature, live heap.

The heap is that of the unix port's build with 32-bit words, whose objects have the sizes of a board's; on a board the
code is frozen and takes none. Times are another processor's. Both are for comparing one state of the firmware with the
next.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from acqwire import frames

from plumeproof.errors import LinkError
from plumeproof.evidence.envelope import verify_signature
from plumeproof.evidence.framing import FrameCodec
from plumeproof.link.line import Line
from plumeproof.link.session import RecordFrame, Session
from plumeproof.service import SystemClock
from tests.doubles.evidence_chain import POINT
from tools.bench.rig import FIRMWARE, LINK_ADDRESS, MODULE_SIDE, BenchError, Rig, interpreter_command, workplace
from tools.demo.part import Part

SIGN_TIMEOUT_S = 100
END_S = 30.0  # beyond warm-up and samples the module has this long, on a busy machine
POLL_S = 0.2
DEMO_BAUD, DEMO_SLOT_MS, DEMO_SEAL_MS = 115_200, 1000, 3000


@dataclass(frozen=True, slots=True)
class SignTime:
    """Medians of one ES256 signature over a digest, ms; `verified_ms` with the check before it is given out."""

    sign_ms: float
    verified_ms: float
    signatures: int


def measure_signing(interpreter: Path, count: int) -> SignTime:
    """`count` signatures by the firmware's own signer; each is checked by cryptography as well."""
    command = interpreter_command(interpreter, MODULE_SIDE / "signing.py", str(FIRMWARE), str(count))
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=SIGN_TIMEOUT_S, check=True)
    except subprocess.SubprocessError as fault:
        said = str(getattr(fault, "stderr", None) or fault).strip().splitlines()[-1]
        raise BenchError(f"signing on the interpreter: {said}; run {' '.join(command)}") from fault
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    for number, line in enumerate(lines):
        verify_signature(POINT, hashlib.sha256(str(number).encode()).digest(), bytes.fromhex(line["signature"]))
    sign_us = statistics.median(line["unverified_us"] for line in lines)
    verified_us = statistics.median(line["us"] for line in lines)
    return SignTime(sign_us / 1000, verified_us / 1000, len(lines))


def measure_heap(interpreter: Path, warm_up_s: int, samples: int) -> int:
    """Bytes alive after collection, the most of `samples` quiet moments, with the demo's parameter set.

    In a warm-up of 4 s and more, boot and parameters and the first samples record are signed, written, sent, released.
    """
    script = MODULE_SIDE / "heap.py"
    command = interpreter_command(interpreter, script, str(FIRMWARE), str(warm_up_s), str(samples))
    with workplace() as folder, Rig(folder, DEMO_BAUD, DEMO_SLOT_MS, DEMO_SEAL_MS, is_paced=False) as rig:
        module = rig.start_module(command)
        records = _drain(rig, module, warm_up_s + samples + END_S)
        printed = module.log.read_text(encoding="utf-8").splitlines()
        live = [json.loads(line)["live"] for line in printed if line.startswith("{")]
        if module.status != 0 or len(live) != samples or records == 0:
            raise BenchError(f"module: status {module.status}, {records} records, {printed[-1]}; see {module.log}")
    return max(live)


def _drain(rig: Rig, module: Part, timeout_s: float) -> int:
    """Fetch and acknowledge until the module ends, so that link and journal work as well; the newest seq."""
    line = Line(rig.stream, FrameCodec(), Session(LINK_ADDRESS), SystemClock())
    deadline_s = time.monotonic() + timeout_s
    newest_seq = 0
    while module.status is None and time.monotonic() < deadline_s:
        try:
            answers, _ = line.fetch(newest_seq + 1, frames.WINDOW_MAX)
            for answer in answers:
                if isinstance(answer, RecordFrame):
                    newest_seq = answer.seq
                    line.acknowledge(answer.seq, answer.content_hash)
        except LinkError:
            continue  # busy, or gone: its status says which
        time.sleep(POLL_S)
    return newest_seq
