"""How much of the time the wire is busy while a module asks all its blocks: what slow firmware would give away.

The unmodified firmware polls pymodbus analyzers over a line that takes its time at the given baud (tools.plant
--paced). The plant's own log is the judge: a cycle lasts from the first request of a slot to the last byte of its last
answer. Needed for it: the bytes of requests and answers, and one silent interval (3.5 characters, 1.75 ms above 19,200
baud; MODBUS over Serial Line V1.02 section 2.5.1.1) before each frame but the first. 1 is what the wire allows.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acqwire import limits

from plumeproof.evidence.parameters import parse_parameters
from tools.bench.rig import FIRMWARE, BenchError, Rig, compose_set, interpreter_command, workplace
from tools.plant.bus import Wire
from tools.plant.layout import read_layout

SLOT_SPARE = 1.3  # a slot is so many times as long as the wire needs: a cycle fits although firmware is slow
REQUEST_BYTES = 8
ANSWER_AROUND_BYTES = 5  # unit, function, byte count, CRC
SEAL_MS = 60_000  # nothing is sealed while it counts, but for boot and parameters at the start
START_S = 3.0  # these are sealed by then; not counted
DISTURBED_MAX = 0.5  # share of slots with a gap or a retry above which the figure would mean nothing


@dataclass(frozen=True, slots=True)
class BusUse:
    """`use`: wire_ms / cycle_ms. `best_use`: that of the quickest tenth of the cycles, so without what else the machine
    does. `use_of_bytes`: of the median cycle, without the silent intervals."""

    use: float
    best_use: float
    use_of_bytes: float
    cycle_ms: float
    wire_ms: float
    cycles: int


def measure_bus(interpreter: Path, baud: int, cycles: int) -> BusUse:
    """Medians over about `cycles` slots."""
    blocks = parse_parameters(compose_set(baud, limits.SLOT_MAX_MS, limits.SEAL_MAX_MS)).blocks
    answers = [ANSWER_AROUND_BYTES + block.width_bytes for block in blocks]
    with workplace() as folder:
        path = folder / "line.json"
        path.write_bytes(compose_set(baud, limits.SLOT_MAX_MS, limits.SEAL_MAX_MS))
        wire = Wire(read_layout(path)[0], is_paced=True)
        bytes_s = (len(blocks) * REQUEST_BYTES + sum(answers)) * wire.character_s
        wire_s = bytes_s + (2 * len(blocks) - 1) * wire.silence_s
        slot_ms = max(limits.SLOT_MIN_MS, math.ceil(1000 * wire_s * SLOT_SPARE))
        with Rig(folder, baud, slot_ms, SEAL_MS, is_paced=True) as rig:
            module = rig.start_module(interpreter_command(interpreter, FIRMWARE / "main.py"))
            time.sleep(START_S)
            from_ns = time.time_ns()
            time.sleep(cycles * slot_ms / 1000)
            module.check()
        first = (blocks[0].function, blocks[0].address)
        spent = list(cycle_times_s(read_log(rig.plant_log, from_ns), first, len(blocks)))
    whole = [time_s for time_s in spent if time_s is not None]
    if len(whole) < (1 - DISTURBED_MAX) * len(spent) or not whole:
        raise BenchError(
            f"bus at {baud} baud: only {len(whole)} of {len(spent)} slots without a gap or a retry; try again"
        )
    cycle_s = statistics.median(whole)
    quick_s = sorted(whole)[len(whole) // 10]
    return BusUse(
        wire_s / cycle_s, wire_s / quick_s, bytes_s / cycle_s, 1000 * cycle_s, 1000 * wire_s, len(whole)
    )  # fmt: skip


def read_log(path: Path, from_ns: int) -> list[dict[str, Any]]:
    """Requests and answers of the plant's log from an instant on."""
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [entry for entry in entries if entry["kind"] in ("request", "answer") and entry["t_utc_ns"] >= from_ns]


def cycle_times_s(entries: list[dict[str, Any]], first: tuple[int, int], count: int) -> Iterator[float | None]:
    """Seconds of each whole slot; None for one in which not each of `count` blocks was asked and answered once."""
    cycle: list[dict[str, Any]] = []
    for entry in entries:
        if entry["kind"] == "request" and (entry["function"], entry["address"]) == first:
            if cycle:
                yield _cycle_s(cycle, count)
            cycle = [entry]
        elif cycle:
            cycle.append(entry)


def _cycle_s(cycle: list[dict[str, Any]], count: int) -> float | None:
    kinds = [entry["kind"] for entry in cycle]
    if kinds != ["request", "answer"] * count or not all(entry.get("intact", True) for entry in cycle):
        return None
    return (cycle[-1]["t_utc_ns"] - cycle[0]["t_utc_ns"]) / 1e9
