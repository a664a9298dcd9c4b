"""`plumeproof module update`: a signed release sent by the command, to an emulated module on real MicroPython."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from acqwire import update

from tests.doubles.module_rig import LINK_ADDRESS, ROOT
from tests.system.test_module_update import Keepers, UpdateRig
from tools.demo.cable import Cable
from tools.module.uplink import open_link


@pytest.fixture
def keepers() -> Keepers:
    return Keepers()


@pytest.fixture
def rig(tmp_path, micropython, keepers):
    made = UpdateRig(tmp_path, micropython, keepers.factory)
    cable = Cable(made.folder / "uplink.tty", tmp_path / "gateway.tty")
    cable.start()
    made.start_plant()
    made.start()
    yield made
    made.close()
    cable.stop()


def send(port, release, *words) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "plumeproof", "module", "update", str(port), "--release", str(release),
               "--link-address", str(LINK_ADDRESS), *words]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


def test_the_command_sends_and_the_module_switches(rig, keepers, tmp_path):
    port = tmp_path / "gateway.tty"
    files = rig.program()
    files["acq/__init__.py"] = files["acq/__init__.py"].replace(b'VERSION = "', b'VERSION = "9.')
    good = keepers.make(files, 3)
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "module.ppu").write_bytes(good.pack())
    stranger = Keepers().make(files, 4)
    (tmp_path / "foreign.ppu").write_bytes(stranger.pack())
    early = send(port, tmp_path / "release")
    assert early.returncode == 1 and "no_time" in early.stderr and early.stderr.count("\n") == 1
    give_time(port)
    refused = send(port, tmp_path / "foreign.ppu")
    assert refused.returncode == 1 and "refuses the update" in refused.stderr, refused.stderr
    done = send(port, tmp_path / "release", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["manifest"] == good.manifest_hash.hex() and told["bytes"] == len(good.stream)
    assert rig.module.stdout.readline() == "ready\n"  # the new program, in the same process
    info = [sys.executable, "-m", "plumeproof", "module", "info", str(port), "--link-address",
            str(LINK_ADDRESS), "--json"]  # fmt: skip
    said = json.loads(subprocess.run(info, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert said["program"] == {"slot": update.SLOT_A, "is_trial": True, "version": 3}


def give_time(port) -> None:
    """As the gateway does it; the claim counts when it is sealed."""
    with open_link(str(port), 115200, LINK_ADDRESS) as line:
        newest = line.hello().newest_seq
        line.synchronise(50)
        deadline = time.monotonic() + 20
        while line.hello().newest_seq < newest + 2 and time.monotonic() < deadline:
            time.sleep(0.2)


@pytest.mark.parametrize("content", [b"", b"PPUP", b"x" * 100])
def test_no_release_file(content, tmp_path):
    (tmp_path / "a.ppu").write_bytes(content)
    refused = send("/dev/ttyNONE", tmp_path / "a.ppu")
    assert refused.returncode == 2 and "a.ppu" in refused.stderr and refused.stderr.count("\n") == 1


def test_a_folder_without_one_release_file_is_usage(tmp_path):
    refused = send("/dev/ttyNONE", tmp_path)
    assert refused.returncode == 2 and "holds 0 release files" in refused.stderr
