"""One emulated module with its plant, for benches: a folder, pymodbus analyzers on ptys, firmware on the interpreter.

Parameter set and analyzers are those of the demo; line speed, slot and sealing period are the bench's. The uplink is a
pty whose other end the bench may hold; nobody answering there is a gateway that is switched off.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from plumeproof.errors import LinkError
from tools.demo.layout import ANALYZERS, MODULES
from tools.demo.part import Part
from tools.parameters import compose, parse_choice

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
MODULE_SIDE = Path(__file__).resolve().parent / "module_side"
HEAP = "128wk"  # what the module has to do with: 128 KiB where words have 32 bits, twice that where they have 64
FLASH_BYTES = 1 << 20
READY_S = 30.0  # a paced plant and a start from source take seconds on a busy machine
LINK_ADDRESS = 1


class BenchError(Exception):
    """A measurement that did not come about; one line: what and how to mend."""


class InterpreterMissing(Exception):
    """No MicroPython; the text is the set-up's."""


def find_interpreter(build: str = "first") -> tuple[Path, str]:
    """Path and version of the MicroPython that firmware runs on; `build` as the set-up names it, "32" is the one with
    the words of a board. Raises InterpreterMissing."""
    command = [sys.executable, str(ROOT / "tools" / "setup" / "interpreter.py"), "--build", build]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise InterpreterMissing(answer.stderr.strip().splitlines()[-1])
    path, version = answer.stdout.split()
    return Path(path), version


def interpreter_command(interpreter: Path, script: Path, *arguments: str, heap: str = HEAP) -> list[str]:
    """A MicroPython script on the module's heap."""
    return [str(interpreter), "-X", f"heapsize={heap}", str(script), *arguments]


def compose_set(baud: int, slot_ms: int, seal_ms: int) -> bytes:
    """The demo's analyzers behind a line of this speed."""
    analyzers = [parse_choice(text) for text in ANALYZERS]
    return compose(MODULES[0], analyzers, slot_ms, seal_ms, {"baud": baud, "parity": "N", "stop_bits": 1})


@contextmanager
def workplace() -> Iterator[Path]:
    """An empty folder for a measurement; kept with its logs when it fails."""
    folder = Path(tempfile.mkdtemp(prefix="plumeproof-bench-"))
    yield folder
    shutil.rmtree(folder)


class Rig:
    """`plant_log` is written by the plant, `stream` is the gateway's end of the uplink. To be used with `with`."""

    def __init__(self, folder: Path, baud: int, slot_ms: int, seal_ms: int, is_paced: bool) -> None:
        self.name = MODULES[0]
        self.folder = folder / self.name
        self.folder.mkdir()
        self.plant_log = self.folder / "plant.jsonl"
        self.parameters = self.folder / "parameters.json"
        self.parameters.write_bytes(compose_set(baud, slot_ms, seal_ms))
        board = {"bus": "bus.tty", "uplink": "uplink.tty", "flash": "flash.bin", "flash_bytes": FLASH_BYTES}
        (self.folder / "board.json").write_text(json.dumps(board))
        (self.folder / "settings.json").write_text(json.dumps({"link_address": LINK_ADDRESS}))
        self.stream = PtyStream(self.folder / "uplink.tty")
        command = [sys.executable, "-m", "tools.plant", "--dir", str(folder), "--module", self.name]
        command += ["--parameters", str(self.parameters), *(["--paced"] if is_paced else [])]
        self.plant = Part("plant", command, folder / "plant.log", ROOT, python_environment())
        self.module: Part | None = None

    def __enter__(self) -> Rig:
        try:
            self.plant.start()
            self.plant.wait_for("ready", READY_S)
        except BaseException:
            self._stop()
            raise
        return self

    def start_module(self, command: list[str]) -> Part:
        """The module's process, answering; `command` without its directory."""
        log = self.folder.parent / "module.log"
        self.module = Part("module", [*command, str(self.folder)], log, ROOT)
        self.module.start()
        self.module.wait_for("ready", READY_S)
        return self.module

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if self.module is not None:
            self.module.stop()
        self.plant.stop()
        self.stream.close()


class PtyStream:
    """ports.ByteStream on our end of a pty; the module's end is found at `link`."""

    def __init__(self, link: Path) -> None:
        self._fd, self._far_fd = os.openpty()  # held open, so that a module that ends leaves no hang-up
        tty.setraw(self._far_fd)
        link.symlink_to(os.ttyname(self._far_fd))

    def read(self, limit: int, timeout_s: float) -> bytes:
        ready, _, _ = select.select([self._fd], [], [], timeout_s)
        return os.read(self._fd, limit) if ready else b""

    def write(self, data: bytes) -> None:
        while data:
            _, ready, _ = select.select([], [self._fd], [], READY_S)
            if not ready:
                raise LinkError("the module does not read its uplink")
            data = data[os.write(self._fd, data) :]

    def close(self) -> None:
        os.close(self._fd)
        os.close(self._far_fd)


def python_environment() -> dict[str, str]:
    """Of a child process that imports from the checkout."""
    paths = [str(ROOT), str(ROOT / "bridge"), str(FIRMWARE)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
