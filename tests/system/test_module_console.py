"""flash, info and the question for a key over a real console: MicroPython's raw REPL on the emulated Cortex-M, by
mpremote over a tty. What no emulator has is told in firmware/MANUAL.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys

import pytest

from plumeproof.evidence.envelope import kid_of
from plumeproof.keys import load_keys
from tests.doubles.cortex_console import DISK, CortexConsole
from tests.doubles.module_rig import ROOT
from tools.module import boards
from tools.module.boards import Board
from tools.module.console import Console
from tools.module.emulated import Directory
from tools.module.flash import choose_files, firmware_hash, flash
from tools.module.info import ask_console
from tools.module.provision import ask_proof, compose_plan, provision
from tools.module.refusal import Refusal
from tools.module.rotate import ask_rotation

pytestmark = [pytest.mark.cortex, pytest.mark.timeout(300)]
BOARD = "cortex_mps2"


@pytest.fixture(scope="module")
def part():
    with CortexConsole() as made:
        with Console(made.port) as console:
            console.run(made.mount)
            console.run(DISK.read_text())
        yield made


@pytest.fixture
def console(part):
    with Console(part.port) as opened:
        yield opened


@pytest.fixture
def small(tmp_path):
    """A program of a few files, so that a test takes a second."""
    program = tmp_path / "program"
    for path, content in {"main.py": "print(1)\n", "acq/a.py": "A = 1\n" * 300, "acq/modbus/b.py": "B = 2\n"}.items():
        (program / path).parent.mkdir(parents=True, exist_ok=True)
        (program / path).write_text(content)
    (program / "boards").mkdir()
    (program / "boards" / "host_tty.py").write_text("of another board\n")
    (program / "boards" / "cortex_mps2.py").write_text("C = 3\n")
    return program


def command(*words) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "plumeproof", "module", *map(str, words)]
    return subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_flash_reads_back_what_it_wrote(part, small):
    done = command("flash", part.port, "--board", BOARD, "--from", small, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    files = choose_files(small, boards.find(BOARD))
    assert set(files) == {"main.py", "acq/a.py", "acq/modbus/b.py", "boards/cortex_mps2.py"}
    assert told["files"] == 4 and told["firmware_hash"] == firmware_hash(files).hex()
    with Console(part.port) as console:
        for path, content in files.items():
            assert console.read("/" + path) == content
        assert not console.exists("/boards/host_tty.py")


def test_flash_again_writes_what_changed_and_removes_what_went(console, small):
    flash(console, BOARD, small)
    (small / "acq" / "a.py").write_text("A = 2\n")
    (small / "acq" / "modbus" / "b.py").unlink()
    told = flash(console, BOARD, small)
    assert (told["written"], told["removed"]) == (2, 1)  # a.py, and main.py, which comes last every time
    assert console.read("/acq/a.py") == b"A = 2\n"
    assert not console.exists("/acq/modbus/b.py")


def test_a_compiled_program_gets_a_main_that_starts(small):
    """MicroPython starts main.py only, and `make mpy` compiles all."""
    (small / "main.py").rename(small / "main.mpy")
    files = choose_files(small, boards.find(BOARD))
    assert files["main.py"] == (ROOT / "firmware" / "main.py").read_bytes() and "main.mpy" not in files


def test_a_flash_that_spoils_a_byte_is_seen(console, small):
    console.run(
        "_old=Disk.rename\ndef _bad(s,a,b):\n _old(s,a,b)\n s.memory[s.files[b.strip('/')][0]]=0\nDisk.rename=_bad"
    )
    try:
        with pytest.raises(Refusal, match="reads back as another file"):
            flash(console, BOARD, small)
    finally:
        console.run("Disk.rename=_old")


def test_flashing_that_is_cut_off_leaves_no_program(console, small, monkeypatch):
    flash(console, BOARD, small)
    (small / "acq" / "a.py").write_text("A = 3\n")
    real = Console.write

    def cut(self, path, content, report=None):
        if path == "/acq/a.py":
            raise KeyboardInterrupt
        real(self, path, content, report)

    monkeypatch.setattr(Console, "write", cut)
    with pytest.raises(KeyboardInterrupt):
        flash(console, BOARD, small)
    assert not console.exists("/main.py")


def test_wrong_chip(part, small):
    done = command("flash", part.port, "--board", "rp2_pico_de", "--from", small)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "wrong chip: this is mps2-an385 with Cortex-m3 (qemu)" in done.stderr


def test_no_entropy(console, small, monkeypatch):
    """This image has no os.urandom, which is what a board without a generator looks like."""
    monkeypatch.setitem(boards.BOARDS, BOARD, Board("qemu", "mps2", ("cortex_mps2",)))
    with pytest.raises(Refusal, match="no entropy"):
        flash(console, BOARD, small)


def test_mpy_of_another_release(console, small):
    cross = next((ROOT / ".cache" / "cortex").glob("*/source/mpy-cross/build/mpy-cross"))
    (small / "acq" / "a.py").unlink()
    (small / "acq" / "c.py").write_text("C = 1\n")
    subprocess.run([cross, "-o", small / "acq" / "a.mpy", small / "acq" / "c.py"], check=True)
    flash(console, BOARD, small)  # of the interpreter's own release: taken
    good = (small / "acq" / "a.mpy").read_bytes()
    for at, value in ((1, 5), (2, good[2] | 2 << 2)):  # another bytecode version; native code of another machine
        bad = bytearray(good)
        bad[at] = value
        (small / "acq" / "a.mpy").write_bytes(bad)
        with pytest.raises(Refusal, match=r"a\.mpy: wrong \.mpy version"):
            flash(console, BOARD, small)
    (small / "acq" / "a.mpy").write_bytes(b"A = 1\n")
    with pytest.raises(Refusal, match=r"is no \.mpy file"):
        flash(console, BOARD, small)


def test_a_port_that_another_program_holds(part):
    with Console(part.port):
        done = command("flash", part.port, "--board", BOARD)
    assert done.returncode == 3 and "held by another program" in done.stderr and done.stderr.count("\n") == 1


def test_info_at_a_console(part, console):
    console.make_folder("/plumeproof")
    console.write("/plumeproof/settings.json", b'{"link_address":7}')
    told = ask_console(console)
    assert told["machine"] == "mps2-an385 with Cortex-m3" and told["micropython"] == "1.25.0"
    assert told["link_address"] == 7 and not told["is_provisioned"]


def test_info_of_a_board_as_it_was_bought():
    """No file system, no program; the link's question at its console does no harm, and nothing can be flashed yet."""
    with CortexConsole() as bare:
        told = json.loads(command("info", bare.port, "--json").stdout)
        assert (told["seen_at"], told["has_program"], told["is_provisioned"]) == ("console", False, False)
        refused = command("flash", bare.port, "--board", BOARD)
        assert refused.returncode == 1 and refused.stderr.count("\n") == 1, refused.stderr


def test_a_fault_of_the_board_is_one_line(console):
    with pytest.raises(Refusal, match="ZeroDivisionError") as caught:
        console.run("1/0")
    assert "\n" not in str(caught.value)


def test_the_key_on_the_cortex_is_proved(part, console, tmp_path):
    """The real program frozen into the image makes key and signature; the registrar judges them."""

    class Semihosted(Directory):
        def run(self, code):
            return console.run(code)

    board = {"bus": "bus.tty", "uplink": "uplink.tty", "flash": "flash.bin", "flash_bytes": 65536}
    (tmp_path / "board.json").write_text(json.dumps(board))
    (tmp_path / "parameters.json").write_text(json.dumps({"device": "plume-m3"}))
    proof = ask_proof(Semihosted(tmp_path), "plume-m3")
    assert proof.public_key == (tmp_path / "public_key.bin").read_bytes()
    assert len(hashlib.sha256(proof.nonce).digest()) == 32 and proof.nonce != bytes(32)
    assert os.stat(tmp_path / "key.bin").st_size == 32


def test_a_running_program_is_put_aside_for_the_work(console, small, monkeypatch):
    """Real chips are reset so that no watchdog runs; here the console is closed and opened again, nothing more."""
    monkeypatch.setattr("tools.module.console.RESET", "reset=1")
    board = Board("qemu", "mps2", ("cortex_mps2",), without_generator=True)
    flash(console, BOARD, small)
    with boards.hold(console, board):
        assert not console.exists("/main.py") and console.exists("/main.py.held")
        assert console.run("print(reset)").strip() == "1"
    assert console.read("/main.py") == b"print(1)\n"
    with pytest.raises(Refusal), boards.hold(console, board):  # provisioning that fails leaves the program as it was
        raise Refusal("")
    assert console.read("/main.py") == b"print(1)\n" and not console.exists("/main.py.held")
    monkeypatch.setitem(boards.BOARDS, BOARD, board)
    (small / "main.py").write_text("print(2)\n")
    flash(console, BOARD, small)
    assert console.read("/main.py") == b"print(2)\n" and not console.exists("/main.py.held")


def test_a_whole_provisioning_over_the_console(part, console, tmp_path):
    """Files go through the console; before the question they are laid where this part's program reads them, by
    semihosting: it has no file system of its own."""

    class Mirrored:
        port = str(tmp_path)
        write, read, hash, exists = console.write, console.read, console.hash, console.exists

        def run(self, code):
            for name in ("parameters.json", "settings.json"):
                (tmp_path / name).write_bytes(console.read(f"/plumeproof/{name}"))
            return console.run(code)

    console.make_folder("/plumeproof")
    board = {"bus": "bus.tty", "uplink": "uplink.tty", "flash": "flash.bin", "flash_bytes": 65536}
    (tmp_path / "board.json").write_text(json.dumps(board))
    plan = compose_plan("plume-m3", ["dust=generic_dust_int16@2"], None, 7, 1000, 60000, {}, 1)
    extra = {"board.json": b'{"board":"cortex_mps2"}'}
    lines: list[str] = []
    told = provision(Mirrored(), plan, tmp_path / "keys.json", "/plumeproof/", None, lines.append, extra=extra)
    assert console.read("/plumeproof/parameters.json") == plan.parameters
    assert console.read("/plumeproof/board.json") == extra["board.json"]
    assert told["is_new"] and told["parameters_hash"] == hashlib.sha256(plan.parameters).hexdigest()
    entry = load_keys(tmp_path / "keys.json").entries[0]
    assert (entry.device, entry.public_key) == ("plume-m3", (tmp_path / "public_key.bin").read_bytes())
    assert len(lines) == 5


def test_another_key_is_asked_for_over_the_console(part, console):
    console.make_folder("/plumeproof")
    point = bytes.fromhex("04") + bytes(64)
    for name, content in (("parameters.json", b"{}"), ("key.bin", bytes(32)), ("public_key.bin", point)):
        console.write(f"/plumeproof/{name}", content)
    told = ask_rotation(console, "/plumeproof/")
    assert told["is_new"] and told["kid"] == kid_of(point).hex()
    assert console.exists("/plumeproof/rotate") and console.read("/plumeproof/rotate") == b""
    assert not ask_rotation(console, "/plumeproof/")["is_new"]
    console.remove("/plumeproof/rotate")
    console.write("/plumeproof/element.json", b"{}")
    with pytest.raises(Refusal, match="secure element"):
        ask_rotation(console, "/plumeproof/")
    assert not console.exists("/plumeproof/rotate")
    console.remove("/plumeproof/element.json")
