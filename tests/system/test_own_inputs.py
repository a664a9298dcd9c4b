"""Own inputs and calibration marks, end to end: the emulated module on real MicroPython with its inputs file, the real
plant whose dust meter checks itself, the bridge's own line, pipeline, ledger and averaging, and `verify`'s inspector.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from acqwire import calibration, causes, fields

from plumeproof.averaging_stage import AveragingStage
from plumeproof.evidence.decoding import STATUS_NAMES, decode
from plumeproof.evidence.framing import FrameCodec
from plumeproof.evidence.parameters import parse_parameters
from plumeproof.evidence.strips import open_stored
from plumeproof.inspection import Inspector, Item
from plumeproof.keys import build_entry, parse_keys
from plumeproof.ledger_checks import LedgerChecks
from plumeproof.link.line import Line
from plumeproof.link.session import Session
from plumeproof.model import Calibration, Event, Samples
from plumeproof.pipeline import Ingest
from plumeproof.rules.plant import Measurand, Source
from plumeproof.rules.quality_plan import Qal3
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.module_rig import ANALYZERS, BUS, LINK_ADDRESS, ROOT, ModuleRig, PtyStream, SystemClock
from tests.doubles.own_inputs import OwnInputs
from tools.mpy import compile_all
from tools.parameters import compose, parse_choice

SITE = {
    "debounce_ms": 20,
    "loops": {
        f"own.loop{index}": {"zero": "4800", "span": "24000", "calibration": "shunt-2026-114"} for index in (0, 1)
    },
    "calibrations": [
        {"analyzer": "gas", "phase": "span", "source": "own", "block": 1, "bit": 2, "is": 1},
        {"analyzer": "dust", "phase": "zero", "source": "dust", "block": 0, "bit": 33, "is": 1},
    ],
}
SPEED = 60  # plant seconds a second: the dust meter's check (tools/plant/model.py: from 2,400 s, 480 s) takes 8 s
WORDS = dict(STATUS_NAMES)


def equip(rig: ModuleRig, site=None) -> OwnInputs:
    """Give the rig's module own inputs, in its parameter set and on its board."""
    choices = [parse_choice(text) for text in (*ANALYZERS, "own=generic_own_inputs@0")]
    rig.parameters = compose(rig.name, choices, rig.slot_ms, rig.seal_ms, BUS, site=site or SITE)
    rig.parameters_path.write_bytes(rig.parameters)
    board = json.loads((rig.folder / "board.json").read_text()) | {"inputs": "inputs.bin"}
    (rig.folder / "board.json").write_text(json.dumps(board))
    return OwnInputs(rig.folder / "inputs.bin", [9600, 4800], 4)


@pytest.fixture
def rig(tmp_path, micropython):
    made = ModuleRig(tmp_path, micropython, slot_ms=200, seal_ms=1000)
    yield made
    made.close()


class Bridge:
    """The parts of the bridge that a calibration passes, in this process, on a ledger in a file."""

    def __init__(self, rig: ModuleRig) -> None:
        self.clock = SystemClock()
        public_key = (rig.folder / "public_key.bin").read_bytes()
        self.keys = parse_keys(json.dumps([build_entry(rig.name, public_key)]), "keys.json")
        self.writer = Writer(rig.root / "ledger.sqlite")
        self.ledger = SqliteLedger(self.writer, self.clock)
        self.averages = SqliteAverages(self.writer, self.clock)
        self.line = Line(PtyStream(rig._uplink), FrameCodec(), Session(LINK_ADDRESS), self.clock)
        self.ingest = Ingest(rig.name, self.line, self.keys, self.ledger)
        self.stage = AveragingStage(self.ledger, self.averages, (10, 60), grace_s=0)
        self.device = rig.name
        self.ingest.greet()
        self.line.synchronise(5)

    def poll(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.ingest.poll():
                time.sleep(0.02)

    def records(self):
        return [open_stored(row) for row in self.ledger.of_device(self.device, 1, 10**9)]

    def wait_for(self, is_enough, timeout_s: float = 40.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_enough(self.records()):
            assert time.monotonic() < deadline, [(record.seq, record.kind) for record in self.records()][-20:]
            self.poll(0.3)


def changes(records):
    return [record.body for record in records if isinstance(record.body, Calibration)]


def test_marks_and_loops_reach_the_averages(rig):
    inputs = equip(rig)
    rig.start_plant("--start-s", str(2400 - 5 * SPEED), "--speed", str(SPEED))
    rig.start()
    bridge = Bridge(rig)
    bridge.poll(1.5)
    inputs.set(levels=0b0100)  # span gas on gas, by a contact
    bridge.poll(1.5)
    inputs.set({0: 3000, 1: 500})  # 2.5 mA, and a torn wire
    bridge.poll(1.5)
    inputs.set({0: 9600, 1: 25200}, levels=0)  # 21 mA
    bridge.poll(1.0)
    inputs.path.rename(inputs.path.with_suffix(".away"))
    bridge.poll(1.0)
    inputs.write()
    bridge.wait_for(lambda records: len(changes(records)) >= 4)
    rig.drain()
    while bridge.ingest.poll():
        pass
    records = bridge.records()
    parameters = parse_parameters(rig.parameters)

    # Records: one begin and one end of each, at the slots whose bits say so
    found = [(body.mark, body.analyzer, body.phase, body.is_begin) for body in changes(records)]
    assert sorted(found) == [(0, 0, calibration.PHASE_SPAN, False), (0, 0, calibration.PHASE_SPAN, True),
                             (1, 1, calibration.PHASE_ZERO, False), (1, 1, calibration.PHASE_ZERO, True)]  # fmt: skip
    spans = {body.mark: [] for body in changes(records)}
    for body in changes(records):
        spans[body.mark].append(body.slot)
    statuses: dict[str, list[str]] = {channel.id: [] for channel in parameters.channels}
    for record in records:
        if isinstance(record.body, Samples):
            assert record.body.slots.first_slot == len(statuses["own.loop0"])
            for readings in decode(record, parameters).channels:
                statuses[readings.channel.id] += [WORDS.get(int(status), "") for status in readings.status]
    for mark, name in ((0, "gas.so2"), (1, "dust.dust")):
        begin, end = spans[mark]
        inside = statuses[name][begin:end]
        assert 5 <= len(inside) and set(inside) <= {"calibration", "overrun"}, (name, set(inside))
        assert "calibration" not in statuses[name][:begin] + statuses[name][end:]
    assert not set(statuses["stack.flow"]) & {"calibration", "status_missing"}
    words = Counter(statuses["own.loop0"]) | Counter(statuses["own.loop1"])
    assert words["wire_break"] >= 4 and words["loop_failure"] >= 4 and words["bus_fault"] >= 3, words

    # Edges of the contact, with the time of their slot
    edges = [record.body.args for record in records
             if isinstance(record.body, Event) and record.body.code == causes.EVENT_INPUT_EDGES]  # fmt: skip
    told = [args[at : at + 4] for args in edges for at in range(1, len(args), 4)]
    assert [(edge[0], edge[1]) for edge in told] == [(2, 1), (2, 0)] and all(args[0] == 0 for args in edges)
    for edge, slot in zip(told, spans[0], strict=True):
        assert (slot - 1) * 200 - 100 <= edge[2] <= (slot + 1) * 200, (edge, slot)

    # Averages count the same slots under the same name, and the inspector finds nothing
    while bridge.stage.step():
        pass
    now = bridge.averages.states()[0].slot_utc_ms
    averages = [row for row in bridge.stage.recompute(rig.name, now - 120_000, now) if row.interval_s == 10]
    counted = Counter()
    for row in averages:
        counted[row.channel] += dict(row.n_invalid).get("calibration", 0)
    assert counted["gas.so2"] >= 5 and counted["stack.flow"] == 0
    inspector = Inspector(bridge.keys)
    for row in bridge.ledger.of_device(rig.name, 1, 10**9):
        assert inspector.take(Item("x", row.envelope)) == []
    bridge.writer.close()
    assert_is_the_reading_of_a_chart(rig, records, parameters, spans[0])


def assert_is_the_reading_of_a_chart(rig, records, parameters, span) -> None:
    """The check that the module signed is one reading of QAL3: the mean of its slots, decoded here once more."""
    column = [channel.id for channel in parameters.channels].index("gas.so2")
    values = []
    for record in records:
        if isinstance(record.body, Samples):
            readings = decode(record, parameters).channels[column]
            for at, (value, status) in enumerate(zip(readings.values, readings.status, strict=True)):
                if span[0] <= record.body.slots.first_slot + at < span[1] and WORDS.get(int(status)) == "calibration":
                    values.append(float(value))
    plan = Qal3("cusum", settle_s=0, interval_days=7, span_s_ams=1.0)
    so2 = Measurand("SO2", Source(rig.name, "gas.so2"), parameters.channels[column].unit, qal3=plan)
    with closing(LedgerChecks(rig.root / "ledger.sqlite", (rig.name,))) as checks:
        (found,) = checks.readings(so2, "span")
        assert checks.readings(so2, "zero") == []  # that mark is the dust meter's
    assert (found.reason, found.n_used, found.n_slots) == ("", len(values), span[1] - span[0])
    assert found.reading == pytest.approx(sum(values) / len(values), rel=1e-12)
    ends = [record for record in records if isinstance(record.body, Calibration) and record.body.slot == span[1]]
    (end,) = [record for record in ends if isinstance(record.body, Calibration) and record.body.mark == 0]
    assert found.inputs is not None and found.inputs.head_hash == end.content_hash


def test_what_was_on_when_the_power_failed_begins_anew(rig):
    inputs = equip(rig)
    inputs.set(levels=0b0100)
    rig.start_plant()
    rig.start()
    gateway = rig.gateway()
    gateway.collect(lambda records: len(changes(records)) == 1)
    rig.kill()
    rig.start()
    gateway.greet()
    gateway.collect(lambda records: len(changes(records)) == 2)
    rig.kill()
    inputs.set(levels=0)
    rig.start()
    gateway.greet()
    gateway.collect(
        lambda records: sum(record.boot == 3 and isinstance(record.body, Samples) for record in records) > 1
    )
    found = [(record.boot, record.body.is_begin, record.body.slot)
             for record in gateway.records if isinstance(record.body, Calibration)]  # fmt: skip
    assert found == [(1, True, 0), (2, True, 0)]
    assert not [record for record in gateway.records if record.kind == fields.KIND_CALIBRATION and record.boot == 3]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_board_without_these_inputs_refuses_in_one_line(rig, is_there):
    inputs = equip(rig)
    rig.start_plant()
    if is_there:
        inputs.counts, inputs.digital_count = [1], 4
        inputs.write()
        line = "main.py: parameters.json asks for analog inputs up to number 1 and this board has 1; see BOARDS.md"
    else:
        board = json.loads((rig.folder / "board.json").read_text())
        del board["inputs"]
        (rig.folder / "board.json").write_text(json.dumps(board))
        line = "main.py: parameters.json asks for own inputs and this board has none set up; see BOARDS.md"
    command = [rig.interpreter, "-X", f"heapsize={rig.heap}", "firmware/main.py", str(rig.folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(line) and ended.stderr.count("\n") == 1, ended.stderr


def test_own_inputs_fit_a_literal_128_kib_of_compiled_files(tmp_path, micropython_32):
    """As a module gets its program (`make mpy`). From source it needs more (firmware/DESIGN.md)."""
    found = subprocess.run(
        [sys.executable, str(ROOT / "tools/setup/mpy_cross.py"), "--print"], capture_output=True, text=True, check=True
    )
    program, firmware = tmp_path / "program", ROOT / "firmware"
    names = [path.relative_to(firmware) for path in [*firmware.glob("acq*/**/*.py"), *firmware.glob("boards/*.py")]]
    compile_all(Path(found.stdout.split()[-1]), [n.as_posix() for n in names if n.stem != "ports"], program, "-O3")
    (program / "main.py").write_bytes((firmware / "main.py").read_bytes())
    rig = ModuleRig(tmp_path, micropython_32, slot_ms=1000, seal_ms=3000)
    try:
        inputs = equip(rig)
        rig.start_plant()
        command = [micropython_32, "-X", "heapsize=128k", "main.py", str(rig.folder)]
        rig.module = subprocess.Popen(command, cwd=program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert rig.module.stdout.readline() == "ready\n", rig.module.stderr.read()
        gateway = rig.gateway()
        gateway.collect(lambda records: sum(isinstance(record.body, Samples) for record in records) >= 2)
        inputs.set(levels=0b0100)
        gateway.collect(lambda records: len(changes(records)) == 1)
        samples = sum(isinstance(record.body, Samples) for record in gateway.records)
        gateway.collect(lambda records: sum(isinstance(record.body, Samples) for record in records) >= samples + 2)
        assert rig.module.poll() is None
    finally:
        rig.close()
