"""A module behind real ports, with the face that the system tests know from the emulated one (doubles/module_rig.py).

The gateway PC is this process: it asks at the uplink, plays the analyzers over the second adapter (tools.plant --port)
and switches the supply. What the module holds when a test begins is acknowledged, so released: never point it at a
module in service. `can_drain`: nobody can ask iron to stop polling, so what is compared is what was sealed.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from plumeproof.errors import LinkTimeout
from plumeproof.evidence import chain
from plumeproof.evidence.framing import FrameCodec
from plumeproof.keys import load_keys
from plumeproof.link.serial_port import SerialPort
from plumeproof.link.session import Session, Welcome
from plumeproof.model import Head
from tests.doubles.module_rig import Gateway, PlantSide
from tools.rig.wiring import Wiring, open_switch

LOOK_S = 0.05  # between two HELLOs to a module that starts; silence after which nothing more is on its way


class HardwareRig(PlantSide):
    """`first_boot`: of this test; 0 before its first start."""

    can_drain = False

    def __init__(self, root: Path, wiring: Wiring) -> None:
        self.root, self.name, self.folder = root, wiring.device, root / wiring.device
        self.folder.mkdir()
        self._wiring = wiring
        self.firmware_hash = wiring.firmware_hash
        self.parameters_path = wiring.parameters
        self.parameters = wiring.parameters.read_bytes()
        whole = json.loads(self.parameters)
        assert whole["device"] == wiring.device, f"{wiring.parameters} is the set of {whole['device']}"
        self.slot_ms, self.seal_ms = whole["slot_ms"], whole["seal_ms"]
        self.flash_bytes = wiring.journal_bytes
        if wiring.bus_port is not None:
            self.plant_choices = ("--port", wiring.bus_port)
        self.gateways: list[Gateway] = []
        self.first_boot = 0
        self._keys = load_keys(wiring.keys)
        self._stream = SerialPort(wiring.module_port, wiring.module_baud)
        self._switch = None if wiring.power is None else open_switch(wiring.power)
        self._started_ns = 0
        self._is_on = True
        self._base: Head | None = None
        if self._switch is not None:
            self._switch.on()
        self._rebase()

    def start(self) -> None:
        """Power on, behind a cut when it is on; until it answers."""
        if self._is_on:
            self._rebase()
            self.kill()
        if not self.first_boot:
            self._started_ns = time.time_ns()
        self._switch.on()
        self._is_on = True
        welcome = self._await()
        self.first_boot = self.first_boot or welcome.boot

    def kill(self) -> None:
        """A power cut. Fails when the module goes on answering: a switch that switches nothing."""
        self._switch.off()
        self._is_on = False
        time.sleep(self._wiring.power.off_s)
        self._hear_out()  # what was said before the cut
        try:
            self._asking().line.hello()
        except LinkTimeout:
            return
        raise AssertionError(f"the module answers with its power off; look at {self._switch.name} and its wiring")

    def gateway(self) -> Gateway:
        """The first one stands where the first boot of this test begins, later ones have nothing."""
        made = self._asking()
        if not self.gateways and self.first_boot:
            made.head = self._base
            made.collect(lambda records: records and records[-1].boot >= self.first_boot)
            made.records = [record for record in made.records if record.boot >= self.first_boot]
        self.gateways.append(made)
        return made

    def drain(self) -> None:
        """Iron goes on polling."""

    def babble(self, raw: bytes) -> None:
        """Bytes on the uplink that are no frame."""
        self._stream.write(raw)

    def plant_log(self) -> list[dict]:
        """Requests and answers since the first start of this test."""
        log = super().plant_log()
        return [entry for entry in log if entry["kind"] == "state" or entry["t_utc_ns"] >= self._started_ns]

    def close(self) -> None:
        """The module has power again, for whoever comes next."""
        self.end_plant()
        if self._switch is not None:
            self._switch.on()
            self._switch.close()
        self._stream.close()

    def _asking(self) -> Gateway:
        return Gateway(self._stream, self._keys.public_key, self._wiring.link_address)

    def _rebase(self) -> None:
        """Whatever the module holds is of no interest: go on behind it."""
        welcome = self._await()
        assert welcome.device == self.name, (
            f"{self._wiring.module_port} is {welcome.device}, and the rig's is {self.name}"
        )
        if welcome.newest_seq:
            self._base = chain.head_behind(None, self.name, welcome.newest_seq, welcome.newest_hash, None)
            self._asking().line.acknowledge(self._base.seq, self._base.content_hash)

    def _await(self) -> Welcome:
        """HELLO again and again, so that the answer comes when the module is there and not a time-out later."""
        session = Session(self._wiring.link_address)
        codec = FrameCodec()
        question = codec.encode(session.hello())
        until_s = time.monotonic() + self._wiring.start_s
        while time.monotonic() < until_s:
            self._stream.write(question)
            for frame in codec.feed(self._stream.read(4096, LOOK_S)):
                accepted = session.accept(frame)
                if accepted is not None and isinstance(accepted[0], Welcome):
                    self._hear_out()
                    return accepted[0]
        raise AssertionError(f"nobody answers at {self._wiring.module_port} within {self._wiring.start_s} s")

    def _hear_out(self) -> None:
        """Until the line is silent."""
        while self._stream.read(4096, LOOK_S):
            pass
