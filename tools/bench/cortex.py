"""`module`: what the firmware costs on the emulated Cortex-M, in instructions and heap, beside the last table.

Signing is counted alone, in an almost empty heap (`sign_*`, as its goal and the prototypes were) and in the heap of the
running module (`sign_running_*`), where collecting garbage costs more; its own verification is `verify_*`. A seal is a
full samples record from batch to journal: encoding, hash, signature, verification, program and read-back. Mount reads a
journal of 1 MiB full of such records. Heap is what is alive in the running module, polling analyzers and answering a
gateway, without the watching program; garbage is what a slot without a seal leaves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from acqwire import frames

from plumeproof.errors import LinkError
from plumeproof.evidence.framing import FrameCodec
from plumeproof.link.line import Line
from plumeproof.link.session import RecordFrame, Session
from plumeproof.service import SystemClock
from tools.bench.figures import Figure
from tools.bench.rig import LINK_ADDRESS, BenchError, Rig, compose_set, workplace
from tools.cortex.counts import compare, count_all, read_table, write_table
from tools.cortex.images import Images, ImagesError, find_images
from tools.cortex.machine import GuestError, Machine, MachineError
from tools.cortex.rom import RomError, build_rom, part_side

STEPS = 4
BAUD, SLOT_MS, SEAL_MS = 115_200, 1000, 60_000  # of a plant: the largest batch
HEAP_BYTES = 102_400  # board/mpconfigboard.mk
WARM_UP_S, SAMPLES = 40, 5  # the batch is full after 30 s
QUICK_WARM_UP_S, QUICK_SAMPLES = 4, 1
MILLION = 1_000_000
POLL_S = 0.2
END_S = 30.0
IMPORT = """import gc
gc.collect()
own = gc.mem_alloc()
import starting
gc.collect()
print("own", gc.mem_alloc() - own)
"""
COUNTED = (
    ("m3", "sign", "goal: 14 with a table of 4 KiB"),
    ("m0", "sign", ""),
    ("m3", "sign_running", ""),
    ("m3", "verify", ""),
    ("m3", "seal", ""),
    ("m3", "mount", ""),
    ("m3", "boot", ""),
    ("m3", "crc", "255 bytes"),
    ("m3", "encode", ""),
)


def measure(is_quick: bool, tick: Callable[[str], None]) -> list[Figure]:
    """Raises BenchError. The table is kept unless the run is quick."""
    try:
        tick("image with the firmware frozen in")
        images = find_images()
        tick("instructions on M3 and M0")
        last = read_table()
        table = count_all(images, compose_set(BAUD, SLOT_MS, SEAL_MS))
        tick("heap of the running module")
        heap_bytes, garbage_bytes = measure_heap(
            images, QUICK_WARM_UP_S if is_quick else WARM_UP_S, QUICK_SAMPLES if is_quick else SAMPLES
        )
    except (ImagesError, MachineError, GuestError, RomError) as fault:
        raise BenchError(str(fault)) from fault
    figures = []
    for core, name, goal in COUNTED:
        beside = "; ".join(words for words in (goal, compare(table, last, core, name)) if words)
        value = round(table.counts[core][name] / MILLION, 3)
        figures.append(Figure(f"{name}_minsn_{core}", value, "M insn", beside))
    figures.append(Figure("heap_steady_bytes", heap_bytes, "bytes", f"live, of {HEAP_BYTES:,}; goal: 45 KiB"))
    figures.append(Figure("garbage_per_slot_bytes", garbage_bytes, "bytes", "of five polls and five questions a slot"))
    figures.append(Figure("seal_payload_bytes", table.counts["m3"]["payload"], "bytes", "of the record sealed"))
    figures.append(Figure("mount_records", table.counts["m3"]["records"], "records", "in the journal mounted"))
    figures.append(Figure("micropython_version", images.micropython, "", images.compiler))
    if not is_quick:
        write_table(table)
    tick("done")
    return figures


def measure_heap(images: Images, warm_up_s: int, samples: int) -> tuple[int, int]:
    """The most of `samples` quiet moments, with the demo's analyzers on the bus and a gateway taking every record."""
    rom = build_rom(images, part_side())
    with workplace() as folder, Rig(folder, BAUD, SLOT_MS, SEAL_MS, is_paced=False) as rig:
        lines = (rig.folder / "bus.tty", rig.folder / "uplink.tty")
        printed: list[str] = []
        program = IMPORT + f"starting.watch('.', {warm_up_s}, {samples})\n"
        with Machine(images, rom, "m3", lines, folder=rig.folder) as machine:

            def watch() -> None:
                printed.extend(machine.run(program, warm_up_s + samples + END_S).splitlines())

            thread = threading.Thread(target=watch)
            thread.start()
            records = _drain(rig, thread)
            thread.join()
        own, live, garbage = (
            [int(line.partition(" ")[2]) for line in printed if line.startswith(name)]
            for name in ("own ", "live ", "garbage ")
        )
        if len(live) != samples or len(garbage) != samples or records == 0:
            raise BenchError(f"the emulated module gave {records} records and printed {printed[-1:]}")
    return max(live) - own[0], max(garbage)


def _drain(rig: Rig, thread: threading.Thread) -> int:
    line = Line(rig.stream, FrameCodec(), Session(LINK_ADDRESS), SystemClock())
    newest_seq = 0
    while thread.is_alive():
        try:
            answers, _ = line.fetch(newest_seq + 1, frames.WINDOW_MAX)
            for answer in answers:
                if isinstance(answer, RecordFrame):
                    newest_seq = answer.seq
                    line.acknowledge(answer.seq, answer.content_hash)
        except LinkError:
            continue  # busy, starting or gone
        time.sleep(POLL_S)
    return newest_seq
