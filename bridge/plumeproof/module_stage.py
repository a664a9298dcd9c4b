"""The stage of one module: its line over a serial port, greeted again after every fault, and the pipeline behind it.

It decides nothing about evidence (pipeline.py) and nothing about pauses (service.py); it knows when a port must be
opened again, and when the module is to be told the time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import asdict

from acqwire import fields

from plumeproof.clock import SystemClock
from plumeproof.config import ModuleConfig
from plumeproof.errors import LinkError, LinkTimeout
from plumeproof.evidence.framing import FrameCodec
from plumeproof.keys import KeyFile
from plumeproof.link.line import Line
from plumeproof.link.serial_port import SerialPort
from plumeproof.link.session import End, Missing, RecordFrame, Released, Session, Welcome
from plumeproof.pipeline import Ingest
from plumeproof.ports import Clock, Ledger

READ_SLICE_S = 0.5  # longest wait inside one read of a line, so that a stop is noticed
TIMEOUTS_BEFORE_REOPEN = 3  # silence after which the port itself is suspected: some USB adapters need a new open
SYNC_RETRY_S = 5.0  # after an exchange whose nonce was too old

_log = logging.getLogger(__name__)


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

    def recover(self, error: Exception) -> float | None:
        """After an error: begin with a greeting, on a newly opened port where the old one may be dead."""
        self._is_greeted = False
        self._timeouts = self._timeouts + 1 if isinstance(error, LinkTimeout) else TIMEOUTS_BEFORE_REOPEN
        if self._timeouts >= TIMEOUTS_BEFORE_REOPEN:
            self._timeouts = 0
            self._stream.close()
        return None

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
