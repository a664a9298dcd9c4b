"""A null-modem cable of two ptys: the module's uplink at one end, the gateway's serial port at the other.

Both ends are ttys with names that stay while either side dies and comes back; the cable holds them open, so that a
killed side is silence, as on a real line. What was on its way when a side died may still arrive.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import tty
from pathlib import Path

READ_BYTES = 4096
BACKLOG_BYTES = 65_536  # of a side that does not read; what comes on top is lost, as in a UART that runs over


class _End:
    """One end: the tty that its user opens, and our side of it."""

    def __init__(self, link: Path) -> None:
        self.fd, self._far_fd = os.openpty()
        tty.setraw(self._far_fd)
        os.set_blocking(self.fd, False)
        self.waiting = bytearray()
        self._link = link
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self._far_fd))

    def close(self) -> None:
        self._link.unlink(missing_ok=True)
        os.close(self.fd)
        os.close(self._far_fd)


class Cable(threading.Thread):
    """Copies bytes both ways until stop(). `module` and `gateway`: where the two ttys are found."""

    def __init__(self, module: Path, gateway: Path) -> None:
        super().__init__(name=f"cable {gateway}", daemon=True)
        self._ends = (_End(module), _End(gateway))
        self._stop_fd, self._stopping_fd = os.pipe()

    def run(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self._stop_fd, selectors.EVENT_READ)
        first, second = self._ends
        for end, other in ((first, second), (second, first)):
            selector.register(end.fd, selectors.EVENT_READ, (end, other))
        with contextlib.closing(selector):
            while True:
                for key, events in selector.select():
                    if key.data is None:
                        return
                    end, other = key.data
                    if events & selectors.EVENT_READ:
                        self._hear(end, other)
                    if events & selectors.EVENT_WRITE:
                        self._speak(end)
                for end, other in ((first, second), (second, first)):
                    wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if end.waiting else 0)
                    selector.modify(end.fd, wanted, (end, other))

    def stop(self) -> None:
        """Take the cable away."""
        os.close(self._stopping_fd)
        if self.ident is not None:
            self.join()
        for end in self._ends:
            end.close()
        os.close(self._stop_fd)

    @staticmethod
    def _hear(end: _End, other: _End) -> None:
        heard = os.read(end.fd, READ_BYTES)
        other.waiting += heard[: BACKLOG_BYTES - len(other.waiting)]

    @staticmethod
    def _speak(end: _End) -> None:
        with contextlib.suppress(BlockingIOError):
            del end.waiting[: os.write(end.fd, end.waiting)]
