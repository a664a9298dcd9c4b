"""Rung 2: what the firmware costs on the emulated Cortex-M is repeatable and within its goals; the published signature
files on the part's own arithmetic.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
from pathlib import Path

import pytest

from tools.bench.cortex import BAUD, SEAL_MS, SLOT_MS
from tools.bench.rig import compose_set
from tools.cortex.counts import Table, compare, count_core, read_table
from tools.cortex.images import Images, find_images
from tools.cortex.machine import GuestError, Machine, MachineError
from tools.cortex.rom import PART_SIDE, build_rom

pytestmark = [pytest.mark.cortex, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("PLUMEPROOF_REFERENCE") or ROOT.parent / "shared" / "reference")
WYCHEPROOF = "vectors/wycheproof/ecdsa_secp256r1_sha256_{}.json"
MILLION = 1_000_000


@pytest.fixture(scope="module")
def images() -> Images:
    return find_images()


@pytest.fixture(scope="module")
def counts(images) -> dict[str, int]:
    return count_core(images, "m3", compose_set(BAUD, SLOT_MS, SEAL_MS))


def reference(name: str) -> Path:
    path = REFERENCE / name
    if not path.exists():
        pytest.skip("no reference folder: set PLUMEPROOF_REFERENCE")
    return path


def run_on_part(images: Images, folder: Path, programs: dict[str, Path], code: str, timeout_s: float = 200.0) -> str:
    with Machine(images, build_rom(images, programs), folder=folder) as machine:
        return machine.run(code, timeout_s)


def test_counts_are_the_same_at_each_run(images, counts):
    assert count_core(images, "m3", compose_set(BAUD, SLOT_MS, SEAL_MS)) == counts


def test_goals_of_signing(counts):
    assert counts["sign"] <= 14 * MILLION
    table = importlib.import_module("acq.p256_table")
    assert len(table.BASE_COMB) <= 4096
    assert counts["sign"] < counts["sign_running"] < counts["seal"]


def test_thumb_1_takes_more_instructions(images, counts):
    small = count_core(images, "m0", compose_set(BAUD, SLOT_MS, SEAL_MS))
    assert counts.keys() == small.keys()
    for name in ("sign", "verify", "seal", "mount", "boot", "crc", "encode"):
        assert counts[name] < small[name] < 2 * counts[name], name


def test_the_table_in_the_repository_knows_every_count(counts):
    kept = read_table()
    assert kept is not None and kept.counts["m3"].keys() == counts.keys() == kept.counts["m0"].keys()


def test_a_difference_is_said():
    made_with = {"compiler": "a"}
    last = Table({"m3": {"sign": 1000}}, made_with)
    assert compare(Table({"m3": {"sign": 1000}}, made_with), last, "m3", "sign") == "as in the last table"
    assert compare(Table({"m3": {"sign": 1010}}, made_with), last, "m3", "sign") == "+1.00 % on the last table"
    other = Table({"m3": {"sign": 990}}, {"compiler": "b"})
    assert compare(other, last, "m3", "sign") == "-1.00 % on the last table, other compiler or MicroPython"
    assert compare(other, None, "m3", "sign") == "nothing to compare with"


@pytest.mark.parametrize("name", ["test_signer", "test_schedule", "test_settings", "test_timebase"])
def test_a_file_of_the_firmwares_tests(images, tmp_path, name):
    own = ROOT / "tests" / "firmware"
    programs = {file.name: file for file in own.glob("*.py")} | {"vector_files.py": PART_SIDE / "vector_files.py"}
    for file in (ROOT / "tests" / "vectors").glob("*.json"):
        shutil.copy(file, tmp_path)
    said = run_on_part(images, tmp_path, programs, f"import mini_unittest\nprint(mini_unittest.run({name!r}))\n")
    passed, failed, skipped = json.loads(said.splitlines()[-1])
    assert passed > 0 and (failed, skipped) == (0, 0), said


@pytest.mark.parametrize(("kind", "valid", "invalid"), [("p1363", 58, 29), ("der", 58, 103)])
def test_wycheproof(images, tmp_path, kind, valid, invalid):
    from_der = importlib.import_module("test_signer_vectors")._from_der
    lines = []
    for group in json.loads(reference(WYCHEPROOF.format(kind)).read_text())["testGroups"]:
        for case in group["tests"]:
            raw = bytes.fromhex(case["sig"])
            signature = (from_der(raw) or b"") if kind == "der" else raw  # what is no strict DER is no signature
            is_valid = case["result"] == "valid"
            words = [case["tcId"], group["publicKey"]["uncompressed"], case["msg"], signature.hex(), is_valid]
            lines.append(json.dumps(words) + "\n")
    (tmp_path / "cases").write_text("".join(lines))
    programs = {"vector_files.py": PART_SIDE / "vector_files.py"}
    said = run_on_part(images, tmp_path, programs, "import vector_files\nvector_files.check_signatures('cases')\n")
    assert said == f"checked {valid} {invalid}\n"


def test_rfc6979_of_the_reference_folder(images, tmp_path):
    vectors = json.loads(reference("vectors/rfc6979/p256.json").read_text())
    cases = [case for case in vectors["tests"] if case["hash"] == "sha256"]
    assert len(cases) == 2
    code = "from acq.soft_signer import SoftSigner\nimport hashlib\n"
    code += f"signer = SoftSigner(bytes.fromhex({vectors['private_key_x']!r}))\n"
    for case in cases:
        code += f"print(signer.sign(hashlib.sha256({case['message_utf8'].encode()!r}).digest()).hex())\n"
    order = importlib.import_module("acq.p256").N
    expected = [case["r"].lower() + f"{min(int(case['s'], 16), order - int(case['s'], 16)):064x}" for case in cases]
    assert run_on_part(images, tmp_path, {}, code).split() == expected


def test_an_exception_on_the_part_is_told(images):
    with Machine(images, build_rom(images)) as machine, pytest.raises(GuestError, match="ZeroDivisionError"):
        machine.run("1 // 0\n")


def test_a_part_that_hangs_or_dies_is_said_in_one_line(images):
    with Machine(images, build_rom(images)) as machine:
        with pytest.raises(MachineError, match="did not answer in time"):
            machine.run("while True: pass\n", timeout_s=0.5)
    with Machine(images, build_rom(images)) as machine, pytest.raises(MachineError):
        machine.run("import mps2\nprint('last')\nmps2.exit(3)\n")
