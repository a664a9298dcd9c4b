"""The module's program in the heap of a module: a literal 128 KiB on the interpreter with 32-bit words, as boards have.

With 64-bit words the same objects take twice that; `-X heapsize=128wk` is MicroPython's own way to say it (w: times the
size of a word, divided by 4). The live figure includes the watching program (heap_watch.py), about 3 KB.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from plumeproof.model import Samples
from tests.doubles import module_rig
from tests.doubles.module_rig import ROOT, ModuleRig
from tests.system.interpreters import find
from tools.demo import layout

WATCH = Path(__file__).with_name("heap_watch.py")
LIVE_MAX_BYTES = {"first": 160 * 1024, "32": 118 * 1024}  # the rest is for what a signature leaves behind
WATCH_HEAPS = {"first": "160wk", "32": "160k"}  # a quarter more, for the program that watches


@pytest.mark.parametrize("build", ["first", "32"])
@pytest.mark.parametrize("seal_ms", [3000, 60000])
def test_the_demo_plan_runs_and_polling_takes_nothing(tmp_path, record_property, build, seal_ms):
    micropython = find(build)
    rig = ModuleRig(tmp_path, micropython, slot_ms=1000, seal_ms=seal_ms)
    heap = f"heapsize={WATCH_HEAPS[build]}"
    try:
        rig.start_plant()
        command = [micropython, "-X", heap, str(WATCH), str(ROOT / "firmware"), str(rig.folder), "150"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stderr
        found = json.loads(ended.stdout.splitlines()[-1])
    finally:
        rig.close()
    record_property("live_bytes", found["live"])
    assert found["polls"] >= 15
    assert found["step"] == 0 and found["wait"] == 0, found
    assert found["live"] <= LIVE_MAX_BYTES[build], found


@pytest.mark.parametrize(("slot_ms", "seal_ms"), [(1000, 3000), (100, 6000)])
def test_128_kib_of_32_bit_words_are_enough(tmp_path, micropython_32, slot_ms, seal_ms):
    """The demo's own plan, and batches of the size that its slots make in 60 s: full batches are sealed, the module is
    killed, and goes on with its chain."""
    assert module_rig.ANALYZERS == layout.ANALYZERS
    rig = ModuleRig(tmp_path, micropython_32, slot_ms=slot_ms, seal_ms=seal_ms)
    rig.heap = "128k"

    def batches(records, boot):
        return [
            len(one.body.blocks[0].outcomes) for one in records if one.boot == boot and isinstance(one.body, Samples)
        ]

    try:
        rig.start_plant()
        rig.start()
        gateway = rig.gateway()
        gateway.collect(lambda records: len(batches(records, 1)) >= 2)
        rig.kill()
        rig.start()
        gateway.greet()
        gateway.collect(lambda records: len(batches(records, 2)) >= 2)
        full = max(batches(gateway.records, 1))
        assert min(seal_ms // slot_ms, 20) <= full <= seal_ms // slot_ms  # as many as fit one record
        assert set(batches(gateway.records, 1) + batches(gateway.records, 2)) == {full}
        assert not gateway.holes
    finally:
        rig.close()


def test_a_small_heap_is_enough_to_seal_a_minute(tmp_path, micropython):
    """90 KiB of 32-bit words, the longest period of the demo's plan."""
    rig = ModuleRig(tmp_path, micropython, slot_ms=100, seal_ms=6000)
    rig.heap = "90wk"
    try:
        rig.start_plant()
        rig.start()
        gateway = rig.gateway()
        gateway.collect(lambda records: any(isinstance(record.body, Samples) for record in records))
        (samples,) = [record.body for record in gateway.records if isinstance(record.body, Samples)][:1]
        assert samples.slots.slot_count >= 20  # as many as fit one record of this plan
    finally:
        rig.close()
