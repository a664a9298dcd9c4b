"""A module with a secure element from register to gateway, on the real interpreter; the chip is the double."""

from __future__ import annotations

import subprocess
from pathlib import Path

from acqwire import causes

from plumeproof.model import Boot, Samples
from tests.doubles.module_rig import ROOT, ModuleRig

STARTER = Path(__file__).with_name("element_module.py")
HEAP = "2m"  # the chip's bytes and numbers lie in it too


def _command(micropython: str, folder: Path, *words: str) -> list[str]:
    return [micropython, "-X", f"heapsize={HEAP}", str(STARTER), str(ROOT), str(folder), *words]


def test_the_gateway_takes_records_signed_by_the_chip(tmp_path, micropython):
    rig = ModuleRig(tmp_path, micropython, slot_ms=200, seal_ms=1000)
    try:
        rig.start_plant()
        rig.module = subprocess.Popen(
            _command(micropython, rig.folder), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert rig.module.stdout.readline() == "ready\n"
        gateway = rig.gateway()  # with the public key that the chip gave
        gateway.collect(lambda records: sum(isinstance(record.body, Samples) for record in records) >= 4)
        assert [r.body.element_counter for r in gateway.records if isinstance(r.body, Boot)] == [1]
        samples = [record.body.slots for record in gateway.records if isinstance(record.body, Samples)]
        assert sum(slots.slot_count for slots in samples) >= 15
        firsts = [slots.first_slot for slots in samples]
        counts = [slots.slot_count for slots in samples]
        assert firsts == [sum(counts[:index]) for index in range(len(firsts))]  # no slot was lost beside the chip
    finally:
        rig.close()


def test_an_open_chip_is_refused_before_a_record_is_made(tmp_path, micropython):
    rig = ModuleRig(tmp_path, micropython)
    try:
        ended = subprocess.run(
            _command(micropython, rig.folder, "open"), capture_output=True, text=True, timeout=60, check=False
        )
        assert ended.returncode == 2
        assert ended.stderr.strip() == (
            f"main.py: no signer (fault {causes.FAULT_ELEMENT_REFUSED}, detail 2); see SECURE_ELEMENT.md"
        )
        assert not (rig.folder / "public_key.bin").exists()
    finally:
        rig.close()
