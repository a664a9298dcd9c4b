"""An emulated module on its rig: the real firmware on the real interpreter, the real plant, and a gateway that keeps
what it is given: each record verified and chained by the bridge's own verifier, nothing stored on disk.

The gateway here does not imitate the bridge's commit or its pace; what it holds is lost with the test.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
import tty
from collections.abc import Callable
from pathlib import Path

from plumeproof.errors import LinkError
from plumeproof.evidence import chain
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.framing import FrameCodec
from plumeproof.evidence.record import parse_record
from plumeproof.link.line import Line
from plumeproof.link.session import Missing, Session
from plumeproof.model import Head, Record
from plumeproof.ports import ByteStream
from tools.parameters import compose, parse_choice

ROOT = Path(__file__).resolve().parents[2]
ANALYZERS = ("gas=sick_mcs100ft@1", "dust=generic_dust_int16@2", "stack=generic_flow_tpm@3")
BUS = {"baud": 115200, "parity": "N", "stop_bits": 1}
HEAP = "128wk"  # w: 128 KiB of a 32-bit word machine; this process has 64-bit words
LINK_ADDRESS = 7


class PlantSide:
    """The analyzers of a rig: the plant's process. `root`, `name`, `folder`, `parameters_path` are the rig's."""

    root: Path
    name: str
    folder: Path
    parameters_path: Path
    plant_choices: tuple[str, ...] = ()
    plant: subprocess.Popen[str] | None = None

    def start_plant(self, *choices: str) -> None:
        """The plant, with --fault and other choices."""
        command = [sys.executable, "-m", "tools.plant", "--dir", str(self.root), "--module", self.name]
        command += ["--parameters", str(self.parameters_path), *self.plant_choices, *choices]
        self.plant = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.plant.stdout.readline() == "ready\n"

    def stop_plant(self) -> list[dict]:
        """Ask it to end; its log."""
        self.plant.terminate()
        assert self.plant.wait(20) == 0
        self.plant.stdout.close()
        self.plant = None
        return self.plant_log()

    def plant_log(self) -> list[dict]:
        """What the analyzers were asked and have answered so far."""
        path = self.folder / "plant.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def end_plant(self) -> None:
        """Without a word."""
        if self.plant is not None:
            self.plant.kill()
            self.plant.wait(10)
            self.plant.stdout.close()
            self.plant = None


class PtyStream:
    """ByteStream on our end of the uplink pty."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def read(self, limit: int, timeout_s: float) -> bytes:
        if not select.select([self.fd], [], [], timeout_s)[0]:
            return b""
        return os.read(self.fd, limit)

    def write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self.fd, data) :]

    def close(self) -> None:
        pass


class SystemClock:
    """The gateway's clock, `shift_ms` off."""

    shift_ms = 0

    def utc_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.shift_ms

    def monotonic_s(self) -> float:
        return time.monotonic()


class Gateway:
    """Fetches, verifies, chains, acknowledges. `records` in order of seq; `holes` that the module declared."""

    def __init__(self, stream: ByteStream, public_key: Callable[[bytes], bytes], address: int = LINK_ADDRESS) -> None:
        """public_key: of a kid."""
        self.clock = SystemClock()
        self.line = Line(stream, FrameCodec(), Session(address), self.clock)
        self.records: list[Record] = []
        self.envelopes: list[bytes] = []
        self.holes: list[tuple[int, int]] = []
        self.head: Head | None = None
        self._public_key = public_key

    def greet(self):
        """HELLO, and the acknowledgement of what is held."""
        welcome = self.line.hello()
        if self.head is not None:
            self.line.acknowledge(self.head.seq, self.head.content_hash)
        return welcome

    def fetch(self, window: int = 8, is_acknowledged: bool = True) -> list[Record]:
        """The next records; asserts that each verifies and continues the chain."""
        found, _ = self.line.fetch(1 if self.head is None else self.head.seq + 1, window)
        fresh: list[Record] = []
        until = None
        for item in found:
            if isinstance(item, Missing):
                until = item.last_seq
                continue
            envelope = verify_envelope(item.raw, self._public_key)
            record = parse_record(envelope)
            decision = chain.accept(self.head, record, envelope.is_high_s, None, until)
            assert decision.verdict == chain.ACCEPT, (record.seq, decision.code, decision.detail)
            assert item.content_hash == record.content_hash
            self.head = decision.head
            self.holes += decision.holes
            fresh.append(record)
            self.envelopes.append(item.raw)
            until = None
        self.records += fresh
        if fresh and is_acknowledged:
            self.line.acknowledge(self.head.seq, self.head.content_hash)
        return fresh

    def collect(self, is_enough, timeout_s: float = 30.0) -> None:
        """Fetch until is_enough(records)."""
        deadline = time.monotonic() + timeout_s
        while not is_enough(self.records):
            assert time.monotonic() < deadline, [(record.seq, record.kind) for record in self.records][-20:]
            try:
                if not self.fetch():
                    time.sleep(0.02)
            except LinkError:
                time.sleep(0.1)  # the module is starting


class ModuleRig(PlantSide):
    """Folder `root`/`name` with everything an emulated module and its plant need.

    For tests that run on iron as well (tests/hil/hardware_rig.py): `first_boot` of the module on this rig; `can_drain`:
    whether it can be asked to seal what it has; `firmware_hash`: empty, the checkout's. `gateways`: all that were made.
    """

    first_boot = 1
    can_drain = True
    firmware_hash = b""

    def __init__(self, root: Path, interpreter: str, name: str = "mod-1", slot_ms=200, seal_ms=600, flash_bytes=262144):
        self.root, self.name, self.folder = root, name, root / name
        self.interpreter = interpreter
        self.folder.mkdir(parents=True, exist_ok=True)
        self.parameters = compose(name, [parse_choice(text) for text in ANALYZERS], slot_ms, seal_ms, BUS)
        self.slot_ms, self.seal_ms, self.flash_bytes = slot_ms, seal_ms, flash_bytes
        self.gateways: list[Gateway] = []
        self.parameters_path = self.folder / "parameters.json"
        self.parameters_path.write_bytes(self.parameters)
        (self.folder / "settings.json").write_text(json.dumps({"link_address": LINK_ADDRESS}))
        board = {"bus": "bus.tty", "uplink": "uplink.tty", "flash": "flash.bin", "flash_bytes": flash_bytes}
        (self.folder / "board.json").write_text(json.dumps(board))
        self._uplink, self._far_end = os.openpty()
        tty.setraw(self._far_end)
        (self.folder / "uplink.tty").symlink_to(os.ttyname(self._far_end))
        self.module: subprocess.Popen[str] | None = None
        self.heap = HEAP

    def start(self) -> None:
        """The module, until it says that it is ready."""
        command = [self.interpreter, "-X", f"heapsize={self.heap}", "firmware/main.py", str(self.folder)]
        self.module = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.module.stdout.readline()
        assert line == "ready\n", (line, self.module.communicate(timeout=10))

    def gateway(self) -> Gateway:
        """A gateway that has nothing yet."""
        public_key = (self.folder / "public_key.bin").read_bytes()
        self.gateways.append(Gateway(PtyStream(self._uplink), lambda kid: public_key))
        return self.gateways[-1]

    def babble(self, raw: bytes) -> None:
        """Bytes on the uplink that are no frame."""
        os.write(self._uplink, raw)

    def kill(self) -> None:
        """A power cut."""
        self.module.kill()
        self.module.wait(10)
        self.module.stdout.close()
        self.module.stderr.close()
        self.module = None

    def drain(self, timeout_s: float = 20.0) -> None:
        """Ask the module to seal what it has; until it says that it has done so."""
        (self.folder / "drain").touch()
        readable = select.select([self.module.stdout], [], [], timeout_s)[0]
        assert readable and self.module.stdout.readline() == "drained\n"
        assert not (self.folder / "drain").exists()

    def close(self) -> None:
        """Whatever still runs ends."""
        if self.module is not None:
            self.kill()
        self.end_plant()
        os.close(self._uplink)
        os.close(self._far_end)
