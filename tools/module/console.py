"""A module's console: MicroPython's raw REPL over a serial port, by mpremote's own transport.

    with Console("/dev/ttyACM0") as console:
        console.write("/plumeproof/settings.json", raw)
        print(console.run("print(6 * 7)"))

mpremote calls its Python interface unfinished, so this is the only file that imports it, and a release of it is pinned.
Opening it interrupts the program (Ctrl-C) and resets nothing. Where a watchdog runs, which nothing can stop, the board
resets by itself soon after: see boards.hold.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import time
from collections.abc import Callable

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport

from plumeproof.errors import UnreachableError
from plumeproof.link.serial_port import SerialPort
from tools.module.refusal import FAULT, UNREACHABLE, Refusal

BAUD = 115200
ANSWER_S = 4.0  # a board that is busy with a poll ends its slot first
QUIET_S = 1.0  # one read; mpremote would wait for ever
RUN_S = 120.0  # without a byte: a soft signer's table and signature on the slowest board
RESET = "import machine\nmachine.reset()"
RETURN_S = 15.0
LOOK_S = 0.5
PIECE_BYTES = 1024  # of a file at a time; as text up to four times as much, within a board's heap
FAILURES = (TransportError, serial.SerialException, OSError, struct.error)


class Console:
    """Raw REPL at a port, from `with` to its end. Raises Refusal for whatever fails there."""

    def __init__(self, port: str, baud: int = BAUD) -> None:
        self.port = port
        self._baud = baud
        self._transport: SerialTransport | None = None

    def __enter__(self) -> Console:
        self._open()
        return self

    def _open(self) -> None:
        try:
            SerialPort(self.port, self._baud).close()  # says why a port cannot be had; mpremote does not
        except UnreachableError as error:
            raise Refusal(str(error), UNREACHABLE) from error
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # mpremote prints what it did not understand
                self._transport = SerialTransport(self.port, baudrate=self._baud, timeout=QUIET_S)
                self._transport.enter_raw_repl(soft_reset=False, timeout_overall=ANSWER_S)
        except FAILURES as error:
            self._close()
            raise Refusal(
                f"{self.port}: no MicroPython answers on it: is this the console (not the link), has the board"
                " MicroPython on it, and does its image leave the console open? Reset it and try again",
                UNREACHABLE,
            ) from error

    def __exit__(self, *_exception: object) -> None:
        assert self._transport is not None
        with contextlib.suppress(*FAILURES):  # a board that was unplugged has nothing to be left tidy
            self._transport.exit_raw_repl()
        self._close()

    def restart(self) -> None:
        """Reset the whole chip and come back to its console, whose USB port goes and returns. Raises Refusal."""
        assert self._transport is not None
        with contextlib.suppress(*FAILURES):  # it is gone before it has answered
            self._transport.exec_raw_no_follow(RESET)
        self._close()
        deadline = time.monotonic() + RETURN_S
        while True:
            time.sleep(LOOK_S)
            try:
                self._open()
                return
            except Refusal:
                if time.monotonic() >= deadline:
                    raise

    def run(self, code: str) -> str:
        """Run code to its end; what it printed. Raises Refusal: its exception's last line, or a silent board."""
        assert self._transport is not None
        try:
            out, trouble = self._transport.exec_raw(code, timeout=RUN_S)
        except FAILURES as error:
            raise Refusal(
                f"{self.port}: the board fell silent ({error}); reset it and try again", UNREACHABLE
            ) from error
        if trouble:
            raise Refusal(f"{self.port}: the board says {_last_line(trouble)}", FAULT)
        text: str = out.decode(errors="replace")
        return text

    def write(self, path: str, content: bytes, report: Callable[[int], None] | None = None) -> None:
        """A file, whole, read back by its hash. The old one stands until the new one is complete."""
        assert self._transport is not None
        beside = path + ".new"
        told = 0

        def pass_on(written: int, _size: int) -> None:
            nonlocal told
            if report is not None:
                report(written - told)
            told = written

        try:
            self._transport.fs_writefile(beside, content, PIECE_BYTES, pass_on)
        except FAILURES as error:
            raise self._file_fault(path, "written", error) from error
        if self.hash(beside) != hashlib.sha256(content).digest():
            raise Refusal(f"{self.port}: {path} reads back as another file: the board's flash or the line is bad")
        self.run(f"import os\nos.rename({beside!r},{path!r})")

    def read(self, path: str) -> bytes:
        """A file, whole."""
        assert self._transport is not None
        try:
            return bytes(self._transport.fs_readfile(path, PIECE_BYTES))
        except FAILURES as error:
            raise self._file_fault(path, "read", error) from error

    def hash(self, path: str) -> bytes:
        """SHA-256 of a file, made by the board from what its flash gives."""
        assert self._transport is not None
        try:
            return bytes(self._transport.fs_hashfile(path, "sha256", PIECE_BYTES))
        except FAILURES as error:
            raise self._file_fault(path, "read", error) from error

    def exists(self, path: str) -> bool:
        """Whether there is anything at `path`; nothing is on a board without a file system (ENODEV)."""
        code = f"import os\ntry:\n os.stat({path!r})\n print(1)\nexcept OSError as e:\n"
        code += " print(0 if e.errno in (2,19) else e)"
        said = self.run(code).strip()
        if said not in ("0", "1"):
            raise Refusal(f"{self.port}: {path}: the board says {said[:80]}")
        return said == "1"

    def make_folder(self, path: str) -> None:
        """A folder, unless it is there."""
        if not self.exists(path):
            self.run(f"import os\nos.mkdir({path!r})")

    def remove(self, path: str) -> None:
        """A file, if it is there."""
        if self.exists(path):
            self.run(f"import os\nos.remove({path!r})")

    def _file_fault(self, path: str, what: str, error: Exception) -> Refusal:
        if isinstance(error, TransportExecError):
            return Refusal(f"{self.port}: {path} cannot be {what}: {_last_line(str(error).encode())}")
        if isinstance(error, OSError) and error.errno:
            return Refusal(f"{self.port}: {path} cannot be {what}: {os.strerror(error.errno)}")
        return Refusal(f"{self.port}: the board fell silent at {path}; reset it and try again", UNREACHABLE)

    def _close(self) -> None:
        if self._transport is not None:
            with contextlib.suppress(*FAILURES):
                self._transport.close()
            with contextlib.suppress(*FAILURES):
                self._transport.serial.close()
            self._transport = None


def _last_line(trouble: bytes) -> str:
    lines = trouble.decode(errors="replace").strip().splitlines() or ["nothing"]
    return "".join(letter if letter.isprintable() else "?" for letter in lines[-1])[:200]
