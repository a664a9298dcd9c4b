"""Rung 2: the module's own system tests on the emulated Cortex-M, real firmware frozen into its image, lines on ptys.

`make cortex` runs what is marked `cortex`; building the image needs the cross compiler, so the everyday suite leaves it
out. Not taken over from test_module: Ctrl-C (there is no console to press it on), and most refusals, which are said in
the same words. Slots are longer than there: this part takes its time for every instruction.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from plumeproof.keys import build_entry
from tests.doubles.module_rig import LINK_ADDRESS, ROOT, ModuleRig
from tests.system import test_module
from tools.demo.cable import Cable
from tools.journal_dump import read_entries

pytestmark = [pytest.mark.cortex, pytest.mark.timeout(300)]  # the first test of a fresh checkout builds the image
BRIDGE_S = 15.0
CONFIG = """
[gateway]
id = "gateway"
data_dir = "data"
clock_uncertainty_ms = 10
[keys]
file = "keys.json"
[[module]]
device = "{name}"
port = "{root}/gateway.tty"
link_address = {address}
[averaging]
intervals_s = [10, 60]
grace_s = 1
[dashboard]
enabled = false
"""
SAME = (
    test_module.test_every_slot_is_there_and_every_byte_is_the_plants,
    test_module.test_noise_late_and_foreign_answers_never_make_a_value,
    test_module.test_kill_and_restart_continue_the_chain_and_lose_nothing_journaled,
    test_module.test_a_gateway_that_comes_back_goes_on_where_its_ledger_ends,
    test_module.test_a_bus_that_was_unplugged_is_used_again,
    test_module.test_time_of_the_gateway_is_sealed,
    test_module.test_a_drain_asked_for_while_the_module_was_down_is_done_at_its_start,
    test_module.test_a_fault_of_the_program_is_told_by_the_next_boot,
    test_module.test_nothing_of_the_key_is_readable_by_others,
)


class CortexRig(ModuleRig):
    """The same rig with QEMU for an interpreter; `core` says whose instructions the image has."""

    core = "m3"

    def start(self) -> None:
        command = [sys.executable, "-m", "tools.cortex", "--core", self.core, str(self.folder)]
        self.module = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.module.stdout.readline()
        assert line == "ready\n", (line, self.module.communicate(timeout=10))


@pytest.fixture
def rig(tmp_path):
    made = CortexRig(tmp_path, "", slot_ms=400, seal_ms=1200)
    yield made
    made.close()


@pytest.mark.parametrize("same", SAME, ids=lambda test: test.__name__.removeprefix("test_"))
def test_as_on_the_interpreter(rig, same):
    same(rig)


def test_faults_are_gaps_of_their_own_analyzer_only(tmp_path):
    made = CortexRig(tmp_path, "", slot_ms=1000, seal_ms=2000)
    try:
        test_module.test_faults_are_gaps_of_their_own_analyzer_only(made)
    finally:
        made.close()


def test_the_same_on_instructions_of_an_m0(rig):
    rig.core = "m0"
    test_module.test_every_slot_is_there_and_every_byte_is_the_plants(rig)


def test_a_directory_that_is_refused_is_said_in_one_line(rig):
    (rig.folder / "settings.json").write_text("{}")
    command = [sys.executable, "-m", "tools.cortex", str(rig.folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    said = (ended.stdout + ended.stderr).splitlines()
    assert ended.returncode == 2 and len(said) == 1, said
    assert said[0].startswith("main.py: settings.link_address is missing"), said


def test_the_bridge_brings_it_into_its_ledger(rig):
    rig.start_plant()
    cable = Cable(rig.folder / "uplink.tty", rig.root / "gateway.tty")
    cable.start()
    try:
        rig.start()
        keys, config, data = rig.root / "keys.json", rig.root / "bridge.toml", rig.root / "data"
        keys.write_text(json.dumps([build_entry(rig.name, (rig.folder / "public_key.bin").read_bytes())]))
        config.write_text(CONFIG.format(root=rig.root, name=rig.name, address=LINK_ADDRESS))
        command = [sys.executable, "-m", "plumeproof", "run", "-c", str(config), "--json"]
        bridge = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(BRIDGE_S)
        rig.drain()
        time.sleep(1.0)  # the last record's way
        bridge.send_signal(signal.SIGTERM)
        said = bridge.communicate(timeout=30)
        assert bridge.returncode == 0, said
    finally:
        cable.stop()
    verify = [sys.executable, "-m", "plumeproof", "verify", str(data / "ledger.sqlite"), "--keys", str(keys), "--json"]
    ended = subprocess.run(verify, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(ended.stdout)
    newest = max(entry.seq for entry in read_entries(rig.folder / "flash.bin"))
    assert (found["fine"], found["finding_count"], found["records_verified"]) == (True, 0, newest)
    assert newest > 10
