"""What a running bridge pays for one plant: processor time of a record, and memory of the process.

*Update*: twelve channels at one slot a second arrive as one record a minute on a ledger in a file. Counted is the
processor time of the averaging and the figures stage, commits included, from the stored record to the last changed row;
over two whole hours, so that the terms which end are in it. Once on a ledger of some hours, once on the same ledger
days later. *Memory*: `plumeproof run` as a process of its own, module on a pty, averaging, figures, mosquitto; read
after figures of some hours are made and the broker has its messages.
"""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import apsw

from plumeproof.averaging_stage import AveragingStage
from plumeproof.evidence.envelope import verify_envelope
from plumeproof.evidence.parameters import parse_parameters
from plumeproof.evidence.record import parse_record
from plumeproof.figures_stage import FiguresStage
from plumeproof.keys import build_entry, parse_keys
from plumeproof.plant_file import open_engine
from plumeproof.service import SystemClock
from plumeproof.store.averages import SqliteAverages
from plumeproof.store.connection import Writer
from plumeproof.store.figures import SqliteFigures
from plumeproof.store.ledger import SqliteLedger
from tests.doubles.plant_module import PlantModule
from tests.doubles.timed_module import store_all
from tools import test_ca
from tools.bench.rig import BenchError, python_environment
from tools.bench.stack import CHANNELS, DEVICE, compose_set, describe_plant, seal_stack
from tools.broker import Broker

HOUR_RECORDS = 60
COUNTED_HOURS = 2
INTERVALS_S, GRACE_S = (60, 600, 1_800, 3_600, 86_400), 90  # the configuration's defaults
BATCH = 64
PORTION_RECORDS = 200  # what the module holds when the bridge starts: three hours and some minutes
WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Update:
    """Processor time of a record, ms: mean over whole hours, median, and of the one with which an hour ends."""

    mean_ms: float
    median_ms: float
    worst_ms: float


def measure_updates(days: int, tick: Callable[[str], None]) -> tuple[Update, Update]:
    """After three hours of history, and after so many days."""
    module = seal_stack(days)
    keys = parse_keys(json.dumps([build_entry(DEVICE, module.public_key)]).encode(), "bench")
    sealed = []
    for _, raw in module.journal.values():
        envelope = verify_envelope(raw, keys.public_key)
        sealed.append((parse_record(envelope), envelope))
    with tempfile.TemporaryDirectory(prefix="plumeproof-bench-") as folder:
        plant = Path(folder) / "stack.toml"
        plant.write_text(describe_plant())
        writer = Writer(Path(folder) / "ledger.sqlite")
        ledger, averages = SqliteLedger(writer, SystemClock()), SqliteAverages(writer, SystemClock())
        averaging = AveragingStage(ledger, averages, INTERVALS_S, GRACE_S)
        engines = [open_engine(plant, ())]
        figures = FiguresStage(ledger, averages, SqliteFigures(writer, SystemClock()), engines, GRACE_S)

        def take(first: int, end: int) -> float:
            """Processor time of what follows from these records."""
            store_all(ledger, sealed[first:end])
            start = time.process_time()
            while averaging.step():
                pass
            while figures.step():
                pass
            return time.process_time() - start

        def count(first: int) -> Update:
            spent = [take(at, at + 1) * 1e3 for at in range(first, first + COUNTED_HOURS * HOUR_RECORDS)]
            return Update(statistics.fmean(spent), statistics.median(spent), max(spent))

        tick("updates on a short ledger")
        start, counted = 3 * HOUR_RECORDS, COUNTED_HOURS * HOUR_RECORDS
        take(0, start)
        short = count(start)
        tick("updates on a long ledger")
        late = len(sealed) - 2 * HOUR_RECORDS - counted  # not over the end of a day, which has figures of its own
        for first in range(start + counted, late, BATCH):
            take(first, min(first + BATCH, late))
        long = count(late)
        written = figures.counters.figures_total
        writer.close()
    if not written:
        raise BenchError("no figure was made; look at the stack's plant description")
    return short, long


@dataclass(frozen=True, slots=True)
class Running:
    """Of `plumeproof run`: resident memory, and from its start to the first record in the ledger."""

    rss_mib: float
    first_record_s: float


def measure_running(tick: Callable[[str], None]) -> Running:
    """Raises BenchError, PartError."""
    tick("a running bridge")
    with tempfile.TemporaryDirectory(prefix="plumeproof-bench-") as name:
        folder = Path(name)
        authority = folder / "ca"
        test_ca.make(authority)
        broker = Broker(folder / "broker", authority)
        module = _held_module()
        broker.start()
        try:
            config = _configure(folder, module, broker)
            module.serve()
            return _run(config, folder)
        finally:
            module.close()
            broker.stop()


def _held_module() -> PlantModule:
    """Twelve channels, three hours and some minutes not yet fetched."""
    module = PlantModule(DEVICE, 1001, seal_ms=60_000)
    module.parameters_bytes = compose_set()
    module.parameters = parse_parameters(module.parameters_bytes)
    module.start_up()
    now_ms = time.time_ns() // 1_000_000
    for number in range(PORTION_RECORDS):
        end_utc_ms = now_ms - (PORTION_RECORDS - number) * 60_000
        module.measure(60, {name: mean for name, _, mean, _ in CHANNELS}, end_utc_ms=end_utc_ms)
    return module


def _configure(folder: Path, module: PlantModule, broker: Broker) -> Path:
    """bridge.toml: one module, one plant, one broker; everything else as it comes."""
    (folder / "keys.json").write_text(json.dumps([module.entry()]))
    (folder / "stack.toml").write_text(describe_plant())
    config = folder / "bridge.toml"
    config.write_text(
        f'[gateway]\nid = "bench"\ndata_dir = "data"\n[keys]\nfile = "keys.json"\n'
        f'[[module]]\ndevice = "{DEVICE}"\nport = "{module.port}"\n'
        f'[[plant]]\nfile = "stack.toml"\n'
        f'[[sink.mqtt]]\nname = "broker"\nhost = "127.0.0.1"\nport = {broker.port}\nca_file = "ca/ca.pem"\n'
        f'cert_file = "ca/client.pem"\nkey_file = "ca/client.key"\n'
    )
    return config


def _run(config: Path, folder: Path) -> Running:
    command = [sys.executable, "-m", "plumeproof", "run", "-c", str(config), "--json", "--log-level", "warning"]
    ledger, log = folder / "data" / "ledger.sqlite", folder / "bridge.log"
    start = time.monotonic()
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=errors, cwd=folder, env=python_environment()
        )
    try:
        _wait(process, log, lambda: _count(ledger, "SELECT count(*) FROM record"))
        first_record_s = time.monotonic() - start
        _wait(process, log, lambda: _count(ledger, "SELECT count(*) FROM figure WHERE level = 'short_term'"))
        _wait(process, log, lambda: _count(ledger, "SELECT count(*) FROM receipt") >= PORTION_RECORDS)
        return Running(_resident_mib(process.pid), first_record_s)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], log: Path, is_there: Callable[[], int]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_there():
        if process.poll() is not None or time.monotonic() > deadline:
            last = log.read_text().strip().splitlines()[-1:]
            raise BenchError(f"the bridge brings nothing: {last or 'it says nothing'}")
        time.sleep(0.02)


def _count(ledger: Path, query: str) -> int:
    try:
        connection = apsw.Connection(str(ledger), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.CantOpenError:
        return 0  # not made yet
    try:
        return int(connection.execute(query).fetchone()[0])  # type: ignore[index, arg-type]
    except (apsw.SQLError, apsw.BusyError):
        return 0  # being made
    finally:
        connection.close()


def _resident_mib(pid: int) -> float:
    """VmRSS, Linux."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise BenchError(f"/proc/{pid}/status names no VmRSS")
