"""One part of the demo: a child process with its own log file, a ready line, and a death of either kind.

A part leads a process group of its own, so that Ctrl-C at the terminal reaches the demo only and the parts stop in
the order that it wants.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

STOP_S = 10.0  # a part that has not stopped by then is killed


class PartError(Exception):
    """A part did not start or died. One line: which, how, and its log."""


class Part:
    """A process that is started, killed and started again with the same command."""

    def __init__(
        self, name: str, command: list[str], log: Path, cwd: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self._environment = environment
        self._command = command
        self._log = log
        self._cwd = cwd
        self._child: subprocess.Popen[bytes] | None = None
        self._offset = 0  # where in the log this start began

    @property
    def pid(self) -> int:
        if self._child is None:
            raise PartError(f"{self.name} has not been started")
        return self._child.pid

    def start(self) -> None:
        """Start it; what it prints goes to the log."""
        with self._log.open("ab") as log:
            self._offset = log.tell()
            self._child = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for(self, prefix: str, timeout_s: float) -> str:
        """The first line of this start that begins with `prefix`. Raises PartError when it dies or takes too long."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._log.open("rb") as log:
                log.seek(self._offset)
                for line in log.read().decode(errors="replace").splitlines(keepends=True):
                    if line.startswith(prefix) and line.endswith("\n"):
                        return line.strip()
            self.check()
            if time.monotonic() > deadline:
                raise PartError(f"{self.name} was not ready within {timeout_s:.0f} s; see {self._log}")
            time.sleep(0.05)

    def check(self) -> None:
        """Raises PartError when it has died by itself."""
        if self._child is not None and self._child.poll() is not None:
            status = self._child.returncode
            raise PartError(f"{self.name} ended with status {status}: {self.last_line()}; see {self._log}")

    def last_line(self) -> str:
        """The last line of its log."""
        with contextlib.suppress(OSError):
            lines = self._log.read_text(errors="replace").strip().splitlines()
            return lines[-1][:300] if lines else ""
        return ""

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to the group when that does not help."""
        if self._child is None:
            return
        if self._child.poll() is None:
            self._child.terminate()
            try:
                self._child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._child = None

    def kill(self) -> None:
        """SIGKILL to the process and whatever it has started."""
        if self._child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
