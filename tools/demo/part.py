"""One part of the demo: a child process with its own log file, a ready line, and a death of either kind.

A part leads a process group of its own, so that Ctrl-C at the terminal reaches the demo only and the parts stop in
the order that it wants. Should the demo itself be killed, the kernel kills its parts (setpriv of util-linux, which
every Debian has; without it they would stay).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

STOP_S = 10.0  # a part that has not stopped by then is killed
LOOK_S = 0.02


class PartError(Exception):
    """A part did not start or died. One line: which, how, and its log."""


class Cancelled(Exception):
    """Somebody wants to stop while a part is waited for."""


class Part:
    """A process that is started, killed and started again with the same command. `starts`: how often it was."""

    def __init__(
        self, name: str, command: list[str], log: Path, cwd: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        self.starts = 0
        self._environment = environment
        self._command = [*_until_the_parent_dies(), *command]
        self._cwd = cwd
        self._child: subprocess.Popen[bytes] | None = None
        self._offset = 0  # where in the log this start began

    @property
    def pid(self) -> int:
        if self._child is None:
            raise PartError(f"{self.name} has not been started")
        return self._child.pid

    @property
    def status(self) -> int | None:
        """How it ended (negative: by which signal); None while it runs or before its first start."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        """Start it; what it prints goes to the log."""
        self.starts += 1
        with self.log.open("ab") as log:
            self._offset = log.tell()
            self._child = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # and no session: its leader would be hung up with the first tty that it opens
            )

    def wait_for(self, prefix: str, timeout_s: float, is_cancelled: Callable[[], bool] = lambda: False) -> str:
        """The first line of this start that begins with `prefix`.

        Raises PartError when it dies or takes too long, Cancelled when `is_cancelled` says so.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            line = self._said(prefix)
            if line is not None:
                return line
            self.check()
            if time.monotonic() > deadline:
                raise PartError(f"{self.name} was not ready within {timeout_s:.0f} s; see {self.log}")
            if is_cancelled():
                raise Cancelled
            time.sleep(LOOK_S)

    def has_said(self, prefix: str) -> bool:
        """Whether a line of this start begins with `prefix`."""
        return self._said(prefix) is not None

    def _said(self, prefix: str) -> str | None:
        with self.log.open("rb") as log:
            log.seek(self._offset)
            for line in log.read().decode(errors="replace").splitlines(keepends=True):
                if line.startswith(prefix) and line.endswith("\n"):
                    return line.strip()
        return None

    def check(self) -> None:
        """Raises PartError when it has died by itself."""
        if self.status is not None:
            raise PartError(f"{self.name} ended with status {self.status}: {self.last_line()}; see {self.log}")

    def last_line(self) -> str:
        """The last line of its log."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(errors="replace").strip().splitlines()
            return lines[-1][:300] if lines else ""
        return ""

    def terminate(self) -> None:
        """SIGTERM; stop() waits for it."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to the group when that does not help."""
        if self._child is None:
            return
        self.terminate()
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


def _until_the_parent_dies() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
