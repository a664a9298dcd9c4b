"""The line of step 1: gateway beside the bare verifier, module on the interpreter, bus beside what the wire allows."""

from __future__ import annotations

import os
from collections.abc import Callable

from tools.bench import gateway
from tools.bench.bus import measure_bus
from tools.bench.figures import Figure
from tools.bench.module import measure_heap, measure_signing
from tools.bench.rig import find_interpreter

BAUDS = (9_600, 115_200)
SIGNATURES, CYCLES, WARM_UP_S, SAMPLES = 200, {9_600: 30, 115_200: 100}, 10, 5
QUICK_RECORDS, QUICK_ROUNDS, QUICK_SIGNATURES, QUICK_CYCLES, QUICK_WARM_UP_S, QUICK_SAMPLES = 200, 2, 5, 8, 4, 1
STEPS = gateway.ROUNDS + 2 + len(BAUDS)


def measure(is_quick: bool, tick: Callable[[str], None]) -> list[Figure]:
    """Raises BenchError and PartError for what did not come about."""
    interpreter, version = find_interpreter()
    interpreter_32, version_32 = find_interpreter("32")
    records, rounds = (QUICK_RECORDS, QUICK_ROUNDS) if is_quick else (gateway.RECORDS, gateway.ROUNDS)
    rates = gateway.measure_gateway(records, rounds, tick)
    tick("signatures on the interpreter")
    signing = measure_signing(interpreter, QUICK_SIGNATURES if is_quick else SIGNATURES)
    tick("heap of the module's program")
    heap_bytes = measure_heap(
        interpreter_32, QUICK_WARM_UP_S if is_quick else WARM_UP_S, QUICK_SAMPLES if is_quick else SAMPLES
    )
    buses = {}
    for baud in BAUDS:
        tick(f"bus at {baud} baud")
        buses[baud] = measure_bus(interpreter, baud, QUICK_CYCLES if is_quick else CYCLES[baud])
    slow, fast = (buses[baud] for baud in BAUDS)
    core = "one core" if hasattr(os, "sched_setaffinity") else "one process"
    return [
        Figure("verify_vs_bare", rates.verify_vs_bare, "ratio", f"bare ECDSA P-256 verify of `cryptography`, {core}"),
        Figure("ledger_vs_bare", rates.ledger_vs_bare, "ratio", "the same; verify, chain, synced commit, acknowledge"),
        Figure("ledger_cpu_vs_bare", rates.ledger_cpu_vs_bare, "ratio", "the same in processor time, without the disk"),
        Figure("bare_per_s", rates.bare_per_s, "records/s", f"{rates.envelope_bytes} bytes each"),
        Figure("verify_per_s", rates.verify_per_s, "records/s"),
        Figure(
            "ledger_per_s", rates.ledger_per_s, "records/s", "SQLite, WAL, synchronous FULL, disk of the temp folder"
        ),
        Figure("sign_ms", round(signing.sign_ms, 3), "ms", "ES256 in pure MicroPython on this processor"),
        Figure("sign_verified_ms", round(signing.verified_ms, 3), "ms", "with verification before it is given out"),
        Figure(
            "heap_bytes", heap_bytes, "bytes", f"live, 32-bit build of {version_32}, source on the heap; of 131,072"
        ),
        Figure("bus_use_9600", round(slow.use, 3), "ratio", f"{slow.wire_ms:.1f} ms on the wire: bytes and silences"),
        Figure("bus_use_115200", round(fast.use, 3), "ratio", f"{fast.wire_ms:.1f} ms on the wire: bytes and silences"),
        Figure("bus_best_9600", round(slow.best_use, 3), "ratio", "the quickest tenth of the cycles"),
        Figure("bus_best_115200", round(fast.best_use, 3), "ratio", "the quickest tenth of the cycles"),
        Figure("bus_cycle_9600_ms", round(slow.cycle_ms, 2), "ms", "all five blocks of three analyzers once"),
        Figure("bus_cycle_115200_ms", round(fast.cycle_ms, 2), "ms", "all five blocks of three analyzers once"),
        Figure("micropython_version", version, "", "unix port"),
    ]
