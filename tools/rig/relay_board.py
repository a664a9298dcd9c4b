"""Double of a USB relay board of the LCUS class, byte by byte, on a pty: `port` is what a rig opens.

    board = RelayBoard(lambda relay, is_closed: ...); board.start(); ...; board.stop()

As on the real one an order is taken when its four bytes are complete and their sum is right; after anything else the
next start byte begins anew, and nothing is ever answered. Not imitated: the 10 ms of the contact, its bounce, USB.
"""

from __future__ import annotations

import os
import select
import threading
import tty
from collections.abc import Callable

from tools.rig.power import RELAY_START

ORDER_BYTES = 4


class RelayBoard(threading.Thread):
    """`on_change(relay, is_closed)` is called in this thread for each good order that changes something."""

    def __init__(self, on_change: Callable[[int, bool], None], relays: int = 1) -> None:
        super().__init__(name="relay board", daemon=True)
        self._fd, self._far_fd = os.openpty()  # both held: a rig that closes leaves no hang-up
        tty.setraw(self._far_fd)
        self.port = os.ttyname(self._far_fd)
        self.closed = [False] * relays  # contacts, at rest when the board gets its power
        self.refused_bytes = 0
        self._on_change = on_change
        self._heard = bytearray()
        self._stop_fd, self._stopping_fd = os.pipe()

    def run(self) -> None:
        while True:
            ready, _, _ = select.select([self._fd, self._stop_fd], [], [])
            if self._stop_fd in ready:
                return
            self._heard += os.read(self._fd, 64)
            self._take()

    def stop(self) -> None:
        """Unplug it."""
        os.close(self._stopping_fd)
        if self.ident is not None:
            self.join()
        for fd in (self._stop_fd, self._fd, self._far_fd):
            os.close(fd)

    def _take(self) -> None:
        heard = self._heard
        while heard:
            if heard[0] != RELAY_START:
                del heard[0]
                self.refused_bytes += 1
                continue
            if len(heard) < ORDER_BYTES:
                return
            relay, state, total = heard[1], heard[2], heard[3]
            if total != sum(heard[:3]) & 0xFF or not 1 <= relay <= len(self.closed) or state > 1:
                del heard[0]
                self.refused_bytes += 1
                continue
            del heard[:ORDER_BYTES]
            if self.closed[relay - 1] != bool(state):
                self.closed[relay - 1] = bool(state)
                self._on_change(relay, bool(state))
