"""The caretaker: builds every stage from the configuration, gives each a thread, starts and stops them.

Stages hand over through the ledger only, so any of them may fail, wait and begin again without the others; a kill at
any instant loses nothing (reference: reliability section 3). This is the only place that catches everything: what a
stage raises becomes its state in the health snapshot, one log line, and a pause before the next try.

    service = Service(load_config(path))
    service.start()
    service.stop()
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

from acqwire import fields

from plumeproof import observe
from plumeproof.config import Config, ModuleConfig
from plumeproof.errors import BridgeError, LinkError, LinkTimeout, StoreError
from plumeproof.evidence.framing import FrameCodec
from plumeproof.keys import KeyFile, load_keys
from plumeproof.link.line import Line
from plumeproof.link.serial_port import SerialPort
from plumeproof.link.session import End, Missing, RecordFrame, Released, Session, Welcome
from plumeproof.observe import Health
from plumeproof.pipeline import Ingest
from plumeproof.ports import Clock, Ledger
from plumeproof.store.connection import Writer
from plumeproof.store.ledger import SqliteLedger
from plumeproof.store.lock import LedgerLock

STOP_TIMEOUT_S = 5.0  # what a supervisor is promised; what still runs then is as safe to kill as at any instant
READ_SLICE_S = 0.5  # longest wait inside one read of a line, so that a stop is noticed
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 10.0  # a replugged cable is found again within this
TIMEOUTS_BEFORE_REOPEN = 3  # silence after which the port itself is suspected: some USB adapters need a new open
SYNC_RETRY_S = 5.0  # after an exchange whose nonce was too old

_log = logging.getLogger(__name__)


class SystemClock:
    """ports.Clock of this PC."""

    def utc_ms(self) -> int:
        """Unix/UTC milliseconds; may step."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


class ReopeningStream:
    """ports.ByteStream on a serial port that opens when it is used and is given up when the bridge stops."""

    def __init__(self, port: str, baud: int, stopping: threading.Event) -> None:
        self._port = port
        self._baud = baud
        self._stopping = stopping
        self._stream: SerialPort | None = None

    def read(self, limit: int, timeout_s: float) -> bytes:
        """As ports.ByteStream.read, in slices. Raises UnreachableError when the port cannot be opened."""
        return self._opened().read(limit, min(timeout_s, READ_SLICE_S))

    def write(self, data: bytes) -> None:
        """As ports.ByteStream.write."""
        self._opened().write(data)

    def close(self) -> None:
        """Give the port back; the next use opens it again."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _opened(self) -> SerialPort:
        if self._stopping.is_set():
            raise LinkError("the bridge stops")
        if self._stream is None:
            self._stream = SerialPort(self._port, self._baud)
        return self._stream


class WatchedLine(Line):
    """A line that remembers how far the module's journal reaches and what of it is on our disk, for the pages."""

    newest_seq = 0
    stored_seq = 0  # newest that was acknowledged, so on our disk

    def hello(self) -> Welcome:
        """As Line.hello."""
        welcome = super().hello()
        self.newest_seq = welcome.newest_seq
        return welcome

    def fetch(self, from_seq: int, window: int) -> tuple[Sequence[RecordFrame | Missing], End | None]:
        """As Line.fetch."""
        records, end = super().fetch(from_seq, window)
        if end is not None:
            self.newest_seq = end.newest_seq
        return records, end

    def acknowledge(self, seq: int, content_hash: bytes) -> Released:
        """As Line.acknowledge."""
        released = super().acknowledge(seq, content_hash)
        self.stored_seq = seq
        return released


def ask_who(config: ModuleConfig) -> Welcome:
    """One greeting on a module's line, for `doctor`. Raises UnreachableError and LinkError."""
    stream = ReopeningStream(config.port, config.baud, threading.Event())
    try:
        return Line(stream, FrameCodec(), Session(config.link_address), SystemClock()).hello()
    finally:
        stream.close()


class ModuleStage:
    """The line of one module: greet, give it the time, fetch what it has sealed."""

    def __init__(
        self,
        config: ModuleConfig,
        uncertainty_ms: int,
        keys: KeyFile,
        ledger: Ledger,
        clock: Clock,
        stopping: threading.Event,
    ) -> None:
        self._config = config
        self._uncertainty_ms = uncertainty_ms
        self._clock = clock
        self._stream = ReopeningStream(config.port, config.baud, stopping)
        self._codec = FrameCodec()
        self._session = Session(config.link_address)
        self._line = WatchedLine(self._stream, self._codec, self._session, clock)
        self._ingest = Ingest(config.device, self._line, keys, ledger)  # type: ignore[arg-type] # frozen attributes
        self._is_greeted = False
        self._sync_due_s = 0.0
        self._timeouts = 0
        self._syncs_total = 0

    def step(self) -> float | None:
        """One question and what follows from it; seconds to rest, None: nothing to do before poll_interval_s."""
        if not self._is_greeted:
            self._ingest.greet()
            self._is_greeted = True
            self._sync_due_s = 0.0  # a restarted module has no time
        if self._clock.monotonic_s() >= self._sync_due_s:
            self._synchronise()
        count = self._ingest.poll()
        self._timeouts = 0
        return 0.0 if count else None

    def recover(self, error: Exception) -> None:
        """After an error: begin with a greeting, on a newly opened port where the old one may be dead."""
        self._is_greeted = False
        self._timeouts = self._timeouts + 1 if isinstance(error, LinkTimeout) else TIMEOUTS_BEFORE_REOPEN
        if self._timeouts >= TIMEOUTS_BEFORE_REOPEN:
            self._timeouts = 0
            self._stream.close()

    def close(self) -> None:
        """Give the port back."""
        self._stream.close()

    def counters(self) -> dict[str, int]:
        """Of the line and of the chain, since the start."""
        codec = {f"frame_{name}": value for name, value in asdict(self._codec.counters).items()}
        return {
            **asdict(self._ingest.counters),
            **codec,
            "journal_waiting_count": max(0, self._line.newest_seq - self._line.stored_seq),
            "time_syncs_total": self._syncs_total,
            "frame_foreign_total": self._session.foreign_count,
        }

    def _synchronise(self) -> None:
        taken = self._line.synchronise(self._uncertainty_ms)
        wait_s = float(self._config.time_sync_interval_s) if taken.decision else SYNC_RETRY_S
        self._sync_due_s = self._clock.monotonic_s() + wait_s
        if taken.decision == fields.SYNC_REFUSED:
            # The module seals an event about it; its own time goes on. A person must look at this PC's clock.
            _log.error("time_refused device=%s", self._config.device)
        elif taken.decision:
            self._syncs_total += 1


class Worker(threading.Thread):
    """Repeats one stage's step until the bridge stops. Nothing that a stage raises leaves this thread."""

    def __init__(
        self,
        kind: str,
        name: str,
        stage: ModuleStage,
        rest_s: float,
        service: Service,
        after: Callable[[], None] | None = None,
    ) -> None:
        super().__init__(name=f"{kind}-{name}", daemon=True)
        self.kind, self.part, self._stage, self._rest_s = kind, name, stage, rest_s
        self._service, self._after = service, after
        self._wake = threading.Event()

    def wake(self) -> None:
        """There may be work: end the rest."""
        self._wake.set()

    def run(self) -> None:
        """Until the bridge stops."""
        failures = 0
        while not self._service.stopping.is_set():
            self._wake.clear()
            try:
                rest_s = self._stage.step()
                self._enter(observe.UP)
                failures = 0
                if rest_s == 0.0 and self._after is not None:
                    self._after()
            except BridgeError as error:
                rest_s = self._failed(failures, error, observe.WAITING)
                failures += 1
            except Exception as error:  # noqa: BLE001 - the one place: a fault of ours must not stop the other stages
                _log.exception("fault part=%s", self.name)
                rest_s = self._failed(failures, error, observe.DOWN)
                failures += 1
            self._service.health.count(self.kind, self.part, **self._stage.counters())
            self._wake.wait(self._rest_s if rest_s is None else rest_s)
        self._stage.close()

    def _failed(self, failures: int, error: Exception, state: str) -> float:
        if self._service.stopping.is_set():
            return 0.0
        sentence = " ".join(str(error).split()) or type(error).__name__
        if self._service.health.enter(self.kind, self.part, state, self._service.clock.utc_ms(), sentence):
            level = logging.ERROR if state == observe.DOWN or isinstance(error, StoreError) else logging.WARNING
            _log.log(level, "%s part=%s reason=%s", state, self.name, sentence)
        self._stage.recover(error)
        # Full jitter, so that many lines behind one hub do not knock together.
        return random.uniform(0.2, 1.0) * min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(failures, 10))  # noqa: S311

    def _enter(self, state: str) -> None:
        if self._service.health.enter(self.kind, self.part, state, self._service.clock.utc_ms()):
            _log.info("%s part=%s", state, self.name)


class Service:
    """One bridge: its ledger, its stages and their threads."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        self.config = config
        self.clock: Clock = clock or SystemClock()
        self.health = Health()
        self.versions = observe.versions()
        self.keys = load_keys(config.keys.file)
        self.stopping = threading.Event()
        self._workers: list[Worker] = []
        self._lock: LedgerLock | None = None
        self._writer: Writer | None = None

    def start(self) -> None:
        """Open the ledger and start every thread; returns at once, ports and brokers may come later.

        Raises ConfigError (another bridge holds the ledger) and StoreError (the ledger cannot be opened).
        """
        self._lock = LedgerLock(self.config.gateway.data_dir)
        try:
            self._writer = Writer(self.config.gateway.ledger_file)
            self._build(self._writer)
        except BaseException:
            self.stop()
            raise
        for worker in self._workers:
            self.health.enter(worker.kind, worker.part, observe.STARTING, self.clock.utc_ms())
            worker.start()

    def _build(self, writer: Writer) -> None:
        ledger = SqliteLedger(writer, self.clock)
        uncertainty_ms = self.config.gateway.clock_uncertainty_ms
        for module in self.config.modules:
            stage = ModuleStage(module, uncertainty_ms, self.keys, ledger, self.clock, self.stopping)
            self._workers.append(Worker("module", module.device, stage, module.poll_interval_s, self))

    def stop(self) -> bool:
        """End every thread within STOP_TIMEOUT_S and close the ledger; False when one hangs on something outside.

        Then the ledger stays open until the process ends, which is as good as any other instant.
        """
        self.stopping.set()
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        for worker in self._workers:
            worker.wake()
        for worker in self._workers:
            if worker.ident is not None:
                worker.join(max(0.0, deadline_s - time.monotonic()))
        hanging = [worker.name for worker in self._workers if worker.is_alive()]
        if hanging:
            _log.warning("stop_incomplete parts=%s", ",".join(hanging))
            return False
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            self._lock.release()
        return True
