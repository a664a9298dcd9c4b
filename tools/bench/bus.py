"""How much of the time the wire is busy while a module asks all its blocks: what slow firmware would give away.

The unmodified firmware polls pymodbus analyzers over a line that takes its time at the given baud (tools.plant
--paced). The plant's own log is the judge: a cycle lasts from the first request of a slot to the last byte of its last
answer. Needed for it: the bytes of requests and answers, and one silent interval (3.5 characters, 1.75 ms above 19,200
baud; MODBUS over Serial Line V1.02 section 2.5.1.1) before each frame but the first. 1 is what the wire allows.

Nothing is subtracted. What a server takes to answer is hidden in the silence before its answer as long as it is
shorter, as on a cable; what is longer, what the emulated line is late, and what the operating system takes to wake a
process count against the module. `line_late_us` and `module_late_us` say whose it was. Plant and module run with
real-time precedence where the system allows it: other programs of this machine are not on the cable. Medians, the
quickest tenth and the machine's load stand side by side.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from acqwire import limits

from plumeproof.evidence.parameters import Block, parse_parameters
from tools.bench.figures import Figure
from tools.bench.rig import FIRMWARE, BenchError, Rig, compose_set, find_interpreter, interpreter_command, workplace
from tools.plant.bus import Wire
from tools.plant.layout import read_layout

BAUDS = (9_600, 19_200, 115_200)
CYCLES = {9_600: 40, 19_200: 80, 115_200: 300}
QUICK_CYCLES = 6
STEPS = len(BAUDS)
SLOT_SPARE = 1.3  # a slot is so many times as long as the wire needs: a cycle fits although firmware is slow
REQUEST_BYTES = 8
ANSWER_AROUND_BYTES = 5  # unit, function, byte count, CRC
SEAL_MS = 60_000  # nothing is sealed while it counts, but for boot and parameters at the start
START_S = 3.0  # these are sealed by then; not counted
DISTURBED_MAX = 0.5  # share of slots with a gap or a retry above which the figure would mean nothing
PRIORITY = 1  # the lowest of the real-time ones: above every ordinary program


@dataclass(frozen=True, slots=True)
class BusUse:
    """`use`: wire_ms / cycle_ms. `best_use`: that of the quickest tenth of the cycles, so without what else the machine
    does. `use_of_bytes`: of the median cycle, without the silent intervals. `line_late_us`, `module_late_us`: medians
    of an answer's and of a request's lateness. `has_precedence`: plant and module ran before ordinary programs."""

    use: float
    best_use: float
    use_of_bytes: float
    cycle_ms: float
    wire_ms: float
    cycles: int
    line_late_us: float
    module_late_us: float
    has_precedence: bool


def measure(is_quick: bool, tick: Callable[[str], None]) -> list[Figure]:
    """Raises BenchError and PartError for what did not come about."""
    interpreter, version = find_interpreter()
    uses = {}
    for baud in BAUDS:
        tick(f"bus at {baud} baud")
        uses[baud] = measure_bus(interpreter, baud, QUICK_CYCLES if is_quick else CYCLES[baud])
    figures = []
    for baud, found in uses.items():
        figures += [
            Figure(f"bus_use_{baud}", round(found.use, 3), "ratio", f"median; the wire needs {found.wire_ms:.1f} ms"),
            Figure(f"bus_best_{baud}", round(found.best_use, 3), "ratio", "the quickest tenth of the cycles"),
            Figure(f"bus_cycle_{baud}_ms", round(found.cycle_ms, 2), "ms", "all five blocks of three analyzers once"),
            Figure(f"bus_line_late_{baud}_us", round(found.line_late_us), "us", "emulated line, an answer, median"),
            Figure(f"bus_module_late_{baud}_us", round(found.module_late_us), "us", "module, a request, median"),
            Figure(f"bus_cycles_{baud}", found.cycles, "cycles"),
        ]
    has_precedence = all(found.has_precedence for found in uses.values())
    return [
        *figures,
        Figure(
            "precedence", "real-time" if has_precedence else "none", "", "of plant and module before other programs"
        ),
        Figure("load_1min", round(os.getloadavg()[0], 2), "processes", f"on {os.cpu_count()} processors"),
        Figure("processors", os.cpu_count() or 1, ""),
        Figure("micropython_version", version, "", "unix port"),
    ]


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
            has_precedence = give_precedence(rig.plant.pid, module.pid)
            time.sleep(START_S)
            from_ns = time.time_ns()
            time.sleep(cycles * slot_ms / 1000)
            module.check()
        entries = read_log(rig.plant_log, from_ns)
    first = (blocks[0].function, blocks[0].address)
    spent = list(cycle_times_s(entries, first, len(blocks)))
    whole = [time_s for time_s in spent if time_s is not None]
    if len(whole) < (1 - DISTURBED_MAX) * len(spent) or not whole:
        raise BenchError(
            f"bus at {baud} baud: only {len(whole)} of {len(spent)} slots without a gap or a retry; try again"
        )
    cycle_s = statistics.median(whole)
    quick_s = sorted(whole)[len(whole) // 10]
    line_late, module_late = lateness_us(entries, blocks, wire)
    return BusUse(
        use=wire_s / cycle_s,
        best_use=wire_s / quick_s,
        use_of_bytes=bytes_s / cycle_s,
        cycle_ms=1000 * cycle_s,
        wire_ms=1000 * wire_s,
        cycles=len(whole),
        line_late_us=statistics.median(line_late),
        module_late_us=statistics.median(module_late),
        has_precedence=has_precedence,
    )


def give_precedence(*pids: int) -> bool:
    """Run these processes before ordinary ones; False where the system does not let us."""
    if not hasattr(os, "sched_setscheduler"):
        return False
    try:
        for pid in pids:
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        return False
    return True


def lateness_us(
    entries: Sequence[dict[str, Any]], blocks: Sequence[Block], wire: Wire
) -> tuple[list[float], list[float]]:
    """How much later than the wire allows: answers behind their requests, and requests behind the answer before them in
    their cycle."""
    first = (blocks[0].function, blocks[0].address)
    widths = {(block.function, block.address): block.width_bytes for block in blocks}
    line: list[float] = []
    module: list[float] = []
    for before, entry in pairwise(entries):
        place = (entry["function"], entry["address"])
        passed_s = (entry["t_utc_ns"] - before["t_utc_ns"]) / 1e9
        if (before["kind"], entry["kind"]) == ("request", "answer"):
            characters = REQUEST_BYTES + ANSWER_AROUND_BYTES + widths[place]
            line.append(1e6 * (passed_s - characters * wire.character_s - wire.silence_s))
        elif (before["kind"], entry["kind"]) == ("answer", "request") and place != first:
            module.append(1e6 * (passed_s - wire.silence_s))
    return line, module


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
