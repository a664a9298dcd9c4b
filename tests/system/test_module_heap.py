"""The module's program in the heap of a module: 128 KiB of 32-bit words, twice that where words have 64 bits.

`-X heapsize=128wk` is MicroPython's own way to say it (w: times the size of a word, divided by 4).
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from plumeproof.model import Samples
from tests.doubles.module_rig import HEAP, ROOT, ModuleRig

WATCH = Path(__file__).with_name("heap_watch.py")
HEAP_BYTES = 128 * 1024 * 2
MARGIN_BYTES = 96 * 1024  # what must stay free of it beside live objects: code grows, and a signature needs room


@pytest.mark.parametrize("seal_ms", [3000, 60000])
def test_the_demo_plan_runs_and_polling_takes_nothing(tmp_path, micropython, seal_ms):
    rig = ModuleRig(tmp_path, micropython, slot_ms=1000, seal_ms=seal_ms)
    try:
        rig.start_plant()
        command = [micropython, "-X", f"heapsize={HEAP}", str(WATCH), str(ROOT / "firmware"), str(rig.folder), "150"]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert ended.returncode == 0, ended.stderr
        found = json.loads(ended.stdout.splitlines()[-1])
    finally:
        rig.close()
    assert found["polls"] >= 15
    assert found["step"] == 0 and found["wait"] == 0, found
    assert found["live"] < HEAP_BYTES - MARGIN_BYTES, found


def test_a_small_heap_is_enough_to_seal_a_minute(tmp_path, micropython):
    """80 KiB of 32-bit words, the longest period of the demo's plan."""
    rig = ModuleRig(tmp_path, micropython, slot_ms=100, seal_ms=6000)
    rig.heap = "80wk"
    try:
        rig.start_plant()
        rig.start()
        gateway = rig.gateway()
        gateway.collect(lambda records: any(isinstance(record.body, Samples) for record in records))
        (samples,) = [record.body for record in gateway.records if isinstance(record.body, Samples)][:1]
        assert samples.slots.slot_count >= 20  # as many as fit one record of this plan
    finally:
        rig.close()
