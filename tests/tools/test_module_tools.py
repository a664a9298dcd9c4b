"""tools/module on an emulated module: from an empty directory to records in the bridge's ledger; what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import tty
import zlib
from pathlib import Path

import openpyxl
import pytest

from plumeproof.evidence.parameters import parse_parameters
from plumeproof.keys import load_keys
from plumeproof.survey.profile import load_profile
from plumeproof.survey.table_file import build_file
from tests.doubles.module_rig import ROOT, ModuleRig
from tests.system.interpreters import find
from tests.tools.test_release import root as release_root
from tools.demo.cable import Cable
from tools.module import boards, label
from tools.module.__main__ import parser
from tools.module.emulated import Directory
from tools.module.flash import firmware_hash
from tools.module.provision import ask_proof, compose_plan
from tools.module.refusal import Refusal

WORDS = ("--analyzer", "gas=sick_mcs100ft@1", "--slot-ms", "200", "--seal-ms", "600", "--bus-baud", "115200")
CONFIG = """
[gateway]
id = "gateway"
data_dir = "data"
clock_uncertainty_ms = 10
[keys]
file = "keys.json"
[[module]]
device = "{device}"
port = "{port}"
link_address = 7
[averaging]
intervals_s = [10, 60]
grace_s = 1
[dashboard]
enabled = false
"""


@pytest.fixture(scope="session")
def micropython() -> str:
    return find("first")


def module(*words, timeout=60) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "plumeproof", "module", *map(str, words)]
    return subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


def provision(root: Path, *words, name="mod", device="plume-01"):
    return module("provision", root / name, "--device", device, "--link-address", "7", "--keys", root / "keys.json",
                  *(words or WORDS), "--firmware", "any")  # fmt: skip


class ProvisionedRig(ModuleRig):
    """A rig whose directory was made by `module provision` alone."""

    def __init__(self, root: Path, interpreter: str, name: str) -> None:
        self.root, self.name, self.folder, self.interpreter = root, name, root / name, interpreter
        self._uplink, self._far_end = os.openpty()
        tty.setraw(self._far_end)
        self.plant = self.module = None
        self.heap = "128wk"
        self.parameters_path = self.folder / "parameters.json"
        self.plant_choices: tuple[str, ...] = ()


def test_a_root_for_updates_is_set_once(tmp_path, micropython):
    (tmp_path / "root.bin").write_bytes(release_root())
    (tmp_path / "other.bin").write_bytes(release_root(version=2))
    (tmp_path / "torn.bin").write_bytes(release_root()[:-1])
    (tmp_path / "weak.bin").write_bytes(release_root(signers=("r1",)))
    for name, told in (("torn", "update-root"), ("weak", "update-root"), ("absent", "No such file")):
        done = provision(tmp_path, *WORDS, "--update-root", tmp_path / f"{name}.bin")
        assert (done.returncode, done.stdout) == (2, "")
        assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1
        assert not (tmp_path / "mod").exists()
    assert provision(tmp_path, *WORDS, "--update-root", tmp_path / "root.bin").returncode == 0
    kept = tmp_path / "mod" / "update" / "root.bin"
    assert kept.read_bytes() == release_root()
    told = json.loads(module("info", tmp_path / "mod", "--json").stdout)
    assert told["update_root"] == hashlib.sha256(release_root()).hexdigest()
    without = provision(tmp_path, name="without", device="plume-02")
    assert without.returncode == 0 and "takes none" in without.stderr
    assert json.loads(module("info", tmp_path / "without", "--json").stdout)["update_root"] is None
    assert provision(tmp_path, *WORDS, "--update-root", tmp_path / "root.bin").returncode == 0
    done = provision(tmp_path, *WORDS, "--update-root", tmp_path / "other.bin")
    assert done.returncode == 1
    assert "has another root for updates" in done.stderr
    assert kept.read_bytes() == release_root()


def test_from_an_empty_directory_to_the_ledger(tmp_path, micropython):
    done = provision(tmp_path, *WORDS, "--json", name="plume-01")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    folder = tmp_path / "plume-01"
    assert told["parameters_hash"] == hashlib.sha256((folder / "parameters.json").read_bytes()).hexdigest()
    assert told["settings_hash"] == hashlib.sha256((folder / "settings.json").read_bytes()).hexdigest()
    assert "read back and equal" in done.stderr and "has shown that it holds it" in done.stderr
    entry = load_keys(tmp_path / "keys.json").entries[0]
    assert (entry.device, entry.public_key) == ("plume-01", (folder / "public_key.bin").read_bytes())

    rig = ProvisionedRig(tmp_path, micropython, "plume-01")
    cable = Cable(folder / "uplink.tty", tmp_path / "gateway.tty")
    cable.start()
    try:
        rig.start_plant()
        rig.start()
        (tmp_path / "bridge.toml").write_text(CONFIG.format(device="plume-01", port=tmp_path / "gateway.tty"))
        command = [sys.executable, "-m", "plumeproof", "run", "-c", str(tmp_path / "bridge.toml"), "--json"]
        bridge = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert json.loads(bridge.stdout.readline())["ready"]
        time.sleep(3.0)
        rig.drain()
        time.sleep(1.0)  # the last record's way
        bridge.send_signal(signal.SIGTERM)
        said = bridge.communicate(timeout=30)
        assert bridge.returncode == 0, said
        asked = module("info", tmp_path / "gateway.tty", "--link-address", "7", "--json")  # the bridge has let go of it
    finally:
        cable.stop()
        rig.close()
    verify = [sys.executable, "-m", "plumeproof", "verify", str(tmp_path / "data" / "ledger.sqlite"), "--keys",
              str(tmp_path / "keys.json"), "--json"]  # fmt: skip
    ended = subprocess.run(verify, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    found = json.loads(ended.stdout)
    assert ended.returncode == 0 and found["finding_count"] == 0 and found["records_verified"] > 4, ended.stdout
    here = json.loads(asked.stdout)
    assert (here["seen_at"], here["device"], here["kid"], here["boot"]) == ("link", "plume-01", told["kid"], 1)
    assert here["wire_version"] == 1 and here["newest_seq"] == found["records_verified"]


def test_the_second_time_changes_no_key(tmp_path):
    assert provision(tmp_path).returncode == 0
    before = (tmp_path / "keys.json").read_bytes()
    again = provision(tmp_path, "--analyzer", "dust=generic_dust_int16@2")
    assert again.returncode == 0 and "is enrolled already" in again.stderr
    assert (tmp_path / "keys.json").read_bytes() == before


def test_another_module_of_the_same_name(tmp_path):
    assert provision(tmp_path).returncode == 0
    refused = provision(tmp_path, name="other")
    assert refused.returncode == 2 and "--last-seq" in refused.stderr and refused.stderr.count("\n") == 1
    assert not (tmp_path / "other" / "parameters.json").exists()  # refused before anything was written
    taken = provision(tmp_path, *WORDS, "--last-seq", "9", name="other")
    assert taken.returncode == 0, taken.stderr
    assert [(e.valid_from_seq, e.valid_until_seq) for e in load_keys(tmp_path / "keys.json").entries] == [
        (1, 9),
        (10, None),
    ]


def test_a_copied_module_is_refused(tmp_path):
    """Somebody copies key.bin into a second cabinet."""
    assert provision(tmp_path).returncode == 0
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "key.bin").write_bytes((tmp_path / "mod" / "key.bin").read_bytes())
    refused = provision(tmp_path, name="copy", device="plume-02")
    assert refused.returncode == 2 and "a key of its own" in refused.stderr
    (tmp_path / "copy" / "parameters.json").unlink()
    again = provision(tmp_path, name="copy", device="plume-02")  # its public key lies there now
    assert again.returncode == 2 and "is enrolled for plume-01 already" in again.stderr
    assert not (tmp_path / "copy" / "parameters.json").exists()


def test_the_published_key_is_refused(tmp_path):
    (tmp_path / "mod").mkdir()
    secret = "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721"  # noqa: S105 - RFC 6979 A.2.5
    (tmp_path / "mod" / "key.bin").write_bytes(bytes.fromhex(secret))
    refused = provision(tmp_path)
    assert refused.returncode == 2 and "published test key" in refused.stderr
    assert not (tmp_path / "keys.json").exists()


def test_tables_of_every_form_give_the_same_set(tmp_path):
    profile = load_profile("generic_dust_int16")
    (tmp_path / "generic_dust_int16.csv").write_bytes(build_file(profile, "csv"))
    (tmp_path / "generic_dust_int16.xlsx").write_bytes(build_file(profile, "xlsx"))
    (tmp_path / "whole.toml").write_text(
        'slot_ms = 1000\nseal_ms = 60000\nrevision = 1\n[bus]\nbaud = 19200\nparity = "N"\nstop_bits = 1\n'
        '[[analyzer]]\nid = "dust"\ntable = "generic_dust_int16.csv"\nunit = 2\n'
    )
    bus = {"baud": 19200, "parity": "N", "stop_bits": 1}

    def plan(analyzers, table=None):
        return compose_plan("plume-01", analyzers, table, 7, 1000, 60000, bus, 1).parameters

    named = plan(["dust=generic_dust_int16@2"])
    assert parse_parameters(named)
    assert plan([f"dust={tmp_path / 'generic_dust_int16.csv'}@2"]) == named
    assert plan([f"dust={tmp_path / 'generic_dust_int16.xlsx'}@2"]) == named
    assert plan([], tmp_path / "whole.toml") == named
    alone = json.loads(plan([], tmp_path / "generic_dust_int16.csv"))
    assert (alone["analyzers"][0]["id"], alone["analyzers"][0]["unit"]) == ("generic_dust_int16", 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x", "no TOML"),
        ("speed = 1\n", "unknown key 'speed'"),
        ("slot_ms = '1'\n", "slot_ms is no int"),
        ("slot_ms = 1\n[[analyzer]]\nid='a'\nunit=1\nprofile='generic_dust_int16'\n", "slot_ms"),
        ("[[analyzer]]\nid='a'\nunit=1\n", "either profile or table"),
        ("[[analyzer]]\nid='a'\nunit='1'\nprofile='b'\n", "whole number"),
        ("[[analyzer]]\nid='a'\nunit=1\nprofile='none_such'\n", "no profile"),
        ("[[analyzer]]\nid='a'\nunit=1\ntable='none.csv'\n", "none.csv"),
        ("[[analyzer]]\nid='a'\nunit=999\nprofile='generic_dust_int16'\n", "unit"),
        ("", "no analyzer"),
    ],
)
def test_a_table_that_is_refused(text, reason, tmp_path):
    (tmp_path / "t.toml").write_text(text)
    refused = provision(tmp_path, "--table", tmp_path / "t.toml")
    assert refused.returncode == 2 and reason in refused.stderr, refused.stderr
    assert refused.stderr.count("\n") == 1 and not (tmp_path / "mod").exists()


def test_a_register_table_with_a_bad_cell_is_refused(tmp_path):
    book = openpyxl.Workbook()
    for row in (["address", "type", "order", "unit"], ["3:0", "float32", "XYZW", "mg/m3"]):
        book.active.append(row)
    book.save(tmp_path / "list.xlsx")
    refused = provision(tmp_path, "--table", tmp_path / "list.xlsx")
    assert refused.returncode == 2 and "order" in refused.stderr and refused.stderr.count("\n") == 1


def test_another_program_is_told(tmp_path):
    """The hash that the module signs is compared with that of this checkout."""
    files = {"main.py": b"x", "acq/a.py": b"y"}
    whole = hashlib.sha256()
    for path in ("acq/a.py", "main.py"):  # SPEC.md section 4.3, written out
        whole.update(path.encode() + b"\0" + hashlib.sha256(files[path]).digest())
    assert firmware_hash(files) == whole.digest()
    from tools.module.provision import provision as provision_place

    plan = compose_plan("plume-01", ["dust=generic_dust_int16@2"], None, 7, 1000, 60000, {}, 1)
    (tmp_path / "mod").mkdir()
    board = {"bus": "bus.tty", "uplink": "uplink.tty", "flash": "flash.bin", "flash_bytes": 65536}
    (tmp_path / "mod" / "board.json").write_text(json.dumps(board))
    with pytest.raises(Refusal, match="its program is"):
        provision_place(Directory(tmp_path / "mod"), plan, tmp_path / "keys.json", "", bytes(32), lambda line: None)
    assert not (tmp_path / "keys.json").exists()


def test_flash_that_reads_back_another_file(tmp_path):
    class BadFlash(Directory):
        def write(self, path, content):
            super().write(path, content[:-1] + b" ")

    from tools.module.provision import provision as provision_place

    (tmp_path / "mod").mkdir()
    plan = compose_plan("plume-01", ["dust=generic_dust_int16@2"], None, 7, 1000, 60000, {}, 1)
    with pytest.raises(Refusal, match=r"parameters\.json reads back as another file"):
        provision_place(BadFlash(tmp_path / "mod"), plan, tmp_path / "keys.json", "", None, lambda line: None)
    assert not (tmp_path / "keys.json").exists()


def test_each_question_has_a_nonce_of_its_own(tmp_path):
    assert provision(tmp_path).returncode == 0
    place = Directory(tmp_path / "mod")
    one, two = ask_proof(place, "plume-01"), ask_proof(place, "plume-01")
    assert one.nonce != two.nonce and one.public_key == two.public_key
    with pytest.raises(Refusal, match="calls itself plume-01"):
        ask_proof(place, "plume-02")


def test_info_of_a_directory(tmp_path):
    assert provision(tmp_path).returncode == 0
    shown = module("info", tmp_path / "mod")
    assert shown.returncode == 0 and "plume-01" in shown.stdout and "is provisioned   yes" in shown.stdout
    (tmp_path / "mod" / "parameters.json").unlink()
    assert json.loads(module("info", tmp_path / "mod", "--json").stdout)["is_provisioned"] is False


@pytest.mark.parametrize("kind", ["svg", "png", "txt"])
def test_the_label_says_who_it_is(kind, tmp_path):
    place = tmp_path / f"label.{kind}"
    done = provision(tmp_path, *WORDS, "--label", place, "--json")
    assert done.returncode == 0, done.stderr
    kid = json.loads(done.stdout)["kid"]
    raw = place.read_bytes()
    if kind == "png":
        assert raw.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
        at, data = 8, b""
        while at < len(raw):
            size = int.from_bytes(raw[at : at + 4], "big")
            body = raw[at + 4 : at + 8 + size]
            assert zlib.crc32(body) == int.from_bytes(raw[at + 8 + size : at + 12 + size], "big")
            data += body[4:] if body[:4] == b"IDAT" else b""
            at += 12 + size
        assert width == height and len(zlib.decompress(data)) >= height
    else:
        assert "plume-01" in raw.decode() and label.fingerprint(kid) in raw.decode()
    assert label.text_of("plume-01", kid) == f"PLUMEPROOF:1:PLUME-01:{kid.upper()}"


def test_a_label_of_no_form_is_refused_before_anything_is_done(tmp_path):
    refused = provision(tmp_path, *WORDS, "--label", tmp_path / "label.pdf")
    assert refused.returncode == 2 and not (tmp_path / "mod").exists()


# Ports


@pytest.fixture
def silent_port():
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def test_a_port_that_does_not_exist():
    for verb in (("flash", "/dev/ttyNONE", "--board", "rp2_pico_de"), ("info", "/dev/ttyNONE")):
        refused = module(*verb)
        assert refused.returncode == 3 and "does not exist" in refused.stderr and refused.stderr.count("\n") == 1


def test_nothing_answers(silent_port):
    refused = module("flash", silent_port, "--board", "rp2_pico_de")
    assert refused.returncode == 3 and "no MicroPython answers" in refused.stderr and refused.stdout == ""
    refused = module("info", silent_port)
    assert refused.returncode == 3 and "neither a module at link address 1" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_an_unknown_board_is_usage(silent_port):
    refused = module("flash", silent_port, "--board", "toaster")
    assert refused.returncode == 2 and "toaster" in refused.stderr


def test_a_port_needs_its_board(silent_port, tmp_path):
    refused = module("provision", silent_port, "--device", "a", *WORDS, "--keys", tmp_path / "keys.json")
    assert refused.returncode == 2 and "--board" in refused.stderr


def test_every_board_file_can_be_named():
    """Boards that a module can be flashed with, their own files, and nobody else's."""
    there = {path.stem: path for path in (ROOT / "firmware" / "boards").glob("*.py")}
    named = {stem for stem, path in there.items() if re.search(r"^NAME = ", path.read_text(), re.MULTILINE)}
    assert named <= set(boards.BOARDS), named - set(boards.BOARDS)
    assert set(boards.BOARDS) <= set(there)
    for name, board in boards.BOARDS.items():
        assert boards.is_wanted(f"boards/{name}.py", board) and not boards.is_wanted("boards/host_tty.py", board)
        for other in boards.BOARDS:
            if other != name:
                assert not boards.is_wanted(f"boards/{other}.py", board)
    assert boards.data_folder("rp2_pico_de") == "/plumeproof"


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("esp32_t_can485", "Generic ESP32 module with ESP32"),
        ("esp32_s3_waveshare", "Generic ESP32S3 module with Octal-SPIRAM with ESP32S3"),
        ("rp2_pico_de", "Raspberry Pi Pico with RP2040"),
        ("rp2_pico_de", "Raspberry Pi Pico2 with RP2350"),
        ("stm32_pyboard", "PYBv1.1 with STM32F405RG"),
    ],
)
def test_chips_as_the_releases_name_them(name, machine):
    draws = tuple(os.urandom(32).hex() for _ in range(4))
    platform = boards.BOARDS[name].platform
    boards.check(name, boards.Facts(platform, machine, (1, 25, 0), 0, draws), "port")
    for other, board in boards.BOARDS.items():
        if board.machine != boards.BOARDS[name].machine:
            with pytest.raises(Refusal, match="wrong chip"):
                boards.check(other, boards.Facts(platform, machine, (1, 25, 0), 0, draws), "port")
    with pytest.raises(Refusal, match="older than"):
        boards.check(name, boards.Facts(platform, machine, (1, 22, 9), 0, draws), "port")
    for bad in ((), (draws[0],) * 4, ("00" * 32, "11" * 32), (*draws[:3], "ab" * 32)):
        with pytest.raises(Refusal, match="no entropy"):
            boards.check(name, boards.Facts(platform, machine, (1, 25, 0), 0, bad), "port")


@pytest.mark.parametrize("text", ["", "0x60", "0x60:16", "7:0", "0x78:1", "a:b", "1:2:3"])
def test_an_element_that_is_none(text, tmp_path):
    refused = provision(tmp_path, *WORDS, "--element", text)
    assert refused.returncode == 2 and "--element" in refused.stderr


def test_an_element_and_its_counter():
    told = [
        parser().parse_args(["flash", "port", "--board", "b", "--element", text]).element
        for text in ("0x60:0", "96:3:1")
    ]
    assert told == [{"address": 96, "slot": 0}, {"address": 96, "slot": 3, "counter": 1}]


def test_an_element_makes_up_for_a_dead_generator():
    facts = boards.Facts("rp2", "Raspberry Pi Pico with RP2040", (1, 25, 0), 0, ())
    assert boards.check("rp2_pico_de", facts, "port", has_element=True).platform == "rp2"
    with pytest.raises(Refusal, match="no entropy"):
        boards.check("rp2_pico_de", facts, "port")


def test_boards_fit_as_the_module_itself_chooses():
    """boards/iron_choice.py on the module and --board here agree about every pair of board and chip."""
    from boards.iron_choice import choose

    machines = {
        "esp32": ("Generic ESP32 module with ESP32", "Generic ESP32S3 module with ESP32S3"),
        "rp2": ("Raspberry Pi Pico with RP2040", "Raspberry Pi Pico2 with RP2350"),
        "pyboard": ("PYBv1.1 with STM32F405RG", "PYBD-SF2W with STM32F722IEK"),
    }
    draws = tuple(os.urandom(32).hex() for _ in range(4))
    for platform, names in machines.items():
        for machine in names:
            for name, board in boards.BOARDS.items():
                if not board.has_watchdog:
                    continue
                try:
                    is_chosen = choose(platform, machine, name) == name
                except ValueError:
                    is_chosen = False
                try:
                    boards.check(name, boards.Facts(platform, machine, (1, 25, 0), 0, draws), "port")
                    is_taken = True
                except Refusal:
                    is_taken = False
                assert is_taken == is_chosen, (name, machine)
