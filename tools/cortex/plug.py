"""The sockets of an emulated part: ttys of its own that last, each plugged into a tty that may come and go.

QEMU opens a tty once. Here it opens one of ours; a thread moves the bytes between that and the tty named, which is
opened when it is there and again when it is back, as boards/host_tty does. Without one the line is silent: what the
part says is lost, as on a cable that is not plugged in.
"""

from __future__ import annotations

import contextlib
import os
import select
import termios
import threading
import time
import tty
from pathlib import Path

REOPEN_S = 0.2
READ_BYTES = 4096


class _Line:
    """One line. `near_path` is for QEMU, `far_path` the tty plugged into."""

    def __init__(self, far_path: Path) -> None:
        self.far_path = far_path
        self.near, self._own_end = os.openpty()  # held open: QEMU that ends leaves no hang-up
        tty.setraw(self._own_end)
        self.near_path = Path(os.ttyname(self._own_end))
        os.set_blocking(self.near, False)
        self.far = -1
        self.to_far = b""
        self.to_near = b""
        self._tried_s = float("-inf")

    def plug(self) -> None:
        """Open the far tty if it is time to try."""
        if self.far >= 0 or time.monotonic() - self._tried_s < REOPEN_S:
            return
        self._tried_s = time.monotonic()
        try:
            fd = os.open(self.far_path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        except OSError:  # not there: a cable that is not plugged in
            return
        try:
            tty.setraw(fd)
        except termios.error:  # gone again, or no tty at all
            os.close(fd)
            return
        self.far = fd

    def unplug(self) -> None:
        if self.far >= 0:
            os.close(self.far)
        self.far = -1
        self.to_far = b""
        self._tried_s = time.monotonic()

    def from_near(self) -> None:
        raw = _read(self.near)
        self.to_far = raw if self.far >= 0 else b""

    def from_far(self) -> None:
        try:
            self.to_near = _read(self.far)
        except OSError:  # EIO: the other side is gone
            self.unplug()

    def send(self) -> None:
        """What waits, as far as it is taken."""
        with contextlib.suppress(BlockingIOError):
            if self.to_near:
                self.to_near = self.to_near[os.write(self.near, self.to_near) :]
        try:
            if self.to_far:
                self.to_far = self.to_far[os.write(self.far, self.to_far) :]
        except BlockingIOError:
            pass
        except OSError:
            self.unplug()

    def close(self) -> None:
        self.unplug()
        os.close(self.near)
        os.close(self._own_end)


class Plugs:
    """Lines of one part, from construction until `close`. `near`: the ttys for QEMU, in the order given."""

    def __init__(self, *far_paths: Path) -> None:
        self._lines = [_Line(path) for path in far_paths]
        self.near = tuple(line.near_path for line in self._lines)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Pull them all."""
        self._ending.set()
        self._thread.join()
        for line in self._lines:
            line.close()

    def _work(self) -> None:
        while not self._ending.is_set():
            for line in self._lines:
                line.plug()
            # A side is read only when the other has taken what came before
            nears = {line.near: line for line in self._lines if not line.to_far}
            fars = {line.far: line for line in self._lines if line.far >= 0 and not line.to_near}
            writable = [line.near for line in self._lines if line.to_near]
            writable += [line.far for line in self._lines if line.to_far and line.far >= 0]
            ready, _, _ = select.select([*nears, *fars], writable, [], REOPEN_S)
            for fd in ready:
                if fd in nears:
                    nears[fd].from_near()
                else:
                    fars[fd].from_far()
            for line in self._lines:
                line.send()


def _read(fd: int) -> bytes:
    try:
        raw = os.read(fd, READ_BYTES)
    except BlockingIOError:
        return b""
    if not raw:
        raise OSError("hung up")
    return raw
