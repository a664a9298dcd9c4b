"""Record both lines of a rig for a while: the bridge's own pipeline asks at the uplink, the plant plays the analyzers.

The module is started anew first, when there is a switch for it, so that a capture of the uplink begins with a boot
record, and once more in the middle. What the bridge would do with the records is done (verified, chained, committed to
a ledger that is thrown away), so a replay may be held to the same end.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from plumeproof.clock import SystemClock
from plumeproof.errors import LinkError
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.framing import FrameCodec
from plumeproof.evidence.record import parse_record
from plumeproof.keys import load_keys
from plumeproof.link.line import Line
from plumeproof.link.serial_port import SerialPort
from plumeproof.link.session import Session
from plumeproof.model import Boot
from plumeproof.pipeline import Ingest
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tools.rig.capture import CaptureWriter, TappedStream, read_capture, set_origin
from tools.rig.power import PowerSwitch
from tools.rig.replay import impatient
from tools.rig.wiring import Wiring, open_switch

ROOT = Path(__file__).resolve().parents[2]
UNCERTAINTY_MS = 50
PLANT_READY_S = 30.0
IDLE_S = 0.25  # between two questions when there is nothing
NAMES = {"bus": "bus.jsonl", "uplink": "uplink.jsonl"}


class RecordError(Exception):
    """Nothing was recorded; one line: what and how to mend."""


class Recorder:
    """One recording into `folder`: bus.jsonl, uplink.jsonl. To be used once."""

    def __init__(self, wiring: Wiring, folder: Path, seconds: float, max_bytes: int, faults: Sequence[str]) -> None:
        """Raises RecordError for a rig that lacks a line."""
        for need in ("module_port", "bus_port"):
            if not wiring.offers(need):
                raise RecordError(f"rig {wiring.name} lacks {need}; both lines are recorded")
        self._wiring = wiring
        self._folder = folder
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._faults = tuple(faults)
        self._keys = load_keys(wiring.keys)

    def run(self, say: Callable[[str], None]) -> dict[str, Any]:
        """Record; the origin that was written into both files. Raises RecordError, PowerError, BridgeError."""
        wiring = self._wiring
        self._folder.mkdir(parents=True, exist_ok=True)
        paths = {kind: self._folder / name for kind, name in NAMES.items()}
        with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
            plant = self._start_plant(Path(scratch), paths["bus"])
            stack.callback(_stop, plant)
            stream = SerialPort(str(wiring.module_port), wiring.module_baud)
            stack.callback(stream.close)
            switch = None if wiring.power is None else open_switch(wiring.power)
            if switch is not None:
                stack.callback(switch.close)
                stack.callback(switch.on)
                self._cut(switch)
            capture = CaptureWriter(paths["uplink"], "uplink", self._max_bytes)
            stack.callback(capture.close)
            line = Line(TappedStream(stream, capture), FrameCodec(), Session(wiring.link_address), SystemClock())
            writer = Writer(Path(scratch) / "ledger.sqlite")
            stack.callback(writer.close)
            ledger = SqliteLedger(writer, SystemClock())
            ingest = Ingest(wiring.device, line, self._keys, ledger, impatient())  # type: ignore[arg-type]
            say(f"recording for {self._seconds:g} s")
            self._ask(ingest, line, None if switch is None else lambda: self._cut(switch))
            origin = self._origin(ledger)
            _stop(plant)
            is_cut = {"uplink": capture.is_cut, "bus": _last_words(Path(scratch) / wiring.device)["capture_is_cut"]}
        for kind, path in paths.items():
            found = origin | {"is_cut": is_cut[kind]}
            set_origin(path, found if kind == "uplink" else {k: v for k, v in found.items() if k != "ledger"})
            say(f"{path}: {path.stat().st_size} bytes, {len(read_capture(path).pieces)} pieces")
        return origin

    def _ask(self, ingest: Ingest, line: Line, cut: Callable[[], None] | None) -> None:
        """`seconds` count from the first greeting."""
        until_s = time.monotonic() + self._wiring.start_s
        cut_s = float("inf")
        is_greeted = False
        while time.monotonic() < until_s:
            try:
                if not is_greeted:
                    ingest.greet()
                    line.synchronise(UNCERTAINTY_MS)
                    is_greeted = True
                    if cut_s == float("inf"):
                        until_s = time.monotonic() + self._seconds
                        cut_s = until_s - self._seconds / 2
                if ingest.poll() == 0:
                    time.sleep(IDLE_S)
            except LinkError:  # starting, or cut off: greet again
                is_greeted = False
            if cut is not None and time.monotonic() > cut_s:
                cut, is_greeted = cut(), False

    def _cut(self, switch: PowerSwitch) -> None:
        assert self._wiring.power is not None
        switch.off()
        time.sleep(self._wiring.power.off_s)
        switch.on()

    def _start_plant(self, folder: Path, capture: Path) -> subprocess.Popen[str]:
        wiring = self._wiring
        command = [sys.executable, "-m", "tools.plant", "--dir", str(folder), "--module", wiring.device]
        command += ["--parameters", str(wiring.parameters), "--port", str(wiring.bus_port)]
        command += ["--capture", str(capture), "--capture-bytes", str(self._max_bytes)]
        for fault in self._faults:
            command += ["--fault", fault]
        plant = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert plant.stdout is not None
        if plant.stdout.readline() != "ready\n":
            raise RecordError(plant.communicate(timeout=PLANT_READY_S)[1].strip() or "the plant did not start")
        return plant

    def _origin(self, ledger: SqliteLedger) -> dict[str, Any]:
        wiring = self._wiring
        head = ledger.head(wiring.device)
        if head is None:
            raise RecordError(f"{wiring.module_port}: no record came within {self._seconds:g} s; power, wiring, baud?")
        kinds: Counter[int] = Counter()
        boot: Boot | None = None
        kid = b""
        for stored in ledger.of_device(wiring.device, 1, head.seq):
            envelope = verify_envelope(stored.envelope, self._keys.public_key)
            record = parse_record(envelope)
            kinds[record.kind] += 1
            kid = envelope.kid
            if isinstance(record.body, Boot):
                boot = record.body
        now = datetime.datetime.now().astimezone()
        raw = wiring.parameters.read_bytes()
        return {
            "date": now.isoformat(timespec="seconds"),
            "rig": wiring.name,
            "board": wiring.board,
            "device": wiring.device,
            "firmware_hash": (boot.firmware_hash if boot is not None else wiring.firmware_hash).hex(),
            "firmware_version": "" if boot is None else boot.firmware_version,
            "interpreter": "" if boot is None else boot.interpreter,
            "seconds": self._seconds,
            "faults": list(self._faults),
            "link_address": wiring.link_address,
            "parameters": raw.decode(),
            "parameters_sha256": hashlib.sha256(raw).hexdigest(),
            "public_key": self._keys.public_key(kid).hex(),
            "ledger": {
                "seq": head.seq,
                "hash": head.content_hash.hex(),
                "kinds": {str(k): kinds[k] for k in sorted(kinds)},
            },
        }


def _stop(plant: subprocess.Popen[str]) -> None:
    if plant.poll() is None:
        plant.terminate()
        plant.communicate(timeout=PLANT_READY_S)


def _last_words(folder: Path) -> dict[str, Any]:
    """Of the plant: the state line of its end. Raises RecordError when it has not come to it."""
    last: dict[str, Any] = json.loads((folder / "plant.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    if last.get("state") != "stop":
        raise RecordError("the analyzers' process died while it was recorded; is their adapter plugged in?")
    return last
