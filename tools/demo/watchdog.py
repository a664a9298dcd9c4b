"""The watchdog of an emulated module: what a chip's hardware does, done by the parent of its process.

The board writes to a file of its directory whenever all of its tasks have made progress (firmware/boards/host.py). As
on a chip the first of these writes arms it, and it knows nothing else of the program: a file that stays as it is for
too long is a module that hangs. Whoever ends it then, by SIGKILL, leaves behind what a chip has in its reset register.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

LIMIT_S = 20.0  # boards have 8 to 30 s; this computer may be busy with other things
HEARTBEAT = "heartbeat.bin"
RESET_CAUSE = "reset_cause.bin"


class Watchdog:
    """Of the module in `folder`. `arm` before each start; `is_over` whenever it suits; `bite` once it is dead."""

    def __init__(self, folder: Path, limit_s: float = LIMIT_S, now_s: Callable[[], float] = time.monotonic) -> None:
        self._file = folder / HEARTBEAT
        self._cause = folder / RESET_CAUSE
        self._limit_s = limit_s
        self._now_s = now_s
        self._seen_ns = 0  # when it was written to, by the file system's clock, which is compared and not reckoned with
        self._fed_s: float | None = None  # when that was seen; None: not armed

    def arm(self) -> None:
        """A start follows: nothing has been fed yet."""
        self._file.touch(0o600)
        self._seen_ns = self._file.stat().st_mtime_ns
        self._fed_s = None

    def is_over(self) -> bool:
        """Whether it has been fed and then not for longer than its limit."""
        written_ns = self._file.stat().st_mtime_ns
        now_s = self._now_s()
        if written_ns != self._seen_ns:
            self._seen_ns, self._fed_s = written_ns, now_s
        return self._fed_s is not None and now_s - self._fed_s > self._limit_s

    def bite(self) -> None:
        """The process is dead: its next start is told why. Killed before: that start takes it for a power cut."""
        fresh = self._cause.with_suffix(".new")
        fresh.write_bytes(b"watchdog")
        os.replace(fresh, self._cause)
        self._fed_s = None
