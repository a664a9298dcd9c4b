"""A bench without iron: an emulated module behind the ports that a rig has. What meets it cannot tell by anything but
speed: two adapters and a relay board (double) on ptys, keys.json, and the wiring file that names them.

    python -m tools.rig emulate DIR            # prints the options for pytest and tools.rig, until Ctrl-C

The module is "flashed": it runs a copy of the program, which stays as it is while the checkout changes (on the
interpreter; the Cortex-M has its own image). The relay's contact is the one closed at rest, so the module runs while
nobody orders anything. A power cut is SIGKILL. Not imitated: voltages, line speed, the tail of a driver, noise of a
real line.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
from pathlib import Path
from types import TracebackType

from plumeproof.keys import build_entry
from tools.bench.rig import FIRMWARE, FLASH_BYTES, READY_S, find_interpreter, interpreter_command, python_environment
from tools.demo.cable import Cable
from tools.demo.layout import ANALYZERS
from tools.demo.part import Part
from tools.module.flash import firmware_hash
from tools.parameters import compose, parse_choice
from tools.release.package import collect
from tools.rig.relay_board import RelayBoard

ROOT = Path(__file__).resolve().parents[2]
DEVICE = "plume-bench"
LINK_ADDRESS = 7
SLOT_MS, SEAL_MS = 1000, 2000  # slots long enough for every time-out of the profiles, records soon enough to wait for
BUS = {"baud": 115_200, "parity": "N", "stop_bits": 1}
PARTS = ("interpreter", "cortex")
WIRING = """board = "{board}"
journal_bytes = {flash_bytes}
[module]
device = "{device}"
port = "{folder}/uplink_adapter.tty"
link_address = {address}
firmware_hash = "{hash}"
keys = "keys.json"
parameters = "module/parameters.json"
[bus]
port = "{folder}/bus_adapter.tty"
[power]
kind = "relay"
port = "{relay}"
is_inverted = true
off_s = 0.1
"""


class ProcessSwitch:
    """power.PowerSwitch of an emulated module: off is SIGKILL, on a new start. Not imitated: a voltage that falls."""

    def __init__(self, part: Part) -> None:
        self.name = f"process of {part.name}"
        self._part = part
        self._is_on = False
        self._lock = threading.Lock()

    def off(self) -> None:
        with self._lock:
            if self._is_on:
                self._part.kill()
            self._is_on = False

    def on(self) -> None:
        with self._lock:
            if not self._is_on:
                self._part.start()
            self._is_on = True

    def check(self) -> None:
        """Raises PartError when it has died by itself."""
        with self._lock:
            if self._is_on:
                self._part.check()

    def close(self) -> None:
        """Nothing is held."""


class PtyBench:
    """`wiring` is the file, `port` the module's; both from `start` on. To be used with `with`."""

    def __init__(self, folder: Path, on: str = "interpreter", slot_ms: int = SLOT_MS, seal_ms: int = SEAL_MS) -> None:
        """on: one of PARTS."""
        self.folder = folder.resolve()
        self.wiring = self.folder / "bench.toml"
        self.port = self.folder / "uplink_adapter.tty"
        self._module = self.folder / "module"
        self._module.mkdir(parents=True, exist_ok=True)
        parameters = compose(DEVICE, [parse_choice(text) for text in ANALYZERS], slot_ms, seal_ms, BUS)
        (self._module / "parameters.json").write_bytes(parameters)
        (self._module / "settings.json").write_text(json.dumps({"link_address": LINK_ADDRESS}))
        board = {"bus": "bus.tty", "uplink": "uplink.tty", "flash": "flash.bin", "flash_bytes": FLASH_BYTES}
        (self._module / "board.json").write_text(json.dumps(board))
        self._board = "host" if on == "interpreter" else "cortex_mps2"
        self._program = self.folder / "program"
        shutil.copytree(FIRMWARE, self._program, ignore=shutil.ignore_patterns("__pycache__", "profiles"))
        self._part = Part(
            "module", _command(on, self._program, self._module), self.folder / "module.log", ROOT, python_environment()
        )
        self._cables = [
            Cable(self._module / "uplink.tty", self.port),
            Cable(self._module / "bus.tty", self.folder / "bus_adapter.tty"),
        ]
        self._power = ProcessSwitch(self._part)
        self._relays = RelayBoard(self._obey)

    def __enter__(self) -> PtyBench:
        try:
            for cable in self._cables:
                cable.start()
            self._relays.start()
            self._power.on()
            self._part.wait_for("ready", READY_S)
            self._write_files()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stop()

    def options(self) -> list[str]:
        """For pytest and tools.rig."""
        return ["--module", str(self.port), "--rig", str(self.wiring)]

    def check(self) -> None:
        """Raises PartError when the module has died by itself while it had power."""
        self._power.check()

    def _obey(self, _relay: int, is_closed: bool) -> None:
        """In the relay board's thread. Closed: the contact that is closed at rest is open."""
        if is_closed:
            self._power.off()
        else:
            self._power.on()

    def _write_files(self) -> None:
        keys = [build_entry(DEVICE, (self._module / "public_key.bin").read_bytes())]
        (self.folder / "keys.json").write_text(json.dumps(keys))
        self.wiring.write_text(
            WIRING.format(
                board=self._board,
                flash_bytes=FLASH_BYTES,
                device=DEVICE,
                folder=self.folder,
                address=LINK_ADDRESS,
                hash=firmware_hash(collect(self._program)).hex(),
                relay=self._relays.port,
            )
        )

    def _stop(self) -> None:
        self._relays.stop()
        self._power.off()
        for cable in self._cables:
            cable.stop()


def _command(on: str, program: Path, folder: Path) -> list[str]:
    if on == "interpreter":
        interpreter, _ = find_interpreter()
        return interpreter_command(interpreter, program / "main.py", str(folder))
    return [sys.executable, "-m", "tools.cortex", str(folder)]
